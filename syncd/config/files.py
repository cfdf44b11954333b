"""From configuration files and the environment to one ``Document``; nothing is judged but the form."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .document import Document, Problem
from .lines import KeyPath, key_lines
from .settings import Origin
from .words import dotted

DEFAULT_FILE = Path("/etc/syncd/syncd.toml")
_LARGEST = 16 * 1024 * 1024
_NOT_A_FILE = "is not a regular file"


def read(files: Sequence[Path] | None, environ: Mapping[str, str]) -> Document:
    """Read ``files`` and the ``conf.d/*.toml`` beside each, in the order of their names.

    Without ``files`` it is ``$SYNCD_CONFIG``, else ``/etc/syncd/syncd.toml``. What cannot be read stands in
    the document's problems.
    """
    document, variable = Document(), environ.get("SYNCD_CONFIG")
    told = Path(variable) if files is None and variable else None
    if files is None:
        files = [told or DEFAULT_FILE]
    for file in dict.fromkeys(part for main in files for part in _with_parts(main, document)):
        document.files.append(str(file))
        text = _text_of(file, document, " (SYNCD_CONFIG names it)" if file == told else "")
        if text is None or not _add(document, file, text):
            document.incomplete = True
    return document


def _with_parts(file: Path, document: Document) -> list[Path]:
    """Return the file and what stands in ``conf.d`` beside it; hidden files are an editor's own."""
    folder = file.parent / "conf.d"
    problem = None
    try:
        if folder.stat().st_mode & stat.S_IWOTH:
            problem = "everybody may write into this folder; run chmod o-w on it"
        parts = sorted(part for part in folder.iterdir() if part.suffix == ".toml" and part.name[0] != ".")
    except FileNotFoundError:
        return [file]
    except OSError as error:
        parts, problem = [], f"cannot be read: {error.strerror}"
        document.incomplete = True
    if problem is not None:
        document.problems.append(Problem(Origin(str(folder)), problem))
    return [file, *parts]


def _text_of(file: Path, document: Document, why: str) -> str | None:
    """Return the text of a file that may be trusted, or note why it cannot be had, and ``why`` it was read."""
    problem, line = None, None
    try:
        with open(file, "rb", opener=_without_waiting) as stream:
            problem = _objection(os.fstat(stream.fileno()))
            if problem is None:
                data = stream.read()
                return data.decode("utf-8-sig").replace("\r\n", "\n")
    except IsADirectoryError:
        problem = f"{_NOT_A_FILE}{why}"
    except FileNotFoundError:
        problem = f"there is no such file{why}; name the right one with --config or SYNCD_CONFIG"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
    except OSError as error:
        problem = f"cannot be read{why}: {error.strerror}"
    document.problems.append(Problem(Origin(str(file), line), problem))
    return None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, and do not hang on a named pipe before it can be seen to be one."""
    return os.open(path, flags | os.O_NONBLOCK)


def _objection(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return _NOT_A_FILE
    if status.st_mode & stat.S_IWOTH:
        return "everybody may write to this file; run chmod o-w on it"
    if status.st_size > _LARGEST:
        return f"is larger than {_LARGEST // 1024 // 1024} MiB"
    return None


def _add(document: Document, file: Path, text: str) -> bool:
    """Merge a file's text into the document; False if it is not TOML."""
    try:
        tree = tomllib.loads(text)
        lines = key_lines(text)
    except tomllib.TOMLDecodeError as error:
        document.problems.append(_syntax_problem(file, text, str(error)))
        return False
    except RecursionError:
        problem = "tables or arrays are nested too deeply"
        document.problems.append(Problem(Origin(str(file)), problem))
        return False
    _merge(document, tree, {path: Origin(str(file), line) for path, line in lines.items()})
    return True


def _syntax_problem(file: Path, text: str, message: str) -> Problem:
    what, _, place = message.rpartition(" (at ")
    what = f"not valid TOML: {what[:1].lower()}{what[1:]}"
    numbers = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    if numbers is None:
        last = text.count("\n") + (not text.endswith("\n"))
        return Problem(Origin(str(file), last), f"{what}, and there the file ends")
    return Problem(Origin(str(file), int(numbers[1])), what, int(numbers[2]))


def _merge(document: Document, tree: dict[str, Any], origins: dict[KeyPath, Origin]) -> None:
    """Add a file's tables; a table that another file has already is a problem, and the first one stays."""
    for key, value in tree.items():
        known = document.tree.get(key)
        if known is None:
            document.tree[key] = value
        elif _holds_tables(known) and _holds_tables(value):
            for name, table in value.items():
                if name in known:
                    _object_to_second(document, (key, name), origins)
                else:
                    known[name] = table
        else:
            _object_to_second(document, (key,), origins)
    for path, origin in origins.items():
        document.origins.setdefault(path, origin)


def _holds_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values())


def _object_to_second(document: Document, path: KeyPath, origins: dict[KeyPath, Origin]) -> None:
    first, second = document.origins[path], origins[path]
    message = f"{dotted(path)}: stands in {first} already; one table stands in one file"
    document.problems.append(Problem(second, message))
    for inner in [inner for inner in origins if inner[: len(path)] == path]:
        del origins[inner]
