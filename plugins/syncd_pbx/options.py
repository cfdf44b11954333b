"""What ``[platform.NAME]`` may say of a node's database; checked without touching it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

import syncd
from syncd_bulk.columns import Column, Strict, columns_of

T = TypeVar("T")
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
DRIVERS = {
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "postgresql": "postgresql+psycopg",
}
"""What a URL may begin with, and SQLAlchemy's name for it."""


class Reference(Strict):
    """Rows of a table that refer to a number."""

    table: str = Field(description="the table")
    column: str = Field(description="its column that holds what refers to the number")
    value: str = Field(
        default="{extension}", description="what stands there; {extension} stands for the number"
    )
    what: str = Field(description="what such a row is called in messages, such as dynamic status")
    label: str | None = Field(
        default=None, description="the column that names such a row in messages; left out: its primary key"
    )

    @field_validator("value")
    @classmethod
    def _names_the_number(cls, text: str) -> str:
        if "{extension}" not in text or re.search("[{}]", text.replace("{extension}", "")):
            raise ValueError('must hold {extension} and no other braces, as in "PJSIP/{extension}"')
        return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return text


Columns = Annotated[dict[str, Column], BeforeValidator(columns_of)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class DatabaseOptions(Strict):
    """Where the tables are, and who asks."""

    url: str = Field(
        description="sqlite:////absolute/path, mysql://USER@HOST/DATABASE, mariadb://... or postgresql://..."
    )
    password: SecretStr | None = Field(default=None, description="where the password of USER is to be found")
    socket: str | None = Field(
        default=None, description="instead of HOST: the socket of MariaDB, or the folder of PostgreSQL's"
    )
    tls: Literal["verify", "none"] | None = Field(
        default=None,
        description="verify: TLS with a certificate that is checked; left out: that, unless the host is this one",
    )
    ca_file: str | None = Field(
        default=None, description="the authority that signed the server's certificate; left out: the system's"
    )
    timeout: int = Field(default=20, ge=1, le=300, description="seconds for connecting, and for a lock")
    extensions: Pattern = Field(
        default="[0-9]{1,19}",
        description="a regular expression: which numbers may be accounts'; nothing else is listed or written",
    )
    references: tuple[Reference, ...] = Field(
        default=(), description="rows that keep a number from being removed, or given to somebody else"
    )

    @field_validator("url")
    @classmethod
    def _known(cls, text: str) -> str:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            url = make_url(text)
        except ArgumentError as error:
            raise ValueError("is no URL; write mysql://USER@HOST/DATABASE") from error
        if url.drivername not in DRIVERS:
            raise ValueError(f"begins with {url.drivername}; use one of {', '.join(DRIVERS)}")
        if url.password is not None:
            raise ValueError('holds a password; take it out and write password = "credential:NAME"')
        if url.query:
            raise ValueError("holds settings after ?; the options socket, tls and ca_file say what is needed")
        if url.drivername == "sqlite" and not Path(url.database or "").is_absolute():
            raise ValueError("names no absolute path; SQLite needs four slashes: sqlite:////srv/pbx.sqlite")
        if url.drivername != "sqlite" and not url.database:
            raise ValueError("names no database; write mysql://USER@HOST/DATABASE")
        return text

    @model_validator(mode="after")
    def _fits(self) -> DatabaseOptions:
        for name in ("socket", "ca_file"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_absolute():
                raise ValueError(f"{name}: {path!r} must begin with /")
        if self.url.startswith("sqlite:") and (self.password or self.socket or self.tls or self.ca_file):
            raise ValueError("an SQLite file has no password, socket, tls or ca_file")
        if self.tls == "none" and self.ca_file is not None:
            raise ValueError('tls = "none" checks no certificate; leave ca_file out')
        return self

    @property
    def verifies(self) -> bool:
        """Tell whether the connection has to be one with TLS."""
        from sqlalchemy.engine import make_url

        local = self.socket is not None or (make_url(self.url).host or "") in _LOCAL
        return self.tls == "verify" or self.ca_file is not None or (self.tls is None and not local)


class AsteriskOptions(DatabaseOptions):
    """The options of the platform ``asterisk``."""

    columns: Columns = Field(
        default={}, description="column of ps_endpoints -> account attribute: what else is written"
    )
    endpoint: dict[str, str] = Field(
        default={}, description="columns of ps_endpoints that a new endpoint gets, such as context and allow"
    )
    aor: dict[str, str | int] = Field(
        default={"max_contacts": 1, "remove_existing": "yes"},
        description="columns of ps_aors that a new AOR gets",
    )
    voicemail: str | None = Field(
        default=None, description="the voicemail context of the mailboxes; left out: none are written"
    )
    softphone: dict[str, str] | None = Field(
        default=None,
        description="columns of ps_endpoints in which the endpoint of a soft phone differs; left out: none are made",
    )
    twinning: dict[str, str | int] | None = Field(
        default=None,
        description="columns of followme that a new row gets, {} for none; left out: no twinning is written",
    )

    @field_validator("columns", "endpoint", "softphone")
    @classmethod
    def _ours(cls, columns: dict[str, T] | None) -> dict[str, T] | None:
        return columns and _apart(columns, {"id", "aors", "auth", "callerid", "mailboxes", *_OWN})

    @field_validator("aor", "twinning")
    @classmethod
    def _not_ours(cls, columns: dict[str, str | int] | None) -> dict[str, str | int] | None:
        return columns and _apart(columns, {"id", "name"})


class KamailioOptions(DatabaseOptions):
    """The options of the platform ``kamailio``."""

    domain: str = Field(
        min_length=1,
        max_length=64,
        description="the SIP domain of the subscribers, as it stands in their rows",
    )
    realm: str | None = Field(
        default=None, min_length=1, description="what telephones are asked with; left out: domain"
    )
    columns: Columns = Field(
        default={}, description="column of subscriber -> account attribute: what else is written"
    )

    @field_validator("columns")
    @classmethod
    def _others(cls, columns: dict[str, Column]) -> dict[str, Column]:
        return _apart(columns, {"id", "username", "domain", "password", "ha1", "ha1b", "extension"})


def _apart(columns: dict[str, T], taken: AbstractSet[str]) -> dict[str, T]:
    if clash := sorted(taken & columns.keys()):
        raise ValueError(f"{', '.join(clash)}: the platform writes that by itself; leave it out")
    return columns


_OWN = frozenset(
    {
        *("extension", "name", "password", "mailbox", "pin", "email"),
        *("softphone", "softphone_password", "twinning"),
    }
)


def fields_of(columns: Mapping[str, Column], table: str) -> dict[str, syncd.Field]:
    """Return the declaration of the configured columns."""
    return {name: column.declared(f"{table}.{name}") for name, column in columns.items()}
