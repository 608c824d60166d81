"""Brings the relay's own user about, or takes it away. Part of what `prepare` does."""

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Finding, ServiceAccount
from matrixhub.backends.kafka.account import desired
from matrixhub.backends.kafka.actions import DeleteGroups
from matrixhub.backends.kafka.plan import plan
from matrixhub.backends.kafka.reads import Residents, read_account
from matrixhub.backends.kafka.session import Session
from matrixhub.backends.kafka.writes import write
from matrixhub.errors import Conflict

Kept = tuple[tuple[str, ...], tuple[Finding, ...]]


def keep(
    session: Session, account: ServiceAccount, cluster: RealtimeCluster, residents: Residents | None = None
) -> Kept:
    """The user is as it should be, or gone: what was done, and what a person has to do.

    Where `residents` can tell who there is, it has no right at the topics of any other tenant.
    Raises our error for one that will pass or that concerns the admin user.
    """
    try:
        steps = plan(desired(account, cluster), read_account(session, account, residents))
    except Conflict as error:
        return (), (Finding(error.reason, error.message),)
    # A group that goes is first: its members leave it and commit as long as they have their rights.
    groups = tuple(step for step in steps if isinstance(step, DeleteGroups))
    for part in (groups, tuple(step for step in steps if step not in groups)):
        if part and (failure := write(session, {account.login: part})[account.login].error):
            raise failure
    return tuple(map(str, steps)), ()
