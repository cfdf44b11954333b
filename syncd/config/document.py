"""The whole configuration as one tree, and where each part of it was written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .lines import KeyPath
from .settings import Origin
from .words import dotted, unknown


class Problem(NamedTuple):
    """Something that is wrong with the configuration."""

    origin: Origin
    message: str
    column: int | None = None

    def __str__(self) -> str:
        column = f":{self.column}" if self.column is not None else ""
        return f"{self.origin}{column}: {self.message}"


class Document:
    """``tree`` is what all files and the environment say together; ``origins`` has every key of it.

    ``files`` are in the order in which they were read, which is the order of the problems. ``incomplete``:
    a file could not be read or understood, so that a name which is not there may stand in it.
    """

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[KeyPath, Origin] = {}
        self.files: list[str] = []
        self.problems: list[Problem] = []
        self.incomplete = False

    def tables(self, key: str) -> dict[str, Any]:
        """Return the named tables under a top-level key, such as all of ``[source.NAME]``."""
        value = self.tree.get(key, {})
        return value if isinstance(value, dict) else {}

    def where(self, path: KeyPath) -> Origin:
        """Return where ``path`` was written, or else the table that it would stand in."""
        for length in range(len(path), 0, -1):
            origin = self.origins.get(path[:length])
            if origin is not None:
                return origin
        return Origin(self.files[0] if self.files else "configuration")

    def object_to(self, path: KeyPath, message: str) -> None:
        """Note a problem with what stands at ``path``."""
        self.problems.append(Problem(self.where(path), f"{dotted(path)}: {message}"))

    def object_to_name(self, path: KeyPath, what: str, name: str, known: Iterable[str]) -> None:
        """Note that there is no ``what`` of this name, unless it may stand in a file that is broken."""
        if not self.incomplete:
            self.object_to(path, unknown(what, name, known))

    def report(self) -> list[str]:
        """Return the text of every problem once, by file and line."""
        order = {name: place for place, name in enumerate(self.files)}

        def place(problem: Problem) -> tuple[int, int, str]:
            origin = problem.origin
            return order.get(origin.file, len(order)), origin.line or 0, problem.message

        return list(dict.fromkeys(map(str, sorted(self.problems, key=place))))
