"""Certificates as people put them into Secrets, and what is told of those that do not fit: by real handshakes."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Authority

from matrixhub.errors import Rejected
from matrixhub.tls import REASONS, Files, Trust

SECTION = "spec.kafka.tls"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"))


@contextlib.contextmanager
def server(authority: Authority, *names: str, wants_ours: bool = False) -> Iterator[int]:
    """The port of a server that shows a certificate for these names, and then waits for what is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", *names))
    if wants_ours:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context), daemon=True).start()
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):  # the listener is closed
        while True:
            connection, _ = listener.accept()
            # A client that does not trust what it is shown hangs up.
            with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)


def told(trust: Trust, port: int) -> Rejected | None:
    """What is said of a server that a client with this trust cannot work with."""
    return trust.refusal("kafka at k:1", trust.complaint("127.0.0.1", port))


def test_a_server_whose_certificate_fits_has_no_complaint(authority: Authority) -> None:
    with server(authority, "IP:127.0.0.1") as port:
        assert told(Trust(SECTION, authority.pem), port) is None


def test_each_wrong_certificate_has_its_reason_and_says_what_to_do(authority: Authority, other: Authority) -> None:
    mine = Trust(SECTION, authority.pem)
    with server(authority, "IP:127.0.0.1") as port:
        strange, unknown = told(Trust(SECTION, other.pem), port), told(Trust(SECTION), port)
    with server(authority, "DNS:kafka.example.org", "IP:10.0.0.1") as port:
        elsewhere = told(mine, port)
    old = mine.refusal("kafka at k:1", "certificate verify failed: certificate has expired (_ssl.c:1006)")
    assert strange is not None
    assert unknown is not None
    assert elsewhere is not None
    assert old is not None
    assert (strange.reason, unknown.reason) == ("CertificateUntrusted", "CertificateUntrusted")
    assert "`ca.crt` in the Secret of spec.kafka.tls.caSecretRef" in strange.message
    assert "name the authority" in unknown.message
    assert elsewhere.reason == "CertificateNameMismatch"
    assert "127.0.0.1" in elsewhere.message
    assert old.reason == "CertificateExpired"
    assert {strange.reason, elsewhere.reason, old.reason} <= set(REASONS)


def test_a_server_that_wants_a_client_certificate_is_heard(authority: Authority, other: Authority) -> None:
    with server(authority, "IP:127.0.0.1", wants_ours=True) as port:
        without = told(Trust(SECTION, authority.pem), port)
        right, wrong = (
            told(Trust(SECTION, authority.pem, certificate.read_text(), key.read_text()), port)
            for certificate, key in (each.issue("client", "DNS:client") for each in (authority, other))
        )
    assert without is not None
    assert wrong is not None
    assert without.reason == "ClientCertificateRequired"
    assert "spec.kafka.tls.clientCertSecretRef" in without.message
    assert wrong.reason == "ClientCertificateRefused"
    assert right is None


def test_a_server_without_tls_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"-ERR what do you mean\r\n")
                connection.recv(1024)

        threading.Thread(target=greet, daemon=True).start()
        found = told(Trust(SECTION), listener.getsockname()[1])
    assert found is not None
    assert found.reason == "TlsUnavailable"


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "field"),
    [
        ("no certificate", "", "", "caSecretRef"),
        ("", "no certificate", "no key", "clientCertSecretRef"),
        ("", "{certificate}", "no key", "clientCertSecretRef"),
        ("", "{certificate}", "{other}", "clientCertSecretRef"),
    ],
)
def test_what_is_no_certificate_is_told_without_it(
    authority: Authority, ca: str, certificate: str, key: str, field: str
) -> None:
    (mine, _), (_, another) = authority.issue("mine", "DNS:a"), authority.issue("another", "DNS:b")
    texts = (text.format(certificate=mine.read_text(), other=another.read_text()) for text in (ca, certificate, key))
    with pytest.raises(Rejected, match=field) as error:
        Files(Trust(SECTION, *texts))
    assert error.value.reason == "CertificateInvalid"
    assert "PRIVATE" not in str(error.value)


def test_files_are_in_memory_private_and_gone_once_closed(authority: Authority) -> None:
    certificate, key = (path.read_text() for path in authority.issue("client", "DNS:client"))
    trust = Trust.of(SECTION, {"ca.crt": authority.pem, "tls.crt": certificate, "tls.key": key})
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = Files(trust)
    assert [Path(each).read_text() for each in (files.ca, files.certificate, files.key)] == [
        authority.pem,
        certificate,
        key,
    ]
    assert Path(files.key).stat().st_mode & 0o077 == 0, "libpq refuses a key that others may read"
    assert str(Path(files.key).readlink()).startswith("/memfd:")
    assert files.libpq("verify-full").startswith(f"sslmode=verify-full sslrootcert='{files.ca}' sslcert='/proc")
    files.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert key not in repr(trust)


def test_without_an_authority_the_systems_are_trusted_where_names_are_checked() -> None:
    files = Files(Trust(SECTION))
    assert "BEGIN CERTIFICATE" in Path(files.ca).read_text(encoding="utf-8")
    told = [files.libpq(mode).split()[1] for mode in ("verify-full", "require")]
    assert told == [f"sslrootcert='{files.ca}'", "sslrootcert=''"]
    files.close()
