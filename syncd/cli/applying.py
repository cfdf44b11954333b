"""The verbs for plans that a person has in mind: ``apply``, ``undo`` and ``retire``."""

from __future__ import annotations

import click

from ..errors import SyncdError
from .completing import frozen_names, run_numbers
from .doing import settle, show_and_settle
from .options import all_option, examples, json_option, preview_option, why_option, yes_option
from .plans import MOST
from .session import session_of


@click.command(
    epilog=examples(
        "syncd apply 12",
        "syncd apply 12 --plan 0a1b2c3d4e5f    only if it is still the plan that I have seen",
        'syncd apply 12 --yes --why "200 people moved to the new branch"',
    )
)
@click.argument("run", type=int, shell_complete=run_numbers)
@click.option(
    "--plan", "plan_hash", metavar="HASH", help="Refuse if the plan's hash does not begin with this."
)
@why_option
@yes_option
@json_option
@click.pass_context
def apply(
    ctx: click.Context, /, *, run: int, plan_hash: str | None, why: str | None, yes: bool, as_json: bool
) -> None:
    """Do what preview has shown as RUN, even if guards hold it, and deliver it to the platforms.

    Objections that this sets aside are shown first, and have to be agreed to. The approval belongs to
    this very plan, and is kept with your name.
    """
    from ..store.runs import run_of

    here = session_of(ctx).writing("apply")
    found = run_of(here.database, run)
    if found is None:
        raise SyncdError(f"there is no run {run}; see syncd runs")
    if plan_hash is not None and not (found.plan_hash or "").startswith(plan_hash):
        raise SyncdError(f"run {run} has the plan {found.plan_hash}, which does not begin with {plan_hash}")
    ctx.exit(settle(here, found, yes=yes, why=why, as_json=as_json))


@click.command(
    epilog=examples(
        "syncd undo 12 --preview        only plan it",
        "syncd undo 12                  plan it, show it, ask, do it",
        'syncd undo 12 --yes --why "the wrong export was read"',
    )
)
@click.argument("run", type=int, shell_complete=run_numbers)
@preview_option
@all_option(f"Show all operations, not the first {MOST}.")
@why_option
@yes_option
@json_option
@click.pass_context
def undo(
    ctx: click.Context,
    /,
    *,
    run: int,
    only_plan: bool,
    everything: bool,
    why: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Plan the opposite of what RUN did, show it, and do it once you agree.

    What later runs have touched is detained. Guards judge the plan like any other.
    """
    from ..pipeline.undoing import plan_undo

    here = session_of(ctx).writing("undo")
    planned = plan_undo(here, run, why=why)
    ctx.exit(
        show_and_settle(
            here, planned, only_plan=only_plan, everything=everything, yes=yes, why=why, as_json=as_json
        )
    )


@click.command(
    epilog=examples(
        "syncd retire branch --preview    only plan it",
        "syncd retire branch              plan it, show it, ask, do it",
        "syncd retire branch --keep       its accounts stay, as accounts made by hand",
    )
)
@click.argument("source", shell_complete=frozen_names)
@click.option("--keep", is_flag=True, help="Accounts that no other source owns stay as they are.")
@preview_option
@all_option(f"Show all operations, not the first {MOST}.")
@why_option
@yes_option
@json_option
@click.pass_context
def retire(
    ctx: click.Context,
    /,
    *,
    source: str,
    keep: bool,
    only_plan: bool,
    everything: bool,
    why: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Take SOURCE out of service: plan what becomes of its accounts, show it, and do it once you agree.

    Take its table out of the configuration first, and its name out of the enterprise's sources: by that
    alone a source is frozen, and nothing of it is removed. One that is configured is refused, as its next
    read would bring everybody back.
    """
    from ..pipeline.retiring import retire as plan_retirement

    here = session_of(ctx).writing("retire")
    planned = plan_retirement(here, source, keep=keep, why=why)
    ctx.exit(
        show_and_settle(
            here, planned, only_plan=only_plan, everything=everything, yes=yes, why=why, as_json=as_json
        )
    )
