"""A strict reader of CSV (RFC 4180): rows one by one, and never a row fewer than the file has.

The standard library's reader in its default mode swallows every row after an unclosed quote, takes the
byte order mark for a part of the first column's name, fills short rows up and reads a file with
semicolons as one column. Here each of these is an error with its line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO, NamedTuple

from .rows import BadFile, Caps, Fault, check_encoding

DELIMITERS = (",", ";", "\t", "|")


class CsvRow(NamedTuple):
    """One row: its first line, its cells (as many as the header has, unless a fault says otherwise)."""

    line: int
    cells: list[str]
    faults: tuple[Fault, ...] = ()
    aligned: bool = True
    """False if there are too few or too many cells, so that none of them can be trusted."""


class CsvFile:
    """The rows of a binary file object, whose ``header`` is read and checked at once.

    ``delimiter`` None finds it in the header, and there alone; ``delimiter`` then says what was found.
    ``anchor`` is a column that must be there. Raises BadFile where the file itself is no good.
    """

    def __init__(
        self,
        file: BinaryIO,
        delimiter: str | None = None,
        anchor: str | None = None,
        caps: Caps = Caps(),  # noqa: B008 - frozen
    ) -> None:
        self._file = file
        self._caps = caps
        self._number = 0
        self._bytes = 0
        self._undecodable: list[int] = []
        csv.field_size_limit(max(csv.field_size_limit(), caps.value))
        lines = self._lines()
        first = next(lines, "")
        if not first.strip():
            raise BadFile(1, None, "there is no header; the first line must name the columns", torn=True)
        self.delimiter = delimiter or find_delimiter(first, anchor)
        self._reader = csv.reader(chain([first], lines), delimiter=self.delimiter, strict=True)
        try:
            self.header = tuple(name.strip() for name in next(self._reader))
        except csv.Error as error:
            raise self._broken(error, 1) from None
        self._check_header(anchor)

    def __iter__(self) -> Iterator[CsvRow]:
        """Yield the rows, those with faults too; lines without any text in them are no rows."""
        count, start, seen = 0, self._reader.line_num + 1, self._bytes
        width = len(self.header)
        try:
            for cells in self._reader:
                line, start = start, self._reader.line_num + 1
                size, seen = self._bytes - seen, self._bytes
                if not any(cells):
                    continue
                count += 1
                if count > self._caps.entries:
                    most = self._caps.entries
                    raise BadFile(line, None, f"more than {most} rows; raise max_entries if that is right")
                if len(cells) != width or size > self._caps.value or self._undecodable:
                    yield CsvRow(line, cells, tuple(self._faults(line, cells)), len(cells) == width)
                else:
                    yield CsvRow(line, cells)
        except csv.Error as error:
            raise self._broken(error, start) from None

    def _lines(self) -> Iterator[str]:
        for raw in iter(partial(self._file.readline, self._caps.line + 1), b""):
            if not self._number:
                raw = check_encoding(raw)
            self._number += 1
            self._bytes += len(raw)
            if len(raw) > self._caps.line:
                raise BadFile(self._number, None, f"the line is longer than {self._caps.line} bytes")
            if b"\0" in raw:
                raise BadFile(self._number, None, "the line holds a NUL; export the file anew, as UTF-8")
            try:
                yield raw.decode()
            except UnicodeDecodeError:
                self._undecodable.append(self._number)
                yield raw.decode(errors="surrogateescape")

    def _faults(self, line: int, cells: list[str]) -> Iterator[Fault]:
        self._undecodable.clear()
        if len(cells) != len(self.header):
            cure = "quote a cell that holds the delimiter, or write every cell, empty ones too"
            if cells[0].startswith("# end"):
                cure = "if this is the trailer, set complete = 'trailer'"
            yield Fault(line, None, f"{_cells(cells)} where the header has {len(self.header)}; {cure}")
            return
        for name, cell in zip(self.header, cells, strict=True):
            if not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell):
                yield Fault(line, name, "the text is not UTF-8; save the file as UTF-8")
            elif len(cell.encode(errors="surrogateescape")) > self._caps.value:
                yield Fault(
                    line, name, f"the cell is longer than {self._caps.value} bytes; see max_value_kib"
                )

    def _check_header(self, anchor: str | None) -> None:
        if self._undecodable:
            raise BadFile(1, None, "the header is not UTF-8; save the file as UTF-8")
        for position, name in enumerate(self.header, 1):
            first = self.header.index(name) + 1
            if not name:
                raise BadFile(1, None, f"column {position} has no name; name it, or delete the column")
            if first != position:
                message = f"stands twice (columns {first} and {position}); rename or delete one of them"
                raise BadFile(1, name, message)
        if anchor is not None and anchor not in self.header:
            columns = ", ".join(self.header)
            raise BadFile(
                1, anchor, f"there is no such column, though it is the anchor; there are: {columns}"
            )

    def _broken(self, error: csv.Error, line: int) -> BadFile:
        """Say what the library found; where rows begin is unknown from here on, so nothing can be used."""
        text = str(error)
        if "unexpected end of data" in text:
            message = (
                "a quote that is opened in this row is never closed: the file is cut off, or a quote too many"
            )
            return BadFile(line, None, message, torn=True)
        if "field larger" in text:
            message = f"a cell is longer than {self._caps.value} bytes; is a quote missing? (else see max_value_kib)"
            return BadFile(line, None, message)
        if "new-line character" in text:
            message = "a carriage return without a line feed; save the file with LF or CR LF line ends"
            return BadFile(self._number, None, message)
        message = "text follows the closing quote of a cell; write a quote inside of a cell twice"
        return BadFile(self._number, None, message)


def _cells(cells: list[str]) -> str:
    return f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"


def find_delimiter(header: str, anchor: str | None = None) -> str:
    """Return the delimiter that divides ``header`` into most cells, one of them ``anchor`` if any does so.

    Raises BadFile if two do it equally well.
    """
    found: list[tuple[bool, int, str]] = []
    for delimiter in DELIMITERS:
        try:
            cells = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        found.append((anchor in [cell.strip() for cell in cells], len(cells), delimiter))
    found.sort(key=lambda one: one[:2], reverse=True)
    if not found or found[0][1] == 1:
        return ","
    if len(found) > 1 and found[0][:2] == found[1][:2]:
        both = f"{found[0][2]!r} and {found[1][2]!r}"
        raise BadFile(1, None, f"{both} divide the header equally well; set delimiter")
    return found[0][2]
