"""Makes the source ``ldap`` for a test, and drains it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from syncd import Checkpoint, Context, Entry, Problem
from syncd.testing import Line, RecordingLog
from syncd_ldap.source import LdapSource

from .slapd import PASSWORD, PEOPLE, READER, Slapd

FILTER = "(objectClass=inetOrgPerson)"
ATTRIBUTES = ("uid", "cn", "sn", "mail")
BIND = {"dn": READER, "password": "credential:reader"}


class Read(NamedTuple):
    """What a whole read yielded."""

    entries: list[Entry]
    problems: list[Problem]
    checkpoints: list[Checkpoint]

    def anchors(self) -> list[str]:
        return [entry.anchor for entry in self.entries]

    def values(self, name: str) -> list[str]:
        """Return the first value of an attribute, of each entry that has it, sorted."""
        return sorted(entry.attributes[name][0] for entry in self.entries if entry.attributes.get(name))


def ldap_source(
    server: Slapd | str, *, select: Iterable[str] = ATTRIBUTES, secret: str = PASSWORD, **options: Any
) -> LdapSource:
    """Return a source with short timeouts that reads in full; over ldaps:// if the server can, else over ldap://."""
    if isinstance(server, Slapd):
        url = server.ldaps_url if server.certificate else server.url
        if server.certificate:
            options.setdefault("ca_file", server.certificate.authority)
    else:
        url = server
    if url.startswith("ldap:"):
        options.setdefault("tls", "none")
    options = {
        "url": [url],
        "base": [PEOPLE],
        "filter": FILTER,
        "read_timeout": 10,
        "incremental": "off",
    } | options
    source = LdapSource(LdapSource.Options(**options), Context("hq", RecordingLog(), lambda _: secret))
    source.select(select)
    return source


def drain(source: LdapSource) -> Read:
    """Open, read everything, close."""
    read = Read([], [], [])
    try:
        source.open()
        for item in source.read(None):
            if isinstance(item, Entry):
                read.entries.append(item)
            elif isinstance(item, Problem):
                read.problems.append(item)
            else:
                read.checkpoints.append(item)
    finally:
        source.close()
    return read


def lines(source: LdapSource) -> list[Line]:
    """Return what the source logged: (level, event, fields)."""
    logged: list[Line] = source.context.log.lines
    return logged
