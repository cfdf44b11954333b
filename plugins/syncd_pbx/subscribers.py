"""The rows of Kamailio's table ``subscriber``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from syncd import Account, Blocked, Delivery, Gone, Rejected

from .batches import Names
from .marks import digest, is_off, like_off, off, on, unknown_secret
from .options import KamailioOptions
from .platform import number_of, text_of
from .references import References, require_unused
from .rows import Row, Rows, Values


class Subscribers:
    """The accounts of one domain, within one transaction.

    A remote id is the number: SQLite gives the id of a row that was deleted to the next one.
    """

    def __init__(self, rows: Rows, options: KamailioOptions) -> None:
        self.rows = rows
        self.options = options
        self.references = References(rows, options.references)
        self._off: dict[str, str] | None = None

    def prepare(self, deliveries: Sequence[Delivery]) -> None:
        """Read for all what will be needed of each."""
        numbers = {text_of(one.account, "extension") for one in deliveries}
        numbers |= {one.remote_id for one in deliveries}
        self._load({number for number in numbers if number})
        leaving = [one for one in deliveries if one.action == "delete" or "extension" in one.changed]
        self.references.load(one.remote_id for one in leaving if one.remote_id)

    def find(self, account: Account) -> str | None:
        number = number_of(account, self.options.extensions)
        return None if self._of(number) is None else number

    def add(self, account: Account) -> str:
        number, changed = number_of(account, self.options.extensions), frozenset(account.fields)
        if self._of(number) is not None:
            return self.change(number, account, changed, enabled=account.enabled)
        values = self._values(account, changed | {"password"}, number)
        login = number if account.enabled else off(number)
        self.rows.insert("subscriber", {**values, "username": login})
        self._note(login)
        return number

    def change(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None
    ) -> str:
        row = self._of(remote_id)
        if row is None:
            raise Gone(f"there is no subscriber {remote_id} in {self.options.domain} any more")
        login = row["username"]
        number = on(login)
        if "extension" in changed:
            number = number_of(account, self.options.extensions)
        if number != on(login):
            self._require_possible(account, on(login), number)
            login, changed = off(number) if is_off(login) else number, changed | {"password"}
        values = self._values(account, changed, on(login))
        if enabled is not None:
            login = on(login) if enabled else off(login)
        self.rows.change(row, {**values, "username": login})
        self._note(login)
        return on(login)

    def delete(self, remote_id: str) -> None:
        require_unused(remote_id, self.references.of(remote_id) if self._of(remote_id) else [])
        self.rows.delete(self._of(remote_id))

    def gives(self, delivery: Delivery) -> Names:
        """Return the numbers that a delivery makes free."""
        return {str(delivery.remote_id)} if "extension" in delivery.changed else set()

    def takes(self, delivery: Delivery) -> Names:
        """Return the numbers that a delivery needs."""
        return {str(text_of(delivery.account, "extension"))} if "extension" in delivery.changed else set()

    def park(self, delivery: Delivery, name: str) -> str:
        """Call the subscriber by ``name``, which nobody else has, until the end of the transaction."""
        row, number = self._of(str(delivery.remote_id)), str(delivery.remote_id)
        if row is None:
            raise Gone(f"there is no subscriber {number} in {self.options.domain} any more")
        require_unused(number, self.references.of(number))
        login = off(name) if is_off(row["username"]) else name
        self.rows.change(row, {"username": login})
        self._note(login)
        return name

    def listed(self) -> Iterator[tuple[str, str]]:
        for row in self.rows.every("subscriber"):
            number = on(row["username"])
            if re.fullmatch(self.options.extensions, number):
                more = [str(row[name] or "") for name in sorted(self.options.columns)]
                yield number, digest(number, more, not is_off(row["username"]))

    def _values(self, account: Account, changed: frozenset[str], number: str) -> Values:
        """Return what is to be written of the changed fields."""
        values: Values = {name: text_of(account, name) for name in self.options.columns if name in changed}
        if "extension" in changed:
            # Whoever could not be disabled one day is not taken on.
            self.rows.require_room("subscriber", {"username": like_off(number)})
        if "password" in changed:
            values |= self._hashes(number, text_of(account, "password") or unknown_secret())
        return values

    def _note(self, login: str) -> None:
        """Learn how somebody who is disabled is called from now on."""
        if is_off(login):
            self._disabled()[on(login)] = login

    def _of(self, number: str) -> Row | None:
        """Return the row of a number; of two, that which is out of use: the other one was made by hand since."""
        login = self._disabled().get(number)
        row = None if login is None else self.rows.one("subscriber", login)
        return row or self.rows.one("subscriber", number)

    def _load(self, numbers: Names) -> None:
        """Read the rows of many numbers."""
        logins = [login for one in numbers if (login := self._disabled().get(one))]
        self.rows.load("subscriber", [*numbers, *logins])

    def _disabled(self) -> dict[str, str]:
        """Return the names of all who are disabled, by number.

        All begin with ``off:``. The condition is wider, so that an index serves it in whatever order a server
        sorts signs: letters come in that of the alphabet everywhere.
        """
        if self._off is None:
            column = self.rows.tables["subscriber"].columns["username"]
            rows = self.rows.every("disabled", column >= "off", column < "og")
            self._off = {on(row["username"]): row["username"] for row in rows if is_off(row["username"])}
        return self._off

    def _hashes(self, number: str, password: str) -> dict[str, str]:
        """Return what the password is checked by (RFC 2617, 3.2.2.2); ha1b is for who logs in with the domain."""
        domain, realm = self.options.domain, self.options.realm or self.options.domain
        return {"ha1": _md5(number, realm, password), "ha1b": _md5(f"{number}@{domain}", realm, password)}

    def _require_possible(self, account: Account, old: str, new: str) -> None:
        require_unused(old, self.references.of(old))
        if self._of(new) is not None:
            there = f"subscriber {new} of {self.options.domain}"
            raise Blocked(f"{old} cannot become {new}: there is a {there} already", [there])
        if text_of(account, "password") is None:
            raise Rejected(
                f"{old} cannot become {new}: what Kamailio stores of a password holds the number as well, and "
                "the account has no password to make it anew; delete the subscriber, and give the new one its password"
            )


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()
