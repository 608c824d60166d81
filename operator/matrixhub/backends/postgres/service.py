"""Brings the gateways' account about, a login of its own schema, or takes it away. Part of what `prepare` does."""

from functools import singledispatch

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Finding, ServiceAccount
from matrixhub.backends.database import Connection, Session, Statement, ask, together
from matrixhub.backends.postgres import account as accounts
from matrixhub.backends.postgres.plan import transactions
from matrixhub.backends.postgres.quoting import grantee, with_names
from matrixhub.backends.postgres.statements import statements
from matrixhub.errors import Conflict, Rejected

Kept = tuple[tuple[str, ...], tuple[Finding, ...]]


def keep(session: Session, connection: Connection, account: ServiceAccount, cluster: RealtimeCluster) -> Kept:
    """The account is as it should be: what was done, and what a person has to do. One round trip when all is well."""
    with session.deadline(connection):
        rows = ask(connection, accounts.QUESTIONS, accounts.questions(account))
        try:
            steps = accounts.plan_account(accounts.desired(account, cluster), accounts.observed(account, rows))
        except (Conflict, Rejected) as error:
            return (), (Finding(error.reason, error.message),)
        database = connection.info.dbname
        for group in transactions(steps):
            together(connection, [one for step in group for one in _statements(step, database)])
    return tuple(map(str, steps)), ()


@singledispatch
def _statements(step: object, database: str) -> list[Statement]:
    del database
    return statements(step)


@_statements.register
def _(step: accounts.PermitRole, database: str) -> list[Statement]:
    return [with_names("GRANT CONNECT ON DATABASE {} TO {}", database, step.role)]


@_statements.register
def _(step: accounts.CreateHome, database: str) -> list[Statement]:
    del database
    return _acting_for(step.role, with_names("CREATE SCHEMA {0} AUTHORIZATION {0}", step.role))


@_statements.register
def _(step: accounts.DropHome, database: str) -> list[Statement]:
    del database
    return _acting_for(step.role, with_names("DROP SCHEMA {} CASCADE", step.role))


@_statements.register
def _(step: accounts.ShutHome, database: str) -> list[Statement]:
    del database
    revoke = with_names("REVOKE ALL ON SCHEMA {} FROM {} CASCADE", step.role, grantee(step.guest))
    return _acting_for(step.role, revoke)


def _acting_for(role: str, statement: Statement) -> list[Statement]:
    """With the role's rights, held for the length of this transaction."""
    return [with_names("GRANT {} TO CURRENT_USER", role), statement, with_names("REVOKE {} FROM CURRENT_USER", role)]
