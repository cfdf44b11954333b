"""Endpoints with their auths and AORs: the rows of one telephone, whoever's it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncd import Blocked, Gone

from .marks import is_off, off, on, unknown_secret
from .references import split
from .rows import Row, Rows


class Phones:
    """The telephones of one Asterisk, by the ids of their endpoints."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def load(self, numbers: Iterable[str]) -> None:
        """Read what belongs to these endpoints."""
        numbers = list(numbers)
        self.rows.load("ps_endpoints", numbers)
        there = [row for number in numbers if (row := self.rows.one("ps_endpoints", number))]
        self.rows.load("ps_auths", [*numbers, *(name for row in there for name in split(row["auth"]))])
        self.rows.load("ps_aors", [*numbers, *(on(name) for row in there for name in split(row["aors"]))])

    def endpoint(self, number: str) -> Row:
        """Return the endpoint. Raises Gone."""
        row = self.rows.one("ps_endpoints", number)
        if row is None:
            raise Gone(f"there is no endpoint {number} any more")
        return row

    def make(self, number: str, auth: str, first: Mapping[str, object], aor: Mapping[str, object]) -> None:
        """Make an endpoint, if it is not there."""
        if self.rows.one("ps_endpoints", number) is None:
            self.rows.put("ps_aors", number, {}, aor)
            self.rows.insert("ps_endpoints", {"aors": number, "auth": auth, **first, "id": number})

    def secure(self, number: str, auth: str, password: str | None, *, named: bool) -> None:
        """Write the password, if it is one; see that there always is one. ``named``: the number is new."""
        endpoint = self.endpoint(number)
        if not split(endpoint["auth"]):
            self.rows.change(endpoint, {"auth": auth})  # without one, Asterisk asks nobody for a password
        values = {} if password is None else {"password": password, "auth_type": "userpass"}
        first = {"auth_type": "userpass", "username": number}
        if password is None:
            first["password"] = unknown_secret()
        for name in split(endpoint["auth"]):
            login = self.rows.put("ps_auths", name, values, first)
            if named:
                # Whoever could not be disabled one day is not taken on.
                self.rows.require_room("ps_auths", {"username": off(login["username"] or number)})

    def switch(self, number: str, *, enabled: bool) -> None:
        """Let nobody log in, and nobody be called; or undo that."""
        turn = on if enabled else off
        endpoint = self.endpoint(number)
        if not enabled or any(map(is_off, split(endpoint["aors"]))):
            self.rows.change(endpoint, {"aors": ",".join(turn(name) for name in split(endpoint["aors"]))})
        for name in split(endpoint["auth"]):
            login = self.rows.one("ps_auths", name)
            if login is not None and enabled is is_off(login["username"] or number):
                self.rows.change(login, {"username": turn(login["username"] or number)})

    def rename(self, old: str, new: str, auth: tuple[str, str]) -> None:
        """Give an endpoint and what is named after it another number; ``auth``: its auth, before and after."""
        endpoint = self.endpoint(old)
        for table, name in (("ps_aors", new), ("ps_auths", auth[1]), ("ps_endpoints", new)):
            if name != auth[0] and self.rows.one(table, name) is not None:
                there = f"{table} {name}"
                raise Blocked(f"{old} cannot become {new}: {table} has a row {name} already", [there])
        for name in split(endpoint["auth"]):
            if login := self.rows.one("ps_auths", name):
                values = {"id": auth[1] if name == auth[0] else name}
                if on(login["username"] or "") == old:
                    values["username"] = off(new) if is_off(login["username"]) else new
                self.rows.change(login, values)
        if (aor := self.rows.one("ps_aors", old)) is not None:
            self.rows.change(aor, {"id": new})
        values = {"id": new, "auth": ",".join(_renamed(split(endpoint["auth"]), *auth))}
        values["aors"] = ",".join(_renamed(split(endpoint["aors"]), old, new))
        self.rows.change(endpoint, values)

    def remove(self, number: str) -> None:
        """Delete an endpoint, its auths and its AORs."""
        endpoint = self.endpoint(number)
        for name in split(endpoint["auth"]):
            self.rows.delete(self.rows.one("ps_auths", name))
        for name in split(endpoint["aors"]):
            self.rows.delete(self.rows.one("ps_aors", on(name)))
        self.rows.delete(endpoint)

    def names(self, number: str) -> set[str]:
        """Return what the endpoint has of its own."""
        endpoint = self.endpoint(number)
        return {on(name) for column in ("aors", "auth") for name in split(endpoint[column])}


def _renamed(names: Iterable[str], old: str, new: str) -> list[str]:
    return [(off(new) if is_off(name) else new) if on(name) == old else name for name in names]
