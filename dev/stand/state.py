"""One stand: its state folder, its slot on the machine, and all that follows from the two."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stand.run import Failure

CHECKOUT = Path(__file__).resolve().parents[2]
SLOTS = 16
_CLAIMS = Path("/run/matrixhub")

# Offsets from the slot's first port. Append new ones; a number once given stays.
_PORTS = (
    "postgres",
    "redis",
    "kafka",
    "kafka-controller",
    "minio",
    "minio-console",
    "etcd",
    "etcd-peer",
    "apiserver",
    "controller-manager",
    "scheduler",
    "operator",
    "redis-tls",
    "kafka-tls",
    "kafka-mutual",
    "minio-tls",
)


@dataclass(frozen=True)
class Stand:
    """Where a stand lives and which addresses, ports and names are its own."""

    state: Path
    slot: int

    @property
    def host(self) -> str:
        """The address of this machine as the node and its pods see it; every backend listens there."""
        return f"10.245.{self.slot}.1"

    @property
    def node(self) -> str:
        """The node's address."""
        return f"10.245.{self.slot}.2"

    @property
    def pod_network(self) -> str:
        """The addresses of this stand's pods."""
        return f"10.244.{self.slot}.0/24"

    @property
    def service_network(self) -> str:
        """The addresses of this stand's Services."""
        return f"10.96.{self.slot * 16}.0/20"

    @property
    def name(self) -> str:
        """The name of this stand's network namespace, and of its cgroup."""
        return f"mhub{self.slot}"

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Every password and token, made at the first use of this state folder."""
        return _secrets(self.state / "secrets.json")

    def port(self, name: str) -> int:
        """The port of that name."""
        return 21000 + 100 * self.slot + _PORTS.index(name)

    def folder(self, part: str) -> Path:
        """The part's own folder, which is there."""
        folder = self.state / part
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, part: str) -> Path:
        """The part's log."""
        logs = self.state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs / f"{part}.log"


def private(path: Path, text: str) -> Path:
    """The file holds the text, and only its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(path)
    return path


def _secrets(path: Path) -> dict[str, str]:
    """The secrets of the file; those it lacks are made and added."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    wanted = [f"{part}-{user}" for part in ("postgres", "redis", "kafka", "minio") for user in ("root", "admin")]
    wanted += [f"token-{user}" for user in ("admin", "operator", "controllers", "scheduler", "kubelet", "proxy")]
    missing = {name: secrets.token_hex(16) for name in wanted if name not in known}
    if missing:
        private(path, json.dumps(known | missing, indent=1))
    return known | missing


def state_folder() -> Path:
    """The state folder of the stand this call is about."""
    return Path(os.environ.get("MATRIXHUB_STAND") or CHECKOUT / ".stand").resolve()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else holds the lock of that file meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _claims() -> Iterator[dict[int, Path]]:
    """The slots that are taken, and by which state folder; nobody else changes them meanwhile."""
    with _locked(_CLAIMS / "lock"):
        yield {int(claim.suffix[1:]): Path(claim.read_text()) for claim in _CLAIMS.glob("slot.*")}


def claimed(state: Path) -> Stand | None:
    """The stand of the state folder, if it holds a slot."""
    if not _CLAIMS.is_dir():
        return None
    for claim in _CLAIMS.glob("slot.*"):
        with suppress(FileNotFoundError):  # another stand has released its own meanwhile
            if claim.read_text() == str(state):
                return Stand(state, int(claim.suffix[1:]))
    return None


def claim(state: Path) -> tuple[Stand, Stand | None]:
    """The state folder holds a slot: the one it had, the one it had last, or a free one.

    A slot is free, too, when the state folder that holds it is gone; that stand is returned as the second.
    """
    state.mkdir(parents=True, exist_ok=True)
    remembered = state / "slot"
    last = int(remembered.read_text()) if remembered.exists() else -1
    with _claims() as taken:
        held = [slot for slot, owner in taken.items() if owner == state]
        free = [slot for slot in range(SLOTS) if slot not in taken or not (taken[slot] / "slot").exists()]
        if not held and not free:
            owners = "\n".join(f"  {slot}: {owner}" for slot, owner in sorted(taken.items()))
            raise Failure(f"All {SLOTS} slots are taken; take one of these stands down:\n{owners}")
        slot = held[0] if held else last if last in free else free[0]
        remembered.write_text(str(slot))
        (_CLAIMS / f"slot.{slot}").write_text(str(state))
    gone = Stand(taken[slot], slot) if slot in taken and not held else None
    return Stand(state, slot), gone


def release(stand: Stand) -> None:
    """The slot is free again."""
    with _claims() as taken:
        if taken.get(stand.slot) == stand.state:
            (_CLAIMS / f"slot.{stand.slot}").unlink()


def alone(stand: Stand) -> AbstractContextManager[None]:
    """No other call changes this stand meanwhile."""
    return _locked(stand.state / "lock")


def in_turn(part: str) -> AbstractContextManager[None]:
    """No other stand of this machine does the same with its part of that name meanwhile."""
    return _locked(_CLAIMS / f"{part}.lock")
