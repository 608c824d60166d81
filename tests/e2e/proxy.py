"""A wire to the API server that a test may cut, or let go silent: then nothing comes, and nothing closes."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

CHUNK = 65536


class Proxy:
    """Copies bytes between its own port and the server's, each connection in two threads."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._refusing = False
        self.port = int(self._listening.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @classmethod
    @contextlib.contextmanager
    def to_api_server(cls, env: Mapping[str, str]) -> Iterator["Proxy"]:
        """A wire to the stand's API server, gone after the block."""
        address = urlsplit(_config(env)["clusters"][0]["cluster"]["server"])
        proxy = cls(str(address.hostname), int(address.port or 443))
        try:
            yield proxy
        finally:
            proxy.refuse()
            for end in proxy._open:
                end.close()

    def stall(self) -> None:
        """The connections that there are bring nothing any more, in either direction; new ones work."""
        self._silent |= self._open

    def refuse(self) -> None:
        """Every connection is closed, and there will be no other."""
        self._refusing = True
        with contextlib.suppress(OSError):  # it is closed already
            self._listening.shutdown(socket.SHUT_RDWR)  # ends accept(), which close() does not
        self._accepting.join()
        self._listening.close()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._refusing:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._server)
                self._open |= {near, far}
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if source not in self._silent:
                    target.sendall(data)
            if source not in self._silent:
                target.shutdown(socket.SHUT_WR)


def reached_by(proxy: Proxy, env: Mapping[str, str], folder: Path) -> str:
    """The operator's kubeconfig, but for the way to the API server."""
    config = _config(env)
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    file = folder / "kubeconfig-by-proxy"
    file.write_text(json.dumps(config), encoding="utf-8")
    return str(file)


def _config(env: Mapping[str, str]) -> dict:
    loaded: dict = yaml.safe_load(Path(env["MATRIXHUB_OPERATOR_KUBECONFIG"]).read_text(encoding="utf-8"))
    return loaded
