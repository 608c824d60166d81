"""The command line: which verbs there are and what words they take."""

from __future__ import annotations

import argparse
import os
import sys

from stand import verbs
from stand.run import Failure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stand", description="The real parts, brought up on your machine.")
    verb = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    verb.add_parser("preflight", help="tell what tools are missing, and install the Debian packages")
    building = verb.add_parser("build", help="fetch and build every part into the cache")
    building.add_argument("part", nargs="*", help="only this one")
    up = verb.add_parser("up", help="bring everything up, and wait until it is ready")
    up.add_argument("--without-node", action="store_true", help="no kubelet: no pod can run, all else can")
    verb.add_parser("down", help="end everything; data stays for the next `up`")
    verb.add_parser("clean", help="end everything, and forget the data too")
    verb.add_parser("status", help="what runs")
    verb.add_parser("env", help="print the endpoints and credentials as shell variables")
    for name, what in (
        ("start", "start one part, and wait until it is ready"),
        ("stop", "let one part end"),
        ("kill", "end one part with SIGKILL"),
        ("restart", "stop, then start one part"),
    ):
        verb.add_parser(name, help=what).add_argument("part")
    logs = verb.add_parser("logs", help="the end of one part's log")
    logs.add_argument("part")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", default=50, type=int)
    verb.add_parser("images", help="give the node the operator's image as the code is now")
    verb.add_parser("dockerfile", help="give the node the images that the Dockerfiles make")
    verb.add_parser("load", help="give the node the images of an archive").add_argument("archive")
    return parser


def _call(words: argparse.Namespace) -> None:
    match words.verb:
        case "up":
            verbs.up(node=not words.without_node)
        case "preflight":
            verbs.prepare()
        case "build":
            verbs.build(words.part)
        case "logs":
            verbs.logs(words.part, lines=words.lines, follow=words.follow)
        case "load":
            verbs.load(words.archive)
        case "start" | "stop" | "kill" | "restart":
            getattr(verbs, words.verb)(words.part)
        case _:
            getattr(verbs, words.verb)()


def main(arguments: list[str]) -> int:
    """The exit status of one call."""
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    try:
        _call(_parser().parse_args(arguments))
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
