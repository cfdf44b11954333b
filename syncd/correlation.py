"""Floor 3: which account an entry belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

from .model import Candidates, Checkpoint, Correlated, Entry, Record, Standing

BATCH = 500
"""How many records are looked up at a time."""


Known: TypeAlias = Callable[[Sequence[bytes]], Collection[bytes]]
"""From fingerprints to those of them that are stored with a link of this connection."""

Keyed: TypeAlias = Callable[[bytes], bytes]
"""From a fingerprint to one that depends on a key."""

Lookup: TypeAlias = Callable[[Sequence[Record]], Sequence[Candidates]]
"""From records to what is stored of each, in the same order."""


def skip_unchanged(
    stream: Iterable[object], known: Known, salt: bytes, keyed: Keyed | None = None
) -> Iterator[object]:
    """Drop the entries whose fingerprint is stored, a batch at a time, without decoding them.

    ``salt`` stands for everything of the configuration that shapes a record; it ends every fingerprint,
    so that a change of it makes every entry count as changed. ``keyed`` makes of a fingerprint one that tells
    nothing to whom has not its key: of an entry with a secret of few digits, all could be tried.
    """
    batch: list[Entry] = []
    stream = iter(stream)
    for item in stream:
        if isinstance(item, Entry):
            batch.append(item)
        if len(batch) >= BATCH or isinstance(item, Checkpoint):
            yield from _changed(batch, known, salt, keyed)
            batch = []
        if not isinstance(item, Entry):
            yield item
        if isinstance(item, Checkpoint):
            yield from stream  # nothing may follow: whoever drains the stream has to see that
    yield from _changed(batch, known, salt, keyed)


def _changed(batch: list[Entry], known: Known, salt: bytes, keyed: Keyed | None) -> Iterator[Entry]:
    if not batch:
        return
    if keyed is None:
        prints = [(entry.fingerprint or _fingerprint(entry)) + salt for entry in batch]
    else:
        prints = [keyed(entry.fingerprint or _fingerprint(entry)) + salt for entry in batch]
    stored = known(prints)
    if len(stored) == len(prints):
        return
    for entry, fingerprint in zip(batch, prints, strict=True):
        if fingerprint not in stored:
            entry.fingerprint = fingerprint
            yield entry


def _fingerprint(entry: Entry) -> bytes:
    told = (entry.anchor, sorted(entry.attributes.items()), entry.enabled, sorted(entry.unknown))
    return blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def correlate(stream: Iterable[object], lookup: Lookup) -> Iterator[object]:
    """Find each record's account, a batch at a time: the stored link first, else the match keys in order."""
    batch: list[Record] = []
    for item in stream:
        if isinstance(item, Record):
            batch.append(item)
        if len(batch) >= BATCH or isinstance(item, Checkpoint):
            yield from _correlated(batch, lookup)
            batch = []
        if not isinstance(item, Record):
            yield item
    yield from _correlated(batch, lookup)


def _correlated(batch: list[Record], lookup: Lookup) -> Iterator[Correlated]:
    if not batch:
        return
    for record, (linked, matches, _) in zip(batch, lookup(batch), strict=True):
        if linked is not None:
            yield _linked(record, linked, matches)
        elif not matches:
            yield Correlated(record, "new", None)
        else:
            yield _matched(record, matches)


def _linked(record: Record, linked: Standing, matches: tuple[tuple[str, Standing], ...]) -> Correlated:
    others = [(attribute, other) for attribute, other in matches if other.account != linked.account]
    if not others:
        return Correlated(record, "linked", linked)
    rivals = (*_claims(others), f"the entry is linked to account {linked.account}")
    return Correlated(record, "linked", linked, rivals)


def _claims(matches: Iterable[tuple[str, Standing]]) -> tuple[str, ...]:
    return tuple(f"{attribute} is that of account {other.account}" for attribute, other in matches)


def _matched(record: Record, matches: tuple[tuple[str, Standing], ...]) -> Correlated:
    standing = matches[0][1]
    linked = () if standing.link is None else (f"account {standing.account} is linked to {standing.anchor}",)
    if any(other.account != standing.account for _, other in matches):
        return Correlated(record, "ambiguous", standing, (*_claims(matches), *linked))
    if linked:
        return Correlated(record, "relink", standing, linked)
    return Correlated(record, "adoptable", standing)
