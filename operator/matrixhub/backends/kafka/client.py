"""Kafka as a backend: topics, SCRAM users, ACLs and client quotas of many tenants on one cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Finding, Intent, ServiceAccount, Survey
from matrixhub.backends.kafka import actions, codes, desired, plan, reads, service, writes
from matrixhub.backends.kafka.session import Session, metadata
from matrixhub.backends.kafka.state import State
from matrixhub.errors import BackendError

_PROBE = "matrixhub-probe"
"""A transactional id that the admin has no right to; brokers hide the setting that would let it in all the same."""
_OPEN = Finding(
    "OpenByDefault",
    "Kafka lets the operator's user do what no ACL grants it: either the brokers run with "
    "allow.everyone.if.no.acl.found=true, which opens whatever no ACL names to every tenant (set it to false), or "
    "the user is a super user or has wide ACLs (give it those of manifests/admin-rights/kafka.acls, and no more)",
)


class Client:
    """`contract.Backend` for the Kafka of one RealtimeCluster.

    `admin` holds `username` and `password`, and `ca.crt` where the cluster names a CA.
    """

    def __init__(
        self,
        cluster: RealtimeCluster,
        admin: Mapping[str, str],
        account: ServiceAccount | None = None,
        residents: reads.Residents | None = None,
    ) -> None:
        self._cluster = cluster
        self._account = account
        self._residents = residents
        """Asked once: while this client lives, no Tenant goes without it."""
        self._session = Session(cluster, admin)

    def prepare(self) -> Survey:
        """The relay's user is as it should be. What would undo the isolation of tenants is a finding.

        The user has no rights left at topics of Tenants that went while no operator was there.

        Raises:
            Unreachable: no broker answers.
            Rejected: `AdminSecretInvalid`, `AuthenticationFailed`, `PermissionDenied`, one of `tls.REASONS`, or
                `AuthorizerMissing` where Kafka enforces no ACLs at all.
        """
        wildcard = reads.acl_filter(principal_filter="User:*", permission_type=codes.ALLOW)
        probe = metadata.FindCoordinatorRequest(
            key_type=codes.TRANSACTION_COORDINATOR, coordinator_keys=[_PROBE], min_version=4
        )
        acls, found = self._session.send([wildcard, probe])
        self._session.require(acls, "listing ACLs")
        findings = [_wildcard(resource) for resource in acls.resources if resource.resource_type in codes.SHARED]
        if any(
            coordinator.error_code != codes.TRANSACTIONAL_ID_AUTHORIZATION_FAILED for coordinator in found.coordinators
        ):
            findings.append(_OPEN)
        if self._account is None:
            return Survey(self._session.version, findings=tuple(findings))
        repaired, conflicts = service.keep(self._session, self._account, self._cluster, self._residents)
        self._residents = self._residents if conflicts else None
        return Survey(self._session.version, repaired, (*findings, *conflicts), vacated=self._account.leaving)

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What exists of each tenant, in a number of requests that does not grow with the tenants beyond a few."""
        return reads.read(self._session, intents)

    def desired(self, intent: Intent) -> State:
        """What should exist. Raises Rejected."""
        return desired.desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[actions.Action, ...]:
        """The steps, see `plan.plan`. Raises Conflict."""
        return plan.plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[actions.Action, ...]]) -> Mapping[str, Applied]:
        """The plans are carried out, batched over tenants; a new topic can be used when this returns."""
        return writes.write(self._session, plans)

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds for Kafka."""
        return desired.binding(intent)

    def close(self) -> None:
        """The connection is closed."""
        self._session.close()


def _wildcard(resource: Any) -> Finding:
    kind, name, pattern = codes.resource_words((resource.resource_type, resource.resource_name, resource.pattern_type))
    return Finding(
        "WildcardPrincipal",
        f"An ACL allows every user (User:*) to use {kind} {name} ({pattern}): tenants get in there too; "
        f"name the principals instead",
    )
