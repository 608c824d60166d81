"""What the demo, the end-to-end tests and the benchmark have in common: a RealtimeCluster over the stand's backends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.samples import SAMPLES, filled

CHECKOUT = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """A command of the demo did not work; the text is its own complaint."""


def stand(*words: str) -> None:
    """The stand's verb is done; its own words tell how. Raises CalledProcessError."""
    subprocess.run(["python3", str(CHECKOUT / "dev" / "stand"), *words], check=True)


def environment() -> dict[str, str]:
    """This process's environment with the stand's endpoints and credentials."""
    state = Path(os.environ.get("MATRIXHUB_STAND") or CHECKOUT / ".stand").resolve()
    lines = (state / "env").read_text().splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line.startswith("export "))
    return {**os.environ, **{name: value.strip("'") for name, _, value in pairs}}


def kubectl(env: Mapping[str, str], *words: str, text: str | None = None, quiet: bool = True) -> str:
    """What kubectl printed. Raises Failed with its complaint."""
    pipe = subprocess.PIPE if quiet else None
    done = subprocess.run(
        ["kubectl", *words], env={**os.environ, **env}, input=text, stdout=pipe, stderr=pipe, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"kubectl {' '.join(words)}: {done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


def get(env: Mapping[str, str], *words: str) -> Any:
    """The object or list that `kubectl get` answers."""
    return json.loads(kubectl(env, "get", *words, "-o", "json"))


def without_operator() -> None:
    """The demo's own operator has ended: what follows runs one of its own, and two would meet in the same Tenants."""
    stand("stop", "operator")


def install(env: Mapping[str, str]) -> None:
    """The API server knows our resources."""
    kubectl(env, "apply", "--server-side", "--force-conflicts", "-f", str(CHECKOUT / "crds"))
    kubectl(env, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(CHECKOUT / "crds"))


def realtimecluster(env: Mapping[str, str]) -> None:
    """The RealtimeCluster `main` in namespace `matrixhub`, and the admin Secrets that it names, exist."""
    for name in ("admin-secrets.yaml", "realtimecluster.yaml"):
        kubectl(env, "apply", "-f", "-", text=filled(name, env))


def load(env: Mapping[str, str], *scripts: str) -> None:
    """The sample platform's tables exist, as the scripts make them; where they exist already nothing is done."""
    admin = {"PGUSER": env["PG_ADMIN_USER"], "PGPASSWORD": env["PG_ADMIN_PASSWORD"]}
    quiet = {"PGOPTIONS": "-c client_min_messages=warning"}
    psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]

    def run(*words: str) -> str:
        done = subprocess.run(
            [*psql, *words], env={**env, **admin, **quiet}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"psql {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    if not run("--command", "select to_regclass('public.students')"):
        run(*(word for script in scripts for word in ("--file", str(SAMPLES / script))))
