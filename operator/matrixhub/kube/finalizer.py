"""How a finalizer of ours goes. Pure."""

from collections.abc import Iterable
from typing import Any


def without(finalizer: str, held: Iterable[str], *, uid: str, version: str) -> dict[str, Any]:
    """The metadata of a merge patch after which the object, which `held` these, has all of them but this one.

    Applying none would take away only what we have set ourselves, not what a restored backup has brought. The patch
    is refused when the object is another, or anything was written since this version of it.
    """
    kept = [other for other in held if other != finalizer]
    return {"uid": uid, "resourceVersion": version, "finalizers": kept or None}
