"""The control plane: etcd, API server, controller manager, scheduler."""

from __future__ import annotations

import json
from pathlib import Path

from stand import pki, users
from stand.part import Part, answers
from stand.recipes import program
from stand.rights import rights
from stand.run import output
from stand.state import Stand

POD_OPERATOR = "system:serviceaccount:matrixhub-chart:matrixhub"
"""The operator of the tests that install the chart."""
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [users.OPERATOR.name, POD_OPERATOR]}, {"level": "None"}],
}
"""Every request of the operator's is in the audit log, without its content: what it may do is held against that."""


def kubectl(stand: Stand, *words: str | Path) -> str:
    """What kubectl printed, called as the cluster's administrator."""
    return output([program("kubectl"), "--kubeconfig", stand.state / users.ADMIN.kubeconfig, *words])


def _etcd(stand: Stand) -> list[str]:
    client = f"http://127.0.0.1:{stand.port('etcd')}"
    peer = f"http://127.0.0.1:{stand.port('etcd-peer')}"
    return [
        str(program("etcd")),
        "--name=stand",
        f"--data-dir={stand.folder('etcd') / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=stand={peer}",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
        f"--quota-backend-bytes={4 << 30}",
    ]


def _prepare_apiserver(stand: Stand) -> None:
    """The certificates, the token file and the two kubeconfigs that people use are there."""
    pki.authority(stand)
    users.token_file(stand)
    users.kubeconfig(stand, users.ADMIN)
    users.kubeconfig(stand, users.OPERATOR)
    (stand.folder("kube-apiserver") / "audit-policy.json").write_text(json.dumps(_AUDITED))


def _apiserver(stand: Stand) -> list[str]:
    certificate, key = pki.serving(stand)
    kubelet_certificate, kubelet_key = pki.kubelet_client(stand)
    return [
        str(program("kube-apiserver")),
        f"--etcd-servers=http://127.0.0.1:{stand.port('etcd')}",
        f"--bind-address={stand.host}",
        f"--advertise-address={stand.host}",
        f"--secure-port={stand.port('apiserver')}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={stand.folder('kube-apiserver') / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--service-cluster-ip-range={stand.service_network}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.service_accounts(stand)}",
        f"--service-account-signing-key-file={pki.service_accounts(stand)}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name is in no DNS
        "--profiling=false",
        f"--audit-policy-file={stand.folder('kube-apiserver') / 'audit-policy.json'}",
        f"--audit-log-path={stand.folder('kube-apiserver') / 'audit.log'}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=1",
    ]


def _settle_apiserver(stand: Stand) -> None:
    """The operator's user has the rights of the files, and people have the kubectl that goes with this server."""
    link = stand.folder("bin") / "kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(program("kubectl"))
    kubectl(stand, "apply", "-f", rights("kubernetes.yaml"), "-f", rights("confinement.yaml"))


def _prepare_controllers(stand: Stand) -> None:
    users.kubeconfig(stand, users.CONTROLLERS)


def _controllers(stand: Stand) -> list[str]:
    own = stand.state / users.CONTROLLERS.kubeconfig
    return [
        str(program("kube-controller-manager")),
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        f"--secure-port={stand.port('controller-manager')}",
        f"--root-ca-file={pki.authority(stand)}",
        f"--cluster-signing-cert-file={pki.authority(stand)}",
        f"--cluster-signing-key-file={pki.folder(stand) / 'ca.key'}",
        f"--service-account-private-key-file={pki.service_accounts(stand)}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    ]


def _prepare_scheduler(stand: Stand) -> None:
    users.kubeconfig(stand, users.SCHEDULER)


def _scheduler(stand: Stand) -> list[str]:
    own = stand.state / users.SCHEDULER.kubeconfig
    return [
        str(program("kube-scheduler")),
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        "--bind-address=127.0.0.1",
        f"--secure-port={stand.port('scheduler')}",
        "--leader-elect=false",
    ]


ETCD = Part(
    name="etcd",
    group="cluster",
    command=_etcd,
    ready=lambda stand: answers(f"http://127.0.0.1:{stand.port('etcd')}/health"),
)
APISERVER = Part(
    name="kube-apiserver",
    group="cluster",
    prepare=_prepare_apiserver,
    command=_apiserver,
    ready=lambda stand: answers(f"{users.url(stand)}/readyz"),
    settle=_settle_apiserver,
    after=("etcd",),
)
CONTROLLERS = Part(
    name="kube-controller-manager",
    group="cluster",
    prepare=_prepare_controllers,
    command=_controllers,
    ready=lambda stand: answers(f"https://127.0.0.1:{stand.port('controller-manager')}/healthz"),
    after=("kube-apiserver",),
)
SCHEDULER = Part(
    name="kube-scheduler",
    group="cluster",
    prepare=_prepare_scheduler,
    command=_scheduler,
    ready=lambda stand: answers(f"https://127.0.0.1:{stand.port('scheduler')}/healthz"),
    after=("kube-apiserver",),
)
