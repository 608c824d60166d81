"""The steps from what exists in Postgres to what should, for one tenant. Pure."""

from dataclasses import replace
from typing import TypeVar

from matrixhub.backends.contract import Mark, fingerprint
from matrixhub.backends.postgres.actions import (
    Action,
    AddPartition,
    AlterRole,
    Claim,
    Configure,
    CreateRole,
    DeleteData,
    DropRole,
    EndSessions,
    Forget,
    Join,
    Leave,
    Retain,
    SetPassword,
)
from matrixhub.backends.postgres.state import GROUP, POOL, SCHEMA, Role, Share
from matrixhub.errors import Conflict, Rejected

UNALTERABLE = frozenset({"BYPASSRLS", "REPLICATION"})
"""Only a superuser may take these away by ALTER ROLE; who has CREATEROLE can drop the role and make it anew."""


Step = TypeVar("Step")


def plan(desired: Share, observed: Share) -> tuple[Action, ...]:
    """The steps from observed to desired; none when nothing is to be done.

    Raises:
        Conflict: the role or the registry's row is somebody else's, or a relation stands where a partition must go.
        Rejected: the role was made a superuser, which the operator may not undo.
    """
    if desired == observed:
        return ()
    if desired.mark is None or desired.mark.retained:
        return _removal(_spared(desired, observed.mark), observed) if _ours(desired, observed.mark) else ()
    _guard(desired, observed)
    steps: list[Action] = []
    if observed.mark != desired.mark:
        steps.append(Claim(desired.tenant, desired.role_name, desired.owner))
    if desired.role is not None:
        steps.extend(_role(desired, desired.role, observed.role))
    if desired.lacking is not None:
        steps.extend(AddPartition(desired.tenant, partition) for partition in sorted(observed.lacking or ()))
    return tuple(steps)


def _ours(desired: Share, mark: Mark | None) -> bool:
    """Whether the registry's row was written by this hub: what another hub retained is not ours to remove."""
    return mark is not None and mark.owner.hub == desired.owner.hub


def _spared(desired: Share, mark: Mark | None) -> Share:
    """The wish, but that the data of an earlier Tenant, which this one never took over, is kept for the next."""
    if desired.mark is not None or mark is None or mark.ends_with(desired.owner):
        return desired
    return replace(desired, mark=Mark(mark.owner, retained=True), partitions=None)


def _guard(desired: Share, observed: Share) -> None:
    if observed.mark is None and observed.role is not None:
        raise Conflict(
            f"role {desired.role_name} exists and has no row in {SCHEMA}.tenant: Matrix Hub did not make it in this "
            f'database. Drop or rename it (DROP ROLE "{desired.role_name}"), or give the Tenant another name',
            owner=f"unknown: role {desired.role_name} is not in the registry",
        )
    if observed.mark is not None and not observed.mark.admits(desired.owner):
        raise Conflict(
            f"tenant {desired.tenant} of this database belongs to {observed.mark.owner.elsewhere}",
            owner=str(observed.mark.owner),
        )
    for partition in sorted(observed.lacking or ()) if desired.lacking is not None else ():
        if partition.taken:
            raise Conflict(
                f"{partition.name} is {partition.taken} and not the partition of {partition.table} for tenant "
                f"{desired.tenant}: rename it, or attach it to {partition.table} yourself",
                owner=partition.taken,
            )
    _refuse_superuser(observed)


def _refuse_superuser(observed: Share) -> None:
    if observed.role is not None and "SUPERUSER" in observed.role.powers:
        raise Rejected(
            "RoleIsSuperuser",
            f"somebody made role {observed.role_name} a superuser, so no policy holds it, and only a superuser can "
            f'undo that: ALTER ROLE "{observed.role_name}" NOSUPERUSER NOLOGIN, then end its sessions',
        )


def _role(desired: Share, want: Role, have: Role | None) -> list[Action]:
    steps: list[Action] = []
    name = desired.role_name
    if have is not None and have.powers & UNALTERABLE:
        steps += _unmade(name, have)
        have = None
    if have is None:
        steps.append(_create(desired, want))
        have = _created(want, desired.password)
    steps += _alter(name, want, have)
    if want.fingerprint is not None and want.fingerprint != have.fingerprint:
        steps.append(SetPassword(desired.tenant, name, desired.password))
    steps += [Leave(name, other) for other in sorted(have.memberships - want.memberships)]
    if have.pooled and not want.pooled:
        steps.append(Leave(POOL, name))
    steps += [Join(name, other) for other in sorted(want.memberships - have.memberships)]
    if want.pooled and not have.pooled:
        steps.append(Join(POOL, name))
    if want.settings != have.settings:
        reset = sorted({database for database, _ in have.settings - want.settings})
        steps.append(Configure(name, tuple(sorted(want.settings)), tuple(reset)))
    if not want.login and (have.login or have.sessions):
        steps.append(EndSessions(name))
    return steps


