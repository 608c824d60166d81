"""What a piece of work costs: CPU time by process, a figure that other work on the machine doesn't change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stand import process
from stand.state import claimed, state_folder

PARTS = ("kube-apiserver", "etcd", "kube-controller-manager", "postgres", "redis", "kafka", "minio")
"""The stand's processes that work for a Tenant."""
_TICK = 1000 / os.sysconf("SC_CLK_TCK")
"""Milliseconds of one unit of /proc/*/stat."""
_PARENT, _OWN, _REAPED = 1, slice(11, 13), slice(13, 15)
"""Positions in /proc/*/stat after the program's name: see proc(5)."""


def clocks(**drivers: int) -> dict[str, float]:
    """By process, the CPU milliseconds that it and its children, gone or alive, have used up to now.

    `drivers` are processes beside the stand's: a name and a pid each.
    """
    stand = claimed(state_folder())
    found = {part: process.running(stand, part) for part in PARTS} if stand else {}
    pids = {**drivers, **{part: running.pid for part, running in found.items() if running}}
    table = {pid: fields for pid in (os.getpid(), *process.all_pids()) if (fields := _fields(pid))}
    return {name: _TICK * _ticks(pid, table) for name, pid in pids.items() if pid in table}


def spent(before: Mapping[str, float], after: Mapping[str, float], count: int) -> dict[str, float]:
    """By process, the milliseconds between two readings, for each of `count` tenants."""
    return {name: (after[name] - before[name]) / count for name in after if name in before}


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int, table: Mapping[int, list[str]]) -> int:
    own = sum(int(field) for field in table[pid][_OWN])
    reaped = sum(int(field) for field in table[pid][_REAPED])
    children = [child for child, fields in table.items() if int(fields[_PARENT]) == pid]
    return own + reaped + sum(_ticks(child, table) for child in children)
