"""``syncd accounts list`` and ``show``: what is stored of accounts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from .asking import values_of
from .completing import source_names
from .options import examples, json_option
from .output import heading, pairs, table, when, write, write_json, write_json_list
from .plans import warning_text
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation


@click.command(
    "list",
    epilog=examples(
        "syncd accounts list --enterprise acme --disabled",
        "syncd accounts list --where department=Sales --where location=north",
        "syncd accounts list --limit 100 --after 4711       the next hundred",
    ),
)
@click.argument("text", required=False)
@click.option("--enterprise", metavar="NAME", help="Only of this enterprise.")
@click.option(
    "--connection", metavar="SOURCE", shell_complete=source_names, help="Only those linked to this source."
)
@click.option(
    "--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Only where this is the value."
)
@click.option("--disabled", is_flag=True, help="Only those that are disabled.")
@click.option("--deleted", is_flag=True, help="Only those that are deleted, and not yet forgotten.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="How many, at most. Default: all.")
@click.option("--after", type=int, default=0, help="Only those with a higher number.")
@json_option
@click.pass_context
def list_(ctx: click.Context, /, *, as_json: bool, **filters: Any) -> None:
    """List accounts, or those in which TEXT stands anywhere. Works while another process is at work."""
    from ..model.naming import person

    here = session_of(ctx).reading
    found = _found(here, **filters)
    if as_json:
        write_json_list("accounts", found)
        return
    table(
        ("account", "login", "name", "email", "extension", "state", "enterprise"),
        (
            (
                one["account"],
                one["attributes"].get("login"),
                person(one["attributes"]),
                one["attributes"].get("email"),
                one["attributes"].get("extension"),
                state_of(one),
                one["enterprise"],
            )
            for one in found
        ),
        empty="there are no such accounts",
    )


def _found(
    here: Installation,
    *,
    text: str | None,
    enterprise: str | None,
    connection: str | None,
    conditions: tuple[str, ...],
    disabled: bool,
    deleted: bool,
    limit: int | None,
    after: int,
) -> Iterator[dict[str, Any]]:
    secrets = here.settings.vocabulary.secrets
    conn = here.database.conn
    conn.create_function("says", 3, partial(_says, secrets), deterministic=True)
    where: list[str] = ["a.id > ?"]
    values: list[Any] = [after]
    where.append("a.deleted_at IS NOT NULL" if deleted else "a.deleted_at IS NULL")
    if disabled:
        where.append("a.disabled_by IS NOT NULL")
    if enterprise is not None:
        where.append("a.enterprise = ?")
        values.append(enterprise)
    if connection is not None:
        where.append(
            "a.id IN (SELECT l.account FROM links l JOIN connections c ON c.id = l.connection WHERE c.name = ?)"
        )
        values.append(connection)
    for name, value in values_of(conditions, here.settings.vocabulary).items():
        _known(here, name)
        where.append("says(a.attributes, ?, ?)")
        values += [name, value if isinstance(value, str) or value is None else value[0]]
    if text is not None:
        where.append("says(a.attributes, NULL, ?)")
        values.append(text)
    rows = conn.execute(
        "SELECT a.id, a.enterprise, a.kind, a.disabled_by, a.deleted_at, a.attributes FROM accounts a"
        f" WHERE {' AND '.join(where)} ORDER BY a.id LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return (_document(row, secrets) for row in rows)


def _document(row: tuple[Any, ...], secrets: frozenset[str]) -> dict[str, Any]:
    from .documents import masked

    number, enterprise, kind, disabled_by, deleted_at, attributes = row
    return {
        "account": number,
        "enterprise": enterprise,
        "kind": kind,
        "disabled_by": disabled_by.split(",") if disabled_by else [],
        "deleted_at": deleted_at,
        "attributes": {name: masked(name, value, secrets) for name, value in json.loads(attributes).items()},
    }


def _says(secrets: frozenset[str], attributes: str, name: str | None, wanted: str | None) -> bool:
    """Say whether an attribute has a value (None: no value at all), or any but the ``secrets`` has a text within its."""
    from ..model import fold

    values = json.loads(attributes)
    if name is None:
        every = [text for word, value in values.items() if word not in secrets for text in _texts(value)]
        return any(fold(wanted or "") in fold(text) for text in every)
    texts = _texts(values.get(name))
    return not texts if wanted is None else fold(wanted) in map(fold, texts)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _known(here: Installation, name: str) -> None:
    if name not in here.settings.vocabulary:
        raise SyncdError(f"there is no attribute {name!r}; docs/configuration.md lists those that there are")
    if name in here.settings.vocabulary.secrets:
        raise SyncdError(f"{name} is secret, and nothing can be found by it")


def state_of(account: dict[str, Any]) -> str:
    """Return an account's state in a word or two."""
    if account["deleted_at"]:
        return "deleted"
    return f"disabled ({', '.join(account['disabled_by'])})" if account["disabled_by"] else "active"


