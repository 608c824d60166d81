"""What the machine must have: tools a person installs, and Debian packages that install themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stand.cache import Recipe
from stand.run import Failure, as_root, output, shown, succeeds

_SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Tool:
    """A program that a person installs in the way that suits the machine."""

    command: str
    how: str
    builds: tuple[str, ...] = ()  # needed only while one of these recipes is not built; () means always


@dataclass(frozen=True)
class Package:
    """A Debian package, and a pattern of the file that tells it is there."""

    name: str
    file: str
    services: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()  # as a Tool's

    @property
    def installed(self) -> bool:
        """Whether the file is there, by whatever means it came."""
        return any(Path("/").glob(self.file.lstrip("/")))


OLDEST_JDK = (17,)
OLDEST_RUST = (1, 95)

TOOLS = (
    Tool("git", "apt-get install git"),
    Tool("make", "apt-get install make"),
    Tool("python3.11", "apt-get install python3.11"),
    Tool(
        "go",
        "Go 1.24 or newer: https://go.dev/dl/",
        ("kubernetes", "minio", "gitops-health", "helm", "kube-router", "prometheus-crds"),
    ),
    Tool("javac", "a JDK, 17 or newer: apt-get install openjdk-17-jdk-headless"),
    Tool("mvn", "apt-get install maven", ("kafka",)),
    Tool("cargo", "Rust 1.95 or newer: https://rustup.rs", ("sockudo",)),
)

PACKAGES = (
    Package("python3-venv", f"{sysconfig.get_path('stdlib')}/ensurepip/__init__.py"),
    Package("iproute2", "/usr/sbin/ip"),
    Package("openssl", "/usr/bin/openssl"),
    Package("postgresql", "/usr/lib/postgresql/*/bin/postgres", ("postgresql",)),
    Package("stunnel4", "/usr/bin/stunnel4", ("stunnel4",)),
    Package("redis-server", "/usr/bin/redis-server", ("redis-server",)),
    Package("etcd-server", "/usr/bin/etcd", ("etcd",)),
    Package("containerd", "/usr/bin/containerd", ("containerd",)),
    Package("runc", "/usr/*bin/runc"),
    Package("containernetworking-plugins", "/usr/lib/cni/bridge"),
    Package("iptables", "/usr/sbin/iptables"),
    Package("conntrack", "/usr/sbin/conntrack"),
    Package("ipset", "/usr/sbin/ipset"),
    Package("prometheus", "/usr/bin/promtool", ("prometheus",)),
    Package("buildah", "/usr/bin/buildah"),
    Package("debootstrap", "/usr/sbin/debootstrap", builds=("debian",)),
    Package("nodejs", shutil.which("node") or "/usr/bin/node"),
    Package("npm", shutil.which("npm") or "/usr/bin/npm"),
    Package("g++", "/usr/bin/g++", builds=("sockudo",)),
    Package("pkg-config", "/usr/bin/pkg-config", builds=("sockudo",)),
    Package("libssl-dev", "/usr/include/openssl/ssl.h", builds=("sockudo",)),
    Package("protobuf-compiler", "/usr/bin/protoc", builds=("sockudo",)),
    Package("libprotobuf-dev", "/usr/include/google/protobuf/timestamp.proto", builds=("sockudo",)),
)


def _version(*command: str) -> tuple[int, ...]:
    """The version that a program tells, (0,) if there is no such program."""
    try:
        answer = output(command)
    except (Failure, FileNotFoundError):
        return (0,)
    found = re.search(r"\d+(\.\d+)*", answer)
    return tuple(int(number) for number in found[0].split(".")) if found else (0,)


def _unbuilt(recipes: list[Recipe]) -> set[str]:
    """The names of the recipes that are still to be made."""
    return {recipe.name for recipe in recipes if not recipe.built}


def check_tools(recipes: list[Recipe]) -> None:
    """Every tool a person must install is there; else one Failure names all that are missing."""
    unbuilt = _unbuilt(recipes)
    missing = [
        f"  {tool.command:<12} {tool.how}"
        for tool in TOOLS
        if (not tool.builds or unbuilt.intersection(tool.builds)) and not shutil.which(tool.command)
    ]
    if shutil.which("javac") and _version("javac", "-version") < OLDEST_JDK:
        missing.append("  javac        is older than 17: apt-get install openjdk-17-jdk-headless")
    if "sockudo" in unbuilt and shutil.which("cargo") and _version("cargo", "--version") < OLDEST_RUST:
        missing.append("  cargo        is older than 1.95: rustup update")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        missing.append("  sudo         the stand needs root for namespaces and mounts; or call it as root")
    if missing:
        raise Failure("The stand needs these first; please install them:\n" + "\n".join(missing))


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """While this holds, dpkg starts no service. A policy that the machine already has is left alone."""
    if _SERVICE_POLICY.exists():
        yield
        return
    subprocess.run(
        as_root("sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {_SERVICE_POLICY} && chmod 755 {_SERVICE_POLICY}"),
        check=True,
    )
    try:
        yield
    finally:
        subprocess.run(as_root("rm", "-f", str(_SERVICE_POLICY)), check=False)


def _install(packages: list[Package]) -> None:
    """The packages are installed; their services neither run nor start with the machine."""
    names = [package.name for package in packages]
    shown("packages", f"installing {' '.join(names)}")
    apt = as_root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
    options = ["--no-install-recommends", "--no-upgrade"]
    with _services_stay_down():
        output([*apt, "update"])
        output([*apt, "install", *options, *names])
    if Path("/run/systemd/system").is_dir():
        for package in packages:
            for service in package.services:
                succeeds(as_root("systemctl", "disable", service))


def install_packages(recipes: list[Recipe]) -> None:
    """Every Debian package the stand runs, or still builds with, is installed."""
    unbuilt = _unbuilt(recipes)
    wanted = [package for package in PACKAGES if not package.builds or unbuilt.intersection(package.builds)]
    missing = [package for package in wanted if not package.installed]
    if not missing:
        return
    if not shutil.which("apt-get"):
        files = "\n".join(f"  {package.file} (Debian: {package.name})" for package in missing)
        raise Failure(f"The stand needs these files, and there is no apt-get to install them:\n{files}")
    _install(missing)
