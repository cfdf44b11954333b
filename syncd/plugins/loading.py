"""Floor 5: the plugins that the configuration uses are loaded, each under its own guard.

What is not used is not imported. A plugin that fails is named, with its distribution and the cause, and
never stops another; it stands in ``Plugins.failures``, and while that is not empty no run may go on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pluggy

from .. import hookspecs
from ..connector import Observer, Platform, Source
from ..errors import PluginError
from ..mapping import Transform
from ..model import Attribute
from ..validation import Test
from . import builtin
from .blame import guarded
from .found import OWN, Installed, extra_of, find, missing_library
from .hooks import Hooks
from .offers import Offer, closest, collect, verify

HOMES = {
    "csv": "syncd_bulk",
    "ldif": "syncd_bulk",
    "ldap": "syncd_ldap",
    "mail": "syncd_mail",
    "asterisk": "syncd_pbx",
    "kamailio": "syncd_pbx",
    "mivoice": "syncd_pbx",
}
"""Type word -> the shipped plugin that registers it, so that only that one need be imported.

A word that is missing here is still found, by loading the shipped plugins one after the other.
"""

TransformFactory: TypeAlias = Callable[[str | None], Transform]
RuleFactory: TypeAlias = Callable[[str | None], Test]


class Row(NamedTuple):
    """One line of ``syncd plugins``.

    ``state`` is ``loaded``, ``failed``, ``unavailable`` (its library is missing) or ``installed`` (not
    used, or not listed). ``digest`` is that of the distribution's RECORD.
    """

    name: str
    distribution: str
    version: str
    state: str
    provides: tuple[str, ...]
    cause: str
    digest: str


class Plugins(NamedTuple):
    """What the loaded plugins provide, by the words that the configuration uses."""

    sources: dict[str, type[Source]]
    platforms: dict[str, type[Platform]]
    observers: dict[str, type[Observer]]
    transforms: dict[str, TransformFactory]
    rules: dict[str, RuleFactory]
    attributes: tuple[Attribute, ...]
    hooks: Hooks
    failures: tuple[PluginError, ...]
    """Of plugins that the configuration uses: while there is one, every run is held."""

    unavailable: dict[str, str]
    """Shipped plugin -> which library it lacks, and how to get it."""

    warnings: tuple[str, ...]
    tried: dict[Installed, tuple[str, tuple[str, ...], str]]
    """Plugin -> state, what it provides, and the cause, as in a ``Row``."""

    def table(self) -> tuple[Row, ...]:
        """Return a row for each installed plugin, and for each that was asked for and is not there."""
        return tuple(
            Row(
                one.name,
                one.distribution,
                one.version,
                *self.tried.get(one, ("installed", _expected(one), "")),
                one.digest,
            )
            for one in dict.fromkeys([*self.tried, *find()[0]])
        )

    def unknown_type(self, kind: str, word: str) -> str:
        """Return why no ``kind`` ("source", "platform" or "observer") has the type ``word``, and what to do."""
        kinds: dict[str, dict[str, Any]] = {
            "source": self.sources,
            "platform": self.platforms,
            "observer": self.observers,
        }
        known = kinds[kind]
        home = HOMES.get(word)
        if home in self.unavailable:
            return f"the {kind} type {word!r} needs {home}: {self.unavailable[home]}"
        text = f"there is no {kind} type {word!r}{closest(word, {*known, *HOMES} - {word})}"
        hints = [f"{name}: {cure}" for name, cure in self.unavailable.items()]
        rows = self.table()
        hints += [row.cause for row in rows if row.state == "failed"]
        unlisted = [row.name for row in rows if row.state == "installed" and row.distribution != OWN]
        if unlisted:
            hints.append(f"installed, but not listed in `plugins`: {', '.join(unlisted)}")
        return "; ".join([text, *hints])


def load(
    types: Iterable[str],
    third_party: Iterable[str] = (),
    report: Callable[[PluginError], None] | None = None,
    uses: Container[tuple[str, str]] | None = None,
) -> Plugins:
    """Load the shipped plugins that register ``types``, and the ``third_party`` ones by their names.

    ``uses`` is which connectors are wanted of them, by kind ("source", "platform", "observer") and type;
    None means all. Never raises for a plugin. ``report`` is what ``Hooks.report`` is to be. What a plugin prints while
    it loads goes to the standard error stream.
    """
    listed = dict.fromkeys(third_party)
    loading = _Loading(*find(shipped=not listed), lambda *one: uses is None or one in uses)
    wanted = set(types)
    with contextlib.redirect_stdout(sys.stderr):
        loading.take_builtin()
        homes = {HOMES[word] for word in wanted if word in HOMES}
        for installed in loading.shipped():
            if installed.name in homes:
                loading.take(installed)
        for name in listed:
            loading.take_listed(name)
        for installed in loading.shipped():
            if not loading.unsettled(wanted):
                break
            if installed not in loading.rows:
                loading.take(installed, needed=False)
    return loading.result(report)


class _Loading:
    """What has been loaded so far, and what became of every plugin that was tried."""

    def __init__(
        self, installed: list[Installed], unreadable: list[str], wants: Callable[[str, str], bool]
    ) -> None:
        self.installed = installed
        self.unreadable = unreadable
        self.wants = wants
        self.offers: dict[str, Offer] = {}
        self.origins: dict[str, Installed] = {}
        self.failures: list[PluginError] = []
        self.unavailable: dict[str, str] = {}
        self.warnings: list[str] = []
        self.rows: dict[Installed, tuple[str, str]] = {}
        self.manager = pluggy.PluginManager("syncd")
        self.manager.add_hookspecs(hookspecs)

    def shipped(self) -> list[Installed]:
        """Return the plugins that came with syncd."""
        return [installed for installed in self.installed if installed.shipped]

    def unsettled(self, types: Iterable[str]) -> set[str]:
        """Return those of ``types`` that another shipped plugin may still register."""
        known = {word for offer in self.offers.values() for kind, word in offer if kind in _CONNECTORS}
        broken = {installed.name for installed, (state, _) in self.rows.items() if state != "loaded"}
        return {word for word in types if word not in known and HOMES.get(word) not in broken}

    def take_builtin(self) -> None:
        """Load what syncd itself registers."""
        self.take(Installed(OWN, OWN))

    def take_listed(self, name: str) -> None:
        """Load the plugin that the configuration lists as ``name``, or say why that is not possible."""
        found = [installed for installed in self.installed if installed.name == name]
        if len(found) == 1:
            if found[0] not in self.rows:
                self.take(found[0])
            return
        if found:
            both = " and ".join(map(str, found))
            failure = PluginError(name, f"{both} both offer a plugin of this name; uninstall all but one")
        else:
            failure = PluginError(name, self._not_installed(name))
            found = [Installed(name, "")]
        self.failures.append(failure)
        self.rows.update((installed, ("failed", str(failure))) for installed in found)

    def take(self, installed: Installed, *, needed: bool = True) -> None:
        """Load one plugin; what goes wrong is a failure if it is ``needed``, and is told in any case."""
        try:
            lacking = missing_library(installed)
            if lacking is None:
                lacking = self._load(installed)
        except PluginError as failure:
            self.rows[installed] = ("failed", str(failure))
            if needed:
                self.failures.append(failure)
            return
        if lacking is None:
            self.rows[installed] = ("loaded", "")
            return
        cure = "it needs the library {}; install it with: pip install 'syncd[{}]'".format(*lacking)
        self.unavailable[installed.name] = cure
        self.rows[installed] = ("unavailable", cure)
        if needed:
            self.failures.append(PluginError(installed.name, f"{installed}: {cure}"))

    def _load(self, installed: Installed) -> tuple[str, str] | None:
        """Load it, or return the library that is not there, and the extra that brings it."""
        name = installed.name
        if name in self.origins:
            raise PluginError(
                name, f"{installed}: the name is taken by {self.origins[name]}; it needs another"
            )
        try:
            plugin = self._register(installed)
        except PluginError as failure:
            if self.manager.get_plugin(name) is not None:
                self.manager.unregister(name=name)
            extra, cause = extra_of(installed), failure.__cause__
            if extra and isinstance(cause, ModuleNotFoundError) and not _own_part(cause.name, name):
                return cause.name or "", extra
            raise
        self.origins[name] = installed
        if not installed.shipped:
            self.warnings.extend(_exposed(name, plugin))
        return None

    def _register(self, installed: Installed) -> object:
        name = installed.name
        with guarded(name, installed, "importing it"):
            plugin: object = installed.entry.load() if installed.entry else builtin
        verify(self.manager, name, installed, plugin)
        with guarded(name, installed, "registering it"):
            self.manager.register(plugin, name)
        self._accept(installed, collect(self.manager, name, installed, self.wants))
        return plugin

    def _accept(self, installed: Installed, offer: Offer) -> None:
        for other, known in self.offers.items():
            for kind, word in offer:
                if (kind, word) in known:
                    raise PluginError(
                        installed.name,
                        f"{installed} registers the {kind} {word!r}, and so does the plugin {other} of "
                        f"{self.origins[other]}; use only one of the two",
                    )
        self.offers[installed.name] = offer

    def _not_installed(self, name: str) -> str:
        others = {installed.name for installed in self.installed if not installed.shipped}
        text = f"no installed distribution offers a plugin of this name{closest(name, others)}"
        for installed in self.installed:
            if installed.distribution == name:
                text += f"; the plugin of the distribution {name} is called {installed.name!r}"
        return "; ".join([text, *(f"could not be read: {damage}" for damage in self.unreadable)])

    def result(self, report: Callable[[PluginError], None] | None) -> Plugins:
        """Return what was loaded."""
        return Plugins(
            sources=self._all("source"),
            platforms=self._all("platform"),
            observers=self._all("observer"),
            transforms=self._all("transform"),
            rules=self._all("rule"),
            attributes=tuple(self._all("attribute").values()),
            hooks=Hooks(self.manager, self.origins, report),
            failures=tuple(self.failures),
            unavailable=self.unavailable,
            warnings=tuple(self.warnings),
            tried={
                installed: (
                    state,
                    self._provided(installed) if state == "loaded" else _expected(installed),
                    cause,
                )
                for installed, (state, cause) in self.rows.items()
            },
        )

    def _all(self, kind: str) -> dict[str, Any]:
        return {
            word: thing for offer in self.offers.values() for (of, word), thing in offer.items() if of == kind
        }

    def _provided(self, installed: Installed) -> tuple[str, ...]:
        return tuple(f"{kind} {word}" for kind, word in self.offers[installed.name])


_CONNECTORS = frozenset({"source", "platform", "observer"})


def _expected(installed: Installed) -> tuple[str, ...]:
    """Return the types that a plugin which is not loaded will register, as far as that is known."""
    words = sorted(word for word, home in HOMES.items() if home == installed.name)
    return tuple(words) if installed.shipped else ()


def _own_part(module: str | None, plugin: str) -> bool:
    return (module or "").partition(".")[0] in {OWN, plugin}


def _exposed(name: str, plugin: object) -> list[str]:
    """Return a warning if anybody on this machine may change the plugin's code."""
    file = getattr(plugin, "__file__", None) or getattr(
        sys.modules.get(type(plugin).__module__), "__file__", None
    )
    paths = [Path(file), Path(file).parent] if file else []
    return [
        f"plugin {name}: {path} is writable by everybody, and runs with the rights of syncd: chmod o-w it"
        for path in paths
        if path.exists() and path.stat().st_mode & 0o002
    ]
