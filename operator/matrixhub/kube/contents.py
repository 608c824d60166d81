"""What the Secrets hold that the pods of a RealtimeCluster mount."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from matrixhub.kube.client import KubeApi
from matrixhub.kube.mounts import Mounted
from matrixhub.kube.resources import SECRET


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
