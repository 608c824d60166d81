"""What the gateways are told: their environment, and a file for what no variable can say (sockudo 5.2.0). Pure."""

import json
from typing import Any

from matrixhub.api import naming
from matrixhub.api.dataplane import SESSIONS_PER_GATEWAY, WEBSOCKET_PORT, Gateway
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import PostgresBackend, RedisBackend
from matrixhub.api.values import address
from matrixhub.backends.gateway.desired import section, stores
from matrixhub.kube.mounts import Mounted, files, trusted
from matrixhub.tls import CERTIFICATE_KEYS

METRICS_PORT = 9601
FOLDER = "/etc/gateway"
"""Below it, everything is mounted."""
DRAIN_SECONDS = 5
"""How long a gateway that ends still answers, after it has closed its sockets: measured, none came too late."""
CONNECT_SECONDS = 3


def certificate(spec: Gateway) -> tuple[Mounted, ...]:
    """The Secret of the gateways' own certificate, where the spec names one."""
    return (Mounted("certificate", spec.tls.secret_name, CERTIFICATE_KEYS, "spec.gateway.tls"),) if spec.tls else ()


def environment(cluster: RealtimeCluster) -> list[dict[str, Any]]:
    """The container's variables; passwords are taken from the accounts' Secret."""
    postgres, redis = stores(cluster)
    spec, accounts = section(cluster), naming.accounts_secret(cluster.metadata.name)
    values = {
        **_FIXED,
        "SOCKUDO_MAX_CONNECTIONS": str(spec.connections_per_replica),
        "RATE_LIMITER_ENABLED": "false",
        **_postgres(postgres, naming.gateway(cluster.key)),
        **_redis(redis, naming.gateway(cluster.key)),
    }
    if spec.tls:
        names = {"tls.crt": "SSL_CERT_PATH", "tls.key": "SSL_KEY_PATH"}
        values |= {"SSL_ENABLED": "true", **files(FOLDER, certificate(spec), names)}
    password = {"secretKeyRef": {"name": accounts, "key": "gateway-password"}}
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        {"name": "INSTANCE_PROCESS_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "DATABASE_POSTGRES_PASSWORD", "valueFrom": password},
        {"name": "DATABASE_REDIS_PASSWORD", "valueFrom": password},
    ]


_FIXED = {
    "HOST": "0.0.0.0",  # noqa: S104 - a pod's own address is not known before
    "PORT": str(WEBSOCKET_PORT),
    "ENVIRONMENT": "production",
    "LOG_OUTPUT_FORMAT": "json",
    "RUST_LOG": "warn",
    "SHUTDOWN_GRACE_PERIOD": str(DRAIN_SECONDS),
    "SOCKUDO_SKIP_INLINE_APPS": "true",
    "ADAPTER_DRIVER": "redis",
    "ADAPTER_FALLBACK_TO_LOCAL": "false",
    # A new socket is counted against all gateways' sockets of its app: see README.md, Connection cap.
    "ADAPTER_ENABLE_SOCKET_COUNTING": "true",
    "APP_MANAGER_DRIVER": "postgres",
    "CACHE_DRIVER": "redis",
    "CACHE_TTL_SECONDS": "3",
    "QUEUE_DRIVER": "none",
    # Room for each socket's outgoing messages is set aside at once: with sockudo's own 1000 a socket takes 166 KB,
    # with these 70 KB (measured). A browser that is further behind is disconnected, and comes back.
    "WEBSOCKET_MAX_MESSAGES": "256",
    "WEBSOCKET_WRITE_BUFFER_SIZE": "4096",
    "METRICS_ENABLED": "true",
    "METRICS_HOST": "0.0.0.0",  # noqa: S104 - see HOST
    "METRICS_PORT": str(METRICS_PORT),
    # /usage and /stats would tell everybody who the tenants are.
    "HTTP_API_USAGE_ENABLED": "false",
}


def config(cluster: RealtimeCluster) -> str:
    """The configuration file, without any secret.

    The cache of apps is off: with it, a gateway that lost Postgres at its start would find the probes' app in Redis,
    where its neighbours had put it, and be ready (measured); changes would come later; and Redis would hold the
    apps' secrets. It costs one indexed query for each connect and publish, some 0.2 ms (measured).
    """
    _, redis = stores(cluster)
    login = naming.gateway(cluster.key)
    sections: dict[str, dict[str, Any]] = {
        "database.postgres": {"table_name": f'"{login}".{naming.APPS_TABLE}'},
        "app_manager": {"driver": "pgsql"},
        "app_manager.cache": {"enabled": False},
        "adapter.redis": {"prefix": f"{login}:adapter", "requests_timeout": 1000},
        # A gateway that was killed is forgotten after 8 s, and so are its presence members.
        "adapter.cluster_health": {
            "enabled": True,
            "heartbeat_interval_ms": 2000,
            "node_timeout_ms": 8000,
            "cleanup_interval_ms": 2000,
        },
        "cache.redis": {"prefix": f"{login}:cache"},
    }
    if redis.mode == "sentinel":
        sections["database.redis"] = {"name": redis.master_name}
    text = "".join(_section(name, values) for name, values in sections.items())
    return text + "".join(_sentinel(node) for node in redis.nodes if redis.mode == "sentinel")


def _section(name: str, values: dict[str, Any]) -> str:
    # JSON's strings, numbers and booleans are TOML's too.
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + "\n"


def _sentinel(node: str) -> str:
    host, port = address(node)
    return f"[[database.redis.sentinels]]\nhost = {json.dumps(host)}\nport = {port}\n\n"


def _postgres(spec: PostgresBackend, login: str) -> dict[str, str]:
    names = {"ca.crt": "PGSSLROOTCERT", "tls.crt": "PGSSLCERT", "tls.key": "PGSSLKEY"}
    return {
        "DATABASE_POSTGRES_HOST": spec.host,
        "DATABASE_POSTGRES_PORT": str(spec.port),
        "DATABASE_POSTGRES_DATABASE": spec.database,
        "DATABASE_POSTGRES_USERNAME": login,
        "DATABASE_POOL_MIN": "1",
        "DATABASE_POOL_MAX": str(SESSIONS_PER_GATEWAY),
        "PGSSLMODE": spec.ssl_mode,
        "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
        **files(FOLDER, trusted("postgres", spec.tls), names),
    }


def _redis(spec: RedisBackend, login: str) -> dict[str, str]:
    host, port = address(spec.nodes[0])
    values = {"DATABASE_REDIS_USERNAME": login}
    if spec.mode == "standalone":
        values |= {"DATABASE_REDIS_HOST": host, "DATABASE_REDIS_PORT": str(port)}
    if spec.tls and spec.tls.enabled:
        for hop in ("MASTER", "SENTINEL"):
            tls = f"DATABASE_REDIS_{hop}_TLS"
            ends = {"ca.crt": "CA_PATH", "tls.crt": "CLIENT_CERT_PATH", "tls.key": "CLIENT_KEY_PATH"}
            names = {key: f"{tls}_{end}" for key, end in ends.items()}
            values |= {f"{tls}_ENABLED": "true", **files(FOLDER, trusted("redis", spec.tls), names)}
    return values
