"""Floor 2: the hooks. A plugin implements those it needs, with ``@syncd.hookimpl``.

Hooks only register and observe; the work is done by the typed objects that they register. An
implementation may take fewer arguments than its hook, so that a hook can grow without breaking it.

    from syncd import hookimpl

    @hookimpl
    def register_connectors(register):
        register("badges", Badges)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from .connector import Connector
from .model import Attribute, Event, Objection

if TYPE_CHECKING:
    from click import Group

SYNCD_API = 1
"""The version of the contract. A plugin may set ``SYNCD_API`` in its module; another number is refused."""

hookspec = pluggy.HookspecMarker("syncd")
hookimpl = pluggy.HookimplMarker("syncd")


@hookspec
def register_connectors(
    register: Callable[[str, type[Connector]], None], wanted: Callable[[str, str], bool]
) -> None:
    """Register sources, platforms and observers: ``register("ldap", LdapSource)``.

    Called once, when the plugin has loaded. The word is what ``type = "ldap"`` names; a source and a
    platform may share one word, two sources may not. ``wanted("source", "ldap")`` tells whether anybody
    will ask for that one: what nobody wants need not be imported.
    """


@hookspec
def register_transforms(register: Callable[[str, Callable[..., Any]], None]) -> None:
    """Register transforms for ``via = [...]``: ``register("rot13", factory)``.

    ``factory(argument)`` is called once per use in the configuration, with the text behind the colon or
    None, and returns a function from a tuple of texts to a tuple of texts. Pure and total: it may raise
    ValueError with a message for the person, which fails that one record.
    """


@hookspec
def register_rules(register: Callable[[str, Callable[..., Any]], None]) -> None:
    """Register validation rules for ``[source.NAME.rules]``: ``register("luhn", factory)``.

    ``factory(argument)`` returns a function from a value (a text) to None, or to what is wrong with it.
    """


@hookspec
def register_attributes(register: Callable[[Attribute], None]) -> None:
    """Add words to the attribute vocabulary: ``register(Attribute("badge", "number of the badge"))``."""


@hookspec
def review_plan(plan: Any, limits: Any) -> Iterable[Objection] | None:
    """Look at a whole plan before anything of it is applied, and object.

    ``plan`` is a read-only PlanView: counts per kind, the operations one by one, what is known of the
    source. All objections of all plugins count; a reviewer that raises holds every run.
    """


@hookspec(firstresult=True)
def resolve_secret(reference: str) -> str | None:
    """Return the secret behind a reference such as ``vault:team/ldap``, or None if it is not yours."""


@hookspec
def observe(event: Event) -> None:
    """See what happened, after it was committed. Changes nothing and can break nothing."""


@hookspec
def register_commands(group: Group) -> None:
    """Add commands to the ``syncd`` command line."""
