"""The platform ``csv``: a table of accounts for systems that import one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from syncd import Account, Denied, Rejected

from .batch import Stored
from .columns import columns_of
from .csvfile import CsvFile
from .outputs import Draft, drafted, hidden, open_own, translated
from .platform import (
    FileColumn,
    FilePlatform,
    OutputOptions,
    Switch,
    check_key,
    fields_of,
    problem_of,
    texts_of,
)
from .rows import BadFile, Caps

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PHONE = re.compile(r"\+[0-9][0-9 ()./-]*")
_EVERYTHING = Caps(value=1 << 20, line=1 << 30, entries=1 << 40)


class CsvPlatform(FilePlatform):
    """One row per account, and the file is its own memory: the key and the state are columns of it.

    Where the receiving system takes no such columns (``key = false`` or ``enabled = false``), the full
    table stands beside the file as ``PATH.state``, and the file is made from that.
    """

    class Options(OutputOptions):
        """Every setting of a platform of ``type = "csv"``."""

        path: str = Field(description="the file to write, as an absolute path")
        columns: dict[str, FileColumn] = Field(
            min_length=1,
            description="column -> account attribute, in the order of the file; a list means equal names",
        )
        key: str | Literal[False] = Field(
            default="account",
            description="the first column, which holds the account's key; false: no such column",
        )
        enabled: Switch | Literal[False] = Field(
            default=Switch(name="enabled"),
            description="the last column, which says whether the account is enabled; false: no such column, "
            "and a disabled account has no row",
        )
        delimiter: str = Field(default=",", pattern=r"^[,;|\t]$", description="what divides the cells")
        separator: str = Field(
            default=";", min_length=1, description="what divides several values in one cell"
        )
        bom: bool = Field(default=False, description="begin with the UTF-8 mark that Excel wants to see")
        raw: bool = Field(
            default=False,
            description="write cells as they are, for machines; otherwise no cell can be taken for a formula",
        )

        _columns = field_validator("columns", mode="before")(columns_of)

        @model_validator(mode="after")
        def _distinct(self) -> CsvPlatform.Options:
            names = [
                *self.columns,
                *([self.key] if self.key else []),
                *([self.enabled.name] if self.enabled else []),
            ]
            for name in names:
                if not name or name != name.strip() or names.count(name) > 1:
                    raise ValueError(
                        f"column {name!r}: names are not empty, have no blanks around them, and stand once"
                    )
            return self

    options: Options

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self.fields = fields_of(options.columns)
        self._whole = bool(options.key and options.enabled)
        self._path = Path(options.path if self._whole else f"{options.path}.state")
        self._switch = options.enabled or Switch(name="syncd:enabled")
        self._outdated = False
        self._layout = (options.key or "syncd:key", *options.columns, self._switch.name)
        self._alone = [
            at for at, name in enumerate(self._layout) if name in options.columns and self.fields[name].key
        ]

    def open(self) -> None:
        """Where the file is made from another one, see that it is what that one says."""
        super().open()
        if not self._whole and self._path.exists():
            with translated(self._path):
                self._derive()

    def _stored(self) -> Iterator[Stored]:
        file = open_own(self._path)
        if file is None:
            return
        with file:
            try:
                yield from self._rows(CsvFile(file, None, self._layout[0], _EVERYTHING))
            except BadFile as error:
                raise self._broken(error.fault.at(self._path)) from None

    def _rows(self, table: CsvFile) -> Iterator[Stored]:
        place = {name: at for at, name in enumerate(table.header)}
        same = table.header == self._layout
        self._outdated = not same
        off = self._switch.off
        for row in table:
            if row.faults:
                raise self._broken(row.faults[0].at(self._path))
            cells = row.cells if same else [row.cells[place[n]] if n in place else "" for n in self._layout]
            yield Stored(cells[0], cells[-1] != off, cells)

    def _broken(self, message: str) -> Denied:
        return Denied(
            f"{message}; put it right; or move the file away, and `syncd verify --repair` makes it anew"
        )

    def _made(self, key: str, account: Account, *, enabled: bool) -> Stored:
        check_key(key)
        if key.startswith(_FORMULA) and not self.options.raw:
            raise Rejected(f"account key {key!r} could be taken for a formula")
        cells = [key]
        for name, field in self.fields.items():
            texts = texts_of(account, name, field)
            if len(texts) > 1 and any(self.options.separator in text for text in texts):
                raise Rejected(f"account {key}: a value of {name} holds the separator; set another one")
            text = self.options.separator.join(texts)
            if problem := problem_of(text):
                raise Rejected(f"account {key}: {name}, all values together, {problem}")
            cells.append(text if self.options.raw else guarded(text))
        cells.append(self._switch.on if enabled else self._switch.off)
        return Stored(key, enabled, cells)

    def _disabled(self, row: Stored) -> Stored:
        return row._replace(enabled=False, body=[*row.body[:-1], self._switch.off])

    def _digest(self, row: Stored) -> str:
        text = "\0".join([str(row.enabled), *row.body[1:-1]])
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def _unique(self, row: Stored) -> Iterator[Hashable]:
        for at in self._alone:
            if row.body[at]:
                yield at, row.body[at].casefold()

    def _write(self, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> None:
        with drafted(self._path, self._mode if self._whole else 0o600) as draft:
            changed = False
            with self._writer(draft) as writer:
                writer.writerow(self._layout)
                for before, after in pairs:
                    changed = changed or before != after
                    if after is not None:
                        writer.writerow(after.body)
            if changed or self._outdated:
                draft.settle()
                draft.publish()
            else:
                draft.drop()
        if not self._whole:
            self._derive()

    def _derive(self) -> None:
        """Make the file that others see from the one that has the keys; leave it alone if it is right."""
        path, first = Path(self.options.path), 0 if self.options.key else 1
        last = len(self._layout) - (0 if self.options.enabled else 1)
        with drafted(path, self._mode) as draft:
            with self._writer(draft) as writer:
                writer.writerow(self._layout[first:last])
                for row in self._stored():
                    if row.enabled or self.options.enabled:
                        writer.writerow(row.body[first:last])
            draft.settle()
            if path.is_file() and cmp(hidden(path), path, shallow=False):
                draft.drop()
            else:
                draft.publish()

    @contextmanager
    def _writer(self, draft: Draft) -> Iterator[Any]:
        encoding = "utf-8-sig" if self.options.bom else "utf-8"
        text = io.TextIOWrapper(draft.file, encoding, newline="")
        # Quoted cells are text to spreadsheets that ask; a bare +49 would become a number.
        quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if self.options.raw else csv.QUOTE_ALL
        try:
            yield csv.writer(text, delimiter=self.options.delimiter, quoting=quoting, lineterminator="\r\n")
            text.flush()
        finally:
            text.detach()


def guarded(cell: str) -> str:
    """Return the cell as no spreadsheet takes it for a formula (OWASP, CSV injection).

    An apostrophe goes before ``= + - @``, a tab or a carriage return. A telephone number that begins with
    ``+`` and has digits and ``( ) . / -`` only stays as it is: it computes nothing worse than a number.
    """
    if cell.startswith(_FORMULA) and not _PHONE.fullmatch(cell):
        return "'" + cell
    return cell
