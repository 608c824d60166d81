"""What a RealtimeCluster runs: its gateways and its relay."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from matrixhub.api.services import PORT
from matrixhub.api.values import (
    Duration,
    ListType,
    Model,
    ObjectName,
    Quantity,
    Rule,
    SecretRef,
    Whole,
    rules,
)

Text = Annotated[str, Field(min_length=1, max_length=253)]
Labels = dict[str, Annotated[str, Field(max_length=4096)]]
AsInPods = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]
"""Handed to the pods as it is: the API server checks it with them."""

REPLICAS_IN_ORDER = Rule(
    "self.minReplicas <= self.maxReplicas",
    "minReplicas must not be above maxReplicas: raise maxReplicas or lower minReplicas",
)
TOPIC_PATTERN = r"^([*]|[a-z0-9]([a-z0-9-]*[a-z0-9])?)([.]([*]|[a-z0-9]([a-z0-9-]*[a-z0-9])?)){2}$"
TopicPattern = Annotated[
    str,
    Field(min_length=5, max_length=191),
    Rule(
        f"self.matches('{TOPIC_PATTERN}')",
        "must be tenant.domain.event, each a name or a *, such as *.institution.* or *.analytics.errors",
    ),
]
_PLACEHOLDERS = "tenant|domain|event|key"
ChannelTemplate = Annotated[
    str,
    Field(min_length=1, max_length=200),
    Rule(
        f"self.matches('^([A-Za-z0-9_=@,.;-]|[{{]({_PLACEHOLDERS})[}}])+$')",
        "must be letters, digits and _ - = @ , . ; with {tenant}, {domain}, {event} or {key} (the record's) "
        "in between, such as {domain}.{event} or private-{domain}",
    ),
]

WEBSOCKET_PORT = 6001
"""Where the gateways' pods take browsers and publishers, whatever the Service's port."""
SESSIONS_PER_GATEWAY = 4
"""Sessions in Postgres that one gateway opens at most: each lookup takes a fraction of a millisecond."""
SESSIONS_PER_RELAY = 1


class Resources(Model):
    """What a container asks for and may use, as in a pod."""

    requests: dict[str, Quantity] = Field(default={"cpu": "100m", "memory": "128Mi"}, max_length=16)
    """By resource, what is set aside for each pod. When changed: pods are replaced one at a time."""
    limits: dict[str, Quantity] = Field(default={"cpu": "1", "memory": "512Mi"}, max_length=16)
    """By resource, what each pod may use at most. When changed: pods are replaced one at a time."""


class ImagePullSecret(Model):
    """A Secret in the RealtimeCluster's namespace with which an image is pulled, as in a pod."""

    name: ObjectName
    """Name of the Secret, of type kubernetes.io/dockerconfigjson. When changed: pods are replaced one at a time."""


class Pods(Model):
    """How and where pods of one kind run."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled. When changed: pods are replaced one at a time."""
    image_pull_secrets: Annotated[tuple[ImagePullSecret, ...], ListType("map", ("name",))] = Field(
        default=(), max_length=8
    )
    """Secrets with which the image is pulled from a registry that asks who you are.

    When changed: pods are replaced one at a time.
    """
    annotations: Labels = Field(default={}, max_length=64)
    """Annotations of each pod. When changed: pods are replaced one at a time."""
    node_selector: Labels = Field(default={}, max_length=64)
    """Labels of the nodes that pods may run on. When changed: pods are replaced one at a time."""
    tolerations: tuple[AsInPods, ...] = Field(default=(), max_length=32)
    """Taints of nodes that pods may run on nevertheless. When changed: pods are replaced one at a time."""
    topology_spread_constraints: tuple[AsInPods, ...] = Field(default=(), max_length=8)
    """How pods spread over nodes and zones. Without it they spread over nodes, as far as there are some.

    When changed: pods are replaced one at a time.
    """


class GatewayService(Model):
    """How the gateways are reached."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service. When changed: the Service follows within seconds; no gateway is replaced."""
    annotations: Labels = Field(default={}, max_length=64)
    """Annotations of the Service, such as a load balancer's.

    When changed: the Service follows within seconds; no gateway is replaced.
    """


