"""What is made of a searchResultEntry: an ``Entry`` that is decoded when it is asked for, or a ``Problem``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from syncd import Checkpoint, Entry, Present, Problem, Removed, Unavailable

from .syntaxes import BINARY, DISABLED, UNIQUE_IDS
from .wire import Malformed, attributes_of, contents_of

if TYPE_CHECKING:
    from .memberships import Memberships

Yielded: TypeAlias = Entry | Present | Removed | Problem | Checkpoint
"""What a read is made of."""

OBJECT_CLASS, USER = "objectClass", "user"
MEMBER_OF = "memberof"
"""What a person's groups are mapped by, in lower case."""
PRIMARY_GROUP = "primaryGroupID"
"""Which group of Active Directory names the person nowhere, and is his all the same (a vendor's rule)."""


RANGE = b";range="
"""How the name of a list of Active Directory goes on that came in part (a vendor's rule)."""


class Unreadable(Exception):
    """Why an entry cannot be used."""

    def __init__(self, anchor: str | None, code: str, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(anchor, code, message)


class LdapEntry(Entry):
    """An entry as its bytes; all but the fingerprint is decoded when it is first asked for."""

    __slots__ = ("raw", "shape")

    raw: bytes
    shape: Shape

    def __getattr__(self, name: str) -> Any:
        if name not in {"anchor", "attributes", "enabled", "unknown"}:
            raise AttributeError(name)
        try:
            self.shape.fill(self, self.raw)
        except Unreadable as error:
            # ``Shape.entries`` has looked already: only what no directory server sends gets here.
            raise Unavailable(f"an entry cannot be read after all: {error}") from error
        return getattr(self, name)


class Shape:
    """What is asked of every entry, and how its bytes become texts.

    ``selected`` is in the spelling to yield; ``dn`` among it is the entry's own name. ``disabled_by``: the
    attribute, one of DISABLED, that makes an entry one that is not enabled. ``group_filled``: what memberOf says
    comes from ``groups``, which are known once they were read. ``in_domain``: users have a primary group, which
    is told with them alone, and an account, of which it has to be seen whether it is disabled.
    """

    def __init__(
        self,
        selected: Iterable[str],
        anchor: str,
        *,
        disabled_by: str = "",
        group_filled: bool = False,
        in_domain: bool = False,
    ) -> None:
        spelled: dict[str, str] = {}
        self.doubles: list[tuple[str, str]] = []
        for name in selected:
            if spelled.setdefault(name.lower(), name) != name:
                self.doubles.append((spelled[name.lower()], name))
        self.dn_name = spelled.pop("dn", None)
        self.groups: Memberships | None = None
        self.group_name = spelled.pop(MEMBER_OF, None) if group_filled else None
        self.primary = PRIMARY_GROUP.lower().encode() if group_filled and in_domain else None
        self.sweep = [anchor, PRIMARY_GROUP] if self.primary else [anchor]
        needed = [*self.sweep, disabled_by] if disabled_by else [*self.sweep]
        needed += [OBJECT_CLASS] if disabled_by and in_domain else []
        self.hidden = [name for name in needed if name.lower() not in spelled]
        for name in self.hidden:
            spelled[name.lower()] = name
        self.spelled = spelled
        self.anchor = spelled[anchor.lower()]
        self.control = spelled[disabled_by.lower()] if disabled_by else None
        self.classes = spelled[OBJECT_CLASS.lower()] if disabled_by and in_domain else None
        self.names = {name.encode(): name for low, name in spelled.items() if low not in BINARY}
        self.fold_anchor = anchor.lower() in UNIQUE_IDS
        # The name as it stands in an entry, between its own length and the tag of its values.
        self.marker = bytes((0x04, len(anchor))) + anchor.encode() + b"1" if self.fold_anchor else None

    @property
    def requested(self) -> list[str]:
        """The attributes to ask the server for."""
        return list(self.spelled.values())

    def spellings(self, attribute: str) -> list[str]:
        """Return the names under which an attribute is to be yielded."""
        name = self.spelled.get(attribute.lower())
        return [name, *(double for first, double in self.doubles if first == name)] if name else []

    def entries(self, page: Iterable[bytes]) -> list[Entry | Problem]:
        """Return an Entry or a Problem for each; nothing is decoded of an entry that surely can be.

        Whoever has to be in a group, and is not, is left out.
        """
        found: list[Entry | Problem] = []
        new = LdapEntry.__new__
        for raw in page:
            entry = new(LdapEntry)
            entry.raw = raw
            entry.shape = self
            entry.fingerprint = blake2b(raw, digest_size=16).digest()
            try:
                if self.groups is not None and not self._joined(entry, raw):
                    continue
                if not self.is_plain(raw):
                    self.fill(entry, raw)
            except Unreadable as error:
                found.append(error.problem)
                continue
            found.append(entry)
        return found

    def _joined(self, entry: Entry, raw: bytes) -> bool:
        """Tell whether it is in a group that it has to be in; if so, its groups become part of the fingerprint."""
        groups = self._groups_of(raw, self.groups) if self.groups else ()
        if groups and self.group_name is not None:
            told = (entry.fingerprint or raw) + "\n".join(groups).encode()
            entry.fingerprint = blake2b(told, digest_size=16).digest()
        return groups is not None

    def _groups_of(self, raw: bytes, groups: Memberships) -> tuple[str, ...] | None:
        try:
            name, begin, end = contents_of(raw)
            return groups.of(name, self._primary_in(raw, begin, end) if self.primary else "")
        except (IndexError, ValueError) as error:
            raise _malformed(raw, error) from error

    def _primary_in(self, raw: bytes, begin: int, end: int) -> str:
        found = attributes_of(raw, begin, end, {})[1]
        return next((values[0].decode() for kind, values in found if kind.lower() == self.primary), "")

    def anchors(self, page: Iterable[bytes]) -> list[str | Problem]:
        """Return the anchor of each entry, or a Problem; nothing else of an entry is decoded.

        Whoever has to be in a group, and is not, is left out.
        """
        marker, found = self.marker, list[str | Problem]()
        for raw in page:
            try:
                if self.groups is not None and self._groups_of(raw, self.groups) is None:
                    continue
            except Unreadable as error:
                found.append(error.problem)
                continue
            at = raw.find(marker) if marker else -1
            if at < 0:
                found.append(self._anchor_in(raw))
                continue
            at += len(marker or b"") + 3
            found.append(raw[at : at + raw[at - 1]].decode("ascii", "replace").lower())
        return found

    def anchor_of(self, value: bytes) -> str:
        """Return a value of the anchor attribute as an anchor. Raises ValueError if it is none."""
        text = BINARY.get(self.anchor.lower(), bytes.decode)(value)
        return text.lower() if self.fold_anchor else text

    def _anchor_in(self, raw: bytes) -> str | Problem:
        try:
            name, begin, end = contents_of(raw)
            found = attributes_of(raw, begin, end, {})[1]
            values = [
                one for kind, some in found if kind.lower() == self.anchor.lower().encode() for one in some
            ]
            anchors = tuple(map(self.anchor_of, values))
        except (Malformed, IndexError, ValueError) as error:
            return _malformed(raw, error).problem
        return anchors[0] if len(anchors) == 1 and anchors[0] else self._bad_anchor(name, anchors).problem

    def is_plain(self, raw: bytes) -> bool:
        """Tell whether it is certain at one glance that ``fill`` will read this entry.

        If the whole list of attributes is UTF-8, then no length in it is 128 or more (its first byte would
        be a stray continuation byte), and so every value, standing between ASCII bytes, is UTF-8 as well.
        """
        if self.marker is None or self.marker not in raw or RANGE in raw:
            return False
        try:
            name, begin, end = contents_of(raw)
            raw[begin:end].decode()
            if self.dn_name is not None:
                name.decode()
        except (UnicodeDecodeError, Malformed, IndexError):
            return False
        return True

    def fill(self, entry: Entry, raw: bytes) -> None:
        """Decode ``raw`` into the entry. Raises Unreadable."""
        try:
            name, begin, end = contents_of(raw)
            texts, others = attributes_of(raw, begin, end, self.names)
            unknown = self._rest(texts, others) if others else frozenset[str]()
            anchors = texts.get(self.anchor, ())
            if len(anchors) != 1 or not anchors[0]:
                raise self._bad_anchor(name, anchors)
            entry.enabled = self._is_enabled(name, anchors[0], texts)
            if self.dn_name is not None:
                texts[self.dn_name] = (name.decode(),)
            groups = self._groups_of(raw, self.groups) if self.groups and self.group_name else None
        except UnicodeDecodeError as error:
            raise self._not_text(raw) from error
        except (IndexError, ValueError) as error:
            raise _malformed(raw, error) from error
        for hidden in self.hidden:
            texts.pop(hidden, None)
        if groups and self.group_name:
            texts[self.group_name] = groups
        for name_, double in self.doubles:
            if name_ in texts:
                texts[double] = texts[name_]
            if name_ in unknown:
                unknown |= {double}
        entry.anchor = anchors[0].lower() if self.fold_anchor else anchors[0]
        entry.attributes = texts
        entry.unknown = unknown

    def _rest(
        self, texts: dict[str, tuple[str, ...]], others: Iterable[tuple[bytes, list[bytes]]]
    ) -> frozenset[str]:
        """Take what has another spelling or is binary; returns what came in part only."""
        unknown = set()
        for kind, values in others:
            low, _, option = kind.decode("ascii", "replace").lower().partition(";range=")
            name = self.spelled.get(low)
            if name is None:
                continue
            if option:
                # Active Directory cuts a list of more than 1500 values (MaxValRange).
                unknown.add(name)
            elif low in BINARY:
                texts[name] = tuple(map(BINARY[low], values))
            else:
                self.names[kind] = name
                texts[name] = tuple([value.decode() for value in values])
        return frozenset(unknown)

    def _is_enabled(self, name: bytes, anchor: str, texts: Mapping[str, tuple[str, ...]]) -> bool:
        if self.control is None:
            return True
        values = texts.get(self.control, ())
        if self.classes and not values and USER in map(str.lower, texts.get(self.classes, ())):
            why = f"{name.decode('utf-8', 'replace')} shows no {self.control}, so nobody knows whether it is disabled"
            cure = 'let the bind identity read it, or set disabled = "ignore"'
            raise Unreadable(anchor, "not_shown", f"{why}: {cure}")
        return not any(map(DISABLED[self.control.lower()], values))

    def _bad_anchor(self, name: bytes, values: tuple[str, ...]) -> Unreadable:
        shown = name.decode("utf-8", "replace")
        if len(values) > 1:
            message = f"{shown} has {len(values)} values of {self.anchor}; an anchor has exactly one"
            return Unreadable(None, "ambiguous_anchor", message)
        cure = "let the bind identity read it, or name another anchor"
        return Unreadable(None, "no_anchor", f"{shown} shows no {self.anchor}: {cure}")

    def _not_text(self, raw: bytes) -> Unreadable:
        """Return which attributes are no text, and the anchor if that one is."""
        name, begin, end = contents_of(raw)
        try:
            _, others = attributes_of(raw, begin, end, {})
        except (Malformed, IndexError) as error:
            return _malformed(raw, error)
        anchor, bad = None, []
        for kind, values in others:
            low = kind.decode("ascii", "replace").lower()
            try:
                texts = tuple(map(BINARY.get(low, bytes.decode), values))
            except ValueError:
                bad.append(self.spelled.get(low, low))
            else:
                if low == self.anchor.lower() and len(texts) == 1:
                    anchor = texts[0].lower() if self.fold_anchor else texts[0]
        shown = name.decode("utf-8", "replace")
        cure = "mend it in the directory, or leave it out of the mapping"
        message = f"{shown}: {', '.join(bad) or 'its name'} is no text in UTF-8; {cure}"
        return Unreadable(anchor, "not_text", message)


def _malformed(raw: bytes, error: Exception) -> Unreadable:
    try:
        shown = contents_of(raw)[0].decode("utf-8", "replace")
    except (Malformed, IndexError):
        shown = "an entry without a name"
    return Unreadable(None, "malformed", f"{shown} cannot be decoded: {error}")
