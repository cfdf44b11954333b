"""The verb ``explain``: why an account says what it says, and what is still to come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from ..model.naming import label
from .account_lists import link_lines, links_of, print_remotes, remotes_of, state_of
from .documents import attributes_of, masked, operation_documents
from .options import examples, json_option
from .output import heading, pairs, shown, when, write, write_json
from .plans import print_operation
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.explaining import Explained, KeptAway
    from ..pipeline.installation import Installation


@click.command(
    epilog=examples(
        "syncd explain ada                everything",
        "syncd explain ada email          one attribute: who says what, who won, since when",
        "syncd explain 4711 --json",
    )
)
@click.argument("account")
@click.argument("attribute", required=False)
@json_option
@click.pass_context
def explain(ctx: click.Context, /, *, account: str, attribute: str | None, as_json: bool) -> None:
    """Say why ACCOUNT is as it is: every value, every layer that speaks of it, and which one won.

    Where a decision of yours keeps away what a source says, both values are told, and how to end that; both
    as well where you edited what it proposed.
    Layers, from the weakest: the template at its making, the sources (the first of the enterprise is the
    strongest), a person's word. ACCOUNT is a number, or the value of a key such as login or email.
    """
    from ..pipeline.people import find_account

    here = session_of(ctx).reading
    document = _document(here, find_account(here, account), attribute)
    if as_json:
        write_json(document)
    else:
        _print(here, document, whole=attribute is None)


def _document(here: Installation, number: int, attribute: str | None) -> dict[str, Any]:
    from ..pipeline.explaining import explain as explain_account
    from ..pipeline.explaining import kept_away, state_set_by

    explained = explain_account(here, number)
    if attribute is not None:
        explained = [one for one in explained if one.attribute == attribute]
        if not explained:
            raise SyncdError(
                f"nobody says anything of {attribute!r} of account {number}; syncd explain {number}"
            )
    row = here.database.conn.execute(
        "SELECT enterprise, kind, disabled_by, deleted_at FROM accounts WHERE id = ?", (number,)
    ).fetchone()
    return {
        "account": number,
        "who": label(attributes_of(here, [number]).get(number, {})),
        "enterprise": row[0],
        "kind": row[1],
        "disabled_by": row[2].split(",") if row[2] else [],
        "deleted_at": row[3],
        "state": state_set_by(here, number),
        "attributes": [_explained(here, one) for one in explained],
        "links": links_of(here, number),
        "open": _open(here, number),
        "kept_away": [_kept_away(here, one) for one in kept_away(here, number)],
        "decisions": _decisions(here, number),
        "platforms": remotes_of(here, number),
    }


def _explained(here: Installation, one: Explained) -> dict[str, Any]:
    secrets = here.settings.vocabulary.secrets
    return {
        "attribute": one.attribute,
        "value": masked(one.attribute, one.value, secrets),
        "layers": [
            {
                **voice._asdict(),
                "value": masked(one.attribute, voice.value, secrets),
                "says": masked(one.attribute, voice.says, secrets),
            }
            for voice in one.voices
        ],
        "operation": one.operation,
        "run": one.run,
        "at": one.at,
    }


def _kept_away(here: Installation, one: KeptAway) -> dict[str, Any]:
    secrets = here.settings.vocabulary.secrets
    says = None if one.says is None else {name: masked(name, v, secrets) for name, v in one.says.items()}
    return {**one.decision._asdict(), "kind": one.kind, "says": says, "end": one.end}


def _open(here: Installation, number: int) -> list[dict[str, Any]]:
    """Return the operations that wait: of the account, and of the entries that it is linked to."""
    from ..store import queue as stored

    found = stored.operations(
        here.database,
        f"{stored.WAITS} AND (o.account = ? OR EXISTS"
        " (SELECT 1 FROM links l WHERE l.account = ? AND l.connection = o.connection AND l.anchor = o.anchor))",
        (number, number),
    )
    return operation_documents(here, found)


def _decisions(here: Installation, number: int) -> list[dict[str, Any]]:
    from ..store.queue import decisions

    found = decisions(
        here.database,
        "EXISTS (SELECT 1 FROM links l WHERE l.account = ? AND l.connection = d.connection"
        " AND l.anchor = d.anchor) OR d.operation IN (SELECT id FROM operations WHERE account = ?) OR d.account = ?",
        (number, number, number),
    )
    return [one._asdict() for one in found]


def _print(here: Installation, document: dict[str, Any], *, whole: bool) -> None:
    heading(f"account {document['account']}: {document['who'] or 'without a name'}, {state_of(document)}")
    if document["state"] is not None:
        write(f"  {state_of(document)}{_since(here, document['state'])}")
    for one in document["attributes"]:
        _print_attribute(here, one)
    told = {layer["decision"] for one in document["attributes"] for layer in one["layers"]}
    away = [one for one in document["kept_away"] if whole or one["id"] in told]
    if away:
        heading("kept away")
    for one in away:
        _print_kept_away(here, one)
    if not whole:
        return
    for link in document["links"]:
        heading(f"linked to {link['connection']}")
        pairs(link_lines(here, link), indent=2)
    if document["open"]:
        heading("waits")
    for operation in document["open"]:
        print_operation(operation)
    _print_decisions(here, document["decisions"])
    print_remotes(document["platforms"])


def _print_decisions(here: Installation, decisions: list[dict[str, Any]]) -> None:
    if decisions:
        heading("decisions")
    for one in decisions:
        ended = ", ended" if one["ended_at"] else ""
        why = f": {shown(one['why'])}" if one["why"] else ""
        what = f"{one['verb']} {one['secret'] or ''}".strip()
        write(f"  {what} by {one['who']}, {when(one['at'], here.settings.timezone)}{ended}{why}")


def _print_attribute(here: Installation, one: dict[str, Any]) -> None:
    since = _since(here, one) if one["operation"] is not None else ""
    write(f"  {one['attribute']}: {shown(one['value'])}{since}")
    for layer in one["layers"]:
        mark = "*" if layer["won"] else " "
        mapped = f"   <- {_mapping(layer['mapping'])}" if layer["mapping"] else ""
        write(f"    {mark} {layer['layer']}: {shown(layer['value'])}{mapped}")
        if layer["decision"] is not None:
            write(f"      {layer['layer']} says {shown(layer['says'])} by now, which is kept away")
        if layer["edited"] is not None:
            write(
                f"      {layer['layer']} says {shown(layer['says'])}, edited in operation {layer['edited']}"
            )


def _since(here: Installation, one: dict[str, Any]) -> str:
    at = when(one["at"], here.settings.timezone)
    return f"   (operation {one['operation']} of run {one['run']}, {at})"


def _print_kept_away(here: Installation, one: dict[str, Any]) -> None:
    done = f"undone by run {one['run']}" if one["verb"] == "undo" else "discarded"
    why = f": {shown(one['why'])}" if one["why"] else ""
    at = when(one["at"], here.settings.timezone)
    write(f"  {one['connection']} asks to {one['kind']} (entry {shown(one['anchor'])})")
    write(f"    {done}, by {shown(one['who'])}, {at}{why}")
    write("    until the source's value changes, or you end it:")
    for command in one["end"]:
        takes = (
            "the next full read asks again"
            if "unignore" in command
            else f"takes back all of run {one['run']}"
        )
        write(f"      {command}   ({takes})")


def _mapping(text: str) -> str:
    try:
        return shown(json.loads(text))
    except ValueError:
        return shown(text)
