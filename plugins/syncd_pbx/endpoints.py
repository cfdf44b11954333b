"""The accounts of one Asterisk: ps_endpoints, ps_auths, ps_aors, voicemail, followme."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from syncd import Account, Blocked, Delivery, Rejected

from .asterisk import QUEUES, callerid
from .batches import Names
from .mailboxes import Mailboxes
from .marks import digest, is_off, on, unknown_secret
from .options import AsteriskOptions
from .phones import Phones
from .platform import number_of, text_of
from .references import Mentions, References, require_unused, split
from .rows import Row, Rows, Values
from .twinning import Twinning

_NUMBERS = frozenset({"extension", "softphone"})
_SOFT = "-soft"
"""Behind the number of the desk phone: the auth of the soft phone, by which it is found."""


class Endpoints:
    """The accounts of one Asterisk, within one transaction; a remote id is the id of the desk phone's endpoint."""

    def __init__(self, rows: Rows, options: AsteriskOptions) -> None:
        self.rows = rows
        self.options = options
        self.phones = Phones(rows, options.aor)
        self.references = References(rows, [QUEUES, *options.references])
        context = options.voicemail
        lists = {"aors": "", "auth": ""} | ({} if context is None else {"mailboxes": f"@{context}"})
        self.mentions = Mentions(rows, lists)
        self.mailboxes = None if context is None else Mailboxes(rows, context, self.mentions)
        self.twinning = None if options.twinning is None else Twinning(rows, options.twinning)

    def prepare(self, deliveries: Sequence[Delivery]) -> None:
        """Read for all what will be needed of each."""
        accounts = [one.account for one in deliveries]
        desks = _texts(accounts, "extension") | {one.remote_id for one in deliveries if one.remote_id}
        numbers = sorted(desks | _texts(accounts, "softphone"))
        there = self.phones.load(numbers)
        auths = [f"{number}{_SOFT}" for number in desks]
        self.rows.load("ps_auths", auths)
        logins = [row for auth in auths if (row := self.rows.one("ps_auths", auth))]
        self.phones.load([name for row in logins for name in (row["id"], on(row["username"] or ""))])
        if self.mailboxes is not None:
            boxes = {box for row in there if (box := self.mailboxes.of(row))} | _texts(accounts, "mailbox")
            self.rows.load("voicemail", boxes)
            self.rows.load("ps_endpoints", boxes)
        if self.twinning is not None:
            for name in ("followme", "followme_numbers"):
                self.rows.load(name, numbers)
        leaving = [
            one.remote_id
            for one in deliveries
            if one.remote_id and (one.action == "delete" or one.changed & {"extension", "softphone"})
        ]
        if self.options.softphone is not None:
            self.rows.load("ps_endpoints", [f"{number}{_SOFT}" for number in leaving])
        self.references.load(number for one in leaving for number in self._own(one))

    def find(self, account: Account) -> str | None:
        number = number_of(account, self.options.extensions)
        endpoint = self.rows.one("ps_endpoints", number)
        return None if endpoint is None or _is_soft(endpoint) else number

    def add(self, account: Account) -> str:
        number = number_of(account, self.options.extensions)
        if (there := self.rows.one("ps_endpoints", number)) is not None:
            self._require_own(number, there)
        first = self.options.endpoint
        return self._follow(number, account, frozenset(account.fields), first, enabled=account.enabled)

    def change(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None
    ) -> str:
        desk, number = self.phones.endpoint(remote_id), text_of(account, "extension")
        if "extension" in changed and number != remote_id:
            if number == self._softphone(remote_id) and text_of(account, "softphone") != remote_id:
                self._follow_softphone(remote_id, account, changed)
            self._rename(remote_id, number_of(account, self.options.extensions))
        return self._follow(str(desk["id"]), account, changed, None, enabled=enabled)

    def _follow(
        self,
        number: str,
        account: Account,
        changed: frozenset[str],
        first: Mapping[str, str] | None,
        *,
        enabled: bool | None,
    ) -> str:
        """Make everything of a desk phone follow the account; ``first`` as in ``Phones.write``."""
        was, soft = self._follow_softphone(number, account, changed)
        own = [number] if soft is None else [number, soft]
        values = {} if self.mailboxes is None else self.mailboxes.follow(own, account, changed)
        self._add_columns(values, number, account, changed)
        secret = _secret(account, "password", changed)
        named = not changed.isdisjoint(_NUMBERS)
        self.phones.write(number, values, secret, auth=number, first=first, named=named, enabled=enabled)
        if soft is not None:
            self._write_softphone(soft, number, account, changed, enabled=enabled, new=soft != was)
        if self.twinning is not None and ("twinning" in changed or enabled is not None):
            self.twinning.follow(number, text_of(account, "twinning") if account.enabled else None)
        return number

    def delete(self, remote_id: str) -> None:
        desk = self.rows.one("ps_endpoints", remote_id)
        if desk is None:
            return
        own = self._own(remote_id)
        box = None if self.mailboxes is None else self.mailboxes.of(desk)
        self._require_unused(own, [] if box is None else [box])
        if box is not None:
            self.rows.delete(self.rows.one("voicemail", box))
        for one in own:
            self.phones.remove(one)
        self.rows.delete(self.rows.one("ps_auths", f"{remote_id}{_SOFT}"))
        if self.twinning is not None:
            self.twinning.remove(remote_id)

    def gives(self, delivery: Delivery) -> Names:
        """Return the numbers that a delivery makes free."""
        desk = self.rows.one("ps_endpoints", delivery.remote_id or "")
        if desk is None:
            return set()
        box = self.mailboxes.of(desk) if self.mailboxes is not None else None
        return _names(delivery.changed, desk["id"], self._softphone(desk["id"]), box)

    def takes(self, delivery: Delivery) -> Names:
        """Return the numbers that a delivery needs."""
        names = ("extension", "softphone", "mailbox")
        return _names(delivery.changed, *(text_of(delivery.account, name) for name in names))

    def park(self, delivery: Delivery, name: str) -> str:
        """Call what has to make room by ``name``, which nobody else has, until the end of the transaction."""
        number = str(delivery.remote_id)
        desk, soft = self.phones.endpoint(number), self._softphone(number)
        if self.mailboxes is not None and "mailbox" in delivery.changed and (box := self.mailboxes.of(desk)):
            self.mailboxes.move(box, name, self._own(number))
            for one in self._own(number):
                endpoint = self.phones.endpoint(one)
                names = self.mailboxes.named(one, endpoint["mailboxes"], box, name)
                self.rows.change(endpoint, {"mailboxes": names})
        if soft is not None and "softphone" in delivery.changed:
            self._require_unused([soft], [], self._own(number))
            self.phones.rename(soft, f"{name}s", (f"{number}{_SOFT}",) * 2)
        if "extension" not in delivery.changed:
            return number
        self._rename(number, name)
        return name

    def listed(self) -> Iterator[tuple[str, str]]:
        logins = {row["id"]: row["username"] or "" for row in self.rows.every("ps_auths")}
        emails: dict[str, str] = {}
        if self.mailboxes is not None:
            emails = {row["mailbox"]: row["email"] or "" for row in self.rows.every("voicemail")}
        mobiles = {} if self.twinning is None else self.twinning.all()
        rows = list(self.rows.every("ps_endpoints"))
        softphones = {name: row for row in rows for name in split(row["auth"]) if name.endswith(_SOFT)}
        for row in rows:
            number, auths = row["id"], split(row["auth"])
            if not re.fullmatch(self.options.extensions, number) or any(one.endswith(_SOFT) for one in auths):
                continue
            other = softphones.get(f"{number}{_SOFT}") if self.options.softphone is not None else None
            soft, said = "" if other is None else other["id"], self._said(row, logins)
            if other is not None and self._said(other, logins) != said:
                soft = f"{soft}, which differs"
            box = (self.mailboxes.first(row["mailboxes"]) if self.mailboxes is not None else None) or ""
            mobile, (caller, more, enabled) = mobiles.get(number, ""), said
            yield number, digest(number, caller, soft, box, emails.get(box, ""), mobile, more, enabled)

    def _said(self, row: Mapping[str, Any], logins: Mapping[str, str]) -> tuple[str, list[str], bool]:
        """Return what desk phone and soft phone have in common."""
        more = [str(row[name] or "") for name in sorted(self.options.columns)]
        return (
            row["callerid"] or "",
            more,
            not any(is_off(logins.get(name, "")) for name in split(row["auth"])),
        )

    def _follow_softphone(
        self, number: str, account: Account, changed: frozenset[str]
    ) -> tuple[str | None, str | None]:
        """Make the endpoint of the soft phone follow the account; return the one that was, and the one that is."""
        first = self.options.softphone
        was, soft = self._softphone(number), text_of(account, "softphone")
        if first is None or "softphone" not in changed or was == soft:
            return was, was
        auth = f"{number}{_SOFT}"
        if was is not None:
            self._require_unused([was], [], self._own(number))
        if soft == number:
            raise Rejected(f"the soft phone of {number} needs a number of its own; map another value")
        if soft is not None and self.rows.one("ps_endpoints", soft) is not None:
            there = f"ps_endpoints {soft}"
            raise Blocked(f"{soft} cannot be the soft phone of {number}: {there} is there already", [there])
        if soft is None:
            self.phones.remove(str(was))
        elif was is None:
            self.rows.delete(self.rows.one("ps_auths", auth))
        else:
            self.phones.rename(was, soft, (auth, auth))
        return was, soft

    def _write_softphone(
        self,
        soft: str,
        number: str,
        account: Account,
        changed: frozenset[str],
        *,
        enabled: bool | None,
        new: bool,
    ) -> None:
        """Write what the soft phone of a desk phone has; ``new``: it was not called so before."""
        first = None
        if new:
            changed = changed.union(account.fields)
            enabled = account.enabled if enabled is None else enabled
            first = {**self.options.endpoint, **(self.options.softphone or {})}
        values = {}
        if self.mailboxes is not None:
            values["mailboxes"] = self.phones.endpoint(number)["mailboxes"]
        self._add_columns(values, number, account, changed)
        secret = _secret(account, "softphone_password", changed)
        auth, named = f"{number}{_SOFT}", not changed.isdisjoint(_NUMBERS)
        self.phones.write(soft, values, secret, auth=auth, first=first, named=named, enabled=enabled)

    def _add_columns(self, values: Values, number: str, account: Account, changed: frozenset[str]) -> None:
        """Add what both telephones have of the account; ``number``: that of the desk phone."""
        for name in self.options.columns:
            if name in changed:
                values[name] = text_of(account, name) or self.options.endpoint.get(name)
        if "name" in changed or "extension" in changed:
            values["callerid"] = callerid(account, number)

    def _rename(self, old: str, new: str) -> None:
        """Give the desk phone another number, and all that is named after it."""
        own = self._own(old)
        box = None if self.mailboxes is None else self.mailboxes.of(self.phones.endpoint(old))
        if new in own:
            raise Rejected(
                f"{new} is the soft phone of {old} itself; give that another number first, or none, and "
                "change the extension when that is done"
            )
        self._require_unused([old], [] if box is None else [box], own)
        self.phones.rename(old, new, (old, new))
        if len(own) > 1 and (login := self.rows.one("ps_auths", f"{old}{_SOFT}")) is not None:
            self.rows.change(login, {"id": f"{new}{_SOFT}"})
            self.rows.change(self.phones.endpoint(own[1]), {"auth": f"{new}{_SOFT}"})
        if self.twinning is not None:
            self.twinning.rename(old, new)

    def _softphone(self, number: str) -> str | None:
        """Return the number of the soft phone that belongs to a desk phone: that which logs in with its auth."""
        auth = f"{number}{_SOFT}"
        if (login := self.rows.one("ps_auths", auth)) is None:
            return None
        endpoint = self.rows.one("ps_endpoints", on(login["username"] or ""))
        if endpoint is not None and auth in split(endpoint["auth"]):
            return str(endpoint["id"])
        return next(iter(self.mentions.numbers({auth}, [number])), None)

    def _own(self, number: str) -> list[str]:
        """Return the endpoints of an account: its desk phone and its soft phone, whatever is configured by now."""
        soft = self._softphone(number)
        return [number] if soft is None else [number, soft]

    def _require_own(self, number: str, there: Row) -> None:
        """Raise Blocked where a telephone that is there belongs to another one, or shares what it logs in with."""
        if _is_soft(there):
            desk = ", ".join(split(there["auth"])).removesuffix(_SOFT)
            raise Blocked(
                f"{number} cannot be adopted: it is the soft phone of {desk}; change one of both",
                [f"endpoint {desk}"],
            )
        if found := self.mentions.of(self.phones.names(number), self._own(number)):
            shares = f"{number} cannot be adopted: it shares its auth or AOR with {', '.join(found)}"
            raise Blocked(f"{shares}; give each its own", found)

    def _require_unused(self, numbers: list[str], boxes: list[str], own: Iterable[str] | None = None) -> None:
        """Raise Blocked with all that refers to these numbers, or to what belongs to them."""
        names = set().union(*(self.phones.names(number) for number in numbers))
        if self.mailboxes is not None:
            names |= {self.mailboxes.address(box) for box in [*numbers, *boxes]}
        found = [one for number in numbers for one in self.references.of(number)]
        found += self.mentions.of(names, own or numbers)
        require_unused(numbers[0], list(dict.fromkeys(found)))


def _secret(account: Account, name: str, changed: frozenset[str]) -> str | None:
    """Return the password to write, None if it stays."""
    return (text_of(account, name) or unknown_secret()) if name in changed else None


def _is_soft(endpoint: Row) -> bool:
    return any(name.endswith(_SOFT) for name in split(endpoint["auth"]))


def _texts(accounts: Iterable[Account], name: str) -> set[str]:
    return {text for account in accounts if (text := text_of(account, name))}


def _names(changed: frozenset[str], desk: str | None, soft: str | None, box: str | None) -> Names:
    kinds = (("extension", "endpoint", desk), ("softphone", "endpoint", soft), ("mailbox", "mailbox", box))
    return {f"{kind} {name}" for field, kind, name in kinds if field in changed and name}
