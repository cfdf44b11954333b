"""Questions to the person at the terminal, and the pairs that they write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from ..errors import SyncdError
from .output import SCREEN, say

if TYPE_CHECKING:
    from ..model import Value, Vocabulary

DECLINED = 130
"""Exit code when a person has answered no, or has interrupted the command."""


def confirm(question: str, *, yes: bool, about: Iterable[str] = (), again: Iterable[object] = ()) -> None:
    """Go on only if the person agrees. Raises SyncdError where nobody can be asked.

    ``about`` is said in any case. Ends the command, with nothing done, if the answer is no; and inside the
    service, where nobody is waited for: ``again`` are the arguments that do, once the person has agreed,
    what was asked about and nothing else. None among them is left out.
    """
    screen = SCREEN.get()
    if screen is not None and screen.agreed:
        return
    for line in about:
        say(line)
    if yes:
        return
    if screen is not None:
        screen.ask(question, [str(word) for word in again if word is not None])
    if not sys.stdin.isatty():
        raise unasked(question)
    if not agrees(question):
        raise click.exceptions.Exit(DECLINED)


def unasked(question: str) -> SyncdError:
    """Return the error where nobody can be asked."""
    return SyncdError(f"{question} Nobody can be asked here: add --yes if that is meant")


def agrees(question: str) -> bool:
    """Ask the person at the terminal."""
    if click.confirm(question, err=True):
        return True
    say("nothing was done")
    return False


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
