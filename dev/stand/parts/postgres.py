"""PostgreSQL: database `hub`, its owner `hub_admin`, and the superuser `postgres`.

One port for connections with and without TLS; a database `mutual`, if there is one, is open to those alone that show
a certificate of the stand's authority.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

from stand import pki
from stand.part import Part
from stand.rights import rights
from stand.run import Failure, output, succeeds
from stand.state import Stand, private

ADMIN = "hub_admin"
DATABASE = "hub"
_DOORS = """\
hostssl mutual all all scram-sha-256 clientcert=verify-ca
host mutual all all reject
host all all all scram-sha-256
"""


def _program(name: str) -> str:
    """The newest installed server's program, else the one on PATH."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(installed, key=lambda path: int(path.parts[4]), default=None)
    return str(newest or shutil.which(name) or name)


def _unprivileged(folder: Path) -> list[str]:
    """Puts a command under an account that the server accepts: it refuses to run as root."""
    if os.geteuid() != 0:
        return []
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    if succeeds([*become, "test", "-x", folder]):
        return become
    # A checkout below a closed home folder: the account may pass through it, and still owns only its data.
    return [*become, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def _prepare(stand: Stand) -> None:
    """The data folder exists, and its configuration is this stand's."""
    folder = stand.folder("postgres")
    data = folder / "data"
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(folder, user.pw_uid, user.pw_gid)
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        password = private(folder / "password", stand.secrets["postgres-root"])
        os.chown(password, user.pw_uid, user.pw_gid)
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        output([*_unprivileged(folder), _program("initdb"), "-D", data, *options, "--locale=C.UTF-8", "--no-sync"])
        password.unlink()
    # No server of ours runs by now; one that was killed may still wait to be reaped, which looks alive to the next.
    (data / "postmaster.pid").unlink(missing_ok=True)
    (data / "pg_hba.conf").write_text(_DOORS)
    for name, source in zip(("server.crt", "server.key"), pki.backend(stand), strict=True):
        copy = private(data / name, source.read_text())  # the server takes a key only from its own account
        os.chown(copy, user.pw_uid, user.pw_gid)


def _command(stand: Stand) -> list[str]:
    settings = {
        "listen_addresses": f"127.0.0.1,{stand.host}",
        "port": stand.port("postgres"),
        "unix_socket_directories": "",
        "max_connections": 200,
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "password_encryption": "scram-sha-256",
        "ssl_ca_file": pki.authority(stand),
        "log_line_prefix": "%m [%p] %u@%d ",
    }
    folder = stand.folder("postgres")
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [*_unprivileged(folder), _program("postgres"), "-D", str(folder / "data"), *options]


def _ready(stand: Stand) -> bool:
    return succeeds([_program("pg_isready"), "-h", stand.host, "-p", str(stand.port("postgres"))])


def _psql(stand: Stand, connect_to: str, sql: str, **variables: str) -> str:
    """What the SQL, run by the superuser, printed."""
    connection = ["-h", stand.host, "-p", str(stand.port("postgres")), "-U", "postgres", "-d", connect_to]
    settings = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
    command = [_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *connection, *settings]
    return output(command, {"PGPASSWORD": stand.secrets["postgres-root"], "PGOPTIONS": ""}, sql)


_SETTLE = """
alter system set ssl = on;
select pg_reload_conf();
select format('create role %I', :'admin')
  where not exists (select from pg_roles where rolname = :'admin') \\gexec
alter role :"admin" login createrole nosuperuser nocreatedb noreplication nobypassrls password :'password';
select format('create database %I owner %I', :'database', :'admin')
  where not exists (select from pg_database where datname = :'database') \\gexec
"""


def _settle(stand: Stand) -> None:
    """Database and admin role are there; the role owns the database and its schema public."""
    file = rights("postgres.sql")
    _psql(stand, "postgres", _SETTLE, admin=ADMIN, password=stand.secrets["postgres-admin"], database=DATABASE)
    try:
        _psql(stand, DATABASE, 'alter schema public owner to :"admin";\n' + file.read_text(), admin=ADMIN)
    except Failure as failure:
        raise Failure(f"{file}: {failure}") from None


POSTGRES = Part(
    name="postgres",
    group="backends",
    prepare=_prepare,
    command=_command,
    ready=_ready,
    settle=_settle,
    ends_on=signal.SIGINT,
)
