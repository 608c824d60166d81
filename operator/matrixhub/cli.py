"""The command line: which of the programs runs. Each is imported alone, so that none pays for another's drivers."""

import argparse
import sys
from importlib import import_module
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="matrixhub", description="Each tenant's isolated share of a shared platform.")
    programs = parser.add_subparsers(dest="program", metavar="program")
    programs.add_parser("operator", help="the Kubernetes operator (also without any word); set by MATRIXHUB_*")
    relay = programs.add_parser("relay", help="brings records of Kafka to the WebSocket gateways")
    relay.add_argument("--config", type=Path, required=True, metavar="FILE", help="its settings, in JSON")
    release = programs.add_parser(
        "release", help="before an uninstall: ends the operator and takes its finalizers away"
    )
    release.add_argument("--namespace", required=True, metavar="NS", help="where the operator and its Lease are")
    release.add_argument("--deployment", required=True, metavar="NAME", help="the operator's Deployment")
    return parser


def main() -> int:
    """The command `matrixhub`."""
    words = _parser().parse_args()
    if words.program == "relay":
        return int(import_module("matrixhub.relay.command").main(words.config))
    if words.program == "release":
        return int(import_module("matrixhub.release").main(words.namespace, words.deployment))
    return int(import_module("matrixhub.main").main())


if __name__ == "__main__":
    sys.exit(main())
