"""How the answers of Postgres' catalogs to `questions.py` become state. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matrixhub.api import naming
from matrixhub.backends.contract import Intent, Mark, Owner
from matrixhub.backends.postgres.state import (
    SCHEMA,
    Database,
    Function,
    Grant,
    Name,
    Piece,
    Policy,
    Role,
    Share,
    Table,
    of_tenants,
)
from matrixhub.errors import Rejected

Row = Mapping[str, Any]


def name(row: Row) -> Name:
    """The relation that a row speaks of."""
    return Name(row["schema"], row["name"])


def grants(pairs: Iterable[Sequence[str]]) -> frozenset[Grant]:
    """Privileges from [grantee, privilege] pairs."""
    return frozenset(Grant(grantee, privilege) for grantee, privilege in pairs)


def table(row: Row, admin: str) -> Table:
    """A managed table, or one that has the tenant column and cannot be managed."""
    obstacle, remedy = _obstacle(row, admin)
    column = row["column"] if row["type"] == "text" else f"({row['column']})::text"
    return Table(
        name=name(row),
        column=column,
        partitioned=row["kind"] == "p",
        secured=row["secured"],
        forced=row["forced"],
        policies=frozenset(_policy(policy) for policy in row["policies"]),
        default=row["default"],
        indexed=row["indexed"],
        grants=grants(row["grants"]),
        sequences=frozenset((Name(schema, sequence), usable) for schema, sequence, usable in row["sequences"]),
        obstacle=obstacle,
        remedy=remedy,
    )


def _obstacle(row: Row, admin: str) -> tuple[str, str]:
    if row["kind"] == "f":
        return "is a foreign table, and row security does not reach those", "Keep it out of the managed schemas"
    if row["type"] not in ("text", "character varying"):
        return f"has a tenant column of type {row['type']}", f"ALTER TABLE {name(row)} ALTER {row['column']} TYPE text"
    if row["generated"]:
        return "computes its tenant column", f"ALTER TABLE {name(row)} ALTER {row['column']} DROP EXPRESSION"
    if not row["ours"]:
        # Membership of a superuser would make the operator one; a tenant's triggers would act as whoever manages them.
        owner, take = row["owner"], f'ALTER TABLE {name(row)} OWNER TO "{admin}"'
        if of_tenants(owner):
            take = f"Look at its triggers and policies, then {take}"
        elif not row["superowned"]:
            take = f'GRANT "{owner}" TO "{admin}"'
        return f"belongs to role {owner}", take
    return "", ""


_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}


def _policy(row: Row) -> Policy:
    return Policy(
        row["name"], row["restrictive"], _COMMANDS[row["command"]], tuple(row["roles"]), row["using"], row["check"]
    )


def _function(row: Row) -> Function:
    return Function(row["name"], _VOLATILITY[row["volatility"]], row["definer"], row["body"], bool(row["executable"]))


def database(column: str, rows: Mapping[str, Sequence[Row]]) -> Database:
    """The shared part as it is; `rows` are the answers to `questions.SHARED`."""
    base = rows["base"][0]
    return Database(
        tenant_column=column,
        schemas=frozenset(row["name"] for row in rows["schemas"] if row["managed"]),
        roles=frozenset(base["roles"]),
        widened=frozenset((member, other) for member, other in base["widened"]),
        schema=base["schema_owner"] is not None,
        registry=base["registry"],
        functions=frozenset(_function(row) for row in base["functions"]),
        connect=base["connect"],
        usage=frozenset(row["name"] for row in rows["schemas"] if row["usage"]),
        creators=frozenset((row["name"], grantee) for row in rows["schemas"] for grantee in row["creators"]),
        exposed=frozenset(grant for row in rows["registry"] for grant in grants(row["grants"])),
        tables=frozenset(table(row, base["admin"]) for row in rows["tables"]),
        pieces=frozenset(
            Piece(name(row), row["secured"], row["forced"], grants(row["grants"])) for row in rows["pieces"]
        ),
    )


def role(row: Row, registered: Row | None) -> Role:
    """A tenant's role; its password is known only while the role is the very one that it was set on."""
    known = registered is not None and registered["role_oid"] == row["oid"]
    return Role(
        login=row["login"],
        inherit=row["inherit"],
        connection_limit=row["connection_limit"],
        valid_until=row["valid_until"],
        powers=frozenset(row["powers"]),
        memberships=frozenset(row["memberships"]),
        pooled=row["pooled"],
        settings=frozenset((database, _setting(text)) for database, text in row["settings"]),
        fingerprint=registered["password"] if registered is not None and known else "",
        sessions=row["sessions"],
    )


def _setting(text: str) -> str:
    """Postgres quotes the names in a search path where they need it; we compare them bare."""
    return text.replace('"', "") if text.startswith("search_path=") else text


def mark(registered: Row) -> Mark:
    """Whose a row of the registry says it is; raises Rejected when that cannot be read."""
    try:
        return Mark(Owner.parse(registered["owner"]), registered["retained"])
    except ValueError as error:
        sentence = f"the row of tenant {registered['id']} in {SCHEMA}.tenant does not say whose it is: {error}"
        raise Rejected("RegistryUnreadable", sentence) from error


def share(intent: Intent, registered: Row | None, found: Row | None) -> Share:
    """A tenant's share, partitions left out; raises Rejected for a mark that cannot be read."""
    return Share(
        intent.tenant.id,
        naming.postgres_role(intent.tenant.id),
        intent.owner,
        mark(registered) if registered is not None else None,
        role(found, registered) if found is not None else None,
    )
