"""Redis: the `default` user as root, and the admin user `matrixhub`.

As Redis does by default, users made at run time are forgotten at a restart; the two of the configuration file stay.
"""

from __future__ import annotations

from pathlib import Path

from stand import pki
from stand.part import Part
from stand.recipes import program
from stand.rights import rights
from stand.run import Failure, output
from stand.state import Stand, private

ADMIN = "matrixhub"


def _admin_rules(stand: Stand) -> list[str]:
    """The admin user's ACL rules, from a clean slate."""
    lines = rights("redis.acl").read_text().splitlines()
    words = [word for line in lines if not line.lstrip().startswith("#") for word in line.split()]
    return ["reset", "on", ">" + stand.secrets["redis-admin"], *words]


def _prepare(stand: Stand) -> None:
    """The configuration is this stand's."""
    folder = stand.folder("redis")
    certificate, key = pki.backend(stand)
    lines = [
        f"bind 127.0.0.1 {stand.host}",
        f"port {stand.port('redis')}",
        f"tls-port {stand.port('redis-tls')}",
        f"tls-cert-file {certificate}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {pki.authority(stand)}",
        "tls-auth-clients optional",
        f"dir {folder}",
        f"requirepass {stand.secrets['redis-root']}",
        f"user {ADMIN} {' '.join(_admin_rules(stand))}",
        "appendonly yes",
        "daemonize no",
        # A title would overwrite the environment by which the stand knows its processes.
        "set-proc-title no",
    ]
    private(folder / "redis.conf", "\n".join(lines) + "\n")


def _command(stand: Stand) -> list[str]:
    return [str(program("redis-server")), str(stand.folder("redis") / "redis.conf")]


def _ask(stand: Stand, *words: str) -> str:
    """What the root user's command answered."""
    client: list[str | Path] = [
        program("redis-cli"),
        "-e",
        "--no-auth-warning",
        "-h",
        stand.host,
        "-p",
        str(stand.port("redis")),
    ]
    return output([*client, *words], {"REDISCLI_AUTH": stand.secrets["redis-root"]}).strip()


def _ready(stand: Stand) -> bool:
    try:
        return _ask(stand, "ping") == "PONG"
    except Failure:
        return False


def _settle(stand: Stand) -> None:
    """The admin user has the rights of the file."""
    _ask(stand, "acl", "setuser", ADMIN, *_admin_rules(stand))


REDIS = Part(name="redis", group="backends", prepare=_prepare, command=_command, ready=_ready, settle=_settle)
