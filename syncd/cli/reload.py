"""The verb ``reload``: the running service reads its configuration."""

from __future__ import annotations

import click

from .options import examples, json_option
from .output import say, write_json
from .remote import ask


@click.command(epilog=examples("syncd reload", "syncd check && syncd reload"))
@json_option
@click.pass_context
def reload(ctx: click.Context, /, *, as_json: bool) -> None:
    """Have the running service read its configuration anew.

    One with problems is refused as a whole: they are told, and the one in force stays. Ends with 69 if
    the service does not run.
    """
    ask(ctx.find_root().params, "Reload")
    if as_json:
        write_json({"reloaded": True})
    else:
        say("the configuration was read anew")
