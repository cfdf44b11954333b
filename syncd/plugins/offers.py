"""Floor 5: what one plugin registers, checked against the contract; taken whole or not at all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pluggy

from ..connector import Connector, Observer, Platform, Source
from ..errors import PluginError
from ..hookspecs import SYNCD_API
from ..model import VOCABULARY, Attribute
from .blame import guarded
from .hooks import call

Offer: TypeAlias = dict[tuple[str, str], Any]
"""(kind, word) -> what was registered; the kinds are source, platform, observer, transform, rule and attribute."""

_BASES: dict[str, type[Connector]] = {"source": Source, "platform": Platform, "observer": Observer}

_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_PLATFORM_METHODS = ("add", "update", "disable", "enable", "delete", "find")


def verify(manager: pluggy.PluginManager, name: str, origin: object, plugin: object) -> None:
    """Raise PluginError if the plugin speaks another contract or implements a hook that there is not."""
    with guarded(name, origin, "looking at it"):
        wrong = list(_wrong(manager, plugin))
    if wrong:
        raise PluginError(name, f"{origin}: {'; '.join(wrong)}")


def collect(
    manager: pluggy.PluginManager, name: str, origin: object, wanted: Callable[[str, str], bool]
) -> Offer:
    """Call every ``register_...`` hook of one plugin and return what it registered.

    ``wanted`` tells whether anybody will ask for a kind of connector and its word. Raises PluginError if an implementation raises, or registers what does not fit.
    """
    offer: Offer = {}
    sinks: dict[str, Callable[..., None]] = {
        "register_connectors": lambda word, kind: _connector(offer, word, kind),
        "register_transforms": lambda word, factory: _function(offer, "transform", word, factory),
        "register_rules": lambda word, factory: _function(offer, "rule", word, factory),
        "register_attributes": lambda attribute: _attribute(offer, attribute),
    }
    for hook, sink in sinks.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            if implementation.plugin_name == name:
                with guarded(name, origin, hook):
                    call(implementation, register=sink, wanted=wanted)
    return offer


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'ldap'?`` if one of ``known`` is like ``word``, else nothing."""
    from difflib import get_close_matches

    like = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {like[0]!r}?" if like else ""


def _wrong(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    spoken = getattr(plugin, "SYNCD_API", SYNCD_API)
    if spoken != SYNCD_API:
        yield (
            f"it is written for SYNCD_API {spoken!r}, and this syncd speaks {SYNCD_API}; "
            "install a version of it that fits"
        )
        return
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            yield from _wrong_hook(manager, getattr(plugin, attribute), attribute, options)


def _wrong_hook(
    manager: pluggy.PluginManager, function: Any, attribute: str, options: pluggy.HookimplOpts
) -> Iterator[str]:
    hook = options.get("specname") or attribute
    specified = {caller for caller in vars(manager.hook) if getattr(manager.hook, caller).has_spec()}
    if hook not in specified:
        if not options.get("optionalhook"):
            yield f"there is no hook {hook!r}{closest(hook, specified)}"
        return
    if options.get("wrapper") or options.get("hookwrapper"):
        yield f"{hook} is a wrapper, and hooks of syncd cannot be wrapped"
    has = getattr(manager.hook, hook).spec.argnames
    for argument in _required(function):
        if argument not in has:
            yield f"{hook} takes {argument!r}, which that hook does not have (it has {', '.join(has)})"


def _required(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in kinds and parameter.default is inspect.Parameter.empty
    ]


def _put(offer: Offer, kind: str, word: str, thing: Any) -> None:
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        raise ValueError(f"{word!r} cannot name a {kind}: use a-z, 0-9, - and _, a letter first")
    if (kind, word) in offer:
        raise ValueError(f"the {kind} {word!r} is registered twice")
    offer[kind, word] = thing


def _connector(offer: Offer, word: str, kind: type[Connector]) -> None:
    fits = [name for name, base in _BASES.items() if isinstance(kind, type) and issubclass(kind, base)]
    if len(fits) != 1:
        raise TypeError(f"{word!r}: {kind!r} has to be a subclass of either Source, Platform or Observer")
    options: Any = getattr(kind, "Options", None)
    if not hasattr(options, "model_fields") or options.model_config.get("extra") != "forbid":
        raise TypeError(f'{kind.__name__} needs a `class Options(BaseModel, extra="forbid")`, from pydantic')
    base = _BASES[fits[0]]
    missing = [name for name in _needed(kind) if getattr(kind, name) is getattr(base, name)]
    if missing:
        raise TypeError(f"{kind.__name__} does not define {', '.join(missing)}")
    _put(offer, fits[0], word, kind)


def _needed(kind: type[Connector]) -> tuple[str, ...]:
    if issubclass(kind, Source):
        return ("read",)
    if issubclass(kind, Observer):
        return ("observe",)
    overrides = issubclass(kind, Platform) and kind.deliver is not Platform.deliver
    return ("find",) if overrides else _PLATFORM_METHODS


def _function(offer: Offer, kind: str, word: str, factory: Callable[..., Any]) -> None:
    if not callable(factory):
        raise TypeError(f"the {kind} {word!r} needs a function that makes it, not {factory!r}")
    _put(offer, kind, word, factory)


def _attribute(offer: Offer, attribute: Attribute) -> None:
    if not isinstance(attribute, Attribute):
        raise TypeError(f"{attribute!r} is not a syncd.Attribute")
    VOCABULARY.extended([attribute])
    _put(offer, "attribute", attribute.name, attribute)
