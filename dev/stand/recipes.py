"""What is built from published source, and how. One entry of RECIPES per part."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from stand.cache import Recipe
from stand.run import Failure, as_root, logged, output

_SOURCES = Path(__file__).parent / "builds"

KUBERNETES_VERSION = "1.34.4"
MINIO_VERSION = "0.0.0-20260212201848-7aac2a2c5b7c"
KAFKA_VERSION = "4.1.0"
SOCKUDO_VERSION = "5.2.0"  # as in Dockerfile.gateway
SOCKUDO_FEATURES = "redis,postgres"
KSTATUS_VERSION = "0.37.2"  # sigs.k8s.io/cli-utils
GOPHER_LUA_VERSION = "1.1.2"  # Argo CD's Lua interpreter
HELM_VERSION = "3.22.0"
KUBE_ROUTER_VERSION = "2.1.0"
PROMETHEUS_OPERATOR_VERSION = "0.85.0"
UV_VERSION = "0.13.9"  # read by the Makefile, too

_GO = {"CGO_ENABLED": "0", "GOWORK": "off"}
_STRIPPED = "-s -w"
_SUITES = ("bookworm", "bookworm-updates", "bookworm-security")


def _go_module(folder: Path, name: str, source: str, requires: str = "") -> Path:
    """A fresh Go module with one main package, in a folder of its own."""
    module = folder / "src" / name
    module.mkdir(parents=True)
    (module / "go.mod").write_text(f"module stand/{name}\n\ngo 1.24.0\n{requires}")
    shutil.copy(_SOURCES / source, module / "main.go")
    return module


def _staging(version: str) -> list[str]:
    """The modules that live inside the Kubernetes repository and are published beside it as v0.x."""
    answer = json.loads(output(["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"], _GO))
    return re.findall(r"^\s*(\S+) => \./staging/", Path(answer["GoMod"]).read_text(), re.MULTILINE)


def _kubernetes(folder: Path, log: Path) -> None:
    """`bin/` holds every component and kubectl, as links to one binary."""
    major, minor, patch = KUBERNETES_VERSION.split(".")
    requires = f"\nrequire k8s.io/kubernetes v{KUBERNETES_VERSION}\n\nreplace (\n"
    for module in _staging(KUBERNETES_VERSION):
        requires += f"\t{module} => {module} v0.{minor}.{patch}\n"
    source = _go_module(folder, "kubernetes", "kubernetes.go", requires + ")\n")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join([_STRIPPED, *(f"-X {package}.{name}={value}" for name, value in stamps.items())])
    binary = folder / "bin" / "kubernetes"
    logged(["go", "mod", "tidy"], log, source, _GO)
    logged(["go", "build", "-v", "-trimpath", "-ldflags", flags, "-o", binary, "."], log, source, _GO)
    for name in KUBERNETES.programs:
        (folder / "bin" / name).symlink_to("kubernetes")
    shutil.rmtree(folder / "src")


def _minio(folder: Path, log: Path) -> None:
    """`bin/` holds the server and the small program that creates its users."""
    source = _go_module(folder, "minio-admin", "minio-admin.go")
    logged(["go", "get", f"github.com/minio/minio@v{MINIO_VERSION}"], log, source, _GO)
    for package, name in (("github.com/minio/minio", "minio"), (".", "minio-admin")):
        command = ["go", "build", "-v", "-mod=mod", "-trimpath", "-ldflags", _STRIPPED]
        logged([*command, "-o", folder / "bin" / name, package], log, source, _GO)
    shutil.rmtree(folder / "src")


def _gitops_health(folder: Path, log: Path) -> None:
    """`bin/` holds the small program that judges an object as Flux and Argo CD do."""
    source = _go_module(folder, "gitops-health", "gitops-health.go")
    modules = [f"sigs.k8s.io/cli-utils@v{KSTATUS_VERSION}", f"github.com/yuin/gopher-lua@v{GOPHER_LUA_VERSION}"]
    logged(["go", "get", *modules], log, source, _GO)
    logged(["go", "mod", "tidy"], log, source, _GO)
    binary = folder / "bin" / "gitops-health"
    logged(["go", "build", "-v", "-trimpath", "-ldflags", _STRIPPED, "-o", binary, "."], log, source, _GO)
    shutil.rmtree(folder / "src")


def _helm(folder: Path, log: Path) -> None:
    """`bin/` holds Helm, which takes the stand's Kubernetes for granted where it cannot ask one."""
    module = "helm.sh/helm/v3"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    stamps = {"internal/version.version": f"v{HELM_VERSION}"}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        stamps |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    flags = " ".join([_STRIPPED, *(f"-X {module}/{name}={value}" for name, value in stamps.items())])
    command = ["go", "install", "-v", "-trimpath", "-ldflags", flags, f"{module}/cmd/helm@v{HELM_VERSION}"]
    logged(command, log, folder, {**_GO, "GOBIN": str(folder / "bin")})


def _kube_router(folder: Path, log: Path) -> None:
    """`bin/` holds kube-router, of which the stand runs the firewall alone."""
    package = f"github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@v{KUBE_ROUTER_VERSION}"
    command = ["go", "install", "-v", "-trimpath", "-ldflags", _STRIPPED, package]
    logged(command, log, folder, {**_GO, "GOBIN": str(folder / "bin")})


