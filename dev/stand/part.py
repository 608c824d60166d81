"""What a part of the stand is."""

from __future__ import annotations

import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from stand.state import Stand


def _nothing(stand: Stand) -> None:
    """For the parts that need no such step."""


@dataclass(frozen=True)
class Part:
    """One long-running process of the stand.

    It is started as `prepare`, `command`, wait for `ready`; `up` then calls `settle`, which may be repeated, and `stop`
    calls `leave` once it has ended.
    """

    name: str
    group: str  # backends, cluster, node; a part of another group starts only when it is asked for
    command: Callable[[Stand], list[str]]
    ready: Callable[[Stand], bool]
    prepare: Callable[[Stand], None] = _nothing  # true afterwards: files are in place to start from
    settle: Callable[[Stand], None] = _nothing  # true afterwards: users and rights are as wanted
    leave: Callable[[Stand], None] = _nothing  # true afterwards: what it did to the others has no effect any more
    after: tuple[str, ...] = ()  # parts that are ready before this one starts
    ends_on: signal.Signals = signal.SIGTERM
    in_node: bool = False  # runs in the node's network namespace
    outlived: bool = False  # its children go on without it, as a container runtime's do
    in_turn: bool = False  # of two stands, only one starts it at a time


def answers(url: str) -> bool:
    """Whether the URL answers with 200. Certificates are not looked at: only liveness is asked for."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=trusting) as reply:
            return bool(reply.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError):
        return False
