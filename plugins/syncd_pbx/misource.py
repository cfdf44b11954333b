"""The source ``mivoice``: the users that a MiVoice exports as CSV, a row for each of their devices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Literal, cast

from pydantic import Field

from syncd import Denied, Entry
from syncd_bulk.shared import (
    BadFile,
    Copy,
    CsvFile,
    CsvRow,
    Fault,
    FileOptions,
    FileSource,
    Found,
    disabling,
)

from .mioptions import Product

DESK, SOFT, FURTHER = "Desk Phone", "Soft Phone", "Further Numbers"
"""What a person's rows say together: numbers of telephones, of soft phones, and all but the first of either."""

_TOGETHER = (DESK, SOFT, FURTHER)

_PERSON = ("First Name", "Last Name", "Email Address")
_NO = frozenset({"", "0", "n", "no", "false", "off"})
_SOFTPHONES = ("MiCollab Client Endpoint", "AppServerPort", "5020 IP Phone", "5224 IP Phone")
_CODE = re.compile(
    r"\b(pass ?(word|code|phrase)|pin|tui|(login|security|access|authori[sz]ation|voice ?mail|mailbox|user) code)s?\b",
    re.IGNORECASE,
)


class MivoiceSource(FileSource):
    """Rows with the same anchor are one person: the devices of a personal ring group or a multi-device user group.

    A row without a user (a telephone in a lobby) is nobody.
    """

    synchronizer = "pbx"

    class Options(FileOptions):
        """Every setting of a source of ``type = "mivoice"``."""

        product: Product = Field(default="business", description="what exported the file")
        anchor: str = Field(
            default="Login ID",
            description="the column that all devices of a person share; case does not count",
        )
        number: str = Field(
            default="Primary Phone Directory Number", description="the column with the number of a device"
        )
        device: str = Field(default="Device Type", description="the column with the type of a device")
        softphones: tuple[str, ...] = Field(
            default=_SOFTPHONES, description="the types of device that are soft phones, in any case"
        )
        dynamic: str = Field(
            default="Dynamic Extension",
            description="the column that says whether a device is a dynamic extension",
        )
        dynamic_extensions_only: bool = Field(
            default=False, description="read those people alone who have a dynamic extension"
        )
        enabled: str | None = Field(
            default=None, description="the column that says whether a device's user is disabled"
        )
        delimiter: str = Field(
            default="auto",
            pattern=r"^(auto|[,;|\t])$",
            description="what divides the cells: ',', ';', '|', a tab, or 'auto' (found in the header alone)",
        )
        encoding: Literal["utf-8", "latin-1"] = Field(
            default="utf-8", description="how the file is written; a mark of UTF-8 is known by itself"
        )
        max_entries: int = Field(
            default=100_000, ge=1, le=1_000_000, description="more rows than this are an error, never a cut"
        )

        @property
        def only_enriches(self) -> str:
            """Return why a source of this product makes no accounts, or nothing."""
            names = {"mx-one": "an MX-ONE", "5000": "a MiVoice 5000"}
            if self.product not in names:
                return ""
            return (
                f"the users of {names[self.product]} are made in its own manager, and are only added to here"
            )

    options: Options
    _file: CsvFile | None = None
    _passed = 0

    def scope(self) -> str:
        options = self.options
        only = ", dynamic extensions only" if options.dynamic_extensions_only else ""
        return f"mivoice {options.path} anchor {options.anchor}{only}"

    @property
    def _anchor(self) -> str:
        return self.options.anchor

    def _found(self, copy: Copy) -> Iterator[Found]:
        if codes := [name for name in self.selected if _CODE.search(name)]:
            raise Denied(
                f"{', '.join(codes)}: passwords and codes are never read from an export; take them out of the map"
            )
        options = self.options
        data = copy.file if options.encoding == "utf-8" else cast("BinaryIO", _Latin1(copy.file))
        delimiter = None if options.delimiter == "auto" else options.delimiter
        self._file = file = CsvFile(data, delimiter, options.anchor, options.caps)
        devices = Devices(file.header, options, self.selected)
        people: dict[str, list[CsvRow]] = {}
        passed = 0
        for row in file:
            anchor = devices.anchor(row)
            if anchor:
                people.setdefault(anchor, []).append(row)
            elif row.faults or devices.is_somebody(row):
                yield Found(row.line, None, None, row.faults or (devices.without_anchor(row),))
            else:
                passed += 1
        read = {anchor: rows for anchor, rows in people.items() if devices.wants(rows)}
        self._passed = passed + sum(len(rows) for anchor, rows in people.items() if anchor not in read)
        yield Found(1, None, None, (), self._passed)
        for anchor, rows in read.items():
            yield devices.found(anchor, rows)

    def _notes(self) -> Iterator[str]:
        if self._file is None:
            return
        header = self._file.header
        yield f"delimiter {self._file.delimiter!r}; columns: {', '.join(header)}"
        yield f"rows of nobody, or of nobody who is wanted: {self._passed}"
        there = {*header, *_TOGETHER}
        if missing := [name for name in self.selected if name not in there]:
            yield f"mapped columns that the file lacks: {', '.join(missing)}"


