"""What a tenant's owner may publish by an Ingress where the platform's hosts are reserved, on a real API server.

The chart's policy is there a second time, with hosts of the test's own: the stand's reserves none.
"""

import secrets
from collections.abc import Iterator

import pytest
from tests.apiserver.thief import FORBIDDEN, Answer, Asker, Place, edited_by, path_of, theirs
from tests.chart.release import rendered
from tests.patience import until
from tests.support import stand_variables

from matrixhub.kube.resources import Manifest

DOMAIN = f"{secrets.token_hex(3)}.example.org"
GATEWAYS, PLATFORM = f"ws.{DOMAIN}", f"*.platform.{DOMAIN}"
BACKEND: Manifest = {"service": {"name": "theirs", "port": {"number": 80}}}
"""Of an app of the owner's, which would read what is meant for gateways."""


def rule(host: str | None, path: str = "/apps/1234") -> Manifest:
    http = {"paths": [{"path": path, "pathType": "Prefix", "backend": BACKEND}]}
    return {"http": http} | ({} if host is None else {"host": host})


def ingress(namespace: str, *hosts: str | None, name: str = "theirs", **spec: object) -> Manifest:
    rules = {"rules": [rule(host) for host in hosts]} if hosts else {}
    return theirs("Ingress", "networking.k8s.io/v1", namespace, name, spec=rules | spec)


@pytest.fixture(scope="module")
def owner(at: Place) -> Iterator[Asker]:
    """An owner with `edit` of the tenant's namespace, once the policy with the reserved hosts is in force."""
    options = ["--show-only", "templates/hosts.yaml", "--set", f"fullnameOverride=ingresses-{secrets.token_hex(3)}"]
    policy = rendered(None, *options, "--set", f"admissionPolicy.reservedHosts={{{GATEWAYS},{PLATFORM}}}")
    asker = Asker(stand_variables()["KUBECONFIG"], "editor")
    with at.there(*policy, edited_by("editor", at.inside)):
        taking = ingress(at.inside, GATEWAYS)
        until(lambda: "reserved" in asker.create(taking).message, 20, "the policy is in force")
        yield asker


def refused(answer: Answer, sentence: str) -> bool:
    return answer.status == FORBIDDEN and sentence in answer.message


@pytest.mark.parametrize(
    "host",
    [
        GATEWAYS,
        f"*.{DOMAIN}",
        "*.org",
        f"platform-1.platform.{DOMAIN}",
        f"deep.er.platform.{DOMAIN}",
        PLATFORM,
        f"*.deeper.platform.{DOMAIN}",
    ],
)
def test_no_tenants_ingress_has_a_reserved_host_or_covers_one(at: Place, owner: Asker, host: str) -> None:
    """The longer path wins, in whosever namespace it is: events would come in plain text to the wrong tenant."""
    sentence = f"takes no host that is reserved ({GATEWAYS}, {PLATFORM}), nor a wildcard that covers one"
    certificate = [{"hosts": [host], "secretName": "theirs"}]
    own = ingress(at.inside, f"app.{DOMAIN}")
    with at.there(own):
        for asker in (owner, at.admin):
            assert refused(asker.create(ingress(at.inside, host, name="taking")), sentence)
            assert refused(asker.create(ingress(at.inside, f"app.{DOMAIN}", host, name="taking")), sentence)
            assert refused(asker.create(ingress(at.inside, f"app.{DOMAIN}", name="taking", tls=certificate)), sentence)
            assert refused(asker.patch(path_of(own), {"spec": {"rules": [rule(host)]}}), sentence)


def test_no_tenants_ingress_takes_every_host(at: Place, owner: Asker) -> None:
    own = ingress(at.inside, f"app.{DOMAIN}")
    with at.there(own):
        for asker in (owner, at.admin):
            for hosts in ((None,), ("",), (f"app.{DOMAIN}", None)):
                every = ingress(at.inside, *hosts, name="taking")
                assert refused(asker.create(every), "names a host in each rule")
            assert refused(asker.patch(path_of(own), {"spec": {"rules": [rule(None)]}}), "names a host in each rule")
            default = ingress(at.inside, name="taking", defaultBackend=BACKEND)
            assert refused(asker.create(default), "leave out spec.defaultBackend")
            patch = {"spec": {"defaultBackend": BACKEND}}
            assert refused(asker.patch(path_of(own), patch), "leave out spec.defaultBackend")


def test_where_nothing_is_reserved_none_takes_every_host_either(at: Place) -> None:
    """The stand's policy is the chart's with its default values."""
    assert refused(at.admin.create(ingress(at.inside, None, name="taking")), "names a host in each rule")
    default = ingress(at.inside, name="taking", defaultBackend=BACKEND)
    assert refused(at.admin.create(default), "leave out spec.defaultBackend")
    with at.there(ingress(at.inside, f"ws.other-{DOMAIN}")):
        pass


def test_its_own_hosts_are_an_owners_to_publish(at: Place, owner: Asker) -> None:
    hosts = (f"app.{DOMAIN}", f"*.app.{DOMAIN}", f"app.ws.{DOMAIN}", f"*.ws.{DOMAIN}", f"xws.{DOMAIN}", DOMAIN)
    for host in (*hosts, f"platform.{DOMAIN}"):
        answer = owner.create(ingress(at.inside, host, tls=[{"hosts": [host], "secretName": "theirs"}, {}]))
        assert answer.granted, answer.message


def test_outside_of_tenants_namespaces_every_host_is_the_platforms(at: Place, owner: Asker) -> None:
    for manifest in (
        ingress(at.house, GATEWAYS),
        ingress(at.house, f"*.{DOMAIN}"),
        ingress(at.house, None),
        ingress(at.house, defaultBackend=BACKEND),
    ):
        with at.there(manifest):
            pass


def test_a_tenants_ingress_keeps_what_it_had(at: Place, owner: Asker) -> None:
    """Or nothing of it could be changed any more once the policy is there."""
    tls = [{"hosts": [GATEWAYS], "secretName": "theirs"}]
    older = ingress(at.inside, GATEWAYS, None, name="older", defaultBackend=BACKEND, tls=tls)
    path, other = path_of(older), f"one.platform.{DOMAIN}"
    at.has_from_before(older)
    until(lambda: refused(owner.create(ingress(at.inside, GATEWAYS)), "reserved"), 10, "it sees the tenant's again")
    assert at.admin.patch(path, {"metadata": {"labels": {"a": "b"}}}).granted
    assert refused(at.admin.patch(path, {"spec": {"rules": [rule(GATEWAYS), rule(other)]}}), "reserved")
    for less in ({"tls": None}, {"defaultBackend": None}, {"rules": [rule(f"app.{DOMAIN}")]}):
        assert at.admin.patch(path, {"spec": less}).granted
    for more in ({"tls": tls}, {"defaultBackend": BACKEND}, {"rules": [rule(GATEWAYS)]}, {"rules": [rule(None)]}):
        assert at.admin.patch(path, {"spec": more}).status == FORBIDDEN
    assert at.admin.delete(path).granted
