"""The rows of Kamailio's table ``subscriber``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from syncd import Account, Blocked, Gone, Rejected

from .marks import digest, is_off, off, on, unknown_secret
from .options import KamailioOptions
from .platform import number_of, text_of
from .rows import Row, Rows


class Subscribers:
    """The accounts of one domain, within one transaction.

    A remote id is the number: SQLite gives the id of a row that was deleted to the next one.
    """

    def __init__(self, rows: Rows, options: KamailioOptions) -> None:
        self.rows = rows
        self.options = options

    def find(self, account: Account) -> str | None:
        number = number_of(account, self.options.extensions)
        return None if self._of(number) is None else number

    def add(self, account: Account) -> str:
        number = number_of(account, self.options.extensions)
        if self._of(number) is None:
            key = {"username": number, "domain": self.options.domain}
            self.rows.put("subscriber", key, self._hashes(number, unknown_secret()), {})
        return self.change(number, account, frozenset(account.fields), enabled=account.enabled)

    def change(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None
    ) -> str:
        row = self._of(remote_id)
        if row is None:
            raise Gone(f"there is no subscriber {remote_id} in {self.options.domain} any more")
        number = number_of(account, self.options.extensions)
        values: Row = {name: text_of(account, name) for name in self.options.columns if name in changed}
        login = row["username"]
        if "extension" in changed and number != on(login):
            self._require_possible(account, on(login), number)
            login, changed = off(number) if is_off(login) else number, changed | {"password"}
        if "extension" in changed:
            # Whoever could not be disabled one day is not taken on.
            self.rows.require_room("subscriber", {"username": off(number)})
        if "password" in changed:
            values |= self._hashes(on(login), text_of(account, "password") or unknown_secret())
        if enabled is not None:
            login = on(login) if enabled else off(login)
        self.rows.change("subscriber", {"id": row["id"]}, row, {**values, "username": login})
        return on(login)

    def delete(self, remote_id: str) -> None:
        row = self._of(remote_id)
        if row is not None:
            self.rows.delete("subscriber", {"id": row["id"]})

    def listed(self) -> Iterator[tuple[str, str]]:
        domain = self.rows.tables["subscriber"].columns["domain"]
        for row in self.rows.every("subscriber", domain == self.options.domain):
            number = on(row["username"])
            if re.fullmatch(self.options.extensions, number):
                more = [str(row[name] or "") for name in sorted(self.options.columns)]
                yield number, digest(number, more, not is_off(row["username"]))

    def _of(self, number: str) -> Row | None:
        """Return the row of a number, in use or not."""
        row = self.rows.one("subscriber", {"username": number, "domain": self.options.domain})
        if row is not None:
            return row
        columns = self.rows.tables["subscriber"].columns
        behind = columns["username"].endswith(f":{number}", autoescape=True)
        rows = self.rows.every("subscriber", behind, columns["domain"] == self.options.domain)
        return next((row for row in rows if on(row["username"]) == number), None)

    def _hashes(self, number: str, password: str) -> dict[str, str]:
        """Return what the password is checked by (RFC 2617, 3.2.2.2); ha1b is for who logs in with the domain."""
        domain, realm = self.options.domain, self.options.realm or self.options.domain
        return {"ha1": _md5(number, realm, password), "ha1b": _md5(f"{number}@{domain}", realm, password)}

    def _require_possible(self, account: Account, old: str, new: str) -> None:
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
