"""The user that a RealtimeCluster's own relay logs in with: a share like a tenant's, but for what it may do."""

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Finding, Mark, Phase, ServiceAccount
from matrixhub.backends.kafka.desired import iterations, password_fingerprint
from matrixhub.backends.kafka.plan import plan
from matrixhub.backends.kafka.reads import read_account
from matrixhub.backends.kafka.session import Session
from matrixhub.backends.kafka.state import Acl, Scram, State, UserClaim
from matrixhub.backends.kafka.writes import write
from matrixhub.errors import Conflict


def desired(account: ServiceAccount, cluster: RealtimeCluster) -> State:
    """It reads in a group of its own name, and alters nothing.

    Which topics it may read, and which dead letters write, is part of each tenant's share.
    """
    if cluster.spec.kafka is None:
        raise ValueError(f"RealtimeCluster {cluster.key} has no kafka")
    return State(
        tenant=account.login,
        owner=account.owner,
        phase=Phase.ACTIVE,
        replicas=0,
        user_claims=frozenset({UserClaim(Mark(account.owner), password_fingerprint(account.password))}),
        logins=frozenset({Scram(cluster.spec.kafka.sasl_mechanism, iterations(account.password))}),
        acls=frozenset({Acl("group", account.login, "literal", "read")}),
        service=account.login,
        password=account.password,
    )


def keep(
    session: Session, account: ServiceAccount, cluster: RealtimeCluster
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The user is as it should be: what was done, and what a person has to do.

    Raises our error for one that will pass or that concerns the admin user.
    """
    try:
        steps = plan(desired(account, cluster), read_account(session, account))
    except Conflict as error:
        return (), (Finding(error.reason, error.message),)
    if steps and (failure := write(session, {account.login: steps})[account.login].error):
        raise failure
    return tuple(map(str, steps)), ()
