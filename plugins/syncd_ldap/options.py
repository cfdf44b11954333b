"""What ``[source.NAME]`` may say when its type is ``ldap``, and how servers are reached; checked offline."""

import re
from itertools import permutations
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from . import dn

ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*")
"""An attribute's name or OID with its options (RFC 4512, section 2.5); ASCII."""


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname:
        raise ValueError("must be ldaps://host, ldap://host or either with a port")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        # What stands there besides may be a password: it is not repeated.
        raise ValueError(
            f"the URL of {parts.hostname} says more than host and port; base, filter and bind are options of their own"
        )
    _ = parts.port  # raises ValueError for what is no port
    return text


def _base(text: str) -> str:
    dn.parse(text)
    return text


def _filter(text: str) -> str:
    from .filters import check_filter

    check_filter(text)
    return text


def _attribute(text: str) -> str:
    if not ATTRIBUTE.fullmatch(text):
        raise ValueError(f"{text!r} is no name of an attribute")
    return text


DistinguishedName: TypeAlias = Annotated[str, AfterValidator(_base)]
Filter: TypeAlias = Annotated[str, AfterValidator(_filter)]
AttributeName: TypeAlias = Annotated[str, AfterValidator(_attribute)]


class Bind(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    mechanism: Literal["simple", "gssapi"] = Field(
        default="simple",
        description="simple: a name and a password; gssapi: a Kerberos ticket, which needs syncd[kerberos]",
    )
    dn: str | None = Field(
        default=None,
        min_length=1,
        description="the name to bind with: a distinguished name, or in Active Directory user@domain as well; "
        "with gssapi the principal, left out: that of the ticket",
    )
    password: str | None = Field(
        default=None,
        min_length=1,
        description="a reference to its password, such as credential:hq; never the password",
    )

    @field_validator("mechanism", mode="before")
    @classmethod
    def _no_ntlm(cls, word: object) -> object:
        if isinstance(word, str) and word.lower() == "ntlm":
            raise ValueError(
                "NTLM is not offered: it needs MD4, which OpenSSL has given up, and without channel binding "
                'controllers refuse it; use a simple bind over TLS, or "gssapi"'
            )
        return word

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in ("dn", "password") if not getattr(self, name)]
        if self.mechanism == "simple" and missing:
            raise ValueError(f"{' and '.join(missing)} missing: a simple bind needs a name and a password")
        if self.mechanism == "gssapi" and self.password:
            raise ValueError("a ticket needs no password: remove it, or mechanism")
        return self

    @property
    def who(self) -> str:
        """For people."""
        return self.dn or "whoever has the Kerberos ticket"


class ServerOptions(BaseModel):
    """Which servers are spoken to, and how; the same for source and platform."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    url: list[Annotated[str, AfterValidator(_url)]] = Field(
        min_length=1,
        description="the servers, tried in this order until one answers; all hold the same directory",
    )
    tls: Literal["starttls", "none"] | None = Field(
        default=None,
        description='how an ldap:// connection is protected; "none" leaves it open to every listener',
    )
    ca_file: Path | None = Field(
        default=None,
        description="the certificates (PEM) that a server's own must lead to; left out: those of the system",
    )
    bind: Bind | None = Field(default=None, description="who asks; left out: an anonymous bind")
    allow_plaintext_bind: bool = Field(
        default=False, description='with tls = "none": send the password for every listener to read'
    )
    connect_timeout: int = Field(default=10, ge=1, description="seconds to reach one server")
    read_timeout: int = Field(default=60, ge=1, description="seconds without a word before giving up")

    @model_validator(mode="after")
    def _protected(self) -> Self:
        plain = [url for url in self.url if urlsplit(url).scheme == "ldap"]
        if plain and self.tls is None:
            raise ValueError(f'{plain[0]} is not protected: write ldaps://, or set tls = "starttls"')
        if self.tls == "none" and len(plain) < len(self.url):
            raise ValueError(
                'tls = "none" would turn a failure of ldaps:// into an open connection; use one kind'
            )
        if self.tls == "none" and self.bind and self.bind.password and not self.allow_plaintext_bind:
            raise ValueError(
                'tls = "none" would send the password for every listener to read; write ldaps:// or '
                'tls = "starttls" (or allow_plaintext_bind = true, if you must)'
            )
        return self


class Groups(BaseModel):
    """The groups that say themselves who is in them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    base: list[DistinguishedName] = Field(
        min_length=1, description="where groups are, as distinguished names"
    )
    filter: Filter = Field(
        default="(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group))",
        description="which entries are groups, as an LDAP filter (RFC 4515)",
    )
    member: list[AttributeName] = Field(
        default=["member", "uniqueMember"],
        min_length=1,
        description="the attributes of a group that hold the distinguished names of its members",
    )
    nested: bool = Field(default=True, description="whoever is in a group is also in those that it is in")
    only: list[DistinguishedName] = Field(
        default=[],
        description="distinguished names of groups: whoever is in none of them is no entry of this source",
    )

    @field_validator("member")
    @classmethod
    def _names(cls, attributes: list[str]) -> list[str]:
        for name in attributes:
            if name.lower() == "memberuid":
                raise ValueError(
                    f"{name} holds log-in names, and members are looked up by distinguished names; "
                    "use groups that have member or uniqueMember"
                )
        return attributes


