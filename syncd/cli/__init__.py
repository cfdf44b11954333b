"""Floor 8: the command line: verbs, tables, JSON, exit codes.

The modules of the verbs are imported when they are used; ``syncd --help`` knows their short texts from
the table below and imports nothing but click.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from ..errors import PluginError, SyncdError
from ..logs import get_log
from .failures import PROGRAM, code_of_click, exit_code_of, report
from .lazy import LazyGroup
from .options import HELP, VariableOption, examples
from .output import SCREEN, say
from .remote import forwarded
from .session import session_of

log = get_log("syncd.cli")

VERBS = {
    "init": ("syncd.cli.init", "Write a first configuration."),
    "check": ("syncd.cli.check", "Find every mistake of the configuration at once."),
    "preview": ("syncd.cli.syncing", "Read sources and show what would be done."),
    "sync": ("syncd.cli.syncing", "Read sources and do what nothing objects to."),
    "apply": ("syncd.cli.applying", "Do what preview has shown."),
    "schedule": ("syncd.cli.schedule", "Show what is read by itself, and when."),
    "status": ("syncd.cli.status", "Say what is well, what waits, and what to do next."),
    "health": ("syncd.cli.health", "Say in one line and an exit code how all stands, for monitoring."),
    "runs": ("syncd.cli.runs", "List the runs, or show one of them."),
    "queue": ("syncd.cli.queue", "See to what waits for a person."),
    "undo": ("syncd.cli.applying", "Take back what a run did."),
    "accounts": ("syncd.cli.accounts", "List, show and change accounts."),
    "licences": ("syncd.cli.licences", "Say how many licences there are, and who waits for one."),
    "explain": ("syncd.cli.explain", "Say why an account is as it is."),
    "deliveries": ("syncd.cli.deliveries", "See what the platforms still have to get."),
    "verify": ("syncd.cli.deliveries", "Compare platforms with what they should have."),
    "daemon": ("syncd.cli.daemon", "Keep everything going: the service itself."),
    "retire": ("syncd.cli.applying", "Take a source out of service."),
    "reload": ("syncd.cli.reload", "Have the running service read its configuration."),
    "plugins": ("syncd.cli.plugins", "List the plugins, or begin a new one."),
    "config": ("syncd.cli.config", "Show the configuration in force."),
    "secrets": ("syncd.cli.secrets", "Show and renew passwords and codes, and their key."),
    "db": ("syncd.cli.db", "Back up, check, restore and prune the database."),
    "completion": ("syncd.cli.shells", "Print the script that completes syncd in a shell."),
    "demo": ("syncd.cli.demo", "See all of it at work, in a folder of its own."),
}
"""Verb -> the module that holds it, under the verb's own name, and its short help."""


class Root(LazyGroup):
    """The ``syncd`` command: reports every failure in words and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; whatever it raises is told to the person, without a secret in it."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, KeyboardInterrupt, EOFError):
            raise
        except Exception as error:
            told = session_of(ctx).blamed(error)
            code = exit_code_of(told)
            if SCREEN.get() is not None and code == PluginError.exit_code:
                log.exception(
                    "verb_failed", error=str(error)
                )  # who asked cannot tell us more than that it failed
            report(told, debug=ctx.params.get("log_level") == "debug")
            ctx.exit(code)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, unless the running service carries it out: then the command is over."""
        if ctx.obj is None and not ctx.resilient_parsing:
            code = forwarded(ctx.params, args)
            if code is not None:
                ctx.exit(code)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb; one that syncd does not have may be a plugin's."""
        found = super().get_command(ctx, cmd_name)
        return found if found or ctx.resilient_parsing else self._of_a_plugin(ctx, cmd_name)

    def _of_a_plugin(self, ctx: click.Context, name: str) -> click.Command | None:
        """A configuration that cannot be used has no commands: then the name is simply unknown."""
        group = click.Group(commands={one: click.Command(one) for one in self.lazy})
        try:
            session_of(ctx).plugins.hooks.register_commands(group)
        except (SyncdError, OSError):
            return None
        return group.commands.get(name)

    def main(  # type: ignore[override]  # always ends the process, whatever mode is asked for
        self, args: Any = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and end the process."""
        extra.pop("standalone_mode", None)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show is not an error
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except OSError as error:
            report(error)
            code = exit_code_of(error)
        except click.ClickException as error:
            with suppress(OSError):  # the code says it as well
                error.show()
            code = code_of_click(error)
        except click.Abort:
            say("syncd: ended; what was not finished is taken up by the next command")
            code = 130
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the options; ``--help`` and ``--version`` write here, and click would end with 1 for a closed pipe."""
        try:
            return super().make_context(*args, **extra)
        except OSError as error:
            report(error)
            raise click.exceptions.Exit(exit_code_of(error)) from None


@click.group(
    cls=Root,
    lazy=VERBS,
    invoke_without_command=False,
    context_settings={"help_option_names": list(HELP)},
    epilog=examples(
        "syncd init                 write a configuration to begin with",
        "syncd check --connect      every mistake at once; then ask each source and platform",
        "syncd preview hq           what would be done",
        "syncd apply 1              do what preview has shown as run 1",
        "syncd queue                what waits for a person",
    ),
)
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The configuration; may be given more than once. Default: $SYNCD_CONFIG, else /etc/syncd/syncd.toml.",
)
@click.option(
    "--state-directory",
    type=click.Path(path_type=Path),
    help="Where the database lies, whatever the configuration says.",
)
@click.option(
    "--log-level",
    cls=VariableOption,
    type=click.Choice(["off", "error", "warning", "info", "debug"]),
    default="off",
    show_default=True,
    envvar="SYNCD_LOG_LEVEL",
    help="Which events are written to the standard error stream.",
)
@click.version_option(package_name="syncd", message="%(prog)s %(version)s")
@click.pass_context
def root(
    ctx: click.Context, /, *, files: tuple[Path, ...], state_directory: Path | None, log_level: str
) -> None:
    """Keep the accounts of communication platforms equal to a company's own records.

    Every verb takes --help; all but daemon and demo take --json, for one JSON document on the standard output.
    """
    del files, state_directory, log_level  # they stay in the context, for whoever opens a session
    session_of(ctx)


def main() -> None:
    """Run a command line in this process, which ends with it."""
    _open_streams()
    # What is installed beside syncd has no say in how its configuration is read: that is for listed plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        root.main(prog_name=PROGRAM)
    except SystemExit as end:
        _leave(end)
        raise


def _open_streams() -> None:
    """Have all standard streams: in the place of one that was closed, the next file that is opened would lie."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end


def _leave(end: SystemExit) -> None:
    """End the process at once: to take every object apart first costs more than a small synchronization.

    Not where something still runs, or there is something to be told.
    """
    if isinstance(end.code, int) and threading.active_count() == 1:
        atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter itself would call
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # it was told, and the code says so
                stream.flush()
        os._exit(end.code)
