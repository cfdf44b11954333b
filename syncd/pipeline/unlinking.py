"""Taking an account's link to a source away, and what becomes of the entry then."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..errors import SyncdError
from ..logs import get_log
from ..model import Operation, Standing, Value, fold_layers, speaking
from ..planning import claims_of, encode, is_protected, kind_of, operation, touched, words
from ..store import queue as stored
from ..store.runs import Run
from .asking import ask
from .installation import Installation
from .line import apply_run
from .people import connection_in, standing_of, standings_of

log = get_log("syncd.line")


class Unlinked(NamedTuple):
    """What ``run`` did: which attributes are ``kept`` by hand, whether the entry of ``anchor`` is ``ignored``.

    ``forecast`` is what the next full read does with an entry that is not: it ``links`` it to this account
    again, or ``owns`` the account as well; ``asks`` whether to (the account is protected); ``waits`` with a
    new account that wants a key of this one; ``adds`` a new account; ``nothing`` (the source may not);
    ``unread`` (it is not configured); ``gone`` (the entry is); ``unknown`` (the entry was never read).
    ``key`` is the attribute that this turns upon, if there is one.
    """

    run: Run
    anchor: str
    kept: tuple[str, ...]
    ignored: bool
    forecast: str
    key: str | None


def unlink(here: Installation, account: int, connection: str, *, ignore: bool = False) -> Unlinked:
    """Take a link away: the source's values go, unless nobody else is left to say them; the account stays.

    The values that nobody else says stay as a person's word. Of an account that has no owner any more,
    what a source had disabled is disabled by a person. ``ignore``: the entry is ignored as well, in the
    same transaction.

    Raises SyncdError if there is no such account, connection or link.
    """
    _, enterprise = standing_of(here, account)
    known = connection_in(here, enterprise, connection)
    (own,) = standings_of(here, known, enterprise).by_account([account]).values()
    if own.anchor is None:
        raise SyncdError(f"account {account} has no link of {connection}")
    one, kept, values = _dropped(here, own)
    run = ask(
        here,
        kind="manual",
        enterprise=enterprise,
        connection=known,
        operations=[one],
        decide=partial(_leave_alone, here) if ignore else None,
    )
    if run.state == "planned":
        run = apply_run(here, run)
    decided = here.database.conn.execute(
        "SELECT 1 FROM decisions WHERE connection = ? AND anchor = ? AND verb = 'ignore' AND ended_at IS NULL",
        (known, own.anchor),
    ).fetchone()
    forecast, key = _forecast(here, connection, own, values)
    return Unlinked(run, own.anchor, kept, decided is not None, forecast, key)


def _dropped(here: Installation, own: Standing) -> tuple[Operation, tuple[str, ...], dict[str, Value]]:
    """Return the operation, the attributes that are kept by hand, and what the account says afterwards."""
    values = fold_layers(own.template, own.others, own.local)
    before, after = touched(own.attributes, values)
    alone = not speaking(own.others)
    if alone:  # what is kept only has to be as it was
        before = {name: value for name, value in before.items() if value is not None}
        after, values = dict(before), own.attributes
    kept = tuple(before) if alone else ()
    gains, frees = claims_of(before, after, own.attributes, here.settings.vocabulary, deleted=own.deleted)
    disabled_by = _by_a_person(own)
    if disabled_by != own.disabled_by:
        before["disabled_by"], after["disabled_by"] = own.disabled_by, disabled_by
    one = operation(
        anchor=own.anchor,
        kind=kind_of(before, after),
        account=own.account,
        link=own.link,
        link_action="drop",
        record=encode(own.record),
        replaced=encode(dict.fromkeys(kept)) if alone else None,
        before=before,
        after=after,
        enabled=own.enabled,
        owner=own.owner,
        gone_at=own.leaving,
        gains=gains,
        frees=frees,
        account_kind=own.kind,
    )
    return one, kept, values


def _leave_alone(here: Installation, run: int) -> None:
    """Ignore the entry of the operation that is about to be applied, within the transaction at hand."""
    for one in stored.operations(here.database, "o.run = ? AND o.state = 'planned'", (run,)):
        stored.leave_alone(
            here.database, one.connection or 0, one.anchor or "", who=here.actor, at=here.now(), run=run,
            operation=one.id,
        )  # fmt: skip
        log.info("decision_recorded", verb="ignore", run=run)


def _by_a_person(own: Standing) -> str | None:
    """Return who disables an account when a link is gone: without an owner, no source could enable it again."""
    left = words(words(own.disabled_by, drop="source"), drop="missing")
    if left == own.disabled_by or any(layer.owner for layer in own.others):
        return own.disabled_by
    return words(left, add="local")


def _forecast(
    here: Installation, connection: str, own: Standing, values: dict[str, Value]
) -> tuple[str, str | None]:
    """Return what the next full read does with the entry, and the attribute that this turns upon."""
    source = here.settings.sources.get(connection)
    if source is None:
        return "unread", None
    if own.leaving or not own.record:
        return "gone" if own.leaving else "unknown", None
    claims = here.settings.vocabulary.claims
    held = set() if own.deleted else set(claims(values))
    shared = [attribute for attribute, folded in claims(own.record) if (attribute, folded) in held]
    key = next((attribute for attribute in source.match if attribute in shared), None)
    if ("add" if key is None else "update") not in source.terms.operations:
        return "nothing", key
    if key is not None:
        if is_protected(values, here.settings.enterprises[source.enterprise].protected):
            return "asks", key
        return "owns" if source.terms.owns and source.terms.adopt else "links", key
    if not source.terms.owns:
        return "nothing", None
    return ("waits", shared[0]) if shared else ("adds", None)
