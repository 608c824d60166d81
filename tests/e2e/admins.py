"""Another administrator of each backend than the operator."""

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg
import redis
from kafka.admin import KafkaAdminClient
from tests.e2e.hub import Hub


@contextlib.contextmanager
def postgres(hub: Hub) -> Iterator[psycopg.Connection]:
    """Of the database."""
    env = hub.env
    with psycopg.connect(
        host=env["PGHOST"],
        port=env["PGPORT"],
        dbname=env["PGDATABASE"],
        user=env["PGUSER"],
        password=env["PGPASSWORD"],
        autocommit=True,
    ) as connection:
        yield connection


@contextlib.contextmanager
def kafka(hub: Hub) -> Iterator[KafkaAdminClient]:
    """Of Kafka."""
    client = KafkaAdminClient(
        bootstrap_servers=hub.env["KAFKA_BOOTSTRAP"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=hub.env["KAFKA_ROOT_USER"],
        sasl_plain_password=hub.env["KAFKA_ROOT_PASSWORD"],
    )
    try:
        yield client
    finally:
        client.close()


def redis_root(hub: Hub) -> redis.Redis:
    """Of Redis."""
    return redis.Redis(hub.env["REDIS_HOST"], int(hub.env["REDIS_PORT"]), password=hub.env["REDISCLI_AUTH"])


def s3(hub: Hub) -> Any:
    """Of the object store."""
    return boto3.client(
        "s3",
        endpoint_url=hub.env["S3_ENDPOINT"],
        aws_access_key_id=hub.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=hub.env["AWS_SECRET_ACCESS_KEY"],
        region_name=hub.env["AWS_REGION"],
    )
