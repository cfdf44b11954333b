"""A verb inside the service: the same commands, for somebody at the other end of the control socket.

What a command knows of its surroundings is handed in for this one call: its words go to the peer, its
database and its turn come from the house. Nothing of the process is touched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from . import root
from .asking import DECLINED, unasked
from .failures import PROGRAM, code_of_click
from .options import HELP
from .output import SCREEN, Screen
from .session import Guest, House, Session

if TYPE_CHECKING:
    from typing import TextIO

    from ..control.calls import Call


@contextmanager
def control(
    house: House,
    path: Path,
    environ: MutableMapping[str, str],
    *,
    status: Callable[[], Mapping[str, Any]],
    reload: Callable[[], str | None],
) -> Iterator[None]:
    """Let the service be asked for as long as the block lasts; the arguments are those of control's ``Service``."""
    from ..control.listening import open_socket
    from ..control.peers import Rights
    from ..control.server import serving
    from ..control.service import Service

    def rights() -> Rights:
        return Rights(house.settings.operators, house.settings.readers)

    service = Service(partial(execute, house=house), status, reload, rights)
    with open_socket(path, environ) as listener, serving(listener, service):
        yield


def execute(call: Call, house: House) -> int:
    """Carry out a call, and return the exit code."""
    screen = _screen_of(call)
    before = SCREEN.set(screen)
    guest = Guest(house, call.actor, call.changes, wanted=lambda: call.wanted)
    # click writes a help to the output of the process: over the socket there is none.
    options: dict[str, Any] = {"obj": Session(None, guest=guest), "help_option_names": []}
    try:
        with closing(options["obj"]), root.make_context(PROGRAM, list(call.arguments), **options) as ctx:
            root.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            error.ctx.help_option_names = list(HELP)  # where it is to be had
        error.show(screen.err)
        return code_of_click(error)
    except (click.Abort, EOFError):
        return DECLINED
    finally:
        SCREEN.reset(before)
    return 0


def _screen_of(call: Call) -> Screen:
    terminal = call.terminal

    def ask(question: str, again: Sequence[str]) -> None:
        if not terminal.asks:
            raise unasked(question)
        call.question = {"text": question, "arguments": list(again)}
        raise click.exceptions.Exit(DECLINED)

    return Screen(
        out=cast("TextIO", Words(call, "stdout", terminal=terminal.output)),
        err=cast("TextIO", Words(call, "stderr", terminal=terminal.messages)),
        columns=terminal.columns,
        colour=terminal.colour,
        ask=ask,
        agreed=call.agreed,
        watch=call.progress if call.watched else None,
        document=call.document,
    )


class Words(io.TextIOBase):
    """A stream whose text goes to the peer."""

    def __init__(self, call: Call, stream: str, *, terminal: bool) -> None:
        self._call = call
        self._stream = stream
        self._terminal = terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]  # that of the class is a plain attribute
        """What the peer's terminal can show."""
        return self._call.terminal.encoding

    def isatty(self) -> bool:
        """Say whether the text ends on a terminal."""
        return self._terminal

    def writable(self) -> bool:
        """Say that text can be written."""
        return True

    def write(self, text: str) -> int:
        """Send text. A command that only looks ends if nobody reads; one that changes something goes on."""
        self._call.write(self._stream, text)
        if self._call.looks and not self._call.wanted:
            raise click.Abort
        return len(text)
