"""What is told to a person when something fails, and the exit code that goes with it."""

from __future__ import annotations

import sys
import traceback

import click

from ..errors import ConfigError, SyncdError
from .output import SCREEN, say

PROGRAM = "syncd"
"""The name of the program in messages."""

BAD_DATA = 65
HELD = 3
HAS_OPERATIONS = 2


def exit_code_of(error: BaseException) -> int:
    """Return what the process ends with: the error's own code (sysexits), 74 for the disk, 70 for a fault of ours."""
    import sqlite3

    if isinstance(error, SyncdError):
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return 141  # what a shell reports of a program that SIGPIPE has ended
    return 74 if isinstance(error, OSError | sqlite3.Error) else 70


def report(error: BaseException, *, debug: bool = False, about: str = "") -> None:
    """Tell a person what went wrong, on the standard error stream."""
    if isinstance(error, BrokenPipeError) and SCREEN.get() is None:
        _let_go_of_the_pipe()
        return
    if debug:
        say("".join(traceback.format_exception(error)))
    for line in _lines(error):
        say(f"{PROGRAM}: {about}{': ' if about else ''}{line}")


def code_of_click(error: click.ClickException) -> int:
    """Return the exit code of wrong use, and of a file that click could not open."""
    return 74 if isinstance(error, click.FileError) else 64


def worst(codes: list[int]) -> int:
    """Return the exit code of several things that were done: the highest."""
    return max(codes, default=0)


def _lines(error: BaseException) -> list[str]:
    import sqlite3

    if isinstance(error, ConfigError):
        return list(error.problems)
    if isinstance(error, SyncdError):
        return [str(error) or type(error).__name__]
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return [f"{place}{error.strerror or error}"]
    if isinstance(error, sqlite3.Error):
        return [f"the database: {error}; 'syncd db verify' looks at it"]
    unexpected = f"unexpected {type(error).__name__}: {error}; this is a fault of syncd: please report it"
    return [f"{unexpected} with what 'syncd --log-level debug' and the same command say"]


def _let_go_of_the_pipe() -> None:
    """Whoever read the output has gone: nothing more is written, not even when the process ends."""
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # not a file: then there is nothing that the interpreter would flush into it
    finally:
        os.close(null)
