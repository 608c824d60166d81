"""A way of the operator's to the API server that a test may cut, or let go silent."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from tests.wire import Wire


def wire_to_api_server(env: Mapping[str, str]) -> Wire:
    """A wire to the stand's API server."""
    address = urlsplit(_config(env)["clusters"][0]["cluster"]["server"])
    return Wire(str(address.hostname), int(address.port or 443))


def reached_by(wire: Wire, env: Mapping[str, str], folder: Path) -> str:
    """The operator's kubeconfig, but for the way to the API server."""
    config = _config(env)
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{wire.port}"
    file = folder / "kubeconfig-by-wire"
    file.write_text(json.dumps(config), encoding="utf-8")
    return str(file)


def _config(env: Mapping[str, str]) -> dict:
    loaded: dict = yaml.safe_load(Path(env["MATRIXHUB_OPERATOR_KUBECONFIG"]).read_text(encoding="utf-8"))
    return loaded