def _create(desired: Share, want: Role) -> CreateRole:
    return CreateRole(
        desired.tenant,
        desired.role_name,
        want.login,
        want.connection_limit,
        GROUP in want.memberships,
        want.pooled,
        desired.password,
    )


def _created(want: Role, password: str) -> Role:
    """The role as `CreateRole` leaves it."""
    return Role(
        login=want.login,
        connection_limit=want.connection_limit,
        memberships=want.memberships & {GROUP},
        pooled=want.pooled,
        fingerprint=fingerprint(password) if password else "",
    )


def _alter(name: str, want: Role, have: Role) -> list[Action]:
    options: list[str] = []
    if want.login != have.login:
        options.append("LOGIN" if want.login else "NOLOGIN")
    if want.inherit != have.inherit:
        options.append("INHERIT" if want.inherit else "NOINHERIT")
    if want.connection_limit != have.connection_limit:
        options.append(f"CONNECTION LIMIT {want.connection_limit}")
    if want.valid_until != have.valid_until:
        options.append("VALID UNTIL 'infinity'")
    options += [f"NO{power}" for power in sorted(have.powers - want.powers)]
    return [AlterRole(name, tuple(options))] if options else []


def _unmade(name: str, have: Role) -> list[Action]:
    """The role is gone, and with it the powers that it cannot lose otherwise."""
    powers = " and ".join(sorted(have.powers & UNALTERABLE))
    because = f" to take {powers} away from it, and with it any other privilege it was given"
    return [*_close(name, have, keep=frozenset()), DropRole(name, because)]


def _close(name: str, have: Role, keep: frozenset[str]) -> list[Action]:
    """Nobody gets in: no login, no membership but `keep`, no pool, no session. Holds if what follows fails."""
    steps: list[Action] = []
    if have.login and "REPLICATION" not in have.powers:  # such a role may be dropped but not altered
        steps.append(AlterRole(name, ("NOLOGIN",)))
    steps += [Leave(name, other) for other in sorted(have.memberships - keep)]
    if have.pooled:
        steps.append(Leave(POOL, name))
    if have.login or have.sessions:
        steps.append(EndSessions(name))
    return steps


def _removal(desired: Share, observed: Share) -> tuple[Action, ...]:
    """Access goes first; then the data, if it is to go; the registry's row last, with the role."""
    _refuse_superuser(observed)
    steps = _deletion(desired, observed) if desired.mark is None else _retention(desired, desired.mark, observed)
    return tuple(steps)


def _deletion(desired: Share, observed: Share) -> list[Action]:
    """Row security binds the admin too: it deletes a tenant's rows as the tenant's role, and as no stronger one."""
    name, have = desired.role_name, observed.role
    steps: list[Action] = []
    if have is not None and have.powers & UNALTERABLE:
        steps += _unmade(name, have)
        have = None
    if have is None:
        worker = CreateRole(
            desired.tenant, name, login=False, connection_limit=-1, member=True, pooled=False, password=""
        )
        steps.append(worker)
    else:
        steps += _close(name, have, keep=frozenset({GROUP}))
        if not have.inherit:
            steps.append(AlterRole(name, ("INHERIT",)))
        if GROUP not in have.memberships:
            steps.append(Join(name, GROUP))
    steps.append(DeleteData(desired.tenant, name, observed.partitions or frozenset()))
    return [*steps, Leave(name, GROUP), DropRole(name), Forget(desired.tenant)]


def _retention(desired: Share, mark: Mark, observed: Share) -> list[Action]:
    steps: list[Action] = []
    if observed.role is not None:
        steps += [*_close(desired.role_name, observed.role, keep=frozenset()), DropRole(desired.role_name)]
    if observed.mark != mark:
        steps.append(Retain(desired.tenant, mark.owner))
    return steps


def transactions(actions: tuple[Step, ...]) -> tuple[tuple[Step, ...], ...]:
    """The plan cut where a commit must come between: doors are shut before sessions end, and data is slow."""
    cut: list[tuple[Step, ...]] = []
    run: list[Step] = []
    for action in actions:
        if isinstance(action, EndSessions | AddPartition | DeleteData):
            cut += [(*run,), (action,)] if run else [(action,)]
            run = []
        else:
            run.append(action)
    return (*cut, (*run,)) if run else tuple(cut)
