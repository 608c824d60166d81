"""What the pods of a RealtimeCluster mount: a ConfigMap of their own, and Secrets that its spec names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matrixhub.api.services import Tls
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import SECRET, Manifest
from matrixhub.tls import CERTIFICATE_KEYS

CONFIG = "config"
"""The volume of a workload's own ConfigMap."""


@dataclass(frozen=True)
class Mounted:
    """A Secret that pods mount: as which volume, which of its keys, and which field of the spec names it."""

    name: str
    secret: str
    keys: tuple[str, ...]
    field: str

    @property
    def volume(self) -> Manifest:
        """The volume: those keys, and no other."""
        items = [{"key": key, "path": key} for key in self.keys]
        return {"name": self.name, "secret": {"secretName": self.secret, "items": items}}


def trusted(backend: str, tls: Tls | None) -> tuple[Mounted, ...]:
    """What pods mount to reach a backend: `<backend>-ca` and `<backend>-client`, where its section names them."""
    found = []
    if tls and tls.ca_secret_ref:
        field = f"spec.{backend}.tls.caSecretRef"
        found.append(Mounted(f"{backend}-ca", tls.ca_secret_ref.name, ("ca.crt",), field))
    if tls and tls.client_cert_secret_ref:
        field = f"spec.{backend}.tls.clientCertSecretRef"
        found.append(Mounted(f"{backend}-client", tls.client_cert_secret_ref.name, CERTIFICATE_KEYS, field))
    return tuple(found)


def volumes(config_map: str, mounted: Sequence[Mounted]) -> list[Manifest]:
    """A pod's volumes: the ConfigMap of that name, and the Secrets."""
    return [{"name": CONFIG, "configMap": {"name": config_map}}, *(each.volume for each in mounted)]


def volume_mounts(folder: str, mounted: Sequence[Mounted]) -> list[Manifest]:
    """Where its container finds these volumes: below `folder`, each by its name."""
    names = (CONFIG, *(each.name for each in mounted))
    return [{"name": name, "mountPath": f"{folder}/{name}", "readOnly": True} for name in names]


def files(folder: str, mounted: Sequence[Mounted], names: Mapping[str, str]) -> dict[str, str]:
    """Where its program finds the Secrets' keys below `folder`, by what the program itself calls each of them."""
    return {names[key]: f"{folder}/{each.name}/{key}" for each in mounted for key in each.keys}


@dataclass(frozen=True)
class Contents:
    """What mounted Secrets hold, in base64, by volume and key; and a sentence for each that lacks something."""

    values: dict[tuple[str, str], str] = field(repr=False)
    missing: tuple[str, ...]

    @property
    def seals(self) -> tuple[str, ...]:
        """What changes with the contents."""
        return tuple(self.values[key] for key in sorted(self.values))


def read(api: KubeApi, namespace: str, mounted: Sequence[Mounted]) -> Contents:
    """The Secrets' contents as they are now."""
    values: dict[tuple[str, str], str] = {}
    missing: list[str] = []
    for each in mounted:
        secret = api.get(SECRET, each.secret, namespace)
        data = (secret or {}).get("data") or {}
        values |= {(each.name, key): data[key] for key in each.keys if data.get(key)}
        if lacking := [key for key in each.keys if not data.get(key)]:
            what = "does not exist" if secret is None else f"has no `{'` and no `'.join(lacking)}`"
            missing.append(
                f"Secret {namespace}/{each.secret} ({each.field}) {what}: pods cannot start until it is there"
            )
    return Contents(values, tuple(missing))