def _prometheus_crds(folder: Path, log: Path) -> None:
    """`crds/` holds the resources of the Prometheus operator that the chart makes some of, without the operator."""
    module = f"github.com/prometheus-operator/prometheus-operator@v{PROMETHEUS_OPERATOR_VERSION}"
    logged(["go", "mod", "download", module], log, folder, _GO)
    found = json.loads(output(["go", "mod", "download", "-json", module], _GO))["Dir"]
    (folder / "crds").mkdir()
    for kind in ("podmonitors", "prometheusrules", "servicemonitors"):
        name = f"monitoring.coreos.com_{kind}.yaml"
        shutil.copyfile(Path(found, "example", "prometheus-operator-crd", name), folder / "crds" / name)


def _kafka(folder: Path, log: Path) -> None:
    """`libs/` holds the broker, its tools and its client."""
    project = folder / "src"
    project.mkdir()
    pom = (_SOURCES / "kafka.pom.xml").read_text()
    (project / "pom.xml").write_text(pom.replace("KAFKA_VERSION", KAFKA_VERSION))
    options = [f"-DoutputDirectory={folder / 'libs'}", "-DincludeScope=runtime"]
    logged(["mvn", "--batch-mode", "dependency:copy-dependencies", *options], log, project)
    shutil.rmtree(project)


def _sockudo(folder: Path, log: Path) -> None:
    """`bin/` holds the gateway: with the Redis adapter and the Postgres app table, without what needs neither.

    Optimised as little as serves the benchmarks: fully, a fresh machine waits for it four minutes longer
    (docs/decisions/0021).
    """
    target = folder / "target"
    source = ["sockudo", "--version", SOCKUDO_VERSION, "--locked"]
    features = ["--no-default-features", "--features", SOCKUDO_FEATURES]
    into = ["--root", folder, "--target-dir", target]
    profile = {"CARGO_PROFILE_RELEASE_OPT_LEVEL": "1", "CARGO_PROFILE_RELEASE_STRIP": "symbols"}
    logged(["cargo", "install", *source, *features, *into], log, folder, profile)
    shutil.rmtree(target)


def _uv(folder: Path, log: Path) -> None:
    """`bin/` holds uv, which installs Python packages as the lock file says."""
    logged(["python3", "-m", "venv", folder], log, folder)
    logged([folder / "bin" / "pip", "install", "--quiet", f"uv=={UV_VERSION}"], log, folder)


def _busybox(folder: Path, log: Path) -> None:
    """`bin/` holds the static busybox of the distribution, taken from its package without installing it."""
    logged(["apt-get", "-o", "APT::Sandbox::User=root", "download", "busybox-static"], log, folder)
    for package in folder.glob("*.deb"):
        logged(["dpkg-deb", "--extract", package, folder], log, folder)
        package.unlink()


def _debian(folder: Path, log: Path) -> None:
    """`base.tar` is Debian's own files, for a Dockerfile to begin with where there is no registry."""
    told = output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    sources = [line for line in sorted(set(told.splitlines())) if line.split()[1] in _SUITES]
    mirrors = [line.split()[0] for line in sources if line.split()[1] == _SUITES[0]]
    if not mirrors:
        raise Failure(f"apt of this machine names no source of {_SUITES[0]}")
    (folder / "sources.list").write_text("".join(f"deb {line}\n" for line in sources))
    logged(as_root("sh", str(_SOURCES / "debian.sh"), mirrors[0]), log, folder)


KUBERNETES = Recipe(
    "kubernetes",
    KUBERNETES_VERSION,
    ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
    _kubernetes,
)
MINIO = Recipe("minio", MINIO_VERSION, ("minio", "minio-admin"), _minio)
KAFKA = Recipe("kafka", KAFKA_VERSION, (), _kafka)
SOCKUDO = Recipe("sockudo", SOCKUDO_VERSION, ("sockudo",), _sockudo)
GITOPS_HEALTH = Recipe("gitops-health", KSTATUS_VERSION, ("gitops-health",), _gitops_health)
UV = Recipe("uv", UV_VERSION, (), _uv)
HELM = Recipe("helm", HELM_VERSION, ("helm",), _helm)
KUBE_ROUTER = Recipe("kube-router", KUBE_ROUTER_VERSION, ("kube-router",), _kube_router)
PROMETHEUS_CRDS = Recipe("prometheus-crds", PROMETHEUS_OPERATOR_VERSION, (), _prometheus_crds)
BUSYBOX = Recipe("busybox", "debian", (), _busybox)
DEBIAN = Recipe("debian", "bookworm", (), _debian)

# The quick ones first: two are made at a time.
RECIPES = [BUSYBOX, UV, PROMETHEUS_CRDS, DEBIAN, KAFKA, GITOPS_HEALTH, HELM, KUBE_ROUTER, MINIO, KUBERNETES, SOCKUDO]


def program(name: str) -> Path:
    """The program to run: from KUBEBUILDER_ASSETS if it is there, else from the cache, else from PATH."""
    given = _given(name)
    if given:
        return given
    for recipe in RECIPES:
        if name in recipe.programs and recipe.built:
            return recipe.folder / "bin" / name
    return Path(shutil.which(name) or name)


def wanted() -> list[Recipe]:
    """The recipes to build: all but those whose every program the machine has already."""
    return [
        recipe
        for recipe in RECIPES
        if not recipe.programs or not all(_given(name) or shutil.which(name) for name in recipe.programs)
    ]


def _given(name: str) -> Path | None:
    """The program in the folder that KUBEBUILDER_ASSETS names."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(assets) / name if assets else None
    return path if path and path.exists() else None
