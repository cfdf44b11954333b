"""Tells who has another extension since a run: their clients know the former one until they are restarted."""

from __future__ import annotations

from ..logs import bound, get_log
from ..model import Event
from ..store.renumbering import renumbered
from ..store.runs import Run
from .installation import Installation

log = get_log("syncd.line")

_NAMED = 500
"""How many accounts a line of the log names."""


def tell_renumbered(here: Installation, run: Run) -> None:
    """Log and tell the observers whose extension a run has changed, by account; nothing if nobody's."""
    if "extensions_changed" not in run.counts:
        return
    accounts = sorted({one.account for one in renumbered(here.database.conn, run.id)})
    with bound(run=run.id):
        log.info("extensions_changed", count=len(accounts), accounts=accounts[:_NAMED])
    fields = {"run": run.id, "count": len(accounts), "accounts": accounts}
    here.plugins.hooks.observe(Event("extensions_changed", here.now(), fields))
