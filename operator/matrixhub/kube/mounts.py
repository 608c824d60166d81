"""What the pods of a RealtimeCluster mount: a ConfigMap of their own, and Secrets that its spec names. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrixhub.api.services import Tls
from matrixhub.kube.resources import Manifest
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
