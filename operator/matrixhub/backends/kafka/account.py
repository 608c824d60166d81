"""The user that a RealtimeCluster's own relay logs in with: a share like a tenant's, but for what it may do. Pure."""

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Mark, Phase, ServiceAccount, fingerprint
from matrixhub.backends.kafka.desired import iterations, section
from matrixhub.backends.kafka.state import Acl, Scram, State, UserClaim


def desired(account: ServiceAccount, cluster: RealtimeCluster) -> State:
    """It reads in a group of its own name, and alters nothing.

    Which topics it may read, and which dead letters write, is part of each tenant's share. One that is leaving has
    nothing, nor has its group.
    """
    if account.leaving:
        return State(account.login, account.owner, Phase.DELETED, replicas=0, service=account.login)
    return State(
        tenant=account.login,
        owner=account.owner,
        phase=Phase.ACTIVE,
        replicas=0,
        user_claims=frozenset({UserClaim(Mark(account.owner), fingerprint(account.password))}),
        logins=frozenset({Scram(section(cluster).sasl_mechanism, iterations(account.password))}),
        acls=frozenset({Acl("group", account.login, "literal", "read")}),
        service=account.login,
        password=account.password,
    )
