"""The file from which a server reads its ACLs when it starts: what was changed is written there, if it has one."""

import contextlib
import time

from matrixhub.backends.contract import Finding
from matrixhub.backends.redis.node import Node, Reply
from matrixhub.errors import Unreachable

SAVE_IS_CHEAP = 0.05
"""Seconds within which an ACL file may be written after every change."""
_NO_FILE = ("not configured to use an ACL file", "permission")
"""In the reply of a server that has none, or that does not let the operator write it."""


class AclFiles:
    """Knows by node what is not in its file yet, and why not."""

    def __init__(self) -> None:
        self._unsaved: dict[str, bool] = {}
        self._save_after: dict[str, float] = {}
        self._unsavable: dict[str, str] = {}

    def changed(self, name: str, *, closing: bool) -> None:
        """Something of the node is not in its file; with `closing`, somebody was shut out."""
        self._unsaved[name] = closing or self._unsaved.get(name, False)

    def findings(self, name: str) -> list[Finding]:
        """What keeps the node from writing its file."""
        return [Finding("AclFileNotSaved", self._unsavable[name])] if name in self._unsavable else []

    def save_what_was_shut(self, node: Node) -> None:
        """Soon: or a restart would open from the file what was shut. The rest has time until `prepare`."""
        if self._unsaved.get(node.name) and time.monotonic() >= self._save_after.get(node.name, 0.0):
            with contextlib.suppress(Unreachable):  # it stays unsaved, and is tried again at the next pulse
                self.save(node)

    def save(self, node: Node) -> None:
        """What was changed is in the node's file if it has one; what went wrong is told by `findings`.

        Redis 7.0 writes some 1,500 users a second and does nothing else meanwhile: where that takes long,
        at most a twentieth of the time is spent on it.
        """
        if node.name not in self._unsaved:
            return
        begin = time.monotonic()
        reply: Reply = node.call([("ACL", "SAVE")])[0]
        took = time.monotonic() - begin
        self._save_after[node.name] = time.monotonic() + (20 * took if took > SAVE_IS_CHEAP else 0.0)
        self._unsaved.pop(node.name, None)
        self._unsavable.pop(node.name, None)
        if isinstance(reply, Exception) and not any(words in str(reply) for words in _NO_FILE):
            self._unsavable[node.name] = (
                f"redis at {node.name} cannot save its ACL file ({reply}): after a restart it would let in again "
                "whom the file still knows, until the operator has looked"
            )
