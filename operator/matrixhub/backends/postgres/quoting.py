"""SQL text with names and values put in, each quoted as what it is."""

from psycopg import sql

from matrixhub.backends.database import Statement
from matrixhub.backends.postgres.state import Name


def identifier(name: Name) -> sql.Identifier:
    """The relation, quoted."""
    return sql.Identifier(name.schema, name.relation)


def with_names(text: str, *names: str | Name | sql.Composable) -> Statement:
    """`text` with each {} a name, or what is composed already."""
    return sql.SQL(text).format(*(_quoted(name) for name in names))


def _quoted(name: str | Name | sql.Composable) -> sql.Composable:
    if isinstance(name, Name):
        return identifier(name)
    return sql.Identifier(name) if isinstance(name, str) else name


def with_values(text: str, *values: object) -> Statement:
    """`text` with each {} a value."""
    return sql.SQL(text).format(*(sql.Literal(value) for value in values))


def grantee(name: str) -> sql.Composable:
    """A role, or everybody, quoted."""
    return sql.SQL("PUBLIC") if name == "PUBLIC" else sql.Identifier(name)
