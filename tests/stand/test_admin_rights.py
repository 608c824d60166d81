"""What docs/operations.md has an administrator type gives a login the rights of the stand's own, and no others."""

import os
import re
import secrets
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.support import ROOT, stand_variables

from stand.recipes import program

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    from kafka import KafkaAdminClient
    from kafka.admin import (
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePatternFilter,
        ResourceType,
        UserScramCredentialDeletion,
    )

LOGIN, PASSWORD = f"typed-{secrets.token_hex(2)}", secrets.token_hex(16)
JAVA = {"kafka-configs.sh": "kafka.admin.ConfigCommand", "kafka-acls.sh": "org.apache.kafka.tools.AclCommand"}


@pytest.fixture(scope="module")
def stand() -> Mapping[str, str]:
    return stand_variables()


@pytest.fixture
def typed(tmp_path: Path, stand: Mapping[str, str]) -> Any:
    """A shell in the checkout whose tools find the stand; it types what the page has for a backend."""
    at = f"-h {stand['REDIS_HOST']} -p {stand['REDIS_PORT']}"
    tools = {"redis-cli": f"{program('redis-cli')} {at}"}
    options = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    tools |= {name: f"java {options} -cp '{stand['KAFKA_LIBS']}/*' {main}" for name, main in JAVA.items()}
    for name, command in tools.items():
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tmp_path / name).chmod(0o755)
    here = {"matrixhub": LOGIN, "kafka:9092": stand["KAFKA_BOOTSTRAP"]}
    here["root.properties"] = f"{stand['MATRIXHUB_STAND']}/kafka-client.properties"

    def run(backend: str) -> None:
        text = commands(backend)
        for word, own in here.items():
            text = text.replace(word, own)
        env = {**os.environ, **stand, "PASSWORD": PASSWORD, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-ec", text], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def commands(backend: str) -> str:
    """What the page has for it, without the prompts."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^\*\*{backend}\*\*.*?```console\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    return re.sub(r"^\$ ", "", block, flags=re.MULTILINE)


def test_redis(typed: Any, stand: Mapping[str, str]) -> None:
    server = {"host": stand["REDIS_HOST"], "port": int(stand["REDIS_PORT"])}
    root: redis.Redis[str] = redis.Redis(**server, password=stand["REDISCLI_AUTH"], decode_responses=True)
    typed("Redis")
    try:
        own, given = ({**root.acl_getuser(name), "passwords": None} for name in (LOGIN, stand["REDIS_ADMIN_USER"]))
        assert own == given
        assert redis.Redis(**server, username=LOGIN, password=PASSWORD, decode_responses=True).acl_whoami() == LOGIN
    finally:
        root.acl_deluser(LOGIN)


def administrator(stand: Mapping[str, str], username: str, password: str) -> Any:
    return KafkaAdminClient(
        bootstrap_servers=stand["KAFKA_BOOTSTRAP"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=username,
        sasl_plain_password=password,
    )


def of(login: str) -> Any:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(f"User:{login}", None, ACLOperation.ANY, ACLPermissionType.ANY, anything)


def test_kafka(typed: Any, stand: Mapping[str, str]) -> None:
    root = administrator(stand, stand["KAFKA_ROOT_USER"], stand["KAFKA_ROOT_PASSWORD"])

    def rights(login: str) -> set[Any]:
        found, _ = root.describe_acls(of(login))
        return {(acl.resource_pattern, acl.host, acl.operation, acl.permission_type) for acl in found}

    typed("Kafka")
    try:
        assert rights(LOGIN) == rights(stand["KAFKA_ADMIN_USER"])
        own = administrator(stand, LOGIN, PASSWORD)
        assert own.list_topics() == root.list_topics()
        own.close()
    finally:
        root.delete_acls([of(LOGIN)])
        root.alter_user_scram_credentials([UserScramCredentialDeletion(LOGIN, "SCRAM-SHA-512")])
        root.close()
