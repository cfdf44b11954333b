"""Questions to the person at the terminal, and the pairs that they write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import click

from ..errors import SyncdError
from ..model import Value, Vocabulary
from .output import say

DECLINED = 130
"""Exit code when a person has answered no, or has interrupted the command."""


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees. Raises SyncdError where nobody can be asked.

    Ends the command, with nothing done, if the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise SyncdError(f"{question} Nobody can be asked here: add --yes if that is meant")
    if not click.confirm(question, err=True):
        say("nothing was done")
        raise click.exceptions.Exit(DECLINED)


def values_of(written: Iterable[str], vocabulary: Vocabulary) -> dict[str, Value | None]:
    """Read ``name=value`` pairs; an empty value is None, an attribute that holds many may be repeated.

    Raises SyncdError for what is no pair, and for a single attribute that is named twice.
    """
    found: dict[str, Value | None] = {}
    for text in written:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SyncdError(f"{text!r} is no pair such as email=ada@example.org")
        many = name in vocabulary and vocabulary[name].many
        if name in found and not many:
            raise SyncdError(f"{name} is given twice, and holds one value")
        before = found.get(name)
        if many and value:
            found[name] = (*(before if isinstance(before, tuple) else ()), value)
        else:
            found[name] = value or None
    return found


def only_values(pairs: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return the pairs that have a value."""
    return {name: value for name, value in pairs.items() if value is not None}
