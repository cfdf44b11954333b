"""The source ``ldap``: people of Active Directory, OpenLDAP, 389 Directory Server and other LDAP directories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from syncd import Checkpoint, ConfigError, Context, Denied, Entry, Problem, Source

from . import options as settings
from .entries import Shape
from .wire import PAGED, Malformed, Page, attributes_of, contents_of, paged_value

if TYPE_CHECKING:
    from .adapter import Session

ANCHORS = {"ad": "objectGUID", "389": "nsUniqueId", "other": "entryUUID"}
NO_PEOPLE = ("dc=domaindnszones,", "dc=forestdnszones,", "cn=configuration,")
"""How the names of Active Directory's own partitions begin, to which every domain refers (a vendor's rule)."""


class LdapSource(Source):
    """Reads everybody under the bases, page by page; a read is complete or it fails."""

    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    def __init__(self, options: settings.Options, context: Context) -> None:
        super().__init__(options, context)
        self._session: Session | None = None
        self._anchor = options.anchor

    def select(self, names: Iterable[str]) -> None:
        """Learn which attributes to ask for; ``dn`` is the entry's own name."""
        super().select(names)
        wrong = [name for name in self.selected if not settings.ATTRIBUTE.fullmatch(name)]
        if wrong:
            raise ConfigError(
                [f"source {self.context.name}: {name!r} is no name of an attribute" for name in wrong]
            )

    def open(self) -> None:
        """Connect and bind. Raises Unavailable or Denied."""
        self.close()
        self._session = self._connected()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def scope(self) -> str:
        """Return what absence depends on. The anchor is known for certain once ``open`` was called.

        The servers are not part of it: they all hold the same directory.
        """
        options = self.options
        return "\n".join(
            (
                *(f"base {base}" for base in sorted(options.base)),
                f"scope {options.scope}",
                f"filter {options.filter}",
                f"anchor {self._anchor}",
                f"disabled {options.disabled}",
                f"referrals {options.referrals}",
                f"bind {options.bind.dn if options.bind else 'anonymous'}",
            )
        )

    def read(self, cursor: str | None) -> Iterator[Entry | Problem | Checkpoint]:  # noqa: ARG002 - reads in full
        """Yield everybody, then the Checkpoint; every read has a connection of its own.

        The Checkpoint is not ``full`` if the server referred to another one for a part of the tree: nobody
        is missing then, however few were there. (``referrals = "ignore"`` takes that part for not ours.)
        """
        from .paging import Reading

        session = self._opened()
        shape = self._shape(session)
        reading = Reading(session, self.options, self.context.stopping)
        elsewhere: list[str] = []
        try:
            for base in self.options.base:
                for page in reading.pages(base, shape.requested):
                    elsewhere += self._elsewhere(page, session)
                    yield from shape.entries(page.entries)
        finally:
            self.close()
        if elsewhere:
            self.context.log.warning(
                "referrals_not_followed",
                count=len(elsewhere),
                first=elsewhere[0],
                full=self._ignores_referrals,
            )
        yield Checkpoint(cursor=None, full=not elsewhere or self._ignores_referrals)

    def check(self) -> Iterator[str]:
        """Yield what the server is, who asks, and what the first page of each base looks like."""
        from .paging import Reading

        session = self._opened()
        yield f"{session.url}: {session.root.label}; the anchor is {self._anchor}"
        bound = self.options.bind.dn if self.options.bind else "nobody (anonymous)"
        identity = session.identity()
        yield f"bound as {bound}" + (f", whom the server calls {identity}" if identity else "")
        if self.options.disabled == "skip" and session.root.kind == "ad":
            yield 'disabled = "skip": disabled people are not read, so they look like leavers'
        for base in self.options.base:
            session = self._opened()
            shape = self._shape(session)
            reading = Reading(session, self.options, self.context.stopping)
            try:
                page = next(reading.pages(base, shape.requested))
            finally:
                self.close()
            yield from _described(base, page, shape)

    def _connected(self) -> Session:
        from .adapter import connect

        session = connect(self.options, self._password(), self.context.log)
        if self.options.anchor == "auto":
            if session.root.kind == "unknown":
                session.close()
                raise Denied(
                    f"{session.url}: its root DSE cannot be read, so set anchor to the attribute's name"
                )
            self._anchor = ANCHORS[session.root.kind]
        return session

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._connected()
        return self._session

    def _password(self) -> str | None:
        bind = self.options.bind
        if bind is None:
            return None
        password = self.context.secret(bind.password)
        if not password:
            # RFC 4513, section 5.1.2: a server takes a bind without a password for an anonymous one.
            raise Denied(f"the password of {bind.dn} is empty; leave bind out to ask as nobody")
        return password

    def _shape(self, session: Session) -> Shape:
        map_disabled = self.options.disabled == "map" and session.root.kind == "ad"
        return Shape(self.selected, self._anchor, map_disabled=map_disabled)

    @property
    def _ignores_referrals(self) -> bool:
        return self.options.referrals == "ignore"

    def _elsewhere(self, page: Page, session: Session) -> list[str]:
        """Return the references of a page that people may stand behind."""
        if session.root.kind != "ad":
            return page.references
        return [uri for uri in page.references if not _name_in(uri).startswith(NO_PEOPLE)]


def _name_in(uri: str) -> str:
    """Return the distinguished name in an LDAP URL (RFC 4516), in lower case; any text is taken."""
    return unquote(uri.partition("://")[2].partition("/")[2]).lower()


def _described(base: str, page: Page, shape: Shape) -> Iterator[str]:
    """Yield how many entries there are under a base, and which attributes none of them has."""
    place = base or "the root"
    control = page.result.controls.get(PAGED, b"") if page.result else b""
    more = page.result is None or (control != b"" and paged_value(control)[1] != b"")
    yield f"{place}: {len(page.entries)} entries" + (" in the first page, and more" if more else "")
    seen: set[str] = set()
    for raw in page.entries:
        with suppress(Malformed, IndexError):
            _, begin, end = contents_of(raw)
            seen.update(kind.decode("ascii", "replace") for kind, _ in attributes_of(raw, begin, end, {})[1])
    low = {name.lower() for name in seen}
    absent = [name for name in shape.requested if name.lower() not in low]
    if not page.entries or not absent:
        return
    yield f"{place}: none of them has {', '.join(absent)}"
    other = sorted(name for name in seen if name.lower() not in shape.spelled and ";" not in name)
    if other:
        yield f"{place}: the server writes {', '.join(other)} for names that were asked; use these"
