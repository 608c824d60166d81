"""Stands for election, and leads for as long as its Lease is renewed. In threads: the event loop may be busy."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from matrixhub.errors import BackendError, Conflict, Transient
from matrixhub.kube.election import DEADLINE, LOOK, RETRY, Sight, Step, decide, in_time, seen
from matrixhub.kube.lease import Lease

log = logging.getLogger(__name__)

LOST = os.EX_TEMPFAIL
"""The exit status of a leader that lost its Lease (75)."""


class Candidate:
    """One process that wants to lead. `elected` is called once, in the election's thread, when it does.

    A leader whose Lease was taken, or could not be renewed in time, ends its process on the spot, with status `LOST`:
    nothing that is under way can then write beside the next leader.
    """

    def __init__(self, lease: Lease, elected: Callable[[], object]) -> None:
        self._lease = lease
        self._elected = elected
        self._sight: Sight | None = None
        self._renewed: float | None = None
        self._ending = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    def start(self) -> None:
        """It stands for election."""
        self._thread.start()

    def fence(self) -> None:
        """Returns while this process may write; raises Transient (`NotLeader`) otherwise."""
        if not in_time(self._renewed, time.monotonic()):
            raise Transient("NotLeader", "another operator may lead by now: nothing is written")

    def resign(self) -> None:
        """It stands no more, and leaves the Lease to the next one; what it had under way must have ended."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            pause = LOOK
            try:
                self._turn()
                pause = RETRY if self._renewed is not None else LOOK
            except Conflict as faster:
                log.debug("%s", faster.message)
            except BackendError as error:
                self._tell(logging.WARNING, f"Cannot use the Lease: {error.message}")
            except Exception:  # a bug in one turn: the next may do without it, and the deadline holds
                log.exception("Election failed")
            self._ending.wait(pause)
        if self._renewed is not None:
            self._release()

    def _turn(self) -> None:
        """One look at the Lease, and what follows from it."""
        record = self._lease.read()
        now = time.monotonic()
        self._sight = seen(self._sight, record, now)
        step = decide(self._lease.identity, self._sight, now, leads=self._renewed is not None)
        if record and step is Step.STEP_DOWN:
            _end(f"{record.holder or 'nobody'} holds the Lease now")
        if record and step is Step.WAIT:
            self._tell(logging.INFO, f"Stands by: {record.holder} leads")
            return
        self._sight = Sight(self._lease.hold(record), now)
        self._lead(now)

    def _lead(self, renewed: float) -> None:
        """The Lease is held by a renewal that was begun at `renewed`, so it lasts no longer than others think."""
        first = self._renewed is None
        self._renewed = renewed
        self._tell(logging.INFO, f"Leads as {self._lease.identity}")
        if first:
            threading.Thread(target=self._watch_over, name="lease-deadline", daemon=True).start()
            self._elected()

    def _watch_over(self) -> None:
        """The process ends when a renewal is late, also when that renewal itself hangs."""
        while not self._ending.is_set() and (renewed := self._renewed) is not None:
            now = time.monotonic()
            if not in_time(renewed, now):
                _end(f"the Lease was last renewed {now - renewed:.1f} s ago")
            self._ending.wait(renewed + DEADLINE - now)

    def _release(self) -> None:
        self._renewed = None
        try:
            if self._sight and self._sight.record:
                self._lease.release(self._sight.record)
                log.info("Released the Lease")
        except BackendError as error:
            log.warning("Cannot release the Lease, it ends by itself: %s", error.message)

    def _tell(self, level: int, sentence: str) -> None:
        """Said once, not at every turn."""
        if sentence != self._told:
            self._told = sentence
            log.log(level, "%s", sentence)


def _end(why: str) -> NoReturn:
    log.critical("Leads no more, and ends at once: %s", why)
    os._exit(LOST)
