"""The user that a RealtimeCluster's own relay logs in with: a share like a tenant's, but for what it may do."""

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Finding, Mark, Phase, ServiceAccount, fingerprint
from matrixhub.backends.kafka.actions import DeleteGroups
from matrixhub.backends.kafka.desired import iterations
from matrixhub.backends.kafka.plan import plan
from matrixhub.backends.kafka.reads import read_account
from matrixhub.backends.kafka.session import Session
from matrixhub.backends.kafka.state import Acl, Scram, State, UserClaim
from matrixhub.backends.kafka.writes import write
from matrixhub.errors import Conflict


def desired(account: ServiceAccount, cluster: RealtimeCluster) -> State:
    """It reads in a group of its own name, and alters nothing.

    Which topics it may read, and which dead letters write, is part of each tenant's share. One that is leaving has
    nothing, nor has its group.
    """
    if cluster.spec.kafka is None:
        raise ValueError(f"RealtimeCluster {cluster.key} has no kafka")
    if account.leaving:
        return State(account.login, account.owner, Phase.DELETED, replicas=0, service=account.login)
    return State(
        tenant=account.login,
        owner=account.owner,
        phase=Phase.ACTIVE,
        replicas=0,
        user_claims=frozenset({UserClaim(Mark(account.owner), fingerprint(account.password))}),
        logins=frozenset({Scram(cluster.spec.kafka.sasl_mechanism, iterations(account.password))}),
        acls=frozenset({Acl("group", account.login, "literal", "read")}),
        service=account.login,
        password=account.password,
    )


def keep(
    session: Session, account: ServiceAccount, cluster: RealtimeCluster
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The user is as it should be, or gone: what was done, and what a person has to do.

    Raises our error for one that will pass or that concerns the admin user.
    """
    try:
        steps = plan(desired(account, cluster), read_account(session, account))
    except Conflict as error:
        return (), (Finding(error.reason, error.message),)
    # A group that goes is first: its members leave it and commit as long as they have their rights.
    groups = tuple(step for step in steps if isinstance(step, DeleteGroups))
    for part in (groups, tuple(step for step in steps if step not in groups)):
        if part and (failure := write(session, {account.login: part})[account.login].error):
            raise failure
    return tuple(map(str, steps)), ()
