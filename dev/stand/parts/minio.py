"""MinIO: the S3 of the stand, with IAM, quotas and encryption; root user and the admin user `matrixhub`.

A MinIO speaks http or https, never both: `minio-tls` is an https front of the same server, also by names that its
certificate is not for.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from stand import pki
from stand.part import Part, answers
from stand.recipes import program
from stand.rights import rights
from stand.run import output
from stand.state import Stand, private

ADMIN = "matrixhub"
ROOT = "root"
REGION = "us-east-1"


def _command(stand: Stand) -> list[str]:
    """The server, told its secrets by its environment."""
    key = base64.b64encode(hashlib.sha256(stand.secrets["minio-root"].encode()).digest()).decode()
    settings = {
        "MINIO_ROOT_USER": ROOT,
        "MINIO_ROOT_PASSWORD": stand.secrets["minio-root"],
        "MINIO_KMS_SECRET_KEY": f"stand:{key}",
        "MINIO_REGION": REGION,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    data = stand.folder("minio") / "data"
    address = f"{stand.host}:{stand.port('minio')}"
    variables = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *variables, str(program("minio")), "server", "--address", address, str(data)]


def _ready(stand: Stand) -> bool:
    return answers(f"http://{stand.host}:{stand.port('minio')}/minio/health/cluster")


def _settle(stand: Stand) -> None:
    """The admin user has the policy of the file, and that one only."""
    address = f"{stand.host}:{stand.port('minio')}"
    root = [ROOT, stand.secrets["minio-root"]]
    user: list[str | Path] = [ADMIN, stand.secrets["minio-admin"], ADMIN, rights("minio.json")]
    output([program("minio-admin"), address, *root, *user])


MINIO = Part(name="minio", group="backends", command=_command, ready=_ready, settle=_settle)


def _front(stand: Stand) -> list[str]:
    certificate, key = pki.backend(stand)
    lines = [
        "foreground = yes",
        "pid =",
        "[minio]",
        f"accept = 0.0.0.0:{stand.port('minio-tls')}",
        f"connect = {stand.host}:{stand.port('minio')}",
        f"cert = {certificate}",
        f"key = {key}",
    ]
    return ["stunnel4", str(private(stand.folder("minio-tls") / "stunnel.conf", "\n".join(lines) + "\n"))]


MINIO_TLS = Part(
    name="minio-tls",
    group="backends",
    command=_front,
    ready=lambda stand: answers(f"https://{stand.host}:{stand.port('minio-tls')}/minio/health/cluster"),
)
