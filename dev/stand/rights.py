"""The rights of the operator's admin users: `manifests/admin-rights`, or wider ones while a file is missing."""

from __future__ import annotations

from pathlib import Path

from stand.run import shown
from stand.state import CHECKOUT, Stand

_FOLDER = CHECKOUT / "manifests" / "admin-rights"

_WIDE = {
    "postgres.sql": "",
    "redis.acl": "~* &* +@all",
    "kafka.acls": "cluster kafka-cluster literal all\ntopic * literal all\ngroup * literal all\n"
    "transactional-id * literal all\n",
    "minio.json": '{"Version": "2012-10-17", "Statement": ['
    '{"Effect": "Allow", "Action": ["admin:*"]}, '
    '{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]}',
    "kubernetes.yaml": """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: matrixhub-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: matrixhub-operator}]
""",
}


def rights(stand: Stand, name: str, *, said: bool = True) -> Path:
    """The file with the admin user's rights in one system."""
    file = _FOLDER / name
    if file.exists():
        return file
    if said:
        shown("rights", f"manifests/admin-rights/{name} is not there: the admin user gets wide rights")
    wide = stand.folder("rights") / name
    wide.write_text(_WIDE[name])
    return wide
