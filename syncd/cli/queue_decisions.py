"""What a person can do with operations that wait: edit, retry, release, discard, ignore, unignore."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import SyncdError
from .asking import confirm, values_of
from .completing import source_names
from .doing import report_done
from .options import examples, json_option, why_option, yes_option
from .output import counted, say, shown, write, write_json
from .queue_lists import reason_of
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..store.queue import Stored
    from ..store.runs import Run

_MOST_NAMED = 10


@click.command(
    epilog=examples(
        "syncd queue edit 17 email=ada@example.org extension=4711",
        "syncd queue edit 17 fax=            take the value away",
        "syncd queue edit 17 secondary_phones=1 secondary_phones=2",
    )
)
@click.argument("operation", type=int)
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@why_option
@json_option
@click.pass_context
def edit(
    ctx: click.Context, /, *, operation: int, values: tuple[str, ...], why: str | None, as_json: bool
) -> None:
    """Correct a proposal by hand. The corrected one is detained: release it to have it done.

    Nothing is written back to the source. Correct it there too, or the old proposal returns when the
    source's value changes.
    """
    from ..pipeline import queue as pipeline

    session = session_of(ctx)
    changed = values_of(values, session.settings.vocabulary)
    here = session.writing("queue edit")
    _report_proposals(here, [pipeline.edit(here, operation, changed, why=why)], as_json=as_json)


@click.command(epilog=examples("syncd queue retry 17 18"))
@click.argument("operations", type=int, nargs=-1, required=True)
@json_option
@click.pass_context
def retry(ctx: click.Context, /, *, operations: tuple[int, ...], as_json: bool) -> None:
    """Judge proposals again by the rules as they are now. What passes is detained: release it."""
    from ..pipeline import queue as pipeline

    here = session_of(ctx).writing("queue retry")
    _report_proposals(here, pipeline.retry(here, operations), as_json=as_json)


def _report_proposals(here: Installation, runs: Sequence[Run], *, as_json: bool) -> None:
    from ..store import queue as stored
    from .documents import operation_documents
    from .plans import print_operation

    marks = json.dumps([run.id for run in runs])
    found = stored.operations(here.database, "o.run IN (SELECT value FROM json_each(?))", (marks,))
    documents = operation_documents(here, found)
    if as_json:
        write_json({"operations": documents})
        return
    for one in documents:
        print_operation(one)
    ready = " ".join(str(one["operation"]) for one in documents if one["state"] != "failed")
    if ready:
        write(f"to have it done: syncd queue release {ready}")


@click.command(
    epilog=examples(
        "syncd queue release 17 18",
        "syncd queue release --all --connection hq",
        'syncd queue release --all --connection hq --yes --why "checked with HR"',
    )
)
@click.argument("operations", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that is detained.")
@click.option(
    "--connection", metavar="SOURCE", shell_complete=source_names, help="With --all: of this source."
)
@why_option
@yes_option
@json_option
@click.pass_context
def release(
    ctx: click.Context,
    /,
    *,
    operations: tuple[int, ...],
    everything: bool,
    connection: str | None,
    why: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Do OPERATIONS that wait, now, by your word, and deliver them to the platforms.

    Limits on quantities are not asked again. What the world has overtaken meanwhile stays detained.
    """
    from ..pipeline import queue as pipeline

    here = session_of(ctx).writing("queue release")
    chosen = _chosen(here, operations, connection, everything=everything)
    if not chosen:
        say("nothing is detained")
        return
    ids = [one.id for one in chosen]
    again = ["queue", "release", *ids, why and f"--why={why}", "--json" if as_json else None]
    about = () if yes else _about(here, chosen)
    confirm(f"Do {counted(len(chosen), 'operation')} now?", yes=yes, about=about, again=again)
    released = pipeline.release(here, ids, why=why)
    ctx.exit(report_done(here, released, as_json=as_json))


def _chosen(
    here: Installation, ids: tuple[int, ...], connection: str | None, *, everything: bool
) -> list[Stored]:
    from ..pipeline import queue as pipeline

    if bool(ids) == everything:
        raise SyncdError("name the operations, or say --all")
    if connection is not None and not everything:
        raise SyncdError("--connection belongs to --all")
    if everything:
        detained = pipeline.waiting(here, connection=connection, state="detained")
        # What belongs to a plan that was only shown is not "all": it is done by syncd apply, as a whole.
        return [one for one in detained if one.run_state in ("ended", "superseded")]
    return pipeline.found(here, ids)


def _about(here: Installation, chosen: Sequence[Stored]) -> Iterator[str]:
    from .documents import operation_documents

    for one in operation_documents(here, chosen[:_MOST_NAMED]):
        who = shown(one["who"] or one["anchor"])
        yield f"  {one['operation']}  {one['kind']}  {who}: {shown(reason_of(one))}"
    if len(chosen) > _MOST_NAMED:
        yield f"  and {len(chosen) - _MOST_NAMED} more"


@click.command(epilog=examples('syncd queue discard 17 --why "a test account"'))
@click.argument("operations", type=int, nargs=-1, required=True)
@why_option
@json_option
@click.pass_context
def discard(ctx: click.Context, /, *, operations: tuple[int, ...], why: str | None, as_json: bool) -> None:
    """Refuse OPERATIONS: the very same is not asked again until the source's value changes."""
    from ..pipeline import queue as pipeline

    here = session_of(ctx).writing("queue discard")
    _report_count("discarded", pipeline.discard(here, operations, why=why), as_json=as_json)


@click.command(epilog=examples('syncd queue ignore hq 7f9c3a --why "the machine room\'s own account"'))
@click.argument("connection", shell_complete=source_names)
@click.argument("entry", metavar="ANCHOR")
@why_option
@json_option
@click.pass_context
def ignore(ctx: click.Context, /, *, connection: str, entry: str, why: str | None, as_json: bool) -> None:
    """Leave an entry alone for good: nothing that CONNECTION says of ANCHOR is done, or asked, any more."""
    from ..pipeline import queue as pipeline

    here = session_of(ctx).writing("queue ignore")
    count = pipeline.ignore(here, connection, entry, why=why)
    if not as_json:
        say(f"what {connection} says of {shown(entry)} is ignored from now on")
    _report_count("discarded", count, as_json=as_json)


@click.command(epilog=examples("syncd queue unignore hq 7f9c3a"))
@click.argument("connection", shell_complete=source_names)
@click.argument("entry", metavar="ANCHOR")
@json_option
@click.pass_context
def unignore(ctx: click.Context, /, *, connection: str, entry: str, as_json: bool) -> None:
    """End every decision that keeps the proposals for an entry away: the next full read asks again."""
    from ..pipeline import queue as pipeline

    here = session_of(ctx).writing("queue unignore")
    _report_count("ended", pipeline.unignore(here, connection, entry), as_json=as_json)


def _report_count(word: str, count: int, *, as_json: bool) -> None:
    if as_json:
        write_json({word: count})
    else:
        what = {"discarded": "operation", "ended": "decision"}[word]
        write(f"{counted(count, what)} {word}")
