"""Removing whole prefixes. Redis has no index by prefix, so one pass over all keys serves all who wait for it."""

import time
from collections.abc import Iterable, Mapping

from matrixhub.backends.redis.acl import Command
from matrixhub.backends.redis.node import Node, moved

SCAN_COUNT = 1000
"""Keys looked at per call: about half a millisecond of the server's one thread."""
REMEMBERED = 10_000
"""Prefixes without a key that are known as such."""


class Sweep:
    """Passes over the keyspace, in slices; who comes while one is under way is served by the next."""

    def __init__(self) -> None:
        self.looked_at = 0
        self.removed = 0
        self._waiting: frozenset[str] = frozenset()
        self._prefixes: frozenset[str] = frozenset()
        self._cursors: dict[str, str | None] = {}
        self._again = False
        self._swept: dict[str, None] = {}

    def run(self, masters: Mapping[str, Node], prefixes: Iterable[str], seconds: float) -> frozenset[str]:
        """Of all prefixes asked for so far, those under which no key is left after about this long.

        `masters` are by run id: a cursor means nothing to a server that was restarted or has taken over,
        so another set of masters begins the pass again. Keys are looked for in database 0, the only one
        that tenants can select.
        """
        wanted, done = frozenset(prefixes), frozenset[str]()
        end = time.monotonic() + seconds
        self._waiting |= wanted
        if set(masters) != set(self._cursors):
            self._prefixes = frozenset()
        while time.monotonic() < end and not wanted <= done:
            if not self._prefixes:
                self._begin(masters, self._waiting)
            for run_id, cursor in self._cursors.items():
                if cursor is not None:
                    self._cursors[run_id] = self._step(masters[run_id], cursor)
            if any(cursor is not None for cursor in self._cursors.values()):
                continue
            if self._again:
                self._begin(masters, self._prefixes)
            else:
                done |= self._prefixes
                self._remember(self._prefixes)
                self._waiting -= self._prefixes
                self._prefixes = frozenset()
        return done

    def swept(self, prefix: str) -> bool:
        """Whether a pass left no key under this prefix, and nobody has asked to `forget` it since."""
        return prefix in self._swept

    def forget(self, prefix: str) -> None:
        """Keys under this prefix are to stay after all: a pass that is under way spares what it has not met."""
        self._swept.pop(prefix, None)
        self._waiting -= {prefix}
        self._prefixes -= {prefix}

    def _remember(self, prefixes: Iterable[str]) -> None:
        self._swept |= dict.fromkeys(prefixes)
        while len(self._swept) > REMEMBERED:
            self._swept.pop(next(iter(self._swept)))

    def _begin(self, masters: Iterable[str], prefixes: frozenset[str]) -> None:
        self._prefixes = prefixes
        self._cursors = dict.fromkeys(masters, "0")
        self._again = False
        self.looked_at = self.removed = 0

    def _step(self, node: Node, cursor: str) -> str | None:
        """One look at the keyspace, and what was found is unlinked; the next cursor, None at the end.

        One prefix is matched by the server; several are told apart here, among all tenants' keys.
        UNLINK takes one key at a time: a cluster refuses several of different slots.
        """
        pattern = f"{next(iter(self._prefixes))}*" if len(self._prefixes) == 1 else "tenant:*"
        cursor, keys = node.ask("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        ours: list[Command] = [("UNLINK", key) for key in keys if _prefix(key) in self._prefixes]
        for reply in node.call(ours):
            if moved(reply):
                self._again = True
            else:
                self.removed += node.checked(reply)
        self.looked_at += SCAN_COUNT
        return None if cursor == "0" else cursor


def _prefix(key: str) -> str:
    """`tenant:<id>:` of a key under it; an id holds no colon."""
    return key[: key.find(":", key.find(":") + 1) + 1]
