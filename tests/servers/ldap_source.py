"""Makes the source ``ldap`` for a test, and drains it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from syncd import Checkpoint, Context, CursorExpired, Entry, Problem, Removed
from syncd.config.presets import PRESETS
from syncd.model import Item
from syncd.testing import Line, RecordingLog
from syncd.testing.conformance.sources import applied
from syncd_ldap.source import LdapSource

from . import samba
from .slapd import PASSWORD, PEOPLE, READER, Slapd

FILTER = "(objectClass=inetOrgPerson)"
AD_FILTER = PRESETS["ad-user"].options["filter"]
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


def ad_source(
    domain: samba.Samba, *bases: str, who: str = samba.READER, url: str = "", **options: Any
) -> LdapSource:
    """Return a source that reads ``bases`` of a domain over ldaps."""
    bind = {"dn": who, "password": "credential:reader"}
    told = {"ca_file": domain.authority.path, "bind": bind, "base": list(bases), "filter": AD_FILTER}
    told |= {"select": ["sAMAccountName", "sn", "mail"]}
    return ldap_source(url or domain.ldaps_url, **told | options)


class Followed:
    """A source that is read in full, and then incrementally; each time that has to be what a full read says."""

    def __init__(self, source: LdapSource) -> None:
        self.source = source
        off = source.options.model_copy(update={"incremental": "off"})
        self.other = LdapSource(off, source.context)
        self.other.select(source.selected)
        self.expired = ""
        self._remember({}, list(source.read(None)))

    def _remember(self, known: Any, items: list[Item]) -> None:
        self.known = applied(known, items)
        end = items[-1]
        assert isinstance(end, Checkpoint)
        self.cursor, self.full = end.cursor, end.full

    def read(self) -> list[Item]:
        """Read from the cursor, and in full if that has ``expired``; return what came."""
        self.expired = ""
        assert self.cursor
        try:
            items = list(self.source.read(self.cursor))
            self._remember(self.known, items)
        except CursorExpired as reason:
            self.expired = str(reason)
            items = list(self.source.read(None))
            self._remember({}, items)
        assert applied({}, self.other.read(None)) == self.known, self.expired or "it was incremental"
        return items

    def told(self) -> tuple[set[str], set[str]]:
        """Read from the cursor; return the anchors of who came, and of who was known and is gone."""
        before = set(self.known)
        items = self.read()
        assert not self.expired, self.expired
        entries = {one.anchor for one in items if isinstance(one, Entry)}
        removed = {one.anchor for one in items if isinstance(one, Removed)} & before
        return entries, removed


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
