"""Options and epilogs that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

HELP = ("-h", "--help")

F = TypeVar("F", bound=Callable[..., Any])


class VariableOption(click.Option):
    """An option that an environment variable may give; what is wrong with that one is said of the variable."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the name of what was wrong."""
        source = ctx.get_parameter_source(self.name or "") if ctx is not None else None
        if source is ParameterSource.ENVIRONMENT:
            return f"the environment variable {self.envvar}"
        return super().get_error_hint(ctx)


def examples(*lines: str) -> str:
    """Return an epilog that click shows as it is written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Write one JSON document instead of text for people."
    )(function)


def yes_option(function: F) -> F:
    """Add ``--yes``."""
    return click.option("-y", "--yes", is_flag=True, help="Do it without asking.")(function)


def why_option(function: F) -> F:
    """Add ``--why``."""
    return click.option("--why", metavar="TEXT", help="The reason, as the journal keeps it.")(function)


def all_option(text: str) -> Callable[[F], F]:
    """Add ``--all`` with its help."""
    return click.option("--all", "everything", is_flag=True, help=text)


def preview_option(function: F) -> F:
    """Add ``--preview`` to a verb that does something."""
    return click.option("--preview", "only_plan", is_flag=True, help="Plan it, and do nothing.")(function)
