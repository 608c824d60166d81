"""Every part of the stand, in the order in which a person thinks of them."""

from __future__ import annotations

from stand.part import Part
from stand.parts.cluster import APISERVER, CONTROLLERS, ETCD, SCHEDULER
from stand.parts.firewall import FIREWALL
from stand.parts.kafka import KAFKA
from stand.parts.minio import MINIO, MINIO_TLS
from stand.parts.node import CONTAINERD, KUBELET, PROXY
from stand.parts.operator import OPERATOR
from stand.parts.postgres import POSTGRES
from stand.parts.redis import REDIS

PARTS: tuple[Part, ...] = (
    POSTGRES,
    REDIS,
    KAFKA,
    MINIO,
    MINIO_TLS,
    ETCD,
    APISERVER,
    CONTROLLERS,
    SCHEDULER,
    CONTAINERD,
    KUBELET,
    PROXY,
    FIREWALL,
    OPERATOR,
)
