"""What a person can do with an account: each is an operation of a run like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config.words import unknown
from ..errors import SyncdError
from ..model import Fault, Numbers, Operation, Role, Standing, Value, fold, fold_layers
from ..planning import claims_of, encode, kind_of, operation, touched, way_back, words
from ..store.layers import changed, said_after
from ..store.runs import Run, find_connection
from ..store.sealed import speaks_of
from ..store.standings import Standings, precedence_of
from .asking import ask
from .delivering import finish
from .installation import Installation
from .judging import judge_by_hand
from .licences import WORD
from .line import apply_run
from .sealing import sealer


def find_account(here: Installation, text: str, enterprise: str | None = None) -> int:
    """Return the id of the account that has this id, or this value in a key attribute.

    Raises SyncdError if there is none, or more than one.
    """
    conn = here.database.conn
    if text.isdecimal() and conn.execute("SELECT 1 FROM accounts WHERE id = ?", (int(text),)).fetchone():
        return int(text)
    rows = conn.execute(
        "SELECT DISTINCT account FROM keys WHERE folded = ? AND releasing = 0 AND (? IS NULL OR enterprise = ?)",
        (fold(text), enterprise, enterprise),
    ).fetchall()
    if not rows:
        hint = _hint(here, text) or "see syncd accounts list"
        raise SyncdError(f"there is no account with the id or key {text!r}; {hint}")
    if len(rows) > 1:
        numbers = ", ".join(str(row[0]) for row in rows)
        raise SyncdError(f"{text!r} is a key of several accounts ({numbers}); give the number")
    return int(rows[0][0])


def _hint(here: Installation, text: str) -> str:
    """Say where a person is who was looked for among the accounts: behind an entry, or still in the queue."""
    conn = here.database.conn
    linked = conn.execute(
        "SELECT c.name, l.account FROM connections c CROSS JOIN links l ON l.connection = c.id WHERE l.anchor = ?",
        (text,),
    ).fetchone()
    if linked:
        return "the entry of that name in {} is linked to account {}".format(*linked)
    keys = sorted(here.settings.vocabulary.keys_)
    waits = conn.execute(
        "SELECT id FROM operations o WHERE kind = 'add' AND"
        " (id IN (SELECT id FROM operations WHERE state IN ('detained','failed','waiting'))"
        "  OR state = 'planned' AND run IN (SELECT id FROM runs WHERE state IN ('planned','held')))"
        " AND (anchor = ? OR EXISTS (SELECT 1 FROM json_each(after) j"
        f"  WHERE j.value = ? COLLATE NOCASE AND j.key IN ({','.join('?' * len(keys))}))) ORDER BY id DESC",
        (text, text, *keys),
    ).fetchone()
    return f"who would be added waits in the queue: syncd queue show {waits[0]}" if waits else ""


def add(
    here: Installation,
    enterprise: str,
    values: Mapping[str, Value],
    *,
    role: str | None = None,
    kind: str = "user",
) -> Run:
    """Add an account by hand (Quick Add with a ``role``): its template first, then the values given.

    A role among the values is the ``role``. Such an account has no owner: no source can ever remove it.
    """
    require_typable(here, values)
    if enterprise not in here.settings.enterprises:
        raise SyncdError(f"there is no enterprise {enterprise!r} in the configuration")
    base: dict[str, Value] = {}
    allocate: Mapping[str, Numbers] = {}
    found = _role(here, role, values)
    if found is not None:
        template = found.template
        base = {**template.defaults, "role": found.name}
        allocate = {name: pool for name, pool in template.allocate.items() if name not in values}
    after = {**base, **values}
    promised = {name: next(iter(pool)) for name, pool in allocate.items()}
    _refuse(judge_by_hand(here, enterprise, {**promised, **after}, None, kind))
    one = operation(
        anchor=None,
        kind="add",
        account=None,
        link=None,
        link_action="none",
        before={},
        after=after,
        template=encode(after),
        gains=here.settings.vocabulary.claims(after),
        account_kind=kind,
        allocate=allocate,
    )
    return _done(here, enterprise, one)


def _role(here: Installation, role: str | None, values: Mapping[str, Value]) -> Role | None:
    """Return the role that a new account is to have; where none is configured, that is a word like others."""
    roles, said = here.settings.roles, values.get("role") or None
    if role is not None and said not in (None, role):
        raise SyncdError(f"the role is to be {role!r} and {said!r}; give it once")
    name = role if role is not None else said
    if name is None or (role is None and not roles):
        return None
    if name not in roles:
        raise SyncdError(f"{unknown('role', str(name), roles)}; see [role.NAME] in the configuration")
    return roles[str(name)]


def edit(here: Installation, account: int, values: Mapping[str, Value | None]) -> Run:
    """Set attributes by hand; they beat every source until they are reset."""
    require_typable(here, values)
    standing, enterprise = standing_of(here, account)
    said: dict[str, Value] = {name: "" if value is None else value for name, value in values.items()}
    local = {**standing.local, **said}
    if local == standing.local:
        raise SyncdError(f"account {account} is set by hand to just that already: {', '.join(sorted(said))}")
    return relayered(here, enterprise, standing, local)


def reset(here: Installation, account: int, names: tuple[str, ...]) -> Run:
    """Take back what was set by hand, of all attributes or of those named: the sources' values return."""
    standing, enterprise = standing_of(here, account)
    if not standing.local:
        raise SyncdError(f"nothing of account {account} was set by hand")
    left = {name: value for name, value in standing.local.items() if names and name not in names}
    if left == standing.local:
        raise SyncdError(
            f"of account {account}, {', '.join(sorted(names))} was not set by hand; "
            f"what was: {', '.join(sorted(left))}"
        )
    return relayered(here, enterprise, standing, left)


