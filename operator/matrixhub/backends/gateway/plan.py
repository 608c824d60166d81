"""The steps from a tenant's app on the gateways to what it should be. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from matrixhub.api import naming
from matrixhub.backends.contract import Credential
from matrixhub.backends.gateway.desired import CANARY
from matrixhub.backends.gateway.state import App, State


@dataclass(frozen=True)
class SetApp:
    """The app is exactly this; one that is locked keeps the key that it has."""

    id: str
    app: App = field(repr=False)
    changes: str

    def __str__(self) -> str:
        return self.changes


@dataclass(frozen=True)
class RemoveApp:
    """There is no such app: nobody connects with its key any more, nobody publishes."""

    id: str
    tenant: str

    def __str__(self) -> str:
        return f"Removed app {self.id} of tenant {self.tenant}"


Action = SetApp | RemoveApp


def plan(desired: State, observed: State) -> tuple[Action, ...]:
    """The steps from observed to desired. The table is ours alone, and the row's id is computed: no conflict."""
    want, have = desired.app, observed.app
    if want and have and not want.enabled:
        # Nothing is opened by its key, and a change of it may be refused: the key is another app's.
        want = replace(want, key=have.key)
    if want == have:
        return ()
    if want is None:
        return (RemoveApp(desired.id, desired.tenant),)
    return (SetApp(desired.id, want, _changes(desired, want, have)),)


def renewed(action: Action, credential: Credential) -> Action:
    """The same step with the key of this credential, and with its secret unless the app is locked."""
    if isinstance(action, RemoveApp):
        return action
    secret = credential.password if action.app.enabled else None
    return replace(action, app=replace(action.app, key=credential.username, secret=secret))


def orphans(ids: Iterable[str], tenants: Iterable[str]) -> frozenset[str]:
    """Those of the apps' ids that belong to none of the tenants, nor to the probes."""
    return frozenset(ids) - {CANARY} - {naming.app_id(tenant) for tenant in tenants}


def _changes(desired: State, want: App, have: App | None) -> str:
    what = f"app {desired.id} of tenant {desired.tenant}"
    if have is None:
        return f"Created {what}" + ("" if want.enabled else ", locked")
    if not want.enabled and (have.enabled or have.secret is not None):
        return f"Locked {what}"
    parts = [
        *([] if want.enabled == have.enabled else ["unlocked it"]),
        *([] if want.key == have.key else ["set its key"]),
        *([] if want.secret == have.secret else ["set its secret"]),
        *_number("connections", have.max_connections, want.max_connections),
        *_number("client events per second", have.client_events_per_second, want.client_events_per_second),
        *_number("presence members", have.max_presence_members, want.max_presence_members),
        *([] if want.allowed_origins == have.allowed_origins else ["set its origins"]),
        *(f"put {name} right" for name, value in want.fixed if (name, value) not in have.fixed),
    ]
    return f"Changed {what}: {', '.join(parts)}"


def _number(what: str, have: int, want: int) -> list[str]:
    return [] if have == want else [f"{want} instead of {have} {what}"]
