"""What people do with secrets: see one, have a new one made, change the key. Each stands in the journal."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import SyncdError
from ..logs import get_log
from ..model import Operation, Sealed, sealed_of
from ..store.runs import Run
from ..store.sealed import (
    drop_unopened,
    find_sealed,
    kinds_of_key,
    last_version,
    note_shown,
    reseal,
    said_by,
    spoken_of,
)
from .delivering import finish
from .installation import Installation
from .line import resume
from .people import by_hand, layered, relayered, standing_of
from .sealing import keys_of
from .turns import ACCOUNTS

log = get_log("syncd.secrets")

_WHY = "the key of the secrets before is lost"


def show(here: Installation, account: int, attribute: str, why: str | None) -> tuple[Sealed, str]:
    """Return the secret of an account, once the journal says who has seen which version of it, and why.

    Raises SyncdError if there is none, ConfigError if it cannot be opened for want of the key.
    """
    one = _spoken(here, account, attribute)
    found = None if one is None else find_sealed(here.database.conn, account, one)
    if one is None or found is None:
        raise SyncdError(
            f"account {account} has no {attribute} of its own; to make one: syncd secrets renew {account} {attribute}"
        )
    one, sealed = one._replace(version=found[0]), found[1]
    value = keys_of(here).open(account, attribute, one.version, sealed)
    with here.database.transaction() as conn:
        note_shown(conn, account, one, who=here.actor, at=here.now(), why=why)
    log.info("decision_recorded", verb="show", account=account)
    return one, value


def renew(here: Installation, account: int, attribute: str) -> Run:
    """Have a new version of a secret made, by the recipe that it was made by, else by the one of the role.

    It is an operation like any other: platforms are told, and the undoing brings the old version back. It beats
    what a source says.
    """
    spoken = _spoken(here, account, attribute)
    one = spoken if spoken and not spoken.digest else _of_role(here, account, attribute)
    if one is None:
        raise SyncdError(
            f"nothing says how {attribute} of account {account} is made; the template of its role would, "
            f"with generate = {{ {attribute} = ... }}"
        )
    standing, enterprise = standing_of(here, account)
    if standing.kind != "user":
        raise SyncdError(f"account {account} is a contact, which has no secrets")
    last = max(spoken.version if spoken else 0, last_version(here.database.conn, account, attribute))
    said = {attribute: str(one._replace(version=last + 1))}
    return relayered(here, enterprise, standing, {**standing.local, **said})


class Lost(NamedTuple):
    """What cannot be opened for want of its key.

    ``keys`` name the keys that are not there. ``made`` are the secrets to be made anew, by enterprise and
    account; ``said`` is how many others their sources will say again.
    """

    keys: tuple[str, ...]
    made: dict[str, dict[int, list[Sealed]]]
    said: int

    @property
    def accounts(self) -> int:
        """How many accounts get new secrets."""
        return sum(map(len, self.made.values()))


def lost(here: Installation) -> Lost:
    """Return what was sealed with keys that are not there any more. Raises ConfigError without any key."""
    keys, conn = keys_of(here).names, here.database.conn
    made: dict[str, dict[int, list[Sealed]]] = {}
    said, again = 0, _said_again(here)
    for account, enterprise, one in spoken_of(conn, here.settings.vocabulary.secrets):
        found = find_sealed(conn, account, one)
        if (found is not None and found[1][:4] in keys) or enterprise not in here.settings.enterprises:
            continue
        if one.digest and any((name, one.attribute) in again for name in said_by(conn, account, one)):
            said += 1
        else:
            made.setdefault(enterprise, {}).setdefault(account, []).append(one)
    missing = [kind.hex() for kind in kinds_of_key(conn) if kind not in keys]
    return Lost(tuple(missing), made, said)


def _said_again(here: Installation) -> set[tuple[str, str]]:
    """Return the sources with the attributes that their next full read says anew, not for new accounts alone."""
    return {
        (name, rule.attribute)
        for name, source in here.settings.sources.items()
        for rule in source.mapping.rules
        if rule.policy != "create-only"
    }


def renew_lost(here: Installation) -> list[Run]:
    """Delete what cannot be opened any more, and have new secrets made for all who had one of these.

    They are made as the old ones were, also where a source had said them for a new account alone. What a run
    was to seal that waits for the key is made anew as well. Returns a run for each enterprise.
    """
    keys = keys_of(here)
    with here.database.transaction() as conn:
        drop_unopened(conn, keys.names)
    resumed = [finish(here, run) for run in resume(here)]
    found = lost(here)
    log.info("decision_recorded", verb="renew", operations=found.accounts)
    renewed = [
        by_hand(here, enterprise, [_renewed(here, *one) for one in accounts.items()], why=_WHY)
        for enterprise, accounts in sorted(found.made.items())
    ]
    return [*resumed, *renewed]


def _renewed(here: Installation, account: int, secrets: list[Sealed]) -> Operation:
    standing, _ = standing_of(here, account)
    said = dict(standing.local)
    for one in secrets:
        last = max(one.version, last_version(here.database.conn, account, one.attribute))
        said[one.attribute] = str(one._replace(version=last + 1, digest=""))
    return layered(here, standing, said)


def rotate(here: Installation) -> int:
    """Seal everything with the first key of ``secrets_key``; returns how many secrets had another one."""
    keys = keys_of(here)

    def again(account: int, attribute: str, version: int, sealed: bytes) -> bytes | None:
        if keys.is_current(sealed):
            return None
        return keys.seal(account, attribute, version, keys.open(account, attribute, version, sealed))

    def apart(name: str, sealed: bytes) -> bytes | None:
        return None if keys.is_current(sealed) else keys.seal_apart(name, keys.open_apart(name, sealed))

    with here.alone(ACCOUNTS, "the change of the key of secrets"):
        count = reseal(here.database, again, apart)
    log.info("decision_recorded", verb="rotate", operations=count)
    return count


def _spoken(here: Installation, account: int, attribute: str) -> Sealed | None:
    standing, _ = standing_of(here, account)
    if attribute not in here.settings.vocabulary.secrets:
        known = ", ".join(sorted(here.settings.vocabulary.secrets))
        raise SyncdError(f"{attribute} is not secret; what is: {known}")
    return sealed_of(standing.attributes.get(attribute))


def _of_role(here: Installation, account: int, attribute: str) -> Sealed | None:
    standing, _ = standing_of(here, account)
    role = here.settings.roles.get(str(standing.attributes.get("role", "")))
    return None if role is None else sealed_of(role.template.defaults.get(attribute))