class GatewayTls(Model):
    """The certificate that the gateways show."""

    secret_name: ObjectName
    """The Secret of type kubernetes.io/tls with `tls.crt` and `tls.key`, in the RealtimeCluster's namespace.

    When changed: gateways and relays are replaced one at a time; so they are when the certificate in the Secret
    changes.
    """
    ca_secret_ref: SecretRef | None = None
    """The Secret whose `ca.crt` signs it: tenants' Secrets carry it. Without it a public authority is supposed.

    When changed: tenants' Secrets hold it at the next resync; no pod is replaced.
    """


class Gateway(Pods):
    """The WebSocket gateways (sockudo, which speaks the Pusher protocol)."""

    model_config = ConfigDict(json_schema_extra=rules(REPLICAS_IN_ORDER))

    image: Text
    """The gateways' image, as Dockerfile.gateway makes it.

    When changed: gateways are replaced one at a time; browsers of each come back at once.
    """
    min_replicas: Whole = Field(default=2, ge=1, le=1000)
    """Gateways at least. When changed: obeyed at the next look, every 5 s."""
    max_replicas: Whole = Field(default=20, ge=1, le=1000)
    """Gateways at most. When changed: obeyed at the next look, every 5 s; more than that go one at a time."""
    connections_per_replica: Whole = Field(default=5000, ge=1, le=1000000)
    """Sockets that one gateway takes; further ones are refused with 4100, and clients try another.

    When changed: gateways are replaced one at a time.
    """
    resources: Resources = Resources()
    """What each gateway asks for and may use."""
    service: GatewayService = GatewayService()
    """How the gateways are reached."""
    tls: GatewayTls | None = None
    """The certificate that the gateways show. Without it they speak plain ws and http.

    When changed: gateways and relays are replaced one at a time; Secrets say https or http.
    """
    public_url: (
        Annotated[
            str,
            Field(min_length=1, max_length=253),
            Rule(
                f"self.matches('^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:{PORT})?$')",
                "must be a URL such as https://ws.example.org or http://10.0.0.1:30080, without a path",
            ),
        ]
        | None
    ) = None
    """Where browsers and applications find the gateways; tenants' Secrets say so. Without it the Service's name.

    When changed: Secrets say it within seconds; no gateway is replaced.
    """


class Route(Model):
    """Which records become events on which channel of their tenant's app."""

    topics: TopicPattern
    """The topics whose records take this route.

    When changed: relays are replaced one at a time; records that wait take the new route.
    """
    channel: ChannelTemplate
    """The channel. When changed: relays are replaced one at a time; records that wait take the new route."""
    event: ChannelTemplate = "{event}"
    """The event's name. When changed: relays are replaced one at a time; records that wait take the new route."""


class Relay(Pods):
    """The relay: consumes the tenants' topics and publishes to their channels. The first route that fits is taken."""

    model_config = ConfigDict(json_schema_extra=rules(REPLICAS_IN_ORDER))

    image: Annotated[str, Field(max_length=253)] = ""
    """The relay's image. Without it the operator's own.

    When changed: relays are replaced one at a time; no event is lost.
    """
    routes: tuple[Route, ...] = Field(min_length=1, max_length=32)
    """Which records become events on which channel.

    When changed: relays are replaced one at a time; records that wait take the new route.
    """
    min_replicas: Whole = Field(default=1, ge=1, le=1000)
    """Relays at least. When changed: obeyed at the next look, every 5 s."""
    max_replicas: Whole = Field(default=12, ge=1, le=1000)
    """Relays at most. There are never more than partitions. When changed: obeyed at the next look, every 5 s."""
    target_drain: Duration = Field(default="30s", validate_default=True)
    """Within which time a backlog is to be emptied. When changed: obeyed at the next look, every 5 s."""
    resources: Resources = Resources()
    """What each relay asks for and may use."""


class GatewayPodStatus(Model):
    """One gateway."""

    name: str
    """The pod."""
    ready: bool
    """Whether it takes connections."""
    connections: int
    """Sockets that it holds; -1 when it does not say."""


class GatewayStatus(Model):
    """The gateways."""

    replicas: int = 0
    """Gateways that are wanted."""
    ready: int = 0
    """Gateways that take connections."""
    connections: int = 0
    """Sockets on all of them."""
    pods: Annotated[tuple[GatewayPodStatus, ...], ListType("map", ("name",))] = ()
    """Each of them, at most the hundred fullest."""
