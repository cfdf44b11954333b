"""How an entry shows that its account is disabled: by a value, by a bit of a number, or by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import dn
from .conversation import Found
from .platformoptions import Disable
from .requests import Change, replaced


class Switch:
    """Disabling and enabling as the options say it. ``base`` is where enabled entries are moved to."""

    def __init__(self, options: Disable, base: str) -> None:
        self.options = options
        self.base = base

    @property
    def asked(self) -> list[str]:
        """The attributes that have to be known of an entry."""
        return [self.options.attribute] if self.options.attribute else []

    def is_on(self, entry: Found) -> bool:
        """Tell whether an entry is that of an enabled account."""
        one = self.options
        if one.base is not None:
            return not dn.within(entry.dn, one.base)
        values = _texts(entry, one.attribute)
        if one.bit is not None:
            return not _number(values, one.start) & one.bit
        if one.enabled is not None:
            return values == [one.enabled.casefold()]
        return one.value is None or one.value.casefold() not in values

    def changes(self, values: Mapping[str, Sequence[bytes]], *, enabled: bool) -> list[Change]:
        """Return what has to be changed in an entry with ``values`` (by name in lower case)."""
        one = self.options
        if one.attribute is None:
            return []
        now = list(values.get(one.attribute.lower(), ()))
        if one.bit is not None:
            number = _number([value.decode("utf-8", "replace") for value in now], one.start)
            wanted = [str(number & ~one.bit if enabled else number | one.bit).encode()]
        else:
            text = one.enabled if enabled else one.value
            wanted = [text.encode()] if text is not None else []
        return [] if wanted == now else [replaced(one.attribute, wanted)]

    def first(self, *, enabled: bool) -> list[Change]:
        """Return what a new entry gets. Where a bit disables, it is disabled before it is enabled.

        Active Directory enables no account without a password (a vendor's rule): so there is one to give it to.
        """
        return self.changes({}, enabled=enabled and self.options.bit is None)

    def parent(self, name: str, *, enabled: bool) -> str | None:
        """Return where the entry ``name`` has to be moved to, None if it stands where it belongs."""
        if self.options.base is None or dn.within(name, self.options.base) is not enabled:
            return None
        return self.base if enabled else self.options.base

    def birthplace(self, *, enabled: bool) -> str:
        """Return the entry that a new one is put below."""
        return self.base if enabled or self.options.base is None else self.options.base


def _texts(entry: Found, name: str | None) -> list[str]:
    values = entry.values.get(name.lower(), []) if name else []
    return [value.decode("utf-8", "replace").casefold() for value in values]


def _number(values: Sequence[str], otherwise: int) -> int:
    """Return a number of Active Directory, which is 32 bits with a sign."""
    try:
        return int(values[0])
    except (IndexError, ValueError):
        return otherwise