def relayered(here: Installation, enterprise: str, standing: Standing, local: dict[str, Value]) -> Run:
    """Let a person say ``local`` of an account and nothing else."""
    values = fold_layers(standing.template, standing.others, local)
    _refuse(judge_by_hand(here, enterprise, values, standing.attributes, standing.kind))
    return _done(here, enterprise, layered(here, standing, local))


def layered(here: Installation, standing: Standing, local: dict[str, Value]) -> Operation:
    """Return the operation by which a person says ``local`` of an account and nothing else."""
    values = fold_layers(standing.template, standing.others, local)
    before, after = touched(standing.attributes, values)
    gains, frees = claims_of(
        before, after, standing.attributes, here.settings.vocabulary, deleted=standing.deleted
    )
    return operation(
        anchor=None,
        kind=kind_of(before, after),
        account=standing.account,
        link=None,
        link_action="local",
        record=encode(local),
        replaced=encode(way_back(local, standing.local)),
        before=before,
        after=after,
        gains=gains,
        frees=frees,
        account_kind=standing.kind,
    )


def set_enabled(here: Installation, account: int, *, enabled: bool) -> Run:
    """Disable an account by hand, or take that back; what others disabled stays disabled."""
    standing, enterprise = standing_of(here, account)
    change = {"drop": "local"} if enabled else {"add": "local"}
    disabled_by = words(standing.disabled_by, **change)
    if disabled_by == standing.disabled_by:
        waits = " but waits for a licence: syncd licences" if disabled_by == WORD else ""
        raise SyncdError(
            f"account {account} is not disabled by hand{waits}"
            if enabled
            else f"account {account} is already"
        )
    before, after = {"disabled_by": standing.disabled_by}, {"disabled_by": disabled_by}
    return _done(here, enterprise, _plain(standing, before, after))


def delete(here: Installation, account: int) -> Run:
    """Delete an account by hand; it stays as a row until it is purged, and can be undone."""
    standing, enterprise = standing_of(here, account)
    if standing.deleted:
        raise SyncdError(f"account {account} is deleted already")
    frees = here.settings.vocabulary.claims(standing.attributes)
    return _done(here, enterprise, _plain(standing, {"deleted": None}, {"deleted": True}, frees=frees))


