"""What should exist in Redis for a tenant, and what its applications are told. Pure."""

import hashlib
from collections.abc import Mapping
from urllib.parse import quote

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import RedisBackend
from matrixhub.api.values import address, bracketed
from matrixhub.backends.contract import Intent, Owner, Phase, ServiceAccount
from matrixhub.backends.redis.state import EVERY_NODE, TENANT_COMMANDS, Account, State
from matrixhub.errors import Rejected


def desired(intent: Intent) -> State:
    """What should exist.

    Active: a user bound to the prefix. Suspended: a user that is off and may do nothing. Retained: no user.
    Deleted: neither user nor keys. Raises Rejected when an active tenant has no credential.
    """
    tenant = intent.tenant.id
    account: Account | None = None
    if intent.phase is Phase.ACTIVE:
        if intent.credential is None:
            user = naming.redis_user(tenant)
            raise Rejected("CredentialMissing", f"there is no password yet for Redis user {user}")
        account = _account(intent.owner, intent.credential.password, naming.redis_prefix(tenant))
    elif intent.phase is Phase.SUSPENDED:
        account = Account(owner=intent.owner)
    return State(tenant, intent.owner, ((EVERY_NODE, account),), data=intent.phase is not Phase.DELETED)


def service_account(account: ServiceAccount) -> Account:
    """The user of a RealtimeCluster's gateways, bound to a prefix of its own."""
    return _account(account.owner, account.password, f"{account.login}:")


def _account(owner: Owner, password: str, prefix: str) -> Account:
    return Account(
        owner=owner,
        enabled=True,
        passwords=frozenset({hashlib.sha256(password.encode()).hexdigest()}),
        keys=frozenset({f"~{prefix}*"}),
        channels=frozenset({f"&{prefix}*"}),
        commands=TENANT_COMMANDS,
    )


def section(cluster: RealtimeCluster) -> RedisBackend:
    """The cluster's Redis; raises Rejected when it has none."""
    spec = cluster.spec.redis
    if spec is None:
        raise Rejected("BackendMissing", f"RealtimeCluster {cluster.key} has no `spec.redis`")
    return spec


def binding(intent: Intent) -> Mapping[str, str]:
    """What the tenant's Secret holds; empty without a credential.

    The keys are those of Spring Cloud Bindings' redis type (github.com/spring-cloud/spring-cloud-bindings),
    and `prefix`: what every key and channel has to begin with.
    """
    if intent.credential is None:
        return {}
    spec = section(intent.cluster)
    tls = spec.tls is not None and spec.tls.enabled
    host, port = address(spec.nodes[0])
    name = naming.redis_user(intent.tenant.id)
    login = f"{quote(name, safe='')}:{quote(intent.credential.password, safe='')}"
    scheme = "rediss" if tls else "redis"
    uri = f"{scheme}://{login}@{bracketed(host)}:{port}"
    values = {
        "type": "redis",
        "provider": "matrixhub",
        "host": host,
        "port": str(port),
        "username": name,
        "password": intent.credential.password,
        "prefix": naming.redis_prefix(intent.tenant.id),
        "ssl": "true" if tls else "false",
    }
    if spec.mode == "cluster":
        values["cluster.nodes"] = ",".join(spec.nodes)
    if spec.mode == "sentinel":
        values["sentinel.nodes"] = ",".join(spec.nodes)
        values["sentinel.master"] = spec.master_name or ""
        uri = f"{scheme}-sentinel://{login}@{','.join(spec.nodes)}?sentinelMasterId={spec.master_name}"
    values["uri"] = uri
    if tls and intent.ca:
        values["ca.crt"] = intent.ca
    return values
