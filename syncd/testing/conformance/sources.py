"""What is required of a source."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import pytest

from ...connector import Source
from ...errors import CursorExpired
from ...model import Checkpoint, Entry, Item, Present, Problem, Removed
from .connectors import ConnectorConformance, given, optional


class SourceWorld(Protocol):
    """What the fixture ``world`` does to the real thing behind the source; each takes effect at once."""

    def add(self) -> str:
        """Add somebody that the source will yield; return their anchor."""

    def change(self, anchor: str) -> None:
        """Change an attribute that the source yields."""

    def remove(self, anchor: str) -> None:
        """Take somebody away."""


class Seen(NamedTuple):
    """All that a source said of one anchor."""

    attributes: dict[str, tuple[str, ...]]
    enabled: bool
    fingerprint: bytes | None
    unknown: frozenset[str]


class SourceConformance(ConnectorConformance):
    """Subclass it and give the fixture ``source``: one that has not been opened, over two people or more.

    One that needs to know what the mapping uses is told by the fixture, with ``select``.
    Optional fixtures: ``world`` (a SourceWorld: add, change, remove on the real thing), ``unreachable``,
    ``denied`` and ``stale_cursor`` (a cursor that was good once; by default one of nobody's).
    """

    incremental: ClassVar[bool] = False
    """Set it if the source is: ``read`` with a cursor yields what has changed since."""

    full: ClassVar[bool] = True
    """Unset it if a read without a cursor can never say that it is the whole."""

    page: ClassVar[int] = 1
    """How many entries the source may make at a time; the test of laziness needs more people than that."""

    @pytest.fixture
    def connector(self, source: Source) -> Source:
        """The source, for the tests that platforms have as well."""
        return source

    def use(self, connector: Source) -> None:
        """Read everything."""
        for _ in connector.read(None):
            pass

    def test_it_says_whether_it_is_incremental(self, source: Source) -> None:
        """``incremental`` of the source is what this class says of it."""
        assert self.incremental == source.incremental

    def test_the_scope_is_a_steady_text(self, opened: Source) -> None:
        """``scope`` is the same text while nothing is configured anew."""
        assert isinstance(opened.scope(), str)
        assert opened.scope() == opened.scope()

    def test_a_read_ends_with_its_one_checkpoint(self, opened: Source) -> None:
        """A read yields nothing but items, and the last of them is its only Checkpoint."""
        items = list(opened.read(None))
        kinds = [type(item).__name__ for item in items if not isinstance(item, Item)]
        places = [place for place, item in enumerate(items) if isinstance(item, Checkpoint)]

        assert kinds == [], "read may yield Entry, Present, Removed, Problem, Checkpoint"
        assert places == [len(items) - 1], "where the Checkpoints are, and where the one should be"
        assert items[-1] == Checkpoint(items[-1].cursor, full=self.full)  # type: ignore[union-attr]

    def test_anchors_are_unique(self, opened: Source) -> None:
        """No anchor comes twice in one read, and each is a text that says something."""
        anchors = [entry.anchor for entry in _entries(opened.read(None))]

        assert [anchor for anchor in anchors if not isinstance(anchor, str) or not anchor] == []
        assert len(anchors) == len(set(anchors))
        assert len(anchors) >= 2, "the kit needs a source of two people or more"

    def test_attributes_are_tuples_of_text(self, opened: Source) -> None:
        """Attributes map names to tuples of texts; what is unknown has no value besides."""
        for entry in _entries(opened.read(None)):
            wrong = {
                name: texts
                for name, texts in entry.attributes.items()
                if not isinstance(name, str) or not _texts(texts)
            }

            assert isinstance(entry.attributes, Mapping)
            assert wrong == {}
            assert isinstance(entry.enabled, bool)
            assert [name for name in entry.unknown if entry.attributes.get(name)] == []

    def test_fingerprints_are_short_digests(self, opened: Source) -> None:
        """A fingerprint is None, or 1 to 32 bytes; a source makes them for all entries or for none."""
        prints = [entry.fingerprint for entry in _entries(opened.read(None))]

        assert [one for one in prints if one is not None and not _digest(one)] == []
        assert len({one is None for one in prints}) <= 1

    def test_problems_have_a_code_and_a_message(self, opened: Source) -> None:
        """A Problem has a code, a message, and an anchor or None."""
        for item in opened.read(None):
            if isinstance(item, Problem):
                assert item.anchor is None or item.anchor
                assert item.code
                assert item.message

    def test_two_reads_are_alike(self, opened: Source) -> None:
        """While nothing changes, anchors, attributes, states and fingerprints stay the same."""
        assert applied({}, opened.read(None)) == applied({}, opened.read(None))

    def test_it_reads_lazily(self, opened: Source) -> None:
        """The first entry is yielded before the last is made: memory does not grow with the source."""
        total = len(list(_entries(opened.read(None))))
        if total <= self.page:
            pytest.skip(f"needs more than {self.page} people to show")
        gc.collect()
        before = _alive()
        stream = opened.read(None)
        first = next(iter(stream))
        made = _alive() - before
        _close(stream)
        del first

        assert made < total, f"{made} of {total} entries were made before the first was yielded"

    def test_an_abandoned_read_does_no_harm(self, opened: Source) -> None:
        """A read that is closed after its first item leaves a source that can be read again."""
        whole = applied({}, opened.read(None))
        stream = opened.read(None)
        next(iter(stream))
        _close(stream)

        assert applied({}, opened.read(None)) == whole

    def test_somebody_new_is_read(self, opened: Source, request: pytest.FixtureRequest) -> None:
        """Whoever is added is in the next full read, and nobody else changes."""
        world: SourceWorld = optional(request, "world")
        before = applied({}, opened.read(None))
        anchor = world.add()
        after = applied({}, opened.read(None))

        assert set(after) - set(before) == {anchor}
        assert {key: after[key] for key in before} == before

    def test_a_changed_entry_reads_differently(self, opened: Source, request: pytest.FixtureRequest) -> None:
        """A changed entry has the same anchor, other attributes, and another fingerprint."""
        world: SourceWorld = optional(request, "world")
        anchor = world.add()
        before = applied({}, opened.read(None))[anchor]
        world.change(anchor)
        after = applied({}, opened.read(None))[anchor]

        assert (before.attributes, before.enabled) != (after.attributes, after.enabled)
        assert before.fingerprint is None or before.fingerprint != after.fingerprint

    def test_whoever_is_removed_is_gone(self, opened: Source, request: pytest.FixtureRequest) -> None:
        """Whoever is removed is not in the next full read, and everybody else is."""
        world: SourceWorld = optional(request, "world")
        before = applied({}, opened.read(None))
        anchor = world.add()

        assert anchor in applied({}, opened.read(None))

        world.remove(anchor)

        assert applied({}, opened.read(None)) == before

    def test_nothing_new_after_the_cursor(self, opened: Source) -> None:
        """While nothing changes, a read from the cursor changes nothing and has a cursor again."""
        whole, cursor = self._whole(opened)
        items = list(opened.read(cursor))

        assert applied(whole, items) == whole
        assert isinstance(_cursor(items), str)

    def test_a_change_comes_once_after_the_cursor(
        self, opened: Source, request: pytest.FixtureRequest
    ) -> None:
        """Who is added, and who is changed, is one Entry each of the read from the cursor."""
        world: SourceWorld = optional(request, "world")
        known = world.add()
        _, cursor = self._whole(opened)
        world.change(known)
        new = world.add()
        anchors = [entry.anchor for entry in _entries(opened.read(cursor))]

        assert {anchor: anchors.count(anchor) for anchor in (known, new)} == {known: 1, new: 1}

    def test_a_removal_is_told_after_the_cursor(self, opened: Source, request: pytest.FixtureRequest) -> None:
        """Who is removed is a Removed, or absent from a read that vouches for the whole."""
        world: SourceWorld = optional(request, "world")
        anchor = world.add()
        whole, cursor = self._whole(opened)
        world.remove(anchor)

        assert set(whole) - set(applied(whole, opened.read(cursor))) == {anchor}

    def test_full_equals_initial_plus_increments(
        self, opened: Source, request: pytest.FixtureRequest
    ) -> None:
        """A first read and all that came after its cursor make what a full read says now."""
        world: SourceWorld = optional(request, "world")
        people, cursor = self._whole(opened)
        anchors = [world.add() for _ in range(3)]
        for step in (world.change, world.remove, lambda _: world.change(anchors[-1])):
            step(anchors[0])
            items = list(opened.read(cursor))
            people, cursor = applied(people, items), _cursor(items)

        assert people == applied({}, opened.read(None))

    def test_a_stale_cursor_is_refused_or_read_in_full(
        self, opened: Source, request: pytest.FixtureRequest
    ) -> None:
        """A cursor that means nothing raises CursorExpired, or brings everything: never a part."""
        whole, _ = self._whole(opened)
        cursor = given(request, "stale_cursor") or "a cursor of nobody"
        try:
            items = list(opened.read(cursor))
        except CursorExpired:
            return

        assert isinstance(items[-1], Checkpoint)
        assert items[-1].full
        assert applied({}, items) == whole

    def _whole(self, source: Source) -> tuple[dict[str, Seen], str | None]:
        if not self.incremental:
            pytest.skip("not incremental")
        items = list(source.read(None))
        assert isinstance(_cursor(items), str), "an incremental source has to end with a cursor"
        return applied({}, items), _cursor(items)


def applied(known: Mapping[str, Seen], items: Iterable[Item]) -> dict[str, Seen]:
    """Return who is known after a read, as the engine sees it; the read has to be whole.

    Nobody may be told of twice, such as by Entry and by Present: the engine uses neither then.
    """
    people, present, end = dict(known), set[str | None](), None
    for item in items:
        if isinstance(item, Entry | Present):
            assert item.anchor not in present, f"{item.anchor} was told of twice in one read"
        if isinstance(item, Entry):
            people[item.anchor] = _seen(item)
        if isinstance(item, Removed):
            people.pop(item.anchor, None)
        elif isinstance(item, Entry | Present | Problem):
            present.add(item.anchor)
        end = item
    assert isinstance(end, Checkpoint), "the read is torn: it ended without a Checkpoint"
    if end.full and None not in present:
        return {anchor: seen for anchor, seen in people.items() if anchor in present}
    return people


def _seen(entry: Entry) -> Seen:
    attributes = {name: tuple(texts) for name, texts in entry.attributes.items() if texts}
    return Seen(attributes, entry.enabled, entry.fingerprint, frozenset(entry.unknown))


def _entries(items: Iterable[Item]) -> Iterator[Entry]:
    return (item for item in items if isinstance(item, Entry))


def _cursor(items: list[Item]) -> str | None:
    assert items, "the read is torn: it ended without a Checkpoint"
    assert isinstance(items[-1], Checkpoint), "the read is torn: it ended without a Checkpoint"
    return items[-1].cursor


def _texts(texts: Any) -> bool:
    return isinstance(texts, tuple) and all(isinstance(text, str) for text in texts)


def _digest(one: Any) -> bool:
    return isinstance(one, bytes) and 1 <= len(one) <= 32


def _alive() -> int:
    return sum(issubclass(type(thing), Entry) for thing in gc.get_objects())


def _close(stream: Any) -> None:
    if hasattr(stream, "close"):
        stream.close()
