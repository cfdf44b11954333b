"""The verbs ``deliveries`` and ``verify``: what platforms have to get, and whether they have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from .completing import platform_names
from .delivering import CLOSED, DIFFERS, deliver_all, delivered, print_delivered
from .failures import exit_code_of, report, worst
from .lazy import LazyGroup
from .options import examples, json_option
from .output import age_text, counted, shown, table, when, write, write_json, write_json_list
from .session import Session, session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation

_REPAIRABLE = frozenset({"missing", "different", "unwanted"})


deliveries = LazyGroup(
    "deliveries",
    default="list",
    lazy={
        "list": (f"{__name__}:list_", "List what is not delivered yet, and why."),
        "retry": (f"{__name__}:retry", "Try failed and waiting deliveries again, at once."),
    },
    help="""See what the platforms still have to get.

    A platform is brought to a state: of each account it gets what is wanted now, not every step on the
    way. Without a command: list.""",
    epilog=examples(
        "syncd deliveries", "syncd deliveries list --platform phonebook", "syncd deliveries retry"
    ),
)


@click.command(
    "list", epilog=examples("syncd deliveries list", "syncd deliveries list --platform phonebook --json")
)
@click.option("--platform", metavar="NAME", shell_complete=platform_names, help="Only of this platform.")
@json_option
@click.pass_context
def list_(ctx: click.Context, /, *, platform: str | None, as_json: bool) -> None:
    """List what is not delivered yet, and why. Works while another process is at work."""
    here = session_of(ctx).reading
    found = _pending(here, platform)
    if as_json:
        write_json_list("deliveries", found)
        return
    zone = here.settings.timezone
    plain = ("platform", "account", "who", "state", "attempts")
    table(
        (*plain, "age", "next try", "message"),
        (
            (*map(one.get, plain), age_text(one["age_seconds"]), when(one["next_try"], zone), one["message"])
            for one in found
        ),
        empty="every platform has what it should have",
    )


def _pending(here: Installation, platform: str | None) -> Iterator[dict[str, Any]]:
    from ..distribution import pending
    from ..model.naming import label
    from ..pipeline.policy import unsettled
    from .documents import attributes_of

    closed = set(unsettled(here))
    for one in pending(here.database, here.clock()):
        if platform in (None, one.platform):
            yield {
                "platform": one.platform,
                "account": one.account,
                "who": label(attributes_of(here, [one.account]).get(one.account, {})),
                "state": one.state,
                "revision": one.wanted,
                "attempts": one.attempts,
                "next_try": one.next_try,
                "age_seconds": int(one.age),
                "message": CLOSED if one.platform in closed and one.state != "failed" else one.message,
            }


@click.command(epilog=examples("syncd deliveries retry", "syncd deliveries retry phonebook --account ada"))
@click.argument("platform", required=False, shell_complete=platform_names)
@click.option(
    "--account", metavar="ACCOUNT", help="Only of this account: a number, or a key such as its login."
)
@json_option
@click.pass_context
def retry(ctx: click.Context, /, *, platform: str | None, account: str | None, as_json: bool) -> None:
    """Try failed and waiting deliveries of PLATFORM (or of all) again, at once."""
    from ..distribution import retry as try_again
    from ..pipeline.people import find_account

    session = session_of(ctx)
    _require_platforms(session, () if platform is None else (platform,))
    here = session.writing("deliveries retry")
    number = None if account is None else find_account(here, account)
    count = try_again(here.database, platform, number)
    if not as_json:
        write(f"{counted(count, 'failed or waiting delivery', 'failed or waiting deliveries')} tried again")
    forgiven = list(here.settings.platforms) if platform is None else [platform]
    documents = deliver_all(here, quiet=as_json, forgiven=forgiven)
    if as_json:
        write_json({"retried": count, "deliveries": documents})
    ctx.exit(worst([one["exit_code"] for one in documents]))


def _require_platforms(session: Session, names: tuple[str, ...]) -> None:
    configured = session.settings.platforms
    unknown = [name for name in names if name not in configured]
    if unknown:
        known = ", ".join(sorted(configured)) or "none"
        raise SyncdError(
            f"there is no platform {', '.join(unknown)} in the configuration; configured are: {known}"
        )


@click.command(
    epilog=examples(
        "syncd verify                       every platform",
        "syncd verify phonebook --repair    and deliver again what differs",
    )
)
@click.argument("platforms", nargs=-1, shell_complete=platform_names)
@click.option("--repair", is_flag=True, help="Deliver again what is missing, different or unwanted.")
@click.option(
    "--unknown", is_flag=True, help="List who is there and unknown to syncd, and end with 65 for them."
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context, /, *, platforms: tuple[str, ...], repair: bool, unknown: bool, as_json: bool
) -> None:
    """Compare PLATFORMS (all if none is named) with what was delivered to them.

    What is still to be delivered is passed over. Ends with 65 if anything differs, with --repair if
    anything still does. Who is there and unknown to syncd is counted and no difference: others may be
    there too, and syncd never removes what it did not bring.
    """
    session = session_of(ctx)
    _require_platforms(session, platforms)
    session.begin_log()
    here = session.writing("verify") if repair else session.reading
    codes: list[int] = [0]
    documents: list[dict[str, Any]] = []
    delivered: list[dict[str, Any]] = []
    for name, found in _verified(here, platforms, codes):
        documents.append({"platform": name, "differences": found, "undelivered": len(_late(here, name))})
        if not as_json and not repair:
            _print_differences(here, name, found, unknown=unknown)
            if late := documents[-1]["undelivered"]:
                write(
                    f"  not compared: {counted(late, 'account')} still to be delivered, see syncd deliveries list"
                )
    left = documents
    if repair:  # before a word is written: whoever reads may go away
        delivered = _repair(here, documents, quiet=as_json)
        codes += [one["exit_code"] for one in delivered]
        left = _left(here, documents, codes, unknown=unknown)
    differing = [one for document in left for one in _differing(document["differences"], unknown=unknown)]
    if any(one["kind"] != "unverifiable" for one in differing):
        codes.append(DIFFERS)
    if as_json:
        write_json({"platforms": documents, **({"deliveries": delivered} if repair else {})})
    elif repair:
        _print_repair(here, documents, delivered, unknown=unknown)
    ctx.exit(worst(codes))


def _verified(
    here: Installation, names: tuple[str, ...], codes: list[int]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    from ..pipeline.delivering import verify_platforms

    for name, differences in verify_platforms(here, names):
        try:
            found = [one._asdict() for one in differences]
        except SyncdError as error:
            report(error, about=name)
            codes.append(exit_code_of(error))
        else:
            yield name, found


def _differing(found: list[dict[str, Any]], *, unknown: bool) -> list[dict[str, Any]]:
    """Return what counts as a difference; who is ``unknown`` does if that was asked for."""
    return [one for one in found if unknown or one["kind"] != "unknown"]


def _print_differences(here: Installation, name: str, every: list[dict[str, Any]], *, unknown: bool) -> None:
    from ..model.naming import label
    from .documents import attributes_of

    found = _differing(every, unknown=unknown)
    others = len(every) - len(found)
    if not found:
        write(f"platform {name}: as it should be")
    known = attributes_of(here, {one["account"] for one in found if one["account"] is not None})
    if any(one["kind"] != "unverifiable" for one in found):
        write(f"platform {name}: {counted(len(found), 'difference')}")
    for one in found:
        who = label(known.get(one["account"], {})) or one["remote_id"]
        about = "" if who is None else f"{shown(who)}: "
        write(f"  {one['kind']}  {about}{shown(one['message'])}")
    if others:
        write(f"  beside that {counted(others, 'account')} unknown to syncd, see --unknown")


def _late(here: Installation, platform: str) -> list[int]:
    from ..distribution import pending

    return [row.account for row in pending(here.database, here.clock()) if row.platform == platform]


def _repair(here: Installation, documents: list[dict[str, Any]], *, quiet: bool) -> list[dict[str, Any]]:
    """Deliver again what differs; what is still to be delivered is delivered whole, as its base may be lost."""
    from ..distribution import want_again

    for one in documents:
        accounts = [found["account"] for found in one["differences"] if found["kind"] in _REPAIRABLE]
        want_again(here.database, one["platform"], accounts + _late(here, one["platform"]))
    return delivered(here, quiet=quiet)


def _left(
    here: Installation, documents: list[dict[str, Any]], codes: list[int], *, unknown: bool
) -> list[dict[str, Any]]:
    """Compare the platforms that differed once more; return what differs still."""
    names = tuple(one["platform"] for one in documents if _differing(one["differences"], unknown=unknown))
    found = _verified(here, names, codes) if names else ()
    return [{"platform": name, "differences": differences} for name, differences in found]


def _print_repair(
    here: Installation, documents: list[dict[str, Any]], delivered: list[dict[str, Any]], *, unknown: bool
) -> None:
    for one in documents:
        _print_differences(here, one["platform"], one["differences"], unknown=unknown)
    for one in delivered:
        print_delivered(here, one)
