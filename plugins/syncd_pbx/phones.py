"""Endpoints with their auths and AORs: the rows of one telephone, whoever's it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from syncd import Blocked, Gone

from .marks import is_off, like_off, off, on, unknown_secret
from .references import split
from .rows import Row, Rows, Values


class Phones:
    """The telephones of one Asterisk, by the ids of their endpoints."""

    def __init__(self, rows: Rows, aor: Mapping[str, str | int]) -> None:
        """``aor``: what a new AOR gets."""
        self.rows = rows
        self.aor = aor

    def load(self, numbers: Collection[str]) -> list[Row]:
        """Read what belongs to these endpoints; return those that are there."""
        there = self.rows.load("ps_endpoints", numbers)
        self.rows.load("ps_auths", [*numbers, *(name for row in there for name in split(row["auth"]))])
        self.rows.load("ps_aors", [*numbers, *(on(name) for row in there for name in split(row["aors"]))])
        return there

    def endpoint(self, number: str) -> Row:
        """Return the endpoint. Raises Gone."""
        row = self.rows.one("ps_endpoints", number)
        if row is None:
            raise Gone(f"there is no endpoint {number} any more")
        return row

    def write(
        self,
        number: str,
        values: Values,
        password: str | None,
        *,
        auth: str,
        first: Mapping[str, object] | None,
        named: bool,
        enabled: bool | None,
    ) -> None:
        """Make the columns of an endpoint equal to ``values``, and let it log in, or not, where ``enabled`` is told.

        ``first``: what a new endpoint gets, whose auth is called ``auth``; None where there has to be one.
        ``named``: the number is new. Raises Gone.
        """
        endpoint = self.rows.one("ps_endpoints", number)
        if endpoint is None and first is None:
            raise Gone(f"there is no endpoint {number} any more")
        auths = [] if endpoint is None else split(endpoint["auth"])
        aors = [number] if endpoint is None else split(endpoint["aors"])
        if not auths:  # without one, Asterisk asks nobody for a password
            values["auth"], auths = auth, [auth]
        if enabled is False or (enabled and any(map(is_off, aors))):
            aors = [_turned(name, enabled=enabled) for name in aors]
            values["aors"] = ",".join(aors)
        if endpoint is None:
            self.rows.put("ps_aors", number, {}, self.aor)
            told = {name: value for name, value in values.items() if value}
            self.rows.insert("ps_endpoints", {"aors": number, **(first or {}), **told, "id": number})
        else:
            self.rows.change(endpoint, values)
        for name in auths:
            self._log_in(name, number, password, named=named, enabled=enabled)

    def _log_in(
        self, auth: str, number: str, password: str | None, *, named: bool, enabled: bool | None
    ) -> None:
        """Write the password, if it is one; see that there always is one."""
        login = self.rows.one("ps_auths", auth)
        values = {} if password is None else {"password": password, "auth_type": "userpass"}
        name = (login and login["username"]) or number
        if enabled is not None and enabled is is_off(name):
            values["username"] = _turned(name, enabled=enabled)
        if login is None:
            first = {"auth_type": "userpass", "password": password or unknown_secret(), "username": number}
            self.rows.insert("ps_auths", {**first, **values, "id": auth})
        else:
            self.rows.change(login, values)
        if named:
            # Whoever could not be disabled one day is not taken on.
            self.rows.require_room("ps_auths", {"username": like_off(name)})

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


def _turned(name: str, *, enabled: bool) -> str:
    return on(name) if enabled else off(name)
