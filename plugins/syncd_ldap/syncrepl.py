"""Changes as OpenLDAP tells them: the content synchronization of RFC 4533, in its refreshOnly mode.

The first read stays an ordinary one, in pages. Only where it began is taken down: the contextCSN of the
database, of which slapd makes its cookies (``csn=`` in slapd(8), option ``-c``).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

from syncd import ConnectorError, CursorExpired, Present, Removed, Unavailable

from . import witnesses
from .adapter import Session
from .cursors import CONTROLS, Increment, Mark
from .entries import Shape
from .failures import failure
from .paging import Reading
from .wire import DONE, ENTRY, INTERMEDIATE, Malformed, children, control, controls_of, element, result

REQUEST = CONTROLS["sync"].encode()
STATE = b"1.3.6.1.4.1.4203.1.9.1.2"
FINISHED = b"1.3.6.1.4.1.4203.1.9.1.3"
INFORMATION = b"1.3.6.1.4.1.4203.1.9.1.4"

REFRESH_ONLY = b"\x0a\x01\x01"
PRESENT, ADD, MODIFY, DELETE = range(4)

OLDEST = "19700101000000.000000Z#000000#000#000000"

CUT = {
    4: "the server cuts the list of changes short (size limit; let the bind identity read without limits)",
    11: "the server cuts the list of changes short (a limit of its administrator)",
    12: "the server offers no content synchronization there (OpenLDAP: the overlay syncprov)",
    53: "the server does not take its cookie any more; it may have been restored",
    4096: "the server asks for a new start (e-syncRefreshRequired)",
}
"""What a result means that no cursor can mend, but reading in full can."""


class Told(NamedTuple):
    """What one answer says: whose entry it holds, or who is there still, or who is gone."""

    entries: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()
    removed: tuple[str, ...] = ()
    whole: bool = False
    """Whoever was not named by now is gone."""


class SyncRepl:
    """Finds changes by RFC 4533; removals are proven by the server's session log, or by its list of who is there."""

    name = "sync"

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        self.session = session
        self.reading = reading
        self.shape = shape
        self.server = session.url

    def mark(self) -> Mark:
        """Return the contextCSNs of the databases of all bases. Raises CursorExpired if one shows none."""
        return {base: self._csns(base) for base in self.reading.options.base}

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed; return where to go on, and whether it vouches for the whole."""
        fresh = self.mark()
        if fresh != mark:
            self._refuse_moves(mark)
        whole = False
        changed: set[str | None] = set()
        removed: set[str] = set()
        there = bytearray()
        for base, csns in mark.items():
            for told in self._told(base, csns):
                if told.whole and len(mark) > 1:
                    raise CursorExpired(
                        f"the server has forgotten who was removed from {base} since (session log)"
                    )
                whole = whole or told.whole
                for one in self.shape.entries(told.entries):
                    changed.add(one.anchor)
                    yield one
                removed.update(told.removed)
                there += b"".join(told.present)
        # slapd names everybody who is there, those whom it tells of as changed as well.
        yield from map(Present, (one for one in _anchors(there) if one not in changed))
        # Whoever has left one base for another is told of by both.
        yield from map(Removed, sorted(removed - changed))
        return fresh, whole

    def unusable(self) -> str | None:
        """Return why the databases of the bases do not offer this, None if they do."""
        try:
            for base, csns in self.mark().items():
                for _ in self._told(base, csns):
                    pass
            contexts = witnesses.contexts_of(self.reading.options.base, self.session.root.contexts)
            return witnesses.blind(self.reading, contexts, f"(&(entryCSN>={OLDEST})(hasSubordinates=TRUE))")
        except (CursorExpired, ConnectorError) as error:
            return str(error)

    def _csns(self, base: str) -> list[str]:
        context = witnesses.context_of(base, self.session.root.contexts)
        found = self.session.entry(context, "contextCSN") if context is not None else None
        csns = sorted(value.decode("ascii", "replace") for value in (found or {}).get("contextcsn", ()))
        if not csns:
            raise CursorExpired(
                f"{context or base} shows no contextCSN: that needs the overlay syncprov, and the right to read it"
            )
        return csns

    def _refuse_moves(self, mark: Mark) -> None:
        """Raise CursorExpired if a container was renamed or moved: those below it did not change themselves."""
        contexts = self.session.root.contexts
        for context, csns in {
            witnesses.context_of(base, contexts) or base: mark[base] for base in mark
        }.items():
            seen = {_provider(csn): csn for csn in csns}
            oldest = min(csns)
            text = f"(&(entryCSN>={oldest})(hasSubordinates=TRUE))"
            for name, values in witnesses.found(self.reading, context, text, "entryCSN", "createTimestamp"):
                csn = values.get("entrycsn", "")
                if csn > seen.get(_provider(csn), ""):
                    witnesses.refuse(name, values.get("createtimestamp", ""), oldest)

    def _told(self, base: str, csns: list[str]) -> Iterator[Told]:
        """Ask for what has changed under a base, and judge the result."""
        cookie = f"rid=000,csn={';'.join(csns)}".encode()
        wanted = control(REQUEST, element(0x30, REFRESH_ONLY, element(0x04, cookie)))
        where = f"{self.session.url}: changes of {base or 'the root'}"
        try:
            for answer in self.reading.messages(base, self.shape.requested, [wanted]):
                if answer[0] == DONE:
                    yield _last(answer, where)
                elif answer[0] == ENTRY:
                    yield _entry(answer)
                elif answer[0] == INTERMEDIATE:
                    yield _information(answer)
                else:
                    raise CursorExpired(f"{where}: a part of the tree is on another server")
        except (Malformed, IndexError, ValueError) as error:
            raise Unavailable(f"{where}: {error}") from error


def _last(answer: bytes, where: str) -> Told:
    """Read the result. Raises unless it is a success with the control that RFC 4533 asks for."""
    ended = result(answer)
    if ended.code in CUT:
        raise CursorExpired(CUT[ended.code])
    if ended.code != 0:
        raise failure(ended.code, ended.message, where)
    if FINISHED not in ended.controls:
        raise Unavailable(f"{where}: the list of changes ended without its Sync Done control")
    parts = children(ended.controls[FINISHED])
    deletes = any(tag == 0x01 and value != b"\x00" for tag, value in children(parts[0][1]))
    return Told(whole=not deletes)


def _entry(answer: bytes) -> Told:
    """Read an entry with its Sync State control; what stands behind the entry is no part of it."""
    operation, *behind = children(answer)
    parts = children(children(controls_of(behind)[STATE])[0][1])
    state, raw = parts[0][1][0], parts[1][1]
    if state in {ADD, MODIFY}:
        return Told(entries=(element(ENTRY, operation[1]),))
    return Told(present=(_whole(raw),)) if state == PRESENT else Told(removed=(_uuid(raw),))


def _information(answer: bytes) -> Told:
    """Read a Sync Info message: a phase that ends, or many who are there, or gone."""
    parts = dict(children(children(answer)[0][1]))
    if parts.get(0x80) != INFORMATION:
        return Told()
    tag, contents = children(parts[0x81])[0]
    if tag == 0xA2:
        return Told(whole=True)
    if tag != 0xA3:
        return Told()
    fields = children(contents)
    raw = tuple(one for kind, values in fields if kind == 0x31 for _, one in children(values))
    deletes = any(kind == 0x01 and value != b"\x00" for kind, value in fields)
    return Told(removed=tuple(map(_uuid, raw))) if deletes else Told(present=tuple(map(_whole, raw)))


def _provider(csn: str) -> str:
    """Return which of several providers has given a CSN: its third part."""
    return csn.split("#")[2] if csn.count("#") > 1 else ""


def _anchors(there: bytearray) -> Iterator[str]:
    """Yield the anchors that stand behind each other, 16 bytes each: a million of them stay small."""
    return (_uuid(bytes(there[at : at + 16])) for at in range(0, len(there), 16))


def _whole(raw: bytes) -> bytes:
    """Return an entryUUID as it came. Raises ValueError if it is none."""
    if len(raw) != 16:
        raise ValueError(f"an entryUUID of {len(raw)} bytes")
    return raw


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))
