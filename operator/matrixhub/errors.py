"""What can go wrong, as values a worker can act on.

    BackendError                 carries the condition's reason and a sentence that says what to do
    ├── Transient                retried with back-off; nobody has to act
    │   └── Unreachable          the whole backend is away: its worker waits, nobody else does
    ├── Rejected                 waits for a changed spec, Secret or backend: retrying alone will not mend it
    └── Conflict                 an object in the way belongs to somebody else, who is named

Anything else that is raised is a bug: it is logged with its stack and retried with back-off.
No message ever holds a credential.
"""


class BackendError(Exception):
    """A backend could not be brought to its desired state.

    `reason` is a CamelCase condition reason; `message` a sentence for the person who reads the status.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Transient(BackendError):
    """It will pass: tried again after `retry_after` seconds, or after the key's own back-off when None."""

    def __init__(self, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class Unreachable(Transient):
    """The backend does not answer, for any tenant."""

    def __init__(self, message: str) -> None:
        super().__init__("Unreachable", message)


class Rejected(BackendError):
    """The backend, or a rule of ours, refuses this; a person has to change something."""


class Conflict(BackendError):
    """An object that this tenant needs exists and is not this tenant's; `owner` says whose it is."""

    def __init__(self, message: str, owner: str) -> None:
        super().__init__("Conflict", message)
        self.owner = owner
