"""The sources ``csv`` and ``ldif``: a file that others write, read whole every time.

By default one bad row fails the whole read, with all that is wrong in the message; with ``partial`` the
good rows are used and each bad one is a Problem.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from syncd import Checkpoint, Denied, Entry, Problem, Source, Unavailable

from .columns import Strict
from .inputs import Copy, Terms, private_copy
from .rows import BadFile, Caps, Fault

_MOST_SHOWN = 20
_DISABLED = ("0", "false", "no", "n", "off", "disabled", "inactive")


class FileOptions(Strict):
    """What both sources are told."""

    path: str = Field(description="the file, as an absolute path; never a symbolic link")
    complete: Literal["stable", "trailer", "sidecar"] = Field(
        default="stable",
        description="how the file shows that it is whole: 'stable' (unchanged for stable_for seconds, and its "
        "last line ended), 'trailer' (its last line is '# end N', N being the number of rows), or 'sidecar' "
        "(a second file holds its SHA-256 or the number of rows)",
    )
    stable_for: int = Field(
        default=60,
        ge=0,
        le=86400,
        description="seconds without a change after which the file counts as whole, with complete = 'stable'; "
        "0 takes it as it stands, which is right only where it is put in place by a rename",
    )
    sidecar: str = Field(
        default="", description="the second file of complete = 'sidecar'; path + '.sha256' if empty"
    )
    partial: bool = Field(
        default=False,
        description="use the good rows of a file that has bad ones; otherwise one bad row fails the whole read",
    )
    max_entries: int = Field(
        default=5000, ge=1, le=1_000_000, description="more rows than this are an error, never a cut"
    )
    max_file_mib: int = Field(default=512, ge=1, le=4096, description="a file larger than this is an error")
    max_value_kib: int = Field(
        default=256, ge=1, le=16384, description="a value longer than this is an error"
    )
    disabled: tuple[str, ...] = Field(
        default=_DISABLED,
        description="values (in any case) of the 'enabled' column or attribute that mean disabled; "
        "'*' means any value at all",
    )

    @field_validator("path", "sidecar")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if path and not PurePath(path).is_absolute():
            raise ValueError("write an absolute path, such as /srv/import/people.csv")
        return path

    @property
    def caps(self) -> Caps:
        value = self.max_value_kib << 10
        return Caps(value=value, line=max(1 << 20, 4 * value), entries=self.max_entries)


class Found(NamedTuple):
    """What is to become an item of the read: an entry, or else its faults; neither where rows are passed over.

    ``rows``: how many rows of the file it is made of.
    """

    line: int
    anchor: str | None
    entry: Entry | None
    faults: tuple[Fault, ...]
    rows: int = 1


class Troubles:
    """The first faults of a file, and how many there are."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.total = 0

    def add(self, faults: Sequence[Fault]) -> None:
        self.total += len(faults)
        self.first.extend(faults[: _MOST_SHOWN - len(self.first)])


