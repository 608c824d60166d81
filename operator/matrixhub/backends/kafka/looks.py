"""Whether the broker that is asked has read of a change by now: what to ask it, and what its answer shows then."""

from collections.abc import Callable, Mapping
from typing import Any

from matrixhub.backends.kafka import codes
from matrixhub.backends.kafka.actions import Configure, QuotaChange
from matrixhub.backends.kafka.session import messages
from matrixhub.backends.kafka.state import ALL_CLIENTS, DEFAULT_CLIENT

SET_ON_TOPIC = 1
"""The source of a config that is set on the topic itself."""
_EXACT, _ANY_NAME = 0, 2

Look = tuple[Any, Callable[[Any], bool]]
"""A request, and whether its answer shows what was looked for."""


def acl(numbers: codes.Numbers, *, there: bool) -> Look:
    """Whether an entry is there, or is not."""
    return messages.DescribeAclsRequest(*numbers), lambda answer: bool(answer.resources) is there


def login(user: str, check: Callable[[dict[int, int]], bool]) -> Look:
    """What `check` says of the iteration counts of the user's logins by mechanism."""

    def checked(answer: Any) -> bool:
        [result] = answer.results
        return check({info.mechanism: info.iterations for info in result.credential_infos})

    return messages.DescribeUserScramCredentialsRequest(users=[(user,)]), checked


def quotas(change: QuotaChange) -> Look:
    """Whether they are set, and the surplus is gone."""

    def checked(answer: Any) -> bool:
        name = f"{change.user}/{change.client}"
        found = {
            (value.key, value.value)
            for entry in answer.entries or ()
            if quota_name(entry) == name
            for value in entry.values
        }
        keys = {key for key, _ in found}
        return all((quota.key, quota.value) in found for quota in change.quotas) and not any(
            quota.key in keys for quota in change.surplus
        )

    return quotas_of(change.user), checked


def configs(step: Configure) -> Look:
    """Whether the topic has these of its own."""
    resource = messages.DescribeConfigsRequest.DescribeConfigsResource
    keys = [key for key, _ in step.configs] + list(step.surplus)
    request = messages.DescribeConfigsRequest(
        resources=[resource(resource_type=codes.TOPIC, resource_name=step.topic, configuration_keys=keys)]
    )

    def checked(answer: Any) -> bool:
        [result] = answer.results
        own = {(config.name, config.value) for config in result.configs if config.config_source == SET_ON_TOPIC}
        return own == step.configs

    return request, checked


def quotas_of(user: str | None) -> Any:
    """A request for the client quotas of one user, or of all."""
    match = {"match_type": _ANY_NAME, "match": None} if user is None else {"match_type": _EXACT, "match": user}
    component = messages.DescribeClientQuotasRequest.ComponentData(entity_type="user", **match)
    return messages.DescribeClientQuotasRequest(components=[component], strict=False)


def quota_entity(entry: Any) -> dict[str, str | None]:
    """Whom an entry is about: `user`, `client-id` or both; None stands for the default."""
    return {part.entity_type: part.entity_name for part in entry.entity}


def quota_client(entity: Mapping[str, str | None]) -> str:
    """Which client ids the entry is about, in the words of `state.Quota`."""
    return (entity["client-id"] or DEFAULT_CLIENT) if "client-id" in entity else ALL_CLIENTS


def quota_name(entry: Any) -> str:
    """User and client of an entry, as `user/client`."""
    entity = quota_entity(entry)
    return f"{entity['user']}/{quota_client(entity)}"