class Devices:
    """The rows of one file, and what several of them say of one person."""

    def __init__(
        self, header: Sequence[str], options: MivoiceSource.Options, selected: Sequence[str]
    ) -> None:
        self._at = {name: place for place, name in enumerate(header)}
        self._options = options
        needed = {options.enabled: options.enabled, options.dynamic: options.dynamic_extensions_only}
        for name, why in needed.items():
            if why and name not in self._at:
                raise BadFile(1, name, "there is no such column, though the configuration asks for it")
        names = selected or [*header, *_TOGETHER]
        self._names = [name for name in names if name in self._at and not _CODE.search(name)]
        self._together = [name for name in names if name in _TOGETHER and name not in self._at]
        if options.number not in self._at:
            self._together = []
        elif options.device not in self._at:
            self._together = [name for name in self._together if name != SOFT]
        self._unknown = frozenset(selected) - {*self._names, *self._together}
        self._soft = frozenset(kind.casefold() for kind in options.softphones)
        self._disabled = disabling(options)

    def anchor(self, row: CsvRow) -> str:
        """Return whose device it is, in one spelling; empty if that cannot be known."""
        return self._cell(row, self._options.anchor).casefold() if row.aligned else ""

    def is_somebody(self, row: CsvRow) -> bool:
        """Tell whether a row without an anchor is about a person all the same."""
        return any(self._cell(row, name) for name in _PERSON)

    def without_anchor(self, row: CsvRow) -> Fault:
        """Return what is wrong with such a row."""
        return Fault(
            row.line, self._options.anchor, "it is empty, so it cannot be known who this is; fill it in"
        )

    def wants(self, rows: Sequence[CsvRow]) -> bool:
        """Tell whether the person of these rows is to be read."""
        options = self._options
        return not options.dynamic_extensions_only or any(
            row.faults or self._cell(row, options.dynamic).casefold() not in _NO for row in rows
        )

    def found(self, anchor: str, rows: Sequence[CsvRow]) -> Found:
        """Return the person of these rows; without a fingerprint, as that of whole rows would tell of codes in them."""
        line, faults = rows[0].line, [fault for row in rows for fault in row.faults]
        faults += [fault for name in _PERSON for fault in self._disagreeing(name, rows)]
        if faults:
            return Found(line, anchor, None, tuple(faults), len(rows))
        attributes = {name: _distinct(self._cell(row, name) for row in rows) for name in self._names}
        if self._together:
            numbers = self._numbers(rows)
            attributes |= {name: numbers[name] for name in self._together}
        entry = Entry(anchor, attributes, self._enabled(rows), unknown=self._unknown)
        return Found(line, anchor, entry, (), len(rows))

    def _numbers(self, rows: Sequence[CsvRow]) -> dict[str, tuple[str, ...]]:
        number, kind = self._options.number, self._options.device
        soft = [self._cell(row, kind).casefold() in self._soft for row in rows]
        every = [self._cell(row, number) for row in rows]
        found = {
            DESK: _distinct(text for text, is_soft in zip(every, soft, strict=True) if not is_soft),
            SOFT: _distinct(text for text, is_soft in zip(every, soft, strict=True) if is_soft),
        }
        first = {*found[DESK][:1], *found[SOFT][:1]}
        return {**found, FURTHER: tuple(text for text in _distinct(every) if text not in first)}

    def _enabled(self, rows: Sequence[CsvRow]) -> bool:
        column = self._options.enabled
        return column is None or not all(self._disabled(self._cell(row, column)) for row in rows)

    def _disagreeing(self, name: str, rows: Sequence[CsvRow]) -> Iterator[Fault]:
        first: CsvRow | None = None
        for row in rows:
            if not (text := self._cell(row, name)):
                continue
            if first is not None and text.casefold() != self._cell(first, name).casefold():
                yield Fault(
                    row.line,
                    name,
                    f"is another than in line {first.line}, though {self._options.anchor} is the same: these are two "
                    "people, or one of the rows is wrong",
                )
                return
            first = first or row

    def _cell(self, row: CsvRow, name: str) -> str:
        return row.cells[self._at[name]].strip() if name in self._at and row.aligned else ""


class _Latin1:
    """A file in Latin-1, read as if it were UTF-8."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readline(self, size: int) -> bytes:
        return self._file.readline(size).decode("latin-1").encode()


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