class Options(ServerOptions):
    """The options of the source ``ldap``."""

    scope: Literal["subtree", "one"] = Field(
        default="subtree", description="everything below each base, or its direct children only"
    )
    base: list[DistinguishedName] = Field(
        min_length=1, description="where to look, as distinguished names; none may lie inside another"
    )
    filter: Filter = Field(description="which entries are people, as an LDAP filter (RFC 4515)")
    groups: Groups | None = Field(
        default=None,
        description="groups to read, for memberOf as they say it, nested ones too, and for whom to read; "
        "left out: memberOf is what the server says",
    )
    anchor: AttributeName = Field(
        default="auto",
        description="the attribute that never changes; auto: objectGUID in Active Directory, "
        "nsUniqueId in 389 Directory Server, entryUUID elsewhere",
    )
    disabled: Literal["map", "skip", "ignore"] = Field(
        default="map",
        description="accounts that Active Directory or 389 Directory Server has disabled: map: the person is "
        "disabled; skip: not read, so that they look like leavers; ignore: like any other",
    )
    referrals: Literal["partial", "ignore"] = Field(
        default="partial",
        description="when a part of the tree is on another server, which is never asked: partial: nobody is "
        "taken for missing; ignore: whoever is there is not in this source",
    )
    incremental: Literal["auto", "sync", "usn", "dirsync", "timestamps", "off"] = Field(
        default="auto",
        description="how changes are found: sync: content synchronization (RFC 4533, OpenLDAP with syncprov); "
        "usn: uSNChanged (Active Directory); dirsync: what a domain of Active Directory replicates, for a bind "
        "identity with that right; timestamps: modifyTimestamp, and a list of all who are there; "
        "off: every read is full; auto: what the server offers",
    )
    overlap: int = Field(
        default=3600,
        ge=1,
        description="by timestamps: seconds that clocks may differ by, and replicas be late",
    )
    page_size: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="entries per page (RFC 2696); 0: all in one answer, for a server that cannot page",
    )
    deadline: int = Field(default=3600, ge=1, description="seconds for a whole read")
    max_entries: int = Field(default=1_000_000, ge=1, description="a read of more entries than this fails")

    @field_validator("base")
    @classmethod
    def _apart(cls, bases: list[str], info: ValidationInfo) -> list[str]:
        """Nobody may be read twice; direct children of two bases are different ones, unless these are equal."""
        overlap = dn.within if info.data.get("scope") == "subtree" else dn.same
        for inner, outer in permutations(bases, 2):
            if overlap(inner, outer):
                raise ValueError(
                    f"{inner!r} lies inside {outer!r}: its people would be read twice; remove it"
                )
        return bases
