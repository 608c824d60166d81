"""What one relay is told: a JSON file that anybody may read, and its logins from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from matrixhub.api.dataplane import Route
from matrixhub.api.values import Model
from matrixhub.tls import Trust


class Tls(Model):
    """PEM files; an empty name is none."""

    ca_file: str = ""
    """The authority that signs the servers' certificates; the system's are trusted without it."""
    certificate_file: str = ""
    """What is shown to the servers."""
    key_file: str = ""

    def trust(self, section: str) -> Trust:
        """What the files hold now. Raises OSError."""
        return Trust.read(section, self.ca_file, self.certificate_file, self.key_file)


class Kafka(Model):
    """Where the records come from. The logins are the relay's own."""

    bootstrap_servers: tuple[str, ...] = Field(min_length=1)
    security_protocol: Literal["SASL_SSL", "SASL_PLAINTEXT"] = "SASL_SSL"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = "SCRAM-SHA-512"
    tls: Tls = Tls()
    group: str
    """The consumer group."""


class Gateway(Model):
    """Where the events go."""

    url: str
    """Such as `http://10.0.0.1:6001`, without a path."""
    certificate_file: str = ""
    """PEM file of the one certificate that the gateways show, whatever name is in it; the system's CAs without it."""


class Apps(Model):
    """Where the keys of the tenants' apps are: the gateways' table in Postgres."""

    host: str
    port: int = 5432
    database: str
    ssl_mode: str = "verify-full"
    tls: Tls = Tls()
    schema_name: str
    """The schema with the table `applications`."""


class Settings(Model):
    """The file's content."""

    routes: tuple[Route, ...] = Field(min_length=1)
    kafka: Kafka
    gateway: Gateway
    apps: Apps
    port: int
    """Where metrics and health are served."""
    grace_seconds: float
    """How long what is under way may take to end after SIGTERM."""

    @classmethod
    def read(cls, file: Path) -> "Settings":
        """The settings in the file; raises ValidationError for what cannot be used, OSError when there is none."""
        return cls.model_validate_json(file.read_text(encoding="utf-8"))


class Logins(Model):
    """What the relay logs in with; no password is in a repr."""

    kafka_username: str
    kafka_password: str = Field(repr=False)
    apps_username: str
    apps_password: str = Field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Logins":
        """Each field from `MATRIXHUB_RELAY_<FIELD>`; raises ValidationError when one is missing."""
        names = {field: f"MATRIXHUB_RELAY_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({f: environment[name] for f, name in names.items() if name in environment})
