"""Mobile twinning: what the application FollowMe calls beside a telephone."""

from __future__ import annotations

from collections.abc import Mapping

from .rows import Row, Rows

_FIRST = "1"
_TIMEOUT = "20"
"""Seconds that a number rings: what FollowMe assumes as well."""


class Twinning:
    """The rows of ``followme`` and ``followme_numbers``; the first number is ours, further ones are made by hand."""

    def __init__(self, rows: Rows, first: Mapping[str, object]) -> None:
        self.rows = rows
        self.first = first

    def follow(self, number: str, mobile: str | None) -> None:
        """Let this mobile number be called, or none."""
        row = self._first(number)
        if mobile is None:
            self.rows.delete(row)
            return
        self.rows.put("followme", number, {}, self.first)
        if row is None:
            values = {"name": number, "ordinal": _FIRST, "phonenumber": mobile, "timeout": _TIMEOUT}
            self.rows.insert("followme_numbers", values)
        else:
            self.rows.change(row, {"phonenumber": mobile})

    def rename(self, old: str, new: str) -> None:
        """Let everything follow a new number; what was left there by another one goes."""
        self.remove(new)
        for name in ("followme", "followme_numbers"):
            for row in self.rows.those(name, old):
                self.rows.change(row, {"name": new})

    def remove(self, number: str) -> None:
        """Delete everything of a number."""
        for name in ("followme", "followme_numbers"):
            for row in self.rows.those(name, number):
                self.rows.delete(row)

    def all(self) -> dict[str, str]:
        """Return the mobile number that is called, by number."""
        rows = self.rows.every("followme_numbers")
        return {row["name"]: row["phonenumber"] for row in rows if str(row["ordinal"]) == _FIRST}

    def _first(self, number: str) -> Row | None:
        rows = self.rows.those("followme_numbers", number)
        return next((row for row in rows if str(row["ordinal"]) == _FIRST), None)
