"""The rows of one endpoint: ps_endpoints, ps_auths, ps_aors, voicemail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import or_

from syncd import Account, Blocked, Gone

from .asterisk import callerid
from .marks import digest, is_off, off, on, unknown_pin, unknown_secret
from .options import AsteriskOptions
from .platform import number_of, text_of
from .rows import Row, Rows

_LISTS = ("aors", "auth", "mailboxes")
"""The columns of ps_endpoints by which endpoints refer to other rows."""


class Endpoints:
    """The accounts of one Asterisk, within one transaction; a remote id is the id of the endpoint."""

    def __init__(self, rows: Rows, options: AsteriskOptions) -> None:
        self.rows = rows
        self.options = options

    def find(self, account: Account) -> str | None:
        number = number_of(account, self.options.extensions)
        return None if self.rows.one("ps_endpoints", {"id": number}) is None else number

    def add(self, account: Account) -> str:
        number = number_of(account, self.options.extensions)
        if self.rows.one("ps_endpoints", {"id": number}) is None:
            self.rows.put("ps_aors", {"id": number}, {}, self.options.aor)
            first = {"aors": number, "auth": number, **self.options.endpoint}
            self.rows.put("ps_endpoints", {"id": number}, {}, first)
        return self.change(number, account, frozenset(account.fields), enabled=account.enabled)

    def change(
        self, remote_id: str, account: Account, changed: frozenset[str], *, enabled: bool | None
    ) -> str:
        endpoint = self._endpoint(remote_id)
        number = number_of(account, self.options.extensions)
        if "extension" in changed and number != remote_id:
            self._rename(endpoint, remote_id, number)
            remote_id, endpoint = number, self._endpoint(number)
        self._write_mailbox(remote_id, endpoint, account, changed)
        values = {name: text_of(account, name) for name in self.options.columns if name in changed}
        if changed & {"name", "extension"}:
            values["callerid"] = callerid(account, remote_id)
        if not _split(endpoint["auth"]):
            values["auth"] = remote_id  # without one, Asterisk asks nobody for a password
        self.rows.change("ps_endpoints", {"id": remote_id}, endpoint, values)
        self._secure(remote_id, account, changed)
        if enabled is not None:
            self._switch(remote_id, enabled=enabled)
        return remote_id

    def delete(self, remote_id: str) -> None:
        endpoint = self.rows.one("ps_endpoints", {"id": remote_id})
        if endpoint is None:
            return
        self._require_free(endpoint, remote_id)
        if box := self._mailbox(endpoint):
            self.rows.delete("voicemail", self._box(box))
        self.rows.delete("ps_endpoints", {"id": remote_id})
        for name in _split(endpoint["auth"]):
            self.rows.delete("ps_auths", {"id": name})
        for name in _split(endpoint["aors"]):
            self.rows.delete("ps_aors", {"id": on(name)})

    def listed(self) -> Iterator[tuple[str, str]]:
        logins = {row["id"]: row["username"] or "" for row in self.rows.every("ps_auths")}
        emails: dict[str, str] = {}
        if self.options.voicemail is not None:
            context = self.rows.tables["voicemail"].columns["context"]
            boxes = self.rows.every("voicemail", context == self.options.voicemail)
            emails = {row["mailbox"]: row["email"] or "" for row in boxes}
        for row in self.rows.every("ps_endpoints"):
            number = row["id"]
            if not re.fullmatch(self.options.extensions, number):
                continue
            box = self._mailbox(row) or ""
            more = [str(row[name] or "") for name in sorted(self.options.columns)]
            enabled = not any(is_off(logins.get(name, "")) for name in _split(row["auth"]))
            yield number, digest(number, row["callerid"] or "", box, emails.get(box, ""), more, enabled)

    def _endpoint(self, remote_id: str) -> Row:
        endpoint = self.rows.one("ps_endpoints", {"id": remote_id})
        if endpoint is None:
            raise Gone(f"there is no endpoint {remote_id} any more")
        return endpoint

    def _secure(self, number: str, account: Account, changed: frozenset[str]) -> None:
        """Write the password; see that there always is one."""
        password = text_of(account, "password") if "password" in changed else None
        if "password" in changed and password is None:
            password = unknown_secret()
        for name in _split(self._endpoint(number)["auth"]):
            values = {} if password is None else {"password": password, "auth_type": "userpass"}
            first = {"auth_type": "userpass", "username": number, "password": unknown_secret()}
            self.rows.put("ps_auths", {"id": name}, values, first)
            if "extension" in changed and (login := self.rows.one("ps_auths", {"id": name})):
                # Whoever could not be disabled one day is not taken on.
                self.rows.require_room("ps_auths", {"username": off(login["username"] or number)})

    def _switch(self, number: str, *, enabled: bool) -> None:
        """Let nobody log in, and nobody be called; or undo that."""
        turn = on if enabled else off
        endpoint = self._endpoint(number)
        if not enabled or any(map(is_off, _split(endpoint["aors"]))):
            aors = ",".join(turn(name) for name in _split(endpoint["aors"]))
            self.rows.change("ps_endpoints", {"id": number}, endpoint, {"aors": aors})
        for name in _split(endpoint["auth"]):
            if login := self.rows.one("ps_auths", {"id": name}):
                values = {"username": turn(login["username"] or number)}
                self.rows.change("ps_auths", {"id": name}, login, values)

    def _rename(self, endpoint: Row, old: str, new: str) -> None:
        """Give an endpoint and what is named after it another number."""
        self._require_free(endpoint, old)
        for table in ("ps_aors", "ps_auths", "ps_endpoints"):
            if self.rows.one(table, {"id": new}) is not None:
                raise Blocked(
                    f"{old} cannot become {new}: {table} has a row {new} already", [f"{table} {new}"]
                )
        for name in _split(endpoint["auth"]):
            if login := self.rows.one("ps_auths", {"id": name}):
                values = {"id": new if name == old else name}
                if on(login["username"] or "") == old:
                    values["username"] = off(new) if is_off(login["username"]) else new
                self.rows.change("ps_auths", {"id": name}, login, values)
        if (aor := self.rows.one("ps_aors", {"id": old})) is not None:
            self.rows.change("ps_aors", {"id": old}, aor, {"id": new})
        values = {"id": new, "auth": ",".join(_renamed(_split(endpoint["auth"]), old, new))}
        values["aors"] = ",".join(_renamed(_split(endpoint["aors"]), old, new))
        self.rows.change("ps_endpoints", {"id": old}, endpoint, values)

    def _write_mailbox(self, number: str, endpoint: Row, account: Account, changed: frozenset[str]) -> None:
        """Make the mailbox follow the account; one that it loses is deleted."""
        if self.options.voicemail is None or not changed & {"mailbox", "pin", "email", "name"}:
            return
        was, box = self._mailbox(endpoint), text_of(account, "mailbox")
        if was and was != box:
            self._require_unshared(number, {self._address(was)})
            self._move_mailbox(was, box)
        if box:
            values = {"fullname": text_of(account, "name"), "email": text_of(account, "email")}
            pin = text_of(account, "pin")
            if "pin" in changed:
                values["password"] = pin or unknown_pin()
            self.rows.put("voicemail", self._box(box), values, {"password": unknown_pin()})
        others = [name for name in _split(endpoint["mailboxes"]) if was is None or name != self._address(was)]
        mine = [self._address(box)] if box else []
        self.rows.change("ps_endpoints", {"id": number}, endpoint, {"mailboxes": ",".join(mine + others)})

    def _move_mailbox(self, was: str, box: str | None) -> None:
        row = self.rows.one("voicemail", self._box(was))
        if box is None or self.rows.one("voicemail", self._box(box)) is not None:
            self.rows.delete("voicemail", self._box(was))
        elif row is not None:
            self.rows.change("voicemail", self._box(was), row, {"mailbox": box})

    def _mailbox(self, endpoint: Row) -> str | None:
        """Return the first mailbox of an endpoint that is in the configured context."""
        if self.options.voicemail is None:
            return None
        end = f"@{self.options.voicemail}"
        boxes = [name.removesuffix(end) for name in _split(endpoint["mailboxes"]) if name.endswith(end)]
        return boxes[0] if boxes else None

    def _box(self, box: str) -> dict[str, str]:
        return {"context": str(self.options.voicemail), "mailbox": box}

    def _address(self, box: str) -> str:
        return f"{box}@{self.options.voicemail}"

    def _require_free(self, endpoint: Row, number: str) -> None:
        """Raise Blocked where a queue calls this endpoint, or another endpoint uses what belongs to it."""
        if self.rows.has("queue_members", "queue_name", "interface"):
            interface = self.rows.tables["queue_members"].columns["interface"]
            rows = self.rows.every("queue_members", interface == f"PJSIP/{number}")
            if queues := sorted(f"queue {row['queue_name']}" for row in rows):
                raise Blocked(f"{number} is still a member of {', '.join(queues)}; take it out", queues)
        box = self._mailbox(endpoint)
        names = {on(name) for column in ("aors", "auth") for name in _split(endpoint[column])}
        self._require_unshared(number, names | ({self._address(box)} if box else set()))

    def _require_unshared(self, number: str, names: Iterable[str]) -> None:
        table = self.rows.tables["ps_endpoints"]
        lists = [table.columns[name] for name in _LISTS if name in table.columns]
        wanted = set(names)
        mentions = or_(*(one.contains(name, autoescape=True) for one in lists for name in sorted(wanted)))
        references = sorted(
            f"endpoint {row['id']}"
            for row in self.rows.every("ps_endpoints", mentions, table.columns["id"] != number)
            if wanted & {on(name) for one in lists for name in _split(row[one.name])}
        )
        if references:
            raise Blocked(f"{number} is still used by {', '.join(references)}; change that first", references)


def _split(names: str | None) -> list[str]:
    """Return the names of a list, as Asterisk separates them."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _renamed(names: Iterable[str], old: str, new: str) -> list[str]:
    return [(off(new) if is_off(name) else new) if on(name) == old else name for name in names]
