"""The settings of the platform ``ldif``, and what must fit together in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from string import Formatter
from typing import Literal

from pydantic import Field, field_validator, model_validator

from .columns import columns_of
from .ldifwriter import split
from .platform import FileColumn, OutputOptions, Switch

_PERSON = ("top", "person", "organizationalPerson", "inetOrgPerson")
_DESCRIPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*")
_TYPE = re.compile(r"(?:^|\+) *([A-Za-z][A-Za-z0-9-]*|[0-9.]+) *=")
_TAKEN = frozenset({"dn", "version", "changetype", "control", "objectclass"})

Template = tuple[tuple[str, str | None], ...]
"""Pieces of a name: a literal text, and the attribute that follows it, if any."""


class LdifOptions(OutputOptions):
    """Every setting of a platform of ``type = "ldif"``."""

    path: str = Field(
        description="the file to write, as an absolute path; with style = 'changes', the folder to write into"
    )
    style: Literal["content", "changes"] = Field(
        default="content",
        description="'content': one file with every entry; 'changes': a numbered file of add, modify and "
        "delete records for every batch, beside .state.ldif, which has every entry",
    )
    dn: str = Field(
        description="the name of an entry, with attributes in braces: 'uid={uid},ou=people,dc=acme,dc=example'"
    )
    attributes: dict[str, FileColumn] = Field(
        min_length=1, description="attribute of the entry -> account attribute; a list means equal names"
    )
    object_class: tuple[str, ...] = Field(
        default=_PERSON, min_length=1, description="the classes of an entry, the most general first"
    )
    enabled: Switch | Literal[False] = Field(
        default=False,
        description="the attribute that says whether the account is enabled; false: no such attribute, "
        "and a disabled account has no entry",
    )
    rename: Literal["modrdn", "replace"] = Field(
        default="modrdn",
        description="how a changed name is written with style = 'changes': 'modrdn', or 'replace' (delete, then "
        "add) for systems that take add, modify and delete alone",
    )

    _attributes = field_validator("attributes", mode="before")(columns_of)

    @model_validator(mode="after")
    def _consistent(self) -> LdifOptions:
        _check(self)
        return self


def template_of(dn: str) -> Template:
    """Return the pieces of the setting ``dn``. Raises ValueError for anything but plain names in braces."""
    pieces: list[tuple[str, str | None]] = []
    for literal, field, form, conversion in Formatter().parse(dn):
        if form or conversion or field == "":
            raise ValueError("dn: between the braces stands the name of an attribute, and nothing else")
        pieces.append((literal, field))
    return tuple(pieces)


def alone(template: Template) -> tuple[str, ...]:
    """Return the one attribute that a name is made from, which then no two accounts may share."""
    fields = [field for _, field in template if field]
    return (fields[0],) if len(fields) == 1 else ()


def _check(options: LdifOptions) -> None:
    names = [*options.attributes, *([options.enabled.name] if options.enabled else [])]
    check_names(names)
    check_dn(options.dn, options.attributes, names)


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError for what no attribute can be called in a file of LDIF, and for what stands twice."""
    folded = [name.lower() for name in names]
    for name, low in zip(names, folded, strict=True):
        if not _DESCRIPTION.fullmatch(name) or low in _TAKEN or folded.count(low) > 1:
            raise ValueError(
                f"attribute {name!r}: not a name that an attribute may have here, or it stands twice"
            )


def check_dn(dn: str, attributes: Collection[str], names: Collection[str]) -> None:
    """Raise ValueError where entries with these ``names`` cannot be named by these ``attributes`` of theirs."""
    folded = [name.lower() for name in names]
    fields = [field for _, field in template_of(dn) if field]
    for field in fields:
        if field not in attributes:
            raise ValueError(f"dn: {{{field}}} is none of the attributes; add it to them")
    types = _TYPE.findall(split(dn)[0])
    if not types or not fields:
        raise ValueError("dn: write a name such as 'uid={uid},ou=people,dc=acme,dc=example'")
    for one in types:
        if one.lower() not in folded:
            raise ValueError(f"dn: an entry must hold what it is named by; add {one!r} to the attributes")
