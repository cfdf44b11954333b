"""The source ``ldap``: people of Active Directory, OpenLDAP, 389 Directory Server and other LDAP directories."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar

from syncd import Checkpoint, ConfigError, Context, Denied, Entry, Present, Problem, Removed, Source

from . import options as settings
from .connecting import DISABLED_BY, session_of
from .cursors import Cursor, parse, require
from .entries import Shape, Yielded

if TYPE_CHECKING:
    from .adapter import Session
    from .memberships import Memberships
    from .paging import Reading
    from .ranges import Rest


class LdapSource(Source):
    """Reads everybody under the bases, page by page, or what has changed; a read is complete or it fails."""

    Options: ClassVar[type[settings.Options]] = settings.Options
    options: settings.Options

    def __init__(self, options: settings.Options, context: Context) -> None:
        super().__init__(options, context)
        self._session: Session | None = None
        self._anchor = options.anchor
        self.incremental = options.incremental != "off"
        self._outside: frozenset[str] = frozenset()
        self._bound = options.bind.who if options.bind else "anonymous"

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
        self._opened()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def scope(self) -> str:
        """Return what absence depends on. Anchor and identity are known for certain once ``open`` was called.

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
                f"bind {self._bound}",
                *self._scope_of_groups(),
            )
        )

    def _scope_of_groups(self) -> Iterator[str]:
        """Yield what absence depends on if whoever is in none of some groups is no entry."""
        groups = self.options.groups
        if groups and groups.only:
            yield from (f"groups only {name}" for name in sorted(groups.only))
            yield from (f"groups base {name}" for name in sorted(groups.base))
            yield f"groups filter {groups.filter}"
            yield f"groups member {' '.join(sorted(groups.member))}"
            yield f"groups nested {groups.nested}"

    def read(self, cursor: str | None) -> Iterator[Yielded]:
        """Yield everybody, or what has changed since ``cursor``, then the Checkpoint.

        Lists are whole, and what a global catalogue lacks is unknown.
        """
        from .catalogue import unknown_blanks
        from .ranges import Rest

        url = self._opened().url
        with closing(Rest(lambda: self._connected(url), self.context.log)) as rest:
            items: Iterable[Yielded] = rest.completed(self._items(cursor, rest))
            yield from unknown_blanks(items, self._outside) if self._outside else items

    def _items(self, cursor: str | None, rest: Rest) -> Iterator[Yielded]:
        """Yield everybody, or what has changed, then the Checkpoint.

        Every read has a connection of its own. The Checkpoint of everybody is not ``full`` if the server
        referred to another one for a part of the tree: nobody is missing then, however few were there.
        (``referrals = "ignore"`` takes that part for not ours.)
        """
        from .paging import Reading

        session = self._opened()
        shape = self._shape(session)
        reading = Reading(session, self.options, self.context.stopping)
        try:
            if cursor is None:
                fresh = yield from self._everybody(reading, shape, rest)
                full = True
            else:
                fresh, full = yield from self._changes(cursor, reading, shape, rest)
        finally:
            self.close()
        if reading.elsewhere:
            full = full and self._ignores_referrals
            self.context.log.warning(
                "referrals_not_followed", count=len(reading.elsewhere), first=reading.elsewhere[0], full=full
            )
        yield Checkpoint(fresh.text() if fresh else None, full=full)

    def _everybody(
        self, reading: Reading, shape: Shape, rest: Rest
    ) -> Generator[Entry | Problem, None, Cursor | None]:
        """Yield everybody; return where to go on: from before this read began."""
        from .increments import choose

        strategy, _ = choose(reading.session, reading, shape)
        mark = strategy.mark() if strategy else {}
        # After the mark: a group that is changed from now on has another digest when changes are read.
        shape.groups = self._groups(reading, rest)
        fresh = Cursor(strategy.name, strategy.server, self._asked(shape), mark) if strategy else None
        for base in self.options.base:
            for page in reading.pages(base, shape.requested):
                yield from shape.entries(page.entries)
        return fresh

    def _changes(
        self, cursor: str, reading: Reading, shape: Shape, rest: Rest
    ) -> Generator[Entry | Present | Removed | Problem, None, tuple[Cursor, bool]]:
        """Yield what has changed; return where to go on, and whether this vouches for the whole."""
        from .increments import make

        old = parse(cursor)
        strategy = make(old.strategy, reading.session, reading, shape)
        shape.groups = self._groups(reading, rest)
        mark = require(old, server=strategy.server, asked=self._asked(shape))
        fresh, full = yield from strategy.since(mark)
        return old._replace(mark=fresh), full

    def _asked(self, shape: Shape) -> str:
        """Return a digest of everything that decides who is read, and what of them; of all groups, too."""
        groups = [shape.group_name or "", shape.groups.digest()] if shape.groups else []
        text = "\n".join((self.scope(), *sorted(shape.requested), *groups))
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def check(self) -> Iterator[str]:
        """Yield what the server is, who asks, and how many entries each base has; everybody is counted."""
        from .increments import choose
        from .inspection import inspected
        from .paging import Reading
        from .ranges import Rest

        session = self._opened()
        yield f"{session.url}: {session.root.label}; the anchor is {self._anchor}"
        bound = self.options.bind.who if self.options.bind else "nobody (anonymous)"
        identity = session.identity()
        yield f"bound as {bound}" + (f", whom the server calls {identity}" if identity else "")
        if self.options.disabled == "skip" and session.root.kind in DISABLED_BY:
            yield 'disabled = "skip": disabled people are not read, so they look like leavers'
        shape = self._shape(session)
        strategy, reason = choose(session, Reading(session, self.options, self.context.stopping), shape)
        yield (
            f"changes are found by {strategy.name}: {reason}" if strategy else f"every read is full: {reason}"
        )
        if self._outside:
            names = ", ".join(sorted(self._outside))
            yield f"a global catalogue does not hold all of {names}: it is unknown where it is not there; use port 636"
        reading = Reading(session, self.options, self.context.stopping)
        try:
            with closing(Rest(lambda: self._connected(session.url), self.context.log)) as rest:
                shape.groups = self._groups(reading, rest)
            if shape.groups:
                yield shape.groups.summary()
            for base in self.options.base:
                yield from inspected(reading, shape, base)
        finally:
            self.close()

    def _connected(self, *urls: str) -> Session:
        """Return a session with one of ``urls``, those of the options if there are none."""
        options = self.options.model_copy(update={"url": [*urls]}) if urls else self.options
        session, self._anchor = session_of(options, options.anchor, self.context)
        return session

    def _opened(self) -> Session:
        if self._session is None:
            from . import binding, catalogue

            self._session = session = self._connected()
            self._outside = frozenset()
            if catalogue.is_catalogue(session):
                self._outside = catalogue.outside(session, self.selected)
            if self.options.bind and self.options.bind.dn is None:
                self._bound = binding.principal()
        return self._session

    def _shape(self, session: Session) -> Shape:
        kind, filled = session.root.kind, self.options.groups is not None
        disabled_by = DISABLED_BY.get(kind, "") if self.options.disabled == "map" else ""
        return Shape(
            self.selected,
            self._anchor,
            disabled_by=disabled_by,
            group_filled=filled,
            in_domain=session.root.domain,
        )

    def _groups(self, reading: Reading, rest: Rest) -> Memberships | None:
        """Read the groups, if there are any to read. Raises Unavailable or Denied."""
        if self.options.groups is None:
            return None
        from . import catalogue, memberships

        if catalogue.is_catalogue(reading.session):
            raise Denied(
                f"{reading.session.url}: a global catalogue does not hold the members of all groups; "
                "use port 636 (or 389), or remove groups"
            )
        return memberships.read(reading, rest, self.options.groups)

    @property
    def _ignores_referrals(self) -> bool:
        return self.options.referrals == "ignore"