def _plain(standing: Standing, before: dict[str, Any], after: dict[str, Any], **more: Any) -> Operation:
    return operation(
        anchor=None,
        kind=kind_of(before, after),
        account=standing.account,
        link=None,
        link_action="none",
        before=before,
        after=after,
        account_kind=standing.kind,
        **more,
    )


def link(here: Installation, account: int, connection: str, anchor: str, *, owns: bool = False) -> Run:
    """Link an account to an entry by hand; the next read fills in what the entry says.

    Until then the link of a new owner says what nobody else would say of a leaver any more.
    """
    _, enterprise = standing_of(here, account)
    known = connection_in(here, enterprise, connection)
    taken = here.database.conn.execute(
        "SELECT account FROM links WHERE connection = ? AND (anchor = ? OR account = ?)",
        (known, anchor, account),
    ).fetchone()
    if taken:
        raise SyncdError(f"account {taken[0]} has a link of {connection} already; unlink it first")
    standings = standings_of(here, known, enterprise)
    standing = standings.by_account([account])[account]
    one = _plain(standing, {}, {})._replace(anchor=anchor, link_action="make", record="{}", owner=owns)
    lost = changed(standing.attributes, said_after(standings, standing, one))
    said = {name: standing.attributes[name] for name in lost if name in standing.attributes}
    one = one._replace(record=encode(said))
    return _done(here, enterprise, one, connection=known)


def standing_of(here: Installation, account: int) -> tuple[Standing, str]:
    """Return an account with all its links as ``others``, and its enterprise; raises SyncdError if there is none."""
    row = here.database.conn.execute("SELECT enterprise FROM accounts WHERE id = ?", (account,)).fetchone()
    if row is None:
        raise SyncdError(f"there is no account {account}; see syncd accounts list")
    (standing,) = standings_of(here, 0, row[0]).by_account([account]).values()
    return standing, row[0]


def standings_of(here: Installation, connection: int, enterprise: str) -> Standings:
    """Return what looks up an enterprise's accounts as one connection sees them; 0 is none of them."""
    configured = here.settings.enterprises.get(enterprise)
    standings = Standings(here.database, connection, enterprise)
    standings.rank(precedence_of(here.database.conn, configured.sources if configured else ()))
    return standings


def connection_in(here: Installation, enterprise: str, name: str) -> int:
    """Return the id of an enterprise's connection; raises SyncdError if there is none of that name."""
    known = find_connection(here.database, name)
    if known is None or known.enterprise != enterprise:
        raise SyncdError(f"there is no connection {name!r} in enterprise {enterprise}; see syncd runs")
    return known.id


def require_typable(here: Installation, values: Mapping[str, Any]) -> None:
    """Refuse attributes that there are not, and secret ones, with a SyncdError."""
    unknown = sorted(set(values) - set(here.settings.vocabulary))
    if unknown:
        raise SyncdError(
            f"there is no attribute {', '.join(unknown)}; see docs/configuration.md for those that there are"
        )
    secret = sorted(here.settings.vocabulary.secrets.intersection(values))
    if secret:
        raise SyncdError(
            f"{', '.join(secret)} is secret and is not typed here; to have a new one made: "
            f"syncd secrets renew ACCOUNT {secret[0]}"
        )


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise SyncdError("; ".join(fault.message for fault in faults))


def _done(here: Installation, enterprise: str, one: Operation, *, connection: int | None = None) -> Run:
    if speaks_of(here.settings.vocabulary.secrets, one.after):
        sealer(here)  # without the key nothing is planned that could not be applied
    return by_hand(here, enterprise, [one], connection=connection)


def by_hand(
    here: Installation,
    enterprise: str,
    operations: Sequence[Operation],
    *,
    connection: int | None = None,
    why: str | None = None,
) -> Run:
    """Plan what a person does, and do it unless somebody objects."""
    run = ask(
        here, kind="manual", enterprise=enterprise, connection=connection, operations=operations, why=why
    )
    return finish(here, apply_run(here, run)) if run.state == "planned" else run
