"""The verb ``secrets``: see one, have a new one made; make the key that they are sealed with, and change it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

import click

from ..errors import SyncdError
from .account_changes import report
from .asking import confirm
from .doing import report_done
from .lazy import LazyGroup
from .options import examples, json_option, why_option, yes_option
from .output import counted, say, write, write_json
from .session import session_of

if TYPE_CHECKING:
    from ..pipeline.secrets import Lost

secrets = LazyGroup(
    "secrets",
    lazy={
        "show": (__name__, "Show one; the journal says who has seen it."),
        "renew": (__name__, "Have a new one made, and tell the platforms."),
        "key": (f"{__name__}:make_key", "Make a key to seal with."),
        "rotate": (__name__, "Seal everything with the newest key."),
    },
    help="""Passwords and codes that syncd makes (generate in a template) or sources say, and the key that seals them.

    The database holds them sealed. Operations, logs and all other verbs know their versions alone.""",
    epilog=examples(
        'syncd secrets key /etc/syncd/credentials/syncd-key   secrets_key = "credential:syncd-key"',
        'syncd secrets show ada password --why "new telephone, ticket 4711"',
        "syncd secrets renew ada password",
    ),
)


@click.command(epilog=examples('syncd secrets show ada password --why "new telephone, ticket 4711"'))
@click.argument("account")
@click.argument("attribute")
@why_option
@json_option
@click.pass_context
def show(ctx: click.Context, /, *, account: str, attribute: str, why: str | None, as_json: bool) -> None:
    """Show a secret of ACCOUNT, such as its password. The journal keeps who has seen which version, and why."""
    from ..pipeline import secrets as sealed
    from ..pipeline.people import find_account

    here = session_of(ctx).writing("secrets show")
    number = find_account(here, account)
    one, value = sealed.show(here, number, attribute, why)
    if as_json:
        write_json({"account": number, "attribute": attribute, "version": one.version, "value": value})
    else:
        write(value)


@click.command(epilog=examples("syncd secrets renew ada password", "syncd secrets renew --lost"))
@click.argument("account", required=False)
@click.argument("attribute", required=False)
@click.option("--lost", is_flag=True, help="All those whose key is lost, of everybody; for good.")
@yes_option
@json_option
@click.pass_context
def renew(
    ctx: click.Context,
    /,
    *,
    account: str | None,
    attribute: str | None,
    lost: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Have a new secret of ACCOUNT made, and tell the platforms. "syncd undo" brings the old one back."""
    from ..pipeline import secrets as sealed
    from ..pipeline.people import find_account

    if lost is (account is not None) or (account is None) is not (attribute is None):
        raise click.UsageError("name an account and an attribute, or say --lost")
    here = session_of(ctx).writing("secrets renew")
    if account is not None and attribute is not None:
        run = sealed.renew(here, find_account(here, account), attribute)
        ctx.exit(report(here, run, as_json=as_json))
    found = sealed.lost(here)
    if not any(found):
        raise SyncdError("nothing is lost: secrets_key opens all secrets that there are")
    again = ["secrets", "renew", "--lost", "--json" if as_json else None]
    question = "Delete what cannot be opened, and make new secrets? This cannot be undone."
    confirm(question, yes=yes, about=_about(found), again=again)
    more = {"keys": found.keys, "accounts": found.accounts, "said": found.said}
    ctx.exit(report_done(here, sealed.renew_lost(here), as_json=as_json, more=more))


def _about(found: Lost) -> Iterator[str]:
    """Say what is lost, and what becomes of it."""
    for key in found.keys:
        yield f"secrets_key does not hold the key {key}; if there is a copy of it anywhere, put its line back instead"
    yield f"new secrets are made for {counted(found.accounts, 'account')}, and told to the platforms"
    if found.said:
        told = counted(found.said, "secret")
        yield f"{told} of sources will be as the sources say, after: syncd sync --full"


@click.command("key", epilog=examples("syncd secrets key /etc/syncd/credentials/syncd-key"))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def make_key(*, file: Path, as_json: bool) -> None:
    """Make a key and write it to FILE, which only you can read. Keep a copy apart from the database's.

    In a FILE that has keys already the new one comes first: from then on it seals, and the others still
    open. "syncd secrets rotate" makes the others needless.
    """
    from ..sealing import new_key

    try:
        old = file.read_text("utf-8") if file.exists() else ""
        _replace(file, f"{new_key()}\n{old}")
    except (OSError, UnicodeDecodeError) as error:
        raise SyncdError(f"{file}: the key cannot be written: {error}") from None
    if as_json:
        write_json({"file": str(file), "keys": len(old.split()) + 1})
    else:
        say(f"{file}: {counted(len(old.split()) + 1, 'key')}")


def _replace(file: Path, text: str) -> None:
    """Put a private file in the place of another, whole or not at all; it keeps that one's rights."""
    descriptor, name = mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            if file.exists():
                before = file.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, before.st_mode & 0o640)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)
    except OSError:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


@click.command(epilog=examples("syncd secrets rotate"))
@json_option
@click.pass_context
def rotate(ctx: click.Context, /, *, as_json: bool) -> None:
    """Seal everything with the first key of secrets_key. After that the other keys can go."""
    from ..pipeline import secrets as sealed

    count = sealed.rotate(session_of(ctx).writing("secrets rotate"))
    if as_json:
        write_json({"sealed": count})
    else:
        say(f"{counted(count, 'secret')} sealed anew; the first key is the only one that is needed")
