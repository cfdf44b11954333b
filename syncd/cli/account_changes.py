"""``syncd accounts add``, ``edit`` and the like: what a person does with an account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from ..model.naming import label
from .asking import confirm, only_values, values_of
from .completing import source_names
from .documents import attributes_of, plan_document
from .doing import report_done
from .options import examples, json_option, yes_option
from .output import shown, write, write_json
from .plans import print_operation
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..pipeline.unlinking import Unlinked
    from ..store.runs import Run


@click.command(
    epilog=examples(
        "syncd accounts add acme login=ada first_name=Ada last_name=Lovelace",
        "syncd accounts add acme login=ada --role sales     with the template of the role",
        "syncd accounts add acme display_name=Reception phone=+4940123 --contact",
    )
)
@click.argument("enterprise")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--role", metavar="NAME", help="Begin with the template of this role.")
@click.option("--contact", is_flag=True, help="Make a contact: no licence, no login.")
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    /,
    *,
    enterprise: str,
    values: tuple[str, ...],
    role: str | None,
    contact: bool,
    as_json: bool,
) -> None:
    """Add an account to ENTERPRISE by hand: the role's template first, then the values given.

    No source owns such an account, so none can remove it.
    """
    from ..pipeline import people

    session = session_of(ctx)
    given = only_values(values_of(values, session.settings.vocabulary))
    here = session.writing("accounts add")
    run = people.add(here, enterprise, given, role=role, kind="contact" if contact else "user")
    ctx.exit(report(here, run, as_json=as_json))


@click.command(
    epilog=examples("syncd accounts edit ada phone=+4940123 title=Countess", "syncd accounts edit ada fax=")
)
@click.argument("account")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@json_option
@click.pass_context
def edit(ctx: click.Context, /, *, account: str, values: tuple[str, ...], as_json: bool) -> None:
    """Set attributes by hand: they beat every source until they are reset. An empty value stays empty."""
    from ..pipeline import people

    session = session_of(ctx)
    given = values_of(values, session.settings.vocabulary)
    here = session.writing("accounts edit")
    run = people.edit(here, people.find_account(here, account), given)
    ctx.exit(report(here, run, as_json=as_json))


@click.command(epilog=examples("syncd accounts reset ada phone", "syncd accounts reset ada"))
@click.argument("account")
@click.argument("attributes", nargs=-1)
@json_option
@click.pass_context
def reset(ctx: click.Context, /, *, account: str, attributes: tuple[str, ...], as_json: bool) -> None:
    """Take back what was set by hand, of all attributes or those named: the sources' values return."""
    from ..pipeline import people

    here = session_of(ctx).writing("accounts reset")
    run = people.reset(here, people.find_account(here, account), attributes)
    ctx.exit(report(here, run, as_json=as_json))


@click.command(epilog=examples("syncd accounts enable ada"))
@click.argument("account")
@json_option
@click.pass_context
def enable(ctx: click.Context, /, *, account: str, as_json: bool) -> None:
    """Take back that ACCOUNT was disabled by hand. What a source has disabled stays disabled."""
    ctx.exit(_switch(ctx, account, enabled=True, as_json=as_json))


@click.command(epilog=examples("syncd accounts disable ada"))
@click.argument("account")
@json_option
@click.pass_context
def disable(ctx: click.Context, /, *, account: str, as_json: bool) -> None:
    """Disable ACCOUNT by hand. No source can enable it again; you can."""
    ctx.exit(_switch(ctx, account, enabled=False, as_json=as_json))


def _switch(ctx: click.Context, account: str, *, enabled: bool, as_json: bool) -> int:
    from ..pipeline import people

    here = session_of(ctx).writing("accounts enable" if enabled else "accounts disable")
    run = people.set_enabled(here, people.find_account(here, account), enabled=enabled)
    return report(here, run, as_json=as_json)


@click.command(epilog=examples("syncd accounts delete ada", "syncd accounts delete 4711 --yes"))
@click.argument("account")
@yes_option
@json_option
@click.pass_context
def delete(ctx: click.Context, /, *, account: str, yes: bool, as_json: bool) -> None:
    """Delete ACCOUNT by hand, also from the platforms. It can be undone until it is purged."""
    from ..pipeline import people

    here = session_of(ctx).writing("accounts delete")
    number = people.find_account(here, account)
    again = ["accounts", "delete", number, "--json" if as_json else None]
    confirm(f"Delete {_named(here, number)}?", yes=yes, again=again)
    ctx.exit(report(here, people.delete(here, number), as_json=as_json))


