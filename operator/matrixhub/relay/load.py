"""How much is held in memory, of all tenants and of each, and who fetches no more for it. Pure.

Whoever is shut out fetches again once half is gone. A tenant that holds more than its own bound is shut out alone, and
counts for the whole with no more than that bound.
"""


class Load:
    """Bytes of the records that were fetched and are not settled; `most` of all tenants, `tenant_most` of one."""

    def __init__(self, most: int, tenant_most: int) -> None:
        self._most, self._tenant_most = most, tenant_most
        self._size, self._weight, self._crowded = 0, 0, False
        self._held: dict[str, int] = {}
        self._heavy: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of all tenants."""
        return self._size

    def shuts(self, tenant: str) -> bool:
        """Whether nothing more of the tenant is to be fetched."""
        return self._crowded or tenant in self._heavy

    def add(self, tenant: str, change: int) -> bool:
        """So many bytes more are held of the tenant's records; whether that shuts it out, or lets it in again."""
        most, before = self._tenant_most, self._held.pop(tenant, 0)
        if after := before + change:
            self._held[tenant] = after
        self._size += change
        self._weight += min(after, most) - min(before, most)
        heavy = tenant in self._heavy
        if _over(after, most, before=heavy) is heavy:
            return False
        self._heavy ^= {tenant}
        return True

    def turn(self) -> bool:
        """Whether all are shut out, or none for the sake of all, as it now stands; whether that is news."""
        before, self._crowded = self._crowded, _over(self._weight, self._most, before=self._crowded)
        return before is not self._crowded


def _over(held: int, most: int, *, before: bool) -> bool:
    return held >= (0.5 if before else 1.0) * most
