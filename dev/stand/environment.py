"""The env file: every endpoint and credential under the name the usual clients read."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from stand import pki
from stand.images import GATEWAY, MATRIXHUB
from stand.parts import kafka, minio, postgres, redis
from stand.run import Failure
from stand.state import Stand, private


def variables(stand: Stand) -> dict[str, str]:
    """Name and value of every variable."""
    secrets = stand.secrets
    s3 = f"http://{stand.host}:{stand.port('minio')}"
    certificate, key = pki.client(stand)
    return {
        "MATRIXHUB_STAND": str(stand.state),
        "STAND_HOST": stand.host,
        "KUBECONFIG": str(stand.state / "kubeconfig"),
        "MATRIXHUB_OPERATOR_KUBECONFIG": str(stand.state / "operator.kubeconfig"),
        "PGHOST": stand.host,
        "PGPORT": str(stand.port("postgres")),
        "PGDATABASE": postgres.DATABASE,
        "PGUSER": "postgres",
        "PGPASSWORD": secrets["postgres-root"],
        "PGSSLMODE": "disable",  # there is TLS for who asks for it
        "PG_ADMIN_USER": postgres.ADMIN,
        "PG_ADMIN_PASSWORD": secrets["postgres-admin"],
        "REDIS_HOST": stand.host,
        "REDIS_PORT": str(stand.port("redis")),
        "REDISCLI_AUTH": secrets["redis-root"],
        "REDIS_ADMIN_USER": redis.ADMIN,
        "REDIS_ADMIN_PASSWORD": secrets["redis-admin"],
        "KAFKA_BOOTSTRAP": f"{stand.host}:{stand.port('kafka')}",
        "KAFKA_ROOT_USER": kafka.ROOT,
        "KAFKA_ROOT_PASSWORD": secrets["kafka-root"],
        "KAFKA_ADMIN_USER": kafka.ADMIN,
        "KAFKA_ADMIN_PASSWORD": secrets["kafka-admin"],
        "KAFKA_LIBS": str(kafka.libs()),
        "S3_ENDPOINT": s3,
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": minio.ROOT,
        "AWS_SECRET_ACCESS_KEY": secrets["minio-root"],
        "AWS_REGION": minio.REGION,
        "S3_ADMIN_ACCESS_KEY": minio.ADMIN,
        "S3_ADMIN_SECRET_KEY": secrets["minio-admin"],
        "TLS_CA": str(pki.authority(stand)),
        "TLS_CLIENT_CERT": str(certificate),
        "TLS_CLIENT_KEY": str(key),
        "REDIS_TLS_PORT": str(stand.port("redis-tls")),
        "KAFKA_TLS_BOOTSTRAP": f"{stand.host}:{stand.port('kafka-tls')}",
        "KAFKA_MUTUAL_BOOTSTRAP": f"{stand.host}:{stand.port('kafka-mutual')}",
        "S3_TLS_ENDPOINT": f"https://{stand.host}:{stand.port('minio-tls')}",
        "GATEWAY_IMAGE": GATEWAY.name,
        "MATRIXHUB_IMAGE": MATRIXHUB.name,
    }


def write(stand: Stand) -> Path:
    """`env` holds the variables as a shell reads them."""
    quoted = {
        name: f"'{value}'" if shlex.quote(value) == value else shlex.quote(value)
        for name, value in variables(stand).items()
    }
    return private(stand.state / "env", "".join(f"export {name}={value}\n" for name, value in quoted.items()))


def read(state: Path) -> str:
    """The env file's text."""
    try:
        return (state / "env").read_text()
    except FileNotFoundError:
        raise Failure(f"{state} has no env file: the stand was never up") from None


def hand_over(stand: Stand) -> None:
    """Called through sudo, the files that clients read belong to the person who called."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user and group:
        for name in (".", "env", "kubeconfig", "operator.kubeconfig", "kafka-client.properties", "logs"):
            if (stand.state / name).exists():
                os.chown(stand.state / name, int(user), int(group))