@click.command(epilog=examples("syncd accounts show ada", "syncd accounts show 4711 --json"))
@click.argument("account")
@json_option
@click.pass_context
def show(ctx: click.Context, /, *, account: str, as_json: bool) -> None:
    """Show ACCOUNT: what it says, who says it, and what the platforms have of it."""
    from ..pipeline.people import find_account

    here = session_of(ctx).reading
    document = account_document(here, find_account(here, account))
    if as_json:
        write_json(document)
    else:
        _print(here, document)


def account_document(here: Installation, number: int) -> dict[str, Any]:
    """Return everything that is stored of an account, secrets masked."""
    from .documents import masked

    secrets = here.settings.vocabulary.secrets
    row = here.database.conn.execute(
        "SELECT id, enterprise, kind, disabled_by, deleted_at, attributes, template, local, created_at, changed_at"
        " FROM accounts WHERE id = ?",
        (number,),
    ).fetchone()

    def layer(text: str | None) -> dict[str, Any]:
        return {name: masked(name, value, secrets) for name, value in json.loads(text or "{}").items()}

    return {
        **_document(row[:6], secrets),
        "created_at": row[8],
        "changed_at": row[9],
        "template": layer(row[6]),
        "by_hand": layer(row[7]),
        "links": links_of(here, number, layer),
        "platforms": remotes_of(here, number),
    }


def links_of(
    here: Installation, number: int, layer: Callable[[str | None], dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Return an account's links; with ``layer``, what each of them says as well."""
    rows = here.database.conn.execute(
        "SELECT c.name, l.anchor, l.owner, l.enabled, l.missing_since, l.gone_at, l.warnings,"
        " l.record FROM links l"
        " JOIN connections c ON c.id = l.connection WHERE l.account = ? ORDER BY c.name",
        (number,),
    )
    names = ("connection", "anchor", "owner", "enabled", "missing_since", "gone_at")
    return [
        {
            **dict(zip(names, (*row[:2], bool(row[2]), bool(row[3]), *row[4:6]), strict=True)),
            "warnings": [
                {"code": code, "attribute": attribute, "message": message}
                for code, attribute, message, _ in json.loads(row[6] or "[]")
            ],
            **({"says": layer(row[7])} if layer is not None else {}),
        }
        for row in rows
    ]


def remotes_of(here: Installation, number: int) -> list[dict[str, Any]]:
    """Return what each platform has, and is to have, of an account."""
    rows = here.database.conn.execute(
        "SELECT platform, remote_id, state, wanted, done, attempts, next_try, message FROM remotes"
        " WHERE account = ? ORDER BY platform",
        (number,),
    )
    names = ("platform", "remote_id", "state", "wanted", "done", "attempts", "next_try", "message")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _print(here: Installation, one: dict[str, Any]) -> None:
    from ..model.naming import label

    zone = here.settings.timezone
    heading(f"account {one['account']}: {label(one['attributes']) or 'without a name'}")
    pairs(
        [
            ("state", state_of(one)),
            ("kind", one["kind"]),
            ("enterprise", one["enterprise"]),
            ("created", when(one["created_at"], zone)),
            ("changed", when(one["changed_at"], zone)),
        ],
        indent=2,
    )
    for title, values in (
        ("attributes", one["attributes"]),
        ("from the template", one["template"]),
        ("set by hand", one["by_hand"]),
    ):
        if values:
            heading(title)
            pairs(sorted(values.items()), indent=2)
    for link in one["links"]:
        heading(f"linked to {link['connection']}")
        pairs(link_lines(here, link) + sorted(link["says"].items()), indent=2)
    print_remotes(one["platforms"])
    write(f"why it says so: syncd explain {one['account']}")


def link_lines(here: Installation, link: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what is known of a link, as names and values."""
    zone = here.settings.timezone
    lines: list[tuple[str, Any]] = [("(entry)", link["anchor"]), ("(owns the account)", link["owner"])]
    if not link["enabled"]:
        lines.append(("(disabled there)", "yes"))
    if link["gone_at"]:
        lines.append(("(gone since)", when(link["gone_at"], zone)))
    elif link["missing_since"]:
        lines.append(("(missing since)", when(link["missing_since"], zone)))
    lines += [("(to correct)", warning_text(one).removeprefix("warning: ")) for one in link["warnings"]]
    return lines


def print_remotes(platforms: list[dict[str, Any]]) -> None:
    """Write what each platform has of an account."""
    if platforms:
        heading("platforms")
    for one in platforms:
        name = f"as {one['remote_id']}" if one["remote_id"] is not None else "not there"
        told = f": {one['message']}" if one["message"] else ""
        write(f"  {one['platform']}: {one['state']}, {name}{told}")
