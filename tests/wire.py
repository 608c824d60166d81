"""A way to a server, over TCP, that a test may cut or let go silent: then nothing comes, and nothing closes."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

CHUNK = 65536


class Wire:
    """Copies bytes between a port of its own and the server's, each connection in two threads; closed with the block.

    `overheard` is given what clients send.
    """

    def __init__(self, host: str, port: int, overheard: Callable[[bytes], None] = lambda _: None) -> None:
        self._server = (host, port)
        self._overheard = overheard
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._mute = self._cut = False
        self._changing = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self.port = int(self._listening.getsockname()[1])
        self.refusals = 0
        """Connections that came while it was cut."""
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)  # ends accept(), which close() does not
        self._accepting.join()
        for end in (self._listening, *self._open):
            end.close()

    def interrupt(self) -> None:
        """The connections that there are break; new ones work."""
        with self._changing:
            self._break(*self._open)

    def cut(self) -> None:
        """The connections that there are break, and new ones are closed at once, until it is mended."""
        with self._changing:
            self._cut = True
            self._break(*self._open)

    def stall(self) -> None:
        """The connections that there are bring nothing any more, in either direction; new ones work."""
        with self._changing:
            self._silent |= self._open

    def mute(self) -> None:
        """No connection, be it new, brings anything until it is mended."""
        self._mute = True

    def mend(self) -> None:
        """New connections work, and those that were muted go on."""
        self._cut = self._mute = False

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                with self._changing:
                    self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        if self._cut:
            self.refusals += 1
            near.close()
            return
        try:
            far = socket.create_connection(self._server)
        except OSError:  # the server is away, and so is the way to it
            near.close()
            return
        self._open |= {near, far}
        threading.Thread(target=self._copy, args=(near, far, self._overheard), daemon=True).start()
        threading.Thread(target=self._copy, args=(far, near, lambda _: None), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, overheard: Callable[[bytes], None]) -> None:
        with suppress(OSError):  # one of them broke
            while data := source.recv(CHUNK):
                if not self._keeps_silent(source):
                    overheard(data)
                    target.sendall(data)
        if not self._keeps_silent(source):
            self._break(source, target)

    def _keeps_silent(self, source: socket.socket) -> bool:
        return self._mute or source in self._silent

    @staticmethod
    def _break(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):  # broken before
                end.shutdown(socket.SHUT_RDWR)
