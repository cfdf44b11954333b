"""What ``[source.NAME]`` may say of a node's database; checked without touching it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from .options import DatabaseOptions, Pattern

SECRETS = frozenset({"password", "md5_cred", "oauth_secret", "refresh_token", "ha1", "ha1b", "pin"})
"""Columns that no source reads, whatever is configured."""


def _column(name: str) -> str:
    if name in SECRETS:
        raise ValueError(f"{name} is a secret, which a source of a node never reads; use another column")
    return name


ColumnName = Annotated[str, AfterValidator(_column), Field(min_length=1)]


Values = dict[ColumnName, tuple[str, ...]]
"""Column -> the values of which a row has to have one."""


class SourceOptions(DatabaseOptions):
    """How rows become people."""

    extensions: Pattern = Field(
        default="[0-9]{1,19}",
        description="a regular expression: which numbers are people's; a row with another is no telephone of anybody",
    )
    person: ColumnName
    softphone: Pattern | Values | None = Field(
        default=None,
        description="which rows are soft phones: a regular expression that the whole name fits, or column -> values; "
        "left out: none",
    )
    most_devices: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="telephones of one person at most; more mean that 'person' is no mark of a person, and are a problem",
    )
    dynamic_extensions_only: bool = Field(
        default=False, description="only people whose number rings more than one telephone"
    )
    where: Values = Field(
        default={}, description="column -> values: a row with another value is no telephone of anybody"
    )

    @field_validator("where", "softphone", mode="before")
    @classmethod
    def _lists(cls, columns: object) -> object:
        if isinstance(columns, dict):
            return {name: (one,) if isinstance(one, str) else one for name, one in columns.items()}
        return columns


class AsteriskSourceOptions(SourceOptions):
    """The options of the source ``asterisk``."""

    person: ColumnName = Field(
        default="callerid",
        description="by what telephones are one person's: 'callerid' (the number in it), 'mailboxes' (the first of "
        "them), or any other column of ps_endpoints, such as accountcode; 'id': each telephone is a person",
    )


class KamailioSourceOptions(SourceOptions):
    """The options of the source ``kamailio``."""

    domain: str = Field(
        min_length=1,
        max_length=64,
        description="the SIP domain of the subscribers, as it stands in their rows",
    )
    person: ColumnName = Field(
        default="username",
        description="by what rows are one person's: a column of subscriber, such as email_address; "
        "'username': each row is a person",
    )
