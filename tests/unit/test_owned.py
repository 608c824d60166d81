"""An owned object's event is news only when somebody else has changed what the object says."""

from typing import Any

import pytest

from matrixhub.api import naming
from matrixhub.owned import Echoes, tenant_of


def secret(data: str = "a", uid: str = "u", kind: str = "Secret", **metadata: Any) -> dict[str, Any]:
    """An object of a tenant's namespace."""
    return {"kind": kind, "metadata": {"uid": uid, "labels": naming.MANAGED_BY, **metadata}, "data": data}


def test_the_echo_of_our_own_write_is_expected_and_somebodys_change_is_not():
    echoes = Echoes()
    echoes.note(secret())
    assert echoes.expects(secret(resourceVersion="5"), listed=False)
    assert not echoes.fresh(secret(resourceVersion="5"))
    for change in (secret("b", resourceVersion="6"), secret("b", resourceVersion="7", deletionTimestamp="now")):
        assert not echoes.expects(change, listed=False)
        assert echoes.fresh(change)
        assert echoes.expects(change, listed=False)


def test_an_echo_that_is_faster_than_its_answer_is_no_news_once_the_answer_is_there():
    echoes = Echoes()
    assert not echoes.expects(secret(resourceVersion="5"), listed=False)
    echoes.note(secret(resourceVersion="5"))
    assert not echoes.fresh(secret(resourceVersion="5"))


def test_what_a_list_shows_first_is_known_and_what_it_shows_otherwise_was_changed_meanwhile():
    echoes = Echoes()
    assert echoes.expects(secret(), listed=True)
    assert echoes.expects(secret(), listed=True)
    assert not echoes.expects(secret("b"), listed=True)
    assert echoes.fresh(secret("b"))


def test_a_change_that_was_overwritten_before_it_was_judged_is_past_and_news_when_it_comes_again():
    echoes = Echoes()
    echoes.note(secret(resourceVersion="1"))
    assert not echoes.expects(secret("b", resourceVersion="2"), listed=False)
    assert echoes.expects(secret(resourceVersion="3"), listed=False)
    assert not echoes.fresh(secret("b", resourceVersion="2"))
    assert not echoes.expects(secret("b", resourceVersion="4"), listed=False)
    assert echoes.fresh(secret("b", resourceVersion="4"))


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": naming.namespace("green")},
        {"name": "redis", "namespace": naming.namespace("green"), "labels": {naming.TENANT_LABEL: "blue"}},
        {"name": naming.cluster_role("green")},
    ],
)
def test_whose_an_object_is_says_its_place_and_not_its_labels(metadata: dict[str, Any]):
    assert tenant_of(metadata) == "green"


def test_nothing_is_remembered_of_what_is_not_watched_or_gone():
    echoes = Echoes()
    echoes.note(secret(kind="Event"))
    echoes.note(secret(kind="Tenant"))
    echoes.note(secret(uid="v"))
    echoes.forget(secret(uid="v"))
    assert not vars(echoes)["_known"]
