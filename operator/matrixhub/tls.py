"""What an encrypted connection is made with, and what to do about one that fails: the same for every driver."""

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matrixhub.errors import Rejected

ANSWER_SECONDS = 0.5
"""How long a server may take to refuse a client certificate after the handshake."""

STRANGER_SECONDS = 0.5
"""Short, for a network policy that does what it should answers nothing."""

CERTIFICATE_KEYS = ("tls.crt", "tls.key")
"""Of a Secret of type kubernetes.io/tls."""

REASONS = (
    "CertificateExpired",
    "CertificateInvalid",
    "CertificateNameMismatch",
    "CertificateUntrusted",
    "ClientCertificateRefused",
    "ClientCertificateRequired",
    "TlsUnavailable",
)
"""Of conditions that speak of a certificate: a person has to change a Secret, a server or a name."""

SYSTEM_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where Debian and Alpine, and Red Hat, keep the authorities that a system trusts."""

_EXPIRED = ("certificate has expired", "certificate is not yet valid")
_OTHER_NAME = ("mismatch, certificate is not valid for", "does not match host name", "doesn't match")
_UNTRUSTED = ("certificate verify failed", "certificate_verify_failed")
_NOT_OURS = (
    "alert certificate required",
    "alert bad certificate",
    "alert unknown ca",
    "alert certificate unknown",
    "alert certificate expired",
    "alert handshake failure",
    "alert decrypt error",
    "valid client certificate",
    "certificate authentication failed",
)
_PLAIN = ("wrong version number", "server does not support ssl", "record layer failure")


@dataclass(frozen=True)
class Trust:
    """Whose certificates are believed, and which certificate is shown. All texts are PEM.

    `section` is the part of a spec that says so, for messages, such as `spec.kafka.tls`.
    """

    section: str
    ca: str = ""
    """The authority; empty for the system's."""
    certificate: str = ""
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, section: str, secret: Mapping[str, str]) -> "Trust":
        """From the keys `ca.crt`, `tls.crt` and `tls.key`, each of which may be missing."""
        return cls(section, *(secret.get(key, "") for key in ("ca.crt", "tls.crt", "tls.key")))

    @classmethod
    def read(cls, section: str, ca_file: str, certificate_file: str, key_file: str) -> "Trust":
        """From files; an empty name is no file. Raises OSError."""
        files = (ca_file, certificate_file, key_file)
        return cls(section, *(Path(file).read_text(encoding="utf-8") if file else "" for file in files))

    def context(self) -> ssl.SSLContext:
        """For drivers that take one: checks certificate and name. Raises Rejected for a text that is no certificate."""
        try:
            context = ssl.create_default_context(cadata=self.ca or None, cafile=None if self.ca else _system() or None)
        except (ssl.SSLError, ValueError) as error:
            raise Rejected(
                "CertificateInvalid",
                f"`ca.crt` in the Secret of {self.section}.caSecretRef holds no certificate in PEM: put one there",
            ) from error
        if self.certificate:
            try:
                with _file(self.certificate) as certificate, _file(self.key) as key:
                    context.load_cert_chain(certificate, key, password="")  # or OpenSSL asks the terminal
            except (ssl.SSLError, ValueError) as error:
                raise Rejected(
                    "CertificateInvalid",
                    f"`tls.crt` and `tls.key` in the Secret of {self.section}.clientCertSecretRef are no certificate "
                    "in PEM and its key, without a passphrase: put them there",
                ) from error
        return context

    def refusal(self, server: str, error: object) -> Rejected | None:
        """Our error for a driver's that is about certificates, None for another. `server` is such as `redis at a:1`."""
        text = str(error).lower()
        told, ca = _told(str(error)), f"{self.section}.caSecretRef"

        def says(texts: tuple[str, ...]) -> bool:
            return any(each in text for each in texts)

        if says(_EXPIRED):
            return Rejected("CertificateExpired", f"{server} shows a certificate of another time ({told}): renew it")
        if says(_OTHER_NAME):
            return Rejected(
                "CertificateNameMismatch",
                f"{server} shows a certificate for another name ({told}): write a name that stands in it, "
                "or give the server one for this name",
            )
        if says(_UNTRUSTED):
            who, what = ("`ca.crt` in the Secret of", "put") if self.ca else ("no authority of the system; see", "name")
            return Rejected(
                "CertificateUntrusted",
                f"{server} shows a certificate that was not signed by {who} {ca} ({told}): "
                f"{what} the authority that signed it there",
            )
        if says(_NOT_OURS):
            return self._not_ours(server, told)
        if says(_PLAIN):
            return Rejected("TlsUnavailable", f"{server} speaks no TLS: enable it there, or name the port that does")
        return None

    def _not_ours(self, server: str, told: str) -> Rejected:
        there = f"{self.section}.clientCertSecretRef"
        if self.certificate:
            return Rejected(
                "ClientCertificateRefused",
                f"{server} refuses the client certificate in the Secret of {there} ({told}): "
                "put one there that the server's authority signed, for the name that it asks for",
            )
        return Rejected(
            "ClientCertificateRequired",
            f"{server} lets nobody in without a client certificate ({told}): "
            f"put one into a Secret as `tls.crt` and `tls.key`, and name it in {there}",
        )

    def complaint(self, host: str, port: int) -> ssl.SSLError | None:
        """What the server has against our certificate, if that is why it hung up.

        In TLS 1.3 it says so after the handshake, and a client that has written meanwhile may not hear it. So this one
        writes nothing.
        """
        try:
            plain = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
            with plain, self.context().wrap_socket(plain, server_hostname=host) as secure:
                secure.recv(1)
        except ssl.SSLError as error:
            return error
        except OSError:  # it says nothing: it waits for what we have to say, or is gone
            return None
        return None


