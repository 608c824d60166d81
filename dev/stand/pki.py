"""The certificates and keys of the cluster and the backends, made once for each address the stand gets."""

from __future__ import annotations

import threading
from pathlib import Path

from stand.run import output
from stand.state import Stand

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]


def folder(stand: Stand) -> Path:
    """Where they are."""
    return stand.folder("pki")


_making = threading.RLock()
"""Parts are prepared side by side, and several of them show the same certificate."""


def authority(stand: Stand) -> Path:
    """The certificate that signs all others."""
    certificate = folder(stand) / "ca.crt"
    with _making:
        if not certificate.exists():
            output(
                [
                    "openssl",
                    "req",
                    "-x509",
                    *_KEY,
                    "-subj",
                    "/CN=stand",
                    "-keyout",
                    folder(stand) / "ca.key",
                    "-addext",
                    "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
                    "-out",
                    certificate,
                ]
            )
    return certificate


def _signed(stand: Stand, name: str, subject: str, *extensions: str) -> tuple[Path, Path]:
    with _making:
        return _certificate(stand, name, subject, *extensions)


def _certificate(stand: Stand, name: str, subject: str, *extensions: str) -> tuple[Path, Path]:
    certificate, key = folder(stand) / f"{name}.crt", folder(stand) / f"{name}.key"
    if not certificate.exists():
        signer: list[str | Path] = ["-CA", authority(stand), "-CAkey", folder(stand) / "ca.key"]
        wanted = [
            word for extension in ("basicConstraints=critical,CA:false", *extensions) for word in ("-addext", extension)
        ]
        output(
            ["openssl", "req", "-x509", *_KEY, *signer, "-subj", subject, *wanted, "-keyout", key, "-out", certificate]
        )
    return certificate, key


def serving(stand: Stand) -> tuple[Path, Path]:
    """The API server's certificate and key, for every name and address it is called by."""
    names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    addresses = [stand.host, "127.0.0.1", stand.service_network.split("/")[0][:-1] + "1"]
    alternatives = ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])
    return _signed(
        stand,
        f"apiserver-{stand.slot}",
        "/CN=kube-apiserver",
        f"subjectAltName={alternatives}",
        "extendedKeyUsage=serverAuth",
    )


def backend(stand: Stand) -> tuple[Path, Path]:
    """The certificate and key that every backend shows where it speaks TLS: for the stand's address, and no other."""
    name = f"subjectAltName=IP:{stand.host}"
    return _signed(stand, f"backend-{stand.slot}", "/CN=backend", name, "extendedKeyUsage=serverAuth,clientAuth")


def client(stand: Stand) -> tuple[Path, Path]:
    """A certificate and key for clients of backends that ask for one."""
    return _signed(stand, "client", "/CN=client", "extendedKeyUsage=clientAuth")


def kubelet_client(stand: Stand) -> tuple[Path, Path]:
    """What the API server shows to the kubelet; the kubelet lets in nobody else unasked."""
    return _signed(stand, "kubelet-client", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth")


def service_accounts(stand: Stand) -> Path:
    """The key that signs service account tokens."""
    key = folder(stand) / "service-accounts.key"
    if not key.exists():
        output(["openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", key])
    return key
