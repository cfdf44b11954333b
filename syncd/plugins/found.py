"""Floor 5: which plugins are installed, told from the metadata of the distributions alone."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageMetadata,
    PackageNotFoundError,
    distributions,
    version,
)
from typing import Any, NamedTuple

GROUP = "syncd"
"""The entry point group; each entry point is one plugin, its name is what ``plugins = [...]`` lists."""

OWN = "syncd"
"""The distribution whose plugins may always load."""


BARE = frozenset({"syncd_bulk", "syncd_ldap", "syncd_mail"})
"""Shipped plugins that need no library of an extra: what the distribution says, which takes long to read, is not asked."""


class Installed(NamedTuple):
    """One entry point, and the distribution that brought it. Nothing of it has been imported."""

    name: str
    distribution: str
    entry: EntryPoint | None = None

    @property
    def version(self) -> str:
        """The version of the distribution, where one is known."""
        if self.entry is not None:
            return str(_metadata(_dist(self))["Version"])
        try:
            return version(self.distribution) if self.shipped else ""
        except PackageNotFoundError:
            return ""

    @property
    def shipped(self) -> bool:
        """Whether it came with syncd itself."""
        return self.distribution == OWN

    def __str__(self) -> str:
        """Return the distribution and its version, as messages name them."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def digest(self) -> str:
        """SHA-256 of the distribution's list of files and their hashes (RECORD), or nothing."""
        try:
            record = _dist(self).read_text("RECORD") if self.entry else None
        except (OSError, ValueError):
            return ""
        return hashlib.sha256(record.encode()).hexdigest() if record else ""


def find(*, shipped: bool = False) -> tuple[list[Installed], list[str]]:
    """Return the installed plugins, by name, and what could not be read of other distributions.

    ``shipped``: only those that came with syncd, without a look at what else is installed. A distribution
    that is found twice counts as found first, as it would be imported.
    """
    found: dict[tuple[str, str], Installed] = {}
    seen: dict[str, Distribution] = {}
    unreadable = []
    for distribution in distributions(name=OWN) if shipped else distributions():
        try:
            entries = distribution.entry_points.select(group=GROUP)
            if not entries:
                continue
            name = OWN if shipped else _metadata(distribution)["Name"]
            if seen.setdefault(_normal(name), distribution) is distribution:
                for entry in entries:
                    found[entry.name, name] = Installed(entry.name, name, entry)
        except Exception as error:  # noqa: BLE001 - damage in one folder must not hide all others
            unreadable.append(f"{_folder(distribution)}: {type(error).__name__}: {error}")
    return [found[key] for key in sorted(found)], unreadable


def missing_library(plugin: Installed) -> tuple[str, str] | None:
    """Return the first library that a shipped plugin needs and that is not installed, and the extra.

    The extra of ``syncd_teams`` is ``teams``; what it needs stands in syncd's own metadata.
    """
    extra = extra_of(plugin)
    if extra is None:
        return None
    wanted = re.compile(rf"([A-Za-z0-9._-]+).*;\s*extra\s*==\s*['\"]{re.escape(extra)}['\"]\s*")
    for requirement in _dist(plugin).requires or ():
        if match := wanted.fullmatch(requirement):
            try:
                version(match[1])
            except PackageNotFoundError:
                return match[1], extra
    return None


def extra_of(plugin: Installed) -> str | None:
    """Return the extra that brings the libraries of a shipped plugin, if there is one."""
    if not plugin.shipped or plugin.entry is None or plugin.name in BARE:
        return None
    extra = plugin.name.removeprefix("syncd_")
    return extra if extra in (_metadata(_dist(plugin)).get_all("Provides-Extra") or ()) else None


@cache
def _metadata(distribution: Distribution) -> PackageMetadata:
    """Return it; a distribution would read its whole description anew for each word of it."""
    return distribution.metadata


def _dist(plugin: Installed) -> Distribution:
    distribution: Any = plugin.entry.dist if plugin.entry else None
    if not isinstance(distribution, Distribution):
        raise TypeError(f"the plugin {plugin.name} belongs to no distribution")
    return distribution


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _folder(distribution: Distribution) -> str:
    return str(getattr(distribution, "_path", distribution))
