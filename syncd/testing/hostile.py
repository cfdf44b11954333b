"""A source that wraps another and misbehaves, for tests of what has to survive it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..connector import Source
from ..errors import Unavailable
from ..model import Checkpoint, Entry, Item, Problem


class HostileSource(Source):
    """Yields what ``wrapped`` yields, with faults; each is an attribute that a test may change later.

    ``tear_after``: raise Unavailable after that many items, or just end there if ``silent``.
    ``duplicate``: yield every n-th entry twice. ``slow``: seconds before each item.
    ``bad_entries``: make every n-th entry a Problem; ``anchorless`` hides whose it was.
    ``liar_after``: end after that many entries with a Checkpoint that claims to be the whole.
    """

    def __init__(
        self,
        wrapped: Source,
        *,
        tear_after: int | None = None,
        silent: bool = False,
        duplicate: int | None = None,
        slow: float = 0.0,
        bad_entries: int | None = None,
        anchorless: bool = False,
        liar_after: int | None = None,
    ) -> None:
        super().__init__(wrapped.options, wrapped.context)
        self.wrapped = wrapped
        self.tear_after = tear_after
        self.silent = silent
        self.duplicate = duplicate
        self.slow = slow
        self.bad_entries = bad_entries
        self.anchorless = anchorless
        self.liar_after = liar_after

    @property
    def incremental(self) -> bool:  # type: ignore[override]  # the wrapped one decides
        """Whether the wrapped source is."""
        return self.wrapped.incremental

    def open(self) -> None:
        """Open the wrapped source."""
        self.wrapped.open()

    def close(self) -> None:
        """Close the wrapped source."""
        self.wrapped.close()

    def check(self) -> Iterable[str]:
        """Ask the wrapped source."""
        return self.wrapped.check()

    def select(self, names: Iterable[str]) -> None:
        """Tell the wrapped source."""
        self.wrapped.select(names)
        self.selected = self.wrapped.selected

    def scope(self) -> str:
        """Ask the wrapped source."""
        return self.wrapped.scope()

    def read(self, cursor: str | None) -> Iterator[Item]:
        """Yield what the wrapped source yields, with the faults."""
        stream = self._lying(self.wrapped.read(cursor))
        stream = self._spoiled(stream)
        stream = self._doubled(stream)
        return self._torn(stream)

    def _lying(self, stream: Iterator[Item]) -> Iterator[Item]:
        entries = 0
        for item in stream:
            if self.liar_after is not None and entries >= self.liar_after:
                yield Checkpoint(None, full=True)
                return
            entries += isinstance(item, Entry)
            yield item

    def _spoiled(self, stream: Iterator[Item]) -> Iterator[Item]:
        entries = 0
        for item in stream:
            if isinstance(item, Entry):
                entries += 1
                if self.bad_entries is not None and entries % self.bad_entries == 0:
                    item = Problem(
                        None if self.anchorless else item.anchor, "unreadable", "cannot be decoded"
                    )
            yield item

    def _doubled(self, stream: Iterator[Item]) -> Iterator[Item]:
        entries = 0
        for item in stream:
            yield item
            if isinstance(item, Entry):
                entries += 1
                if self.duplicate is not None and entries % self.duplicate == 0:
                    yield item

    def _torn(self, stream: Iterator[Item]) -> Iterator[Item]:
        for number, item in enumerate(stream):
            if self.tear_after is not None and number >= self.tear_after:
                if self.silent:
                    return
                raise Unavailable("the connection broke in the middle of the read")
            if self.slow:
                self.context.stopping.wait(self.slow)
            yield item
