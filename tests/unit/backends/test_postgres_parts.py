"""The smaller pure parts of the Postgres backend, each by example."""

import base64
import hashlib
import hmac
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import NOWHERE, cluster, intent

from matrixhub.backends.contract import Credential, Owner, Phase
from matrixhub.backends.postgres import desired, places
from matrixhub.backends.postgres.holdings import Reference, deletion_order
from matrixhub.backends.postgres.scram import scram
from matrixhub.backends.postgres.state import Name
from matrixhub.errors import Rejected

STAND = NOWHERE | {"PGHOST": "db.example", "PGPORT": "5433"}
ON = cluster(STAND)


def test_the_binding_is_what_an_application_connects_with() -> None:
    made = desired.binding(intent("greenwood", ON, username="tenant_greenwood", password="a/b@c:d?" * 4))
    url = urlsplit(made["uri"])
    assert made["type"] == "postgresql"
    assert (url.hostname, url.port, url.path, unquote(url.password or "")) == (
        "db.example",
        5433,
        "/hub",
        "a/b@c:d?" * 4,
    )
    assert (made["host"], made["port"], made["database"], made["username"]) == (
        "db.example",
        "5433",
        "hub",
        "tenant_greenwood",
    )
    assert url.query == "sslmode=disable"


def test_without_access_there_is_no_binding_and_no_password_is_no_role() -> None:
    assert desired.binding(intent("greenwood", ON, Phase.RETAINED)) == {}
    bare = intent("greenwood", ON)
    with pytest.raises(Rejected) as refused:
        desired.share(type(bare)(bare.tenant, ON, Phase.ACTIVE, Owner("hub", "u"), None))
    assert refused.value.reason == "CredentialMissing"


def test_the_wishes_of_the_spec_are_the_role_s_settings() -> None:
    role = desired.share(intent("greenwood", ON, postgres={"statementTimeout": "1m30s", "connectionLimit": 7})).role
    assert role is not None
    assert role.connection_limit == 7
    assert ("", "statement_timeout=90000ms") in role.settings
    assert (
        "",
        f"idle_in_transaction_session_timeout={desired.IDLE_IN_TRANSACTION // timedelta(milliseconds=1)}ms",
    ) in role.settings


@given(
    st.text(min_size=1, max_size=63).filter(lambda text: len(text.encode()) <= 63),
    st.from_regex(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True),
)
def test_a_partition_s_name_fits_and_ends_in_the_tenant(relation: str, tenant: str) -> None:
    made = desired.partition_name(Name("public", relation), tenant)
    assert len(made.relation.encode()) <= 63
    assert made.relation.endswith(f"_{tenant}")


def test_long_tables_that_begin_alike_have_partitions_and_indexes_of_different_names() -> None:
    one, two = (Name("public", "a" * 60 + end) for end in "xy")
    assert desired.partition_name(one, "t" * 32) != desired.partition_name(two, "t" * 32)
    assert desired.index_name(one) != desired.index_name(two)


@given(st.text(min_size=1, max_size=63).filter(lambda text: len(text.encode()) <= 63))
def test_an_index_s_name_fits_and_begins_with_the_table_s(relation: str) -> None:
    made = desired.index_name(Name("public", relation)).relation
    assert len(made.encode()) <= 63
    assert made.endswith("_matrixhub_idx")
    assert made.startswith(relation[:10])
    if len(relation.encode()) <= 40:
        assert made == f"{relation}_matrixhub_idx", "the indexes that are there keep their names"


def test_the_verifier_is_the_one_postgres_would_make() -> None:
    password = "a-password-of-32-characters-0000"
    kind, iterations_salt, keys = scram(password).split("$")
    iterations, salt = iterations_salt.split(":")
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    assert kind == "SCRAM-SHA-256"
    assert stored == hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert server == hmac.digest(salted, b"Server Key", "sha256")
    assert scram(password) != scram(password), "each has its own salt"


def refers(table: Name, *targets: Name) -> list[Reference]:
    return [Reference(table, ("tenant_id", "x"), target, ("tenant_id", "id")) for target in targets]


def test_rows_go_before_the_rows_they_refer_to() -> None:
    students, courses, enrolments, notes = (
        Name("public", name) for name in ("students", "courses", "enrolments", "notes")
    )
    keys = refers(enrolments, students, courses) + refers(notes, notes, enrolments)
    order = deletion_order([students, courses, enrolments, notes], keys)
    place = {table: number for number, group in enumerate(order) for table in group}
    assert place[notes] < place[enrolments] < min(place[students], place[courses])
    assert all(len(group) == 1 for group in order)


def test_tables_that_refer_in_a_circle_go_together() -> None:
    a, b, c = (Name("public", name) for name in "abc")
    order = deletion_order([a, b, c], refers(a, b) + refers(b, a) + refers(c, a))
    assert order == (frozenset({c}), frozenset({a, b}))


tables_by_name = st.sampled_from([Name("public", name) for name in "abcdef"])


@given(st.lists(st.tuples(tables_by_name, tables_by_name)))
def test_every_table_goes_once_and_no_reference_points_ahead(pairs: list[tuple[Name, Name]]) -> None:
    tables = [Name("public", name) for name in "abcdef"]
    order = deletion_order(tables, [key for table, target in pairs for key in refers(table, target)])
    assert sorted(table for group in order for table in group) == tables
    place = {table: number for number, group in enumerate(order) for table in group}
    assert all(place[table] <= place[target] for table, target in pairs)


def rows(*bounds: tuple[str, str, str]) -> list[dict[str, object]]:
    return [
        {"parent": 1, "schema": "public", "name": name, "bound": bound, "leaving": False} for name, bound, _ in bounds
    ]


def test_a_tenant_s_place_is_found_by_name_by_bound_or_in_company() -> None:
    parents = [{"oid": 1, "schema": "public", "name": "audit", "owner": ""}]
    found = places.Places(parents, ["a", "b", "c", "d"])
    named = {
        "parent": 1,
        "schema": "public",
        "name": "audit_a",
        "bound": "FOR VALUES IN ('a')",
        "leaving": False,
        "kind": "r",
        "owner": "hub_admin",
    }
    stray = {
        "parent": None,
        "schema": "public",
        "name": "audit_d",
        "bound": None,
        "leaving": None,
        "kind": "v",
        "owner": "mallory",
    }
    found.learn([named, stray])
    assert found.missing() == {"b", "c", "d"}
    found.learn(rows(("mine", "FOR VALUES IN ('b')", ""), ("both", "FOR VALUES IN ('c', 'it''s')", "")))
    assert found.missing() == {"d"}
    assert {p.name.relation for t in "abc" for p in found.of(t)[0]} == {"audit_a", "mine"}
    assert found.of("c") == (frozenset(), frozenset())
    (lacking,) = found.of("d")[1]
    assert lacking.name == Name("public", "audit_d")
    assert lacking.taken == "a view of role mallory"


def test_credentials_are_not_printed() -> None:
    made = intent("greenwood", ON, password="a-password-of-32-characters-0000")
    assert isinstance(made.credential, Credential)
    assert "characters" not in repr(desired.share(made))
