"""Floor 5: the hooks as typed methods; each implementation is called under a guard of its own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import pluggy

from ..connector import Observer
from ..errors import PluginError
from ..model import Event, Objection
from .blame import blame, guarded
from .observers import Observers

if TYPE_CHECKING:
    from click import Command, Group

MOST_OBJECTIONS = 10_000
"""A reviewer that objects more often than this has failed."""


class Hooks:
    """What the rest of syncd calls. No exception of a plugin leaves it, but for ``resolve_secret``'s.

    ``report`` is told what is not worth stopping for: an observer that fails (once per plugin), a
    command that cannot be added. It may be called from another thread, and may be replaced at any time.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        origins: Mapping[str, object],
        report: Callable[[PluginError], None] | None = None,
        backlog: int = 10_000,
    ) -> None:
        """Keep the plugins; ``origins`` says the distribution and version of each, ``backlog`` in events."""
        self._manager = manager
        self._origins = origins
        self.report = report if report is not None else _log
        self._observers = Observers(
            {
                implementation.plugin_name: _observer(implementation)
                for implementation in self._implementations("observe")
            },
            self._observer_failed,
            backlog,
        )
        self._configured: dict[str, str] = {}

    def review_plan(self, plan: Any, limits: Any) -> list[Objection]:
        """Return all objections of all plugins, sorted; a reviewer that fails is itself an objection."""
        found: set[Objection] = set()
        for implementation in self._implementations("review_plan"):
            plugin = implementation.plugin_name
            try:
                answer = call(implementation, plan=plan, limits=limits)
                found.update(_objections(plugin, answer))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - guards fail closed, also on SystemExit
                message = str(self._blame(plugin, "review_plan", error))
                found.add(Objection("reviewer-failed", "run", message, by=plugin))
        return sorted(found)

    def resolve_secret(self, reference: str) -> str | None:
        """Return the first answer to a reference such as ``vault:team/ldap``, or None.

        Raises PluginError if a plugin fails; its message tells the kind of the error only, because the
        text may hold what is to stay secret.
        """
        for implementation in self._implementations("resolve_secret"):
            plugin = implementation.plugin_name
            with guarded(plugin, self._origins[plugin], "resolve_secret", private=True):
                answer = call(implementation, reference=reference)
            if isinstance(answer, str):
                return answer
            if answer is not None:
                kind = type(answer).__name__
                raise PluginError(
                    plugin, f"{self._origins[plugin]}: resolve_secret returned a {kind}, not a text"
                )
        return None

    def observe(self, event: Event) -> None:
        """Hand ``event`` to the observers' own thread; returns at once, whatever they do with it."""
        self._observers.tell(event)

    def add_observer(self, name: str, plugin: str, make: Callable[[], Observer]) -> None:
        """Let a configured observer of ``plugin`` see the events from now on.

        It is made and opened in the observers' thread, before the first event that it is told: whatever
        it does wrong is reported, and stops nobody. What could not be opened is tried again.
        """
        key = f"observer {name}"
        self._configured[key] = plugin
        one = _Configured(make)
        self._observers.add(key, one.tell, one.close)

    def register_commands(self, group: Group) -> list[PluginError]:
        """Let each plugin add commands to ``group``; return (and report) those that could not.

        A command that was there before stays what it was.
        """
        failures = []
        for implementation in self._implementations("register_commands"):
            plugin = implementation.plugin_name
            before = dict(group.commands)
            try:
                with guarded(plugin, self._origins[plugin], "register_commands"):
                    call(implementation, group=group)
                    _nothing_replaced(before, group.commands)
            except PluginError as failure:
                group.commands = before
                failures.append(failure)
                self.report(failure)
        return failures

    def close(self, within: float = 5.0) -> int:
        """Let the observers see what is queued, for at most ``within`` seconds.

        Returns how many events were not seen by all of them.
        """
        return self._observers.close(within)

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        return list(reversed(getattr(self._manager.hook, hook).get_hookimpls()))

    def _observer_failed(self, name: str, error: BaseException) -> None:
        """Report on an observer: the plugin ``name``, or one that ``add_observer`` has called so."""
        plugin, doing = self._configured.get(name, name), name if name in self._configured else "observe"
        self.report(self._blame(plugin, doing, error))

    def _blame(self, plugin: str, hook: str, error: BaseException) -> PluginError:
        return blame(plugin, self._origins.get(plugin, plugin), hook, error)


class _Configured:
    """A configured observer, made and opened by the first event."""

    def __init__(self, make: Callable[[], Observer]) -> None:
        self._make = make
        self._observer: Observer | None = None
        self._open = False

    def tell(self, event: Event) -> None:
        if self._observer is None:
            self._observer = self._make()
        if not self._open:
            self._observer.open()
            self._open = True
        self._observer.observe(event)

    def close(self) -> None:
        if self._observer is not None:
            with contextlib.suppress(Exception):  # the contract: it never raises
                self._observer.close()


def call(implementation: pluggy.HookImpl, **offered: Any) -> Any:
    """Call one implementation with those of the ``offered`` arguments that it names."""
    return implementation.function(*(offered[name] for name in implementation.argnames))


def _observer(implementation: pluggy.HookImpl) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        call(implementation, event=event)

    return tell


def _objections(plugin: str, answer: Iterable[Objection] | None) -> list[Objection]:
    if answer is None:
        return []
    found = [_objection(plugin, one) for one in islice(answer, MOST_OBJECTIONS + 1)]
    if len(found) > MOST_OBJECTIONS:
        raise ValueError(f"more than {MOST_OBJECTIONS} objections; one per cause is enough")
    return found


def _objection(plugin: str, one: Any) -> Objection:
    if not isinstance(one, Objection) or not all(isinstance(text, str) for text in one):
        raise TypeError(f"review_plan has to give Objections, whose parts are texts, and gave {one!r:.200}")
    if one.scope not in {"run", "removals"} and not one.scope.startswith("operation:"):
        raise ValueError(f"scope {one.scope!r} is none of run, removals, operation:<id>")
    return one._replace(by=plugin)


def _nothing_replaced(before: Mapping[str, Command], after: Mapping[str, Command]) -> None:
    for name, command in before.items():
        if after.get(name) is not command:
            raise ValueError(f"the command {name!r} exists already; choose another name")


def _log(failure: PluginError) -> None:
    logging.getLogger("syncd").warning("%s", failure)