class FileSource(Source):
    """What both sources do: copy the file, see that it is whole, judge its rows, then yield them."""

    options: FileOptions

    def _found(self, copy: Copy) -> Iterator[Found]:
        """Yield the rows of the copy. Raises BadFile."""
        raise NotImplementedError

    def _notes(self) -> Iterator[str]:
        """Yield what ``check`` should say of the file that has just been read."""
        raise NotImplementedError

    def read(self, cursor: str | None) -> Iterator[Entry | Problem | Checkpoint]:  # noqa: ARG002 - always in full
        with self._copy() as copy:
            yield from self._partial(copy) if self.options.partial else self._whole(copy)
        yield Checkpoint(cursor=None, full=True)

    def check(self) -> Iterable[str]:
        good, bad, shown = 0, 0, list[str]()
        for item in self.read(None):
            good += isinstance(item, Entry)
            if isinstance(item, Problem):
                bad += 1
                shown += [item.message] if bad <= _MOST_SHOWN else []
        yield f"{self.options.path}: {good} good rows, {bad} bad ones"
        yield from self._notes()
        for message in shown:
            yield f"left out: {message}"

    @contextmanager
    def _copy(self) -> Iterator[Copy]:
        options = self.options
        terms = Terms(options.complete, options.stable_for, options.sidecar, options.max_file_mib << 20)
        with private_copy(options.path, terms, time.time()) as copy:
            yield copy

    def _whole(self, copy: Copy) -> Iterator[Entry]:
        """Yield the entries until the first fault, then look for further ones, and fail with all of them."""
        troubles = Troubles()
        count, seen, twice = 0, set[int](), set[int]()
        try:
            for found in self._found(copy):
                count += found.rows
                _note(found.anchor, seen, twice)
                troubles.add(found.faults)
                if found.entry is not None and not troubles.total:
                    yield found.entry
            self._compare(copy, count, troubles)
            doubled = self._lines_of(copy, twice) if twice else {}
            troubles.add([self._doubled(lines) for lines in doubled.values()])
        except BadFile as error:
            self._refuse(troubles, error)
        if troubles.total:
            self._refuse(troubles)

    def _partial(self, copy: Copy) -> Iterator[Entry | Problem]:
        """Yield good rows as entries and bad ones as problems; a doubled anchor is known before its first row."""
        count, seen, twice = 0, set[int](), set[int]()
        try:
            for found in self._found(copy):
                count += found.rows
                _note(found.anchor, seen, twice)
            del seen
            self._compare(copy, count, Troubles())
            doubled = self._lines_of(copy, twice) if twice else {}
            copy.file.seek(0)
            for found in self._found(copy):
                lines = doubled.get(found.anchor or "")
                if lines is None:
                    yield from self._items(found)
                elif lines[0] == found.line:
                    yield Problem(found.anchor, "duplicate", self._doubled(lines).at(self.options.path))
        except BadFile as error:
            self._refuse(Troubles(), error)

    def _items(self, found: Found) -> Iterator[Entry | Problem]:
        if found.entry is not None:
            yield found.entry
        elif found.faults:
            message = "; ".join(fault.at(self.options.path) for fault in found.faults)
            yield Problem(found.anchor, "bad-row", message)

    def _compare(self, copy: Copy, count: int, troubles: Troubles) -> None:
        if copy.rows is None or copy.rows == count:
            return
        more = f" ({troubles.first[0].at(self.options.path)})" if troubles.total else ""
        raise Unavailable(
            f"{self.options.path}: its writer states {copy.rows} rows, and it has {count}{more}; "
            "it is being written, or was cut: read again in 60 s",
            retry_after=60,
        )

    def _lines_of(self, copy: Copy, suspects: set[int]) -> dict[str, list[int]]:
        """Return the lines of each anchor that stands more than once (``suspects`` are hashes of anchors)."""
        lines: defaultdict[str, list[int]] = defaultdict(list)
        copy.file.seek(0)
        for found in self._found(copy):
            if found.anchor and hash(found.anchor) in suspects:
                lines[found.anchor].append(found.line)
        return {anchor: found for anchor, found in lines.items() if len(found) > 1}

    def _doubled(self, lines: list[int]) -> Fault:
        others = ", ".join(str(line) for line in lines[1:_MOST_SHOWN])
        return Fault(
            lines[0], self._anchor, f"the same anchor stands in line {others} too; give each its own"
        )

    @property
    def _anchor(self) -> str:
        raise NotImplementedError

    def _refuse(self, troubles: Troubles, end: BadFile | None = None) -> None:
        """Fail the read with the faults found so far and, if there is one, that which ended it."""
        faults = troubles.first if end is None else [*troubles.first, end.fault]
        text = [fault.at(self.options.path) for fault in sorted(faults, key=lambda one: one.line)]
        if troubles.total > len(troubles.first):
            text.append(f"and {troubles.total - len(troubles.first)} more")
        if end is not None and end.torn:
            text.append("the file looks half-written: read again in 60 s")
            raise Unavailable("\n".join(text), retry_after=60)
        if end is None:
            text.append("nothing of the file is used; mend it, or set partial = true to use its good rows")
        raise Denied("\n".join(text))

    def _salt(self, *there: str) -> bytes:
        """Return what makes a fingerprint differ when the options make another entry of the same values.

        ``there`` are the columns that the values stand in. Fingerprints are of those values alone, and not of the
        whole row: they have no key, and who knew the rest of it could try what a column says that is not mapped.
        """
        about = (self.options.model_dump(include={"enabled", "disabled"}), self.selected, there)
        return blake2b(repr(about).encode(), digest_size=16).digest()


def _note(anchor: str | None, seen: set[int], twice: set[int]) -> None:
    """Keep but a hash per anchor: two alike are suspects, and ``_lines_of`` looks at the anchors themselves."""
    if anchor:
        mark = hash(anchor)
        if mark in seen:
            twice.add(mark)
        seen.add(mark)


def disabling(options: Any) -> Callable[[str], bool]:
    """Return the test that says whether a value of the ``enabled`` column means disabled."""
    values = frozenset(value.casefold() for value in options.disabled)
    if "*" in values:
        return lambda text: bool(text.strip())
    return lambda text: text.strip().casefold() in values


def suggestions(missing: Iterable[str], there: Iterable[str]) -> str:
    """Return the missing names as a text, each with the one that was probably meant."""
    known = {name.casefold(): name for name in there}
    texts = []
    for name in missing:
        close = get_close_matches(name.casefold(), known, n=1)
        texts.append(f"{name} (did you mean {known[close[0]]}?)" if close else name)
    return ", ".join(texts)
