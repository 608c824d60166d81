"""The steps from what the shared part of a database is to what it should be. Pure."""

from collections.abc import Sequence

from matrixhub.backends.postgres.actions_database import (
    Action,
    AddIndex,
    Base,
    CreateGroup,
    CreateRegistry,
    CreateSchema,
    ForbidCreate,
    HideRegistry,
    Narrow,
    Permit,
    PermitConnect,
    PermitSequence,
    PermitUsage,
    Secure,
    SetDefault,
    SetFunction,
    SetPolicy,
    TableAction,
    Withdraw,
)
from matrixhub.backends.postgres.state import Database, Grant, Name, Table


def plan_database(desired: Database, observed: Database) -> tuple[Action, ...]:
    """The steps from observed to desired: what all tables need first, then each table's, no door before its wall."""
    steps: list[Action] = [*_base(desired, observed)]
    found = {table.name: table for table in observed.tables}
    for want in sorted(desired.tables, key=lambda table: table.name):
        steps += _table(want, found[want.name])
    pieces = {piece.name: piece for piece in observed.pieces}
    for wanted in sorted(desired.pieces, key=lambda piece: piece.name):
        piece = pieces[wanted.name]
        if (wanted.secured, wanted.forced) != (piece.secured, piece.forced):
            steps.append(Secure(piece.name))
        steps += _withdraw(piece.name, piece.grants - wanted.grants)
    return tuple(steps)


def by_table(actions: Sequence[Action]) -> tuple[tuple[Name | None, tuple[Action, ...]], ...]:
    """The plan cut into what is done together: what is no table's, then each table's own; indexes by themselves."""
    cut: dict[tuple[Name | None, bool], list[Action]] = {}
    for action in actions:
        table = None if isinstance(action, Base) else action.table
        cut.setdefault((table, isinstance(action, AddIndex)), []).append(action)
    return tuple((table, tuple(group)) for (table, _), group in cut.items())


def _base(desired: Database, observed: Database) -> list[Base]:
    steps: list[Base] = [CreateGroup(role) for role in sorted(desired.roles - observed.roles)]
    steps += [Narrow(role, other) for role, other in sorted(observed.widened - desired.widened)]
    if desired.schema and not observed.schema:
        steps.append(CreateSchema())
    if desired.registry and not observed.registry:
        steps.append(CreateRegistry())
    steps += [HideRegistry(grantee) for grantee in sorted({g.grantee for g in observed.exposed - desired.exposed})]
    steps += [SetFunction(function) for function in sorted(desired.functions - observed.functions)]
    if desired.connect and not observed.connect:
        steps.append(PermitConnect())
    steps += [PermitUsage(schema) for schema in sorted(desired.usage - observed.usage)]
    steps += [ForbidCreate(schema, grantee) for schema, grantee in sorted(observed.creators - desired.creators)]
    return steps


def _table(want: Table, have: Table) -> list[TableAction]:
    steps: list[TableAction] = []
    if (want.secured, want.forced) != (have.secured, have.forced):
        steps.append(Secure(want.name))
    steps += [SetPolicy(want.name, policy) for policy in sorted(want.policies - have.policies)]
    if want.default != have.default:
        steps.append(SetDefault(want.name, want.default))
    steps += _withdraw(want.name, have.grants - want.grants)
    by_grantee = _by_grantee(want.grants - have.grants)
    steps += [Permit(want.name, grantee, privileges) for grantee, privileges in by_grantee]
    steps += [PermitSequence(want.name, name) for name, _ in sorted(want.sequences - have.sequences)]
    if want.indexed and not have.indexed:
        steps.append(AddIndex(want.name))
    return steps


def _withdraw(table: Name, grants: frozenset[Grant]) -> list[TableAction]:
    return [Withdraw(table, grantee, privileges) for grantee, privileges in _by_grantee(grants)]


def _by_grantee(grants: frozenset[Grant]) -> list[tuple[str, tuple[str, ...]]]:
    grantees = sorted({grant.grantee for grant in grants})
    return [(name, tuple(sorted(g.privilege for g in grants if g.grantee == name))) for name in grantees]