def takes_strangers(host: str, port: int) -> bool:
    """Whether a connection comes about there without TLS; whether TLS asks for a certificate is not tried."""
    try:
        connection = socket.create_connection((host, port), STRANGER_SECONDS)
    except OSError:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(connection):
            return False
    except OSError as error:  # who speaks TLS and refuses says so by an alert, who does not hangs up
        return "alert" not in str(error).lower()
    finally:
        connection.close()


class Files:
    """For drivers that want files: their names, empty where there is nothing. In memory, and gone once closed.

    `ca` is the system's file where no authority is named.
    """

    def __init__(self, trust: Trust) -> None:
        """Raises Rejected for a text that is no certificate."""
        trust.context()
        with contextlib.ExitStack() as opened:
            self.ca, self.certificate, self.key = (
                opened.enter_context(_file(text)) if text else "" for text in (trust.ca, trust.certificate, trust.key)
            )
            self._opened = opened.pop_all()
        self.ca = self.ca or _system()

    def libpq(self, mode: str) -> str:
        """The connection string's part on encryption, for this `sslmode`."""
        # A file makes `require` check the certificate too, and without one `verify-full` looks in a home folder.
        root = (self.ca or "system") if mode.startswith("verify") else ""
        return f"sslmode={mode} sslrootcert='{root}' sslcert='{self.certificate}' sslkey='{self.key}'"

    def close(self) -> None:
        """The files are gone."""
        self._opened.close()


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """The name of a file with the text that is in memory only, and that libpq takes for a key's: nobody else's."""
    descriptor = os.memfd_create("matrixhub")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _system() -> str:
    """The file of the authorities that the system trusts; empty where there is none.

    The libraries that drivers bring along look for it in places of their own, and find nothing.
    """
    places = (ssl.get_default_verify_paths().cafile or "", *SYSTEM_FILES)
    return next((place for place in places if place and Path(place).is_file()), "")


def _told(text: str) -> str:
    """The library's words, without its own name and place in them."""
    match = re.search(r"certificate verify failed: (.+?)\.? \(_ssl", text)
    return match[1] if match else " ".join(re.sub(r"\(_ssl\.c:\d+\)|\[SSL[^]]*\]", "", text).split())
