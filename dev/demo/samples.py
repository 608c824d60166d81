"""The sample manifests as they are for the stand: its addresses, its doors without TLS, its images and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"


def filled(name: str, env: Mapping[str, str]) -> str:
    """A manifest of the samples with the stand's own values."""
    own = _own(env)
    documents = yaml.safe_load_all((SAMPLES / name).read_text(encoding="utf-8"))
    return str(yaml.safe_dump_all(_merged(each, own.get(each["metadata"]["name"], {})) for each in documents))


def _own(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By the name of the object, what is another's on the stand; None leaves a field out."""
    logins = {
        f"{backend}-admin": {"username": env[f"{prefix}_ADMIN_USER"], "password": env[f"{prefix}_ADMIN_PASSWORD"]}
        for backend, prefix in (("postgres", "PG"), ("redis", "REDIS"), ("kafka", "KAFKA"))
    }
    logins["object-store-admin"] = {"accessKey": env["S3_ADMIN_ACCESS_KEY"], "secretKey": env["S3_ADMIN_SECRET_KEY"]}
    main = {
        "postgres": {
            "host": env["PGHOST"],
            "port": int(env["PGPORT"]),
            "database": env["PGDATABASE"],
            "sslMode": "disable",
        },
        "redis": {"nodes": [f"{env['REDIS_HOST']}:{env['REDIS_PORT']}"], "tls": None},
        "kafka": {
            "bootstrapServers": [env["KAFKA_BOOTSTRAP"]],
            "securityProtocol": "SASL_PLAINTEXT",
            "replicationFactor": 1,
        },
        "objectStore": {"endpoint": env["S3_ENDPOINT"], "region": env["AWS_REGION"]},
        "gateway": {"image": env["GATEWAY_IMAGE"]},
        "relay": {"image": env["MATRIXHUB_IMAGE"]},
    }
    return {"main": {"spec": main}, **{name: {"stringData": login} for name, login in logins.items()}}


def _merged(value: Any, own: Any) -> Any:
    """The value with what is own in its place, field by field."""
    if not (isinstance(value, dict) and isinstance(own, dict)):
        return own
    kept = {key: each for key, each in value.items() if key not in own}
    changed = {key: _merged(value.get(key), each) for key, each in own.items() if each is not None}
    return {**kept, **changed}
