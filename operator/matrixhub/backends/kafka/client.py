"""Kafka as a backend: topics, SCRAM users, ACLs and client quotas of many tenants on one cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Finding, Intent, Survey
from matrixhub.backends.kafka import actions, codes, desired, plan, reads, writes
from matrixhub.backends.kafka.session import Session, messages
from matrixhub.backends.kafka.state import State
from matrixhub.errors import BackendError

_BROKER_RESOURCE = 4
_OPEN = "allow.everyone.if.no.acl.found"


class Client:
    """`contract.Backend` for the Kafka of one RealtimeCluster.

    `admin` holds `username` and `password`, and `ca.crt` where the cluster names a CA.
    """

    def __init__(self, cluster: RealtimeCluster, admin: Mapping[str, str]) -> None:
        self._session = Session(cluster, admin)
        self._ca = admin.get("ca.crt", "")

    def prepare(self) -> Survey:
        """Nothing is changed: Kafka has no shared part. What would undo the isolation of tenants is a finding.

        Raises:
            Unreachable: no broker answers.
            Rejected: `AdminSecretInvalid`, `AuthenticationFailed`, `CertificateInvalid`, `PermissionDenied`, or
                `AuthorizerMissing` where Kafka enforces no ACLs at all.
        """
        brokers = self._session.brokers()
        wildcard = reads.acl_filter(principal_filter="User:*", permission_type=codes.ALLOW)
        broker = messages.DescribeConfigsRequest.DescribeConfigsResource(
            resource_type=_BROKER_RESOURCE, resource_name=str(brokers[0]), configuration_keys=[_OPEN]
        )
        acls, configs = self._session.send([wildcard, messages.DescribeConfigsRequest(resources=[broker])])
        self._session.require(acls, "listing ACLs")
        findings = []
        for result in configs.results:
            self._session.require(result, "reading the broker's configs")
            if any(config.name == _OPEN and config.value == "true" for config in result.configs):
                findings.append(_open_by_default())
        findings += [_wildcard(resource) for resource in acls.resources if resource.resource_type in codes.SHARED]
        return Survey(self._session.version, findings=tuple(findings))

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What exists of each tenant, in a number of requests that does not grow with the tenants beyond a few."""
        return reads.read(self._session, intents)

    def desired(self, intent: Intent) -> State:
        """What should exist. Raises Rejected("InvalidTopic")."""
        return desired.desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[actions.Action, ...]:
        """The steps, see `plan.plan`. Raises Conflict."""
        return plan.plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[actions.Action, ...]]) -> Mapping[str, Applied]:
        """The plans are carried out, batched over tenants; a new topic can be used when this returns."""
        return writes.write(self._session, plans)

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds for Kafka."""
        return desired.binding(intent, self._ca)

    def close(self) -> None:
        """The connection is closed."""
        self._session.close()


def _open_by_default() -> Finding:
    return Finding(
        "OpenByDefault",
        f"Kafka lets everyone at whatever no ACL names ({_OPEN}=true): set it to false, or whatever a Tenant "
        f"does not guard (topics of a removed Tenant that were retained, for one) is open to all others",
    )


def _wildcard(resource: Any) -> Finding:
    kind, name, pattern = codes.resource_words((resource.resource_type, resource.resource_name, resource.pattern_type))
    return Finding(
        "WildcardPrincipal",
        f"An ACL allows every user (User:*) to use {kind} {name} ({pattern}): tenants get in there too; "
        f"name the principals instead",
    )