@click.command(epilog=examples("syncd accounts erase ada", "syncd accounts erase 4711 --yes"))
@click.argument("account")
@yes_option
@json_option
@click.pass_context
def erase(ctx: click.Context, /, *, account: str, yes: bool, as_json: bool) -> None:
    """Forget a person: whatever the journal holds of ACCOUNT is blanked. This cannot be undone.

    An entry that its source still has comes back as a new account, unless it is ignored.
    """
    from ..pipeline import people
    from ..pipeline.retiring import entries_left
    from ..pipeline.retiring import erase as erase_account

    here = session_of(ctx).writing("accounts erase")
    number = people.find_account(here, account)
    again = ["accounts", "erase", number, "--json" if as_json else None]
    left = entries_left(here, number)
    about = [
        f"{name} still had the entry {shown(anchor)} when it was last read: with it the person comes back as a new "
        f"account, unless you do this first: syncd queue ignore {quote(name)} {shown(quote(anchor))}"
        for name, anchor in left
    ]
    confirm(
        f"Forget {_named(here, number)} for good? This cannot be undone.", yes=yes, about=about, again=again
    )
    erase_account(here, number)
    if as_json:
        entries = [{"connection": name, "anchor": anchor} for name, anchor in left]
        write_json({"erased": number, "entries": entries})
    else:
        write(f"account {number} is forgotten")


@click.command(
    epilog=examples("syncd accounts link ada hq 7f9c3a", "syncd accounts link ada hq 7f9c3a --owns")
)
@click.argument("account")
@click.argument("connection", shell_complete=source_names)
@click.argument("entry", metavar="ANCHOR")
@click.option("--owns", is_flag=True, help="The account goes when the entry goes.")
@json_option
@click.pass_context
def link(
    ctx: click.Context, /, *, account: str, connection: str, entry: str, owns: bool, as_json: bool
) -> None:
    """Link ACCOUNT to an entry by hand. The next full read fills in what the entry says."""
    from ..pipeline import people

    here = session_of(ctx).writing("accounts link")
    run = people.link(here, people.find_account(here, account), connection, entry, owns=owns)
    ctx.exit(report(here, run, as_json=as_json))


@click.command(
    epilog=examples(
        "syncd accounts unlink ada hq",
        "syncd accounts unlink ada hq --ignore    and leave the entry alone from now on",
    )
)
@click.argument("account")
@click.argument("connection", shell_complete=source_names)
@click.option("--ignore", is_flag=True, help='Ignore the entry as well, as "queue ignore" does.')
@json_option
@click.pass_context
def unlink(ctx: click.Context, /, *, account: str, connection: str, ignore: bool, as_json: bool) -> None:
    """Take ACCOUNT's link to a source away: the account stays, and the source's values go.

    With the last link they stay, kept by hand. The entry is still in its source, so the next full read
    looks for its account again, unless it is ignored.
    """
    from ..pipeline.people import find_account
    from ..pipeline.unlinking import unlink as unlink_account

    here = session_of(ctx).writing("accounts unlink")
    number = find_account(here, account)
    done = unlink_account(here, number, connection, ignore=ignore)
    told = {"account": number, "connection": connection, **done._asdict()}
    del told["run"]
    code = report(here, done.run, as_json=as_json, more={"unlinked": told})
    if not as_json and done.run.counts.get("applied_operations"):
        for line in _after_unlinking(number, connection, done):
            write(line)
    ctx.exit(code)


def _after_unlinking(account: int, connection: str, done: Unlinked) -> Iterator[str]:
    """Say what is kept by hand, and what becomes of the entry."""
    if done.kept:
        yield f"kept by hand from now on: {', '.join(done.kept)}"
    entry = f"entry {shown(done.anchor)} of {connection}"
    if done.ignored:
        yield f"{entry} is ignored; to end that: syncd queue unignore {connection} {quote(done.anchor)}"
        return
    yield f"{entry}: {_FORECASTS[done.forecast].format(key=done.key)}"
    if done.kept and done.forecast in ("links", "owns", "asks"):
        yield f"what is kept by hand beats it there, until: syncd accounts reset {account}"
    if done.forecast not in ("nothing", "unread", "gone"):
        yield f"to leave it alone: syncd queue ignore {connection} {quote(done.anchor)}"


_AGAIN = "the next full read finds this account by its {key}"
_FORECASTS = {
    "links": f"{_AGAIN}, and links it again, not as its owner",
    "owns": f"{_AGAIN}, and links it again, as its owner",
    "asks": f"{_AGAIN}, and asks before it links it again, as the account is protected",
    "waits": "the next full read asks for a new account, which waits for a person: its {key} is this one's",
    "adds": "the next full read makes a new account of it",
    "nothing": "the source may not do anything with it",
    "unread": "the source is not configured, so nobody reads it",
    "gone": "it is not there any more",
    "unknown": "it was never read; the next full read finds its account by its keys, or makes a new one",
}


def _named(here: Installation, number: int) -> str:
    name = label(attributes_of(here, [number]).get(number, {}))
    return f"account {number}, {name}" if name else f"account {number}"


def report(here: Installation, run: Run, *, as_json: bool, more: Mapping[str, Any] | None = None) -> int:
    """Show what a person did, deliver it, and return the exit code."""
    if not as_json:
        for one in plan_document(here, run)["operations"]:
            print_operation(one)
    return report_done(here, [run], as_json=as_json, more=more)
