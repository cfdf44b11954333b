"""The verb ``daemon``: the service itself, in the foreground, as systemd starts it."""

from __future__ import annotations

import gc
import os
from contextlib import AbstractContextManager

import click

from .options import examples
from .session import now, session_of


@click.command(
    epilog=examples(
        "syncd daemon                         in the foreground, until Ctrl-C",
        "systemctl start syncd                as a service",
        "systemctl reload syncd               read the configuration again",
    )
)
@click.option(
    "--stuck-after",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a thread may be silent before systemd is left to restart the service.",
)
@click.pass_context
def daemon(ctx: click.Context, /, *, stuck_after: float) -> None:
    """Keep everything equal from now on: read sources by their schedules, deliver, answer the other verbs.

    SIGHUP reads the configuration again, whole or not at all. SIGTERM ends it after what is in hand, at
    most half a minute; a second one at once. What was not finished goes on at the next start.
    """
    from ..daemon import Service
    from ..logs import configure
    from .serving import control

    def asked(service: Service) -> AbstractContextManager[None]:
        place = service.site.current.settings.socket
        return control(service.house, place, os.environ, status=service.document, reload=service.reload)

    session = session_of(ctx)
    configure(level="info" if session.log_level == "off" else session.log_level)
    service = Service(
        session.files,
        session.given_state_directory,
        session.environ,
        clock=lambda: now(),  # noqa: PLW0108 - looked up at each call
        sides=(asked,),
        stuck_after=stuck_after,
    )
    gc.freeze()
    gc.enable()  # a command that lives for a moment goes without
    ctx.exit(service.run())
