"""Passwords as Postgres stores them: the password itself never travels."""

import base64
import hashlib
import hmac
import secrets

_ITERATIONS = 4096  # RFC 7677, section 4; Postgres' own number. The passwords are random, so more would buy nothing.


def scram(password: str) -> str:
    """The SCRAM-SHA-256 verifier of a password, with a salt of its own (RFC 5803)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *text)
