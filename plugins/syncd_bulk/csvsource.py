"""The source ``csv``: people as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from operator import itemgetter

from pydantic import Field

from syncd import Entry

from .csvfile import CsvFile, CsvRow
from .inputs import Copy
from .rows import BadFile, Fault
from .source import FileOptions, FileSource, Found, disabling, suggestions


class CsvSource(FileSource):
    """Each column is an attribute under the column's very name.

    A column that is there but empty clears; one that the mapping uses and the header lacks is unknown,
    so that what is stored of it stays.
    """

    class Options(FileOptions):
        """Every setting of ``type = "csv"``."""

        anchor: str = Field(
            description="the column that never changes for a person, such as a personnel number"
        )
        delimiter: str = Field(
            default="auto",
            pattern=r"^(auto|[,;|\t])$",
            description="what divides the cells: ',', ';', '|', a tab, or 'auto' (found in the header alone)",
        )
        enabled: str | None = Field(
            default=None, description="the column that says whether a person is disabled"
        )

    options: Options
    _file: CsvFile | None = None

    def scope(self) -> str:
        return f"csv {self.options.path} anchor {self.options.anchor}"

    @property
    def _anchor(self) -> str:
        return self.options.anchor

    def _found(self, copy: Copy) -> Iterator[Found]:
        options = self.options
        delimiter = None if options.delimiter == "auto" else options.delimiter
        self._file = file = CsvFile(copy.file, delimiter, options.anchor, options.caps)
        if options.enabled is not None and options.enabled not in file.header:
            raise BadFile(1, options.enabled, "there is no such column, though 'enabled' names it")
        position = {name: place for place, name in enumerate(file.header)}
        anchor_at = position[options.anchor]
        enabled_at = None if options.enabled is None else position[options.enabled]
        disabled = disabling(options)
        picked = [(name, position[name]) for name in self.selected or file.header if name in position]
        unknown = frozenset(self.selected) - frozenset(file.header)
        used = itemgetter(
            anchor_at, anchor_at if enabled_at is None else enabled_at, *(at for _, at in picked)
        )
        salt = self._salt(*(name for name, _ in picked))
        for row in file:
            cells = row.cells
            anchor = cells[anchor_at].strip() if row.aligned else ""
            if row.faults or not anchor:
                yield self._bad(row, anchor)
                continue
            digest = blake2b("\0".join(used(cells)).encode(), digest_size=16, person=salt).digest()
            attributes = {name: (cells[place],) if cells[place] else () for name, place in picked}
            enabled = enabled_at is None or not disabled(cells[enabled_at])
            yield Found(row.line, anchor, Entry(anchor, attributes, enabled, digest, unknown), ())

    def _bad(self, row: CsvRow, anchor: str) -> Found:
        faults = row.faults
        if row.aligned and not anchor:
            faults = (
                *faults,
                Fault(row.line, self._anchor, "it is empty, so it cannot be known who this is; fill it in"),
            )
        if any(fault.where == self._anchor for fault in faults):
            anchor = ""
        return Found(row.line, anchor or None, None, faults)

    def _notes(self) -> Iterator[str]:
        if self._file is None:
            return
        header = self._file.header
        found = " (found in the header)" if self.options.delimiter == "auto" else ""
        yield f"delimiter {self._file.delimiter!r}{found}"
        yield f"columns: {', '.join(header)}"
        if not self.selected:
            return
        used = {*self.selected, self.options.anchor, self.options.enabled}
        if unused := [name for name in header if name not in used]:
            yield f"columns that no mapping uses: {', '.join(unused)}"
        if missing := [name for name in self.selected if name not in header]:
            yield f"mapped columns that the file lacks: {suggestions(missing, header)}"
