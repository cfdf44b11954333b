"""Compiles the document into ``Settings``, noting every problem on the way.

What is broken is replaced by something harmless, so that the rest can still be judged; the caller looks
at the document's problems before it uses the result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from ..model import RESERVED, VOCABULARY, Attribute, Licences, Role, Sealed, Template, Value
from ..places import LONGEST_SOCKET, socket_of, systemds_directory
from .catalog import Catalog
from .checking import checked
from .document import Document
from .effective import Effective
from .lines import KeyPath
from .mappings import KEY_NEEDED, SECRET, known_attribute
from .models import AttributeTable, EnterpriseTable, RoleTable, TemplateTable, TopTable
from .settings import EnterpriseSettings, Origin
from .words import reference_kind, shown_reference, suggestion

NAMED = (
    *("licence", "feature_profile", "location", "attribute", "template", "role"),
    *("enterprise", "source", "platform", "observer"),
)
"""Top-level keys under which people name things themselves."""

TOP_KEYS = (*TopTable.model_fields, *NAMED)
"""Every top-level key."""

_ENTERPRISE = re.compile(r"[A-Za-z0-9-]{4,32}")


class Draft:
    """What the tables are compiled from, and what has been compiled so far."""

    def __init__(
        self, document: Document, catalog: Catalog, environ: Mapping[str, str], effective: Effective
    ) -> None:
        self.document = document
        self.catalog = catalog
        self.environ = environ
        self.effective = effective
        self.vocabulary = VOCABULARY
        self.locations: dict[str, tuple[str, ...]] = {}
        self.departments: tuple[str, ...] = ()
        self.licences = Licences()
        self.templates: dict[str, Template] = {}
        self.roles: dict[str, Role] = {}
        self.enterprises: dict[str, EnterpriseSettings] = {}

    def objection(self, path: KeyPath, message: str) -> None:
        """Note a problem."""
        self.document.object_to(path, message)

    def attribute(self, path: KeyPath, name: str) -> Attribute | None:
        """Return the word of the vocabulary, or None once the problem is noted."""
        return known_attribute(self.document, self.vocabulary, path, name)

    def profile(self, path: KeyPath, name: object) -> None:
        """Note a feature profile that there is not, where any is configured."""
        known = self.licences.profiles
        if known and isinstance(name, str) and name not in known:
            self.document.object_to_name(path, "feature profile", name, known)


def compile_top(draft: Draft) -> tuple[TopTable, Path, Path, ZoneInfo]:
    """Return the keys before the first table, the state directory, the socket and the time zone."""
    tree = draft.document.tree
    for key in NAMED:
        if not isinstance(tree.get(key, {}), dict):
            draft.objection((key,), f"must be a table of tables, such as [{key}.NAME]")
    written = {key: value for key, value in tree.items() if key not in NAMED}
    top = checked(draft.document, TopTable, written, (), known=NAMED)
    draft.effective.note((), written, top)
    draft.departments = top.departments
    _judge_key(draft, top.secrets_key)
    place = _state_directory(draft, top)
    return top, place, _socket(draft, top, place), _timezone(draft, top.timezone)


def _judge_key(draft: Draft, reference: str | None) -> None:
    path = ("secrets_key",)
    if reference is None:
        return
    if reference_kind(reference) is None:
        cure = 'where it is to be found: "credential:NAME" or "file:/PATH"'
        draft.objection(path, f"is a secret, and this file is no place for one; write {cure}")
    draft.effective.put(path, shown_reference(reference), draft.document.where(path))


def _state_directory(draft: Draft, top: TopTable) -> Path:
    place, path = Path(top.state_directory), ("state_directory",)
    told = systemds_directory(draft.environ)
    if "state_directory" not in draft.document.tree and told:
        place = Path(told)
        draft.document.origins[path] = Origin("environment STATE_DIRECTORY")
        draft.effective.put(path, told, draft.document.where(path))
    if not place.is_absolute():
        draft.objection(path, f"{str(place)!r} must begin with /")
    return place


def _socket(draft: Draft, top: TopTable, state_directory: Path) -> Path:
    path = ("socket",)
    if top.socket is None:
        place = socket_of(state_directory)
        draft.effective.put(path, str(place), Origin("default"))
        return place
    if not Path(top.socket).is_absolute():
        draft.objection(path, f"{top.socket!r} must begin with /")
    if len(os.fsencode(top.socket)) > LONGEST_SOCKET:
        draft.objection(path, f"must be of {LONGEST_SOCKET} bytes at most, as a Unix socket's path is")
    return Path(top.socket)


def _timezone(draft: Draft, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        near = suggestion(name, available_timezones()) or ', such as "Europe/Berlin"'
        draft.objection(("timezone",), f"there is no time zone {name!r}{near}")
    return ZoneInfo("UTC")


def compile_vocabulary(draft: Draft) -> None:
    """Add the plugins' words and those of ``[attribute.NAME]`` to the vocabulary."""
    for word in draft.catalog.attributes:
        _extend(draft, ("plugins",), word)
    for name, written in draft.document.tables("attribute").items():
        path = ("attribute", name)
        table = checked(draft.document, AttributeTable, written, path)
        draft.effective.note(path, written, table)
        if name in RESERVED or not name.isidentifier():
            draft.objection(path, "cannot be the name of an attribute; use letters, digits and _")
        else:
            word = Attribute(name, table.description, table.many, table.key, table.secret, table.limit)
            _extend(draft, path, word)


def _extend(draft: Draft, path: KeyPath, word: Attribute) -> None:
    try:
        draft.vocabulary = draft.vocabulary.extended([word])
    except ValueError as error:
        draft.objection(path, str(error))


def compile_locations(draft: Draft) -> None:
    """Note what each location is called in the sources; no word may mean two of them."""
    owner: dict[str, str] = {}
    for name, written in draft.document.tables("location").items():
        path = ("location", name)
        draft.effective.note(path, written)
        if not isinstance(written, list) or not all(isinstance(text, str) for text in written):
            draft.objection(path, "must be a list of the texts that the sources use for it")
            written = []
        draft.locations[name] = tuple(written)
        for word in dict.fromkeys([name, *written]):
            if owner.setdefault(word, name) != name:
                draft.objection(path, f"{word!r} means the location {owner[word]!r} already")


def compile_templates(draft: Draft) -> None:
    """Compile ``[template.NAME]`` and, of these, ``[role.NAME]``."""
    for name, written in draft.document.tables("template").items():
        path = ("template", name)
        table = checked(draft.document, TemplateTable, written, path)
        draft.effective.note(path, written, table)
        draft.templates[name] = _template(draft, name, table)
    for name, written in draft.document.tables("role").items():
        path = ("role", name)
        role = checked(draft.document, RoleTable, written, path)
        draft.effective.note(path, written, role)
        template = draft.templates.get(role.template or "")
        if template is None and role.template is not None:
            draft.document.object_to_name((*path, "template"), "template", role.template, draft.templates)
        elif template is None and isinstance(written, dict) and "template" not in written:
            draft.objection((*path, "template"), "is missing")
        draft.roles[name] = Role(name=name, template=template or Template(name=""))


def _template(draft: Draft, name: str, table: TemplateTable) -> Template:
    path = ("template", name)
    for place, service in enumerate(table.services or ()):
        if service not in draft.document.tables("platform"):
            known = draft.document.tables("platform")
            draft.document.object_to_name((*path, "services", place), "platform", service, known)
    defaults = {
        key: _default(draft, (*path, "defaults", key), value) for key, value in table.defaults.items()
    }
    draft.profile((*path, "defaults", "feature_profile"), defaults.get("feature_profile"))
    draft.profile((*path, "feature_profile"), table.feature_profile)
    if table.feature_profile is not None:
        if "feature_profile" in defaults:
            draft.objection((*path, "feature_profile"), "stands in the defaults as well; write it once")
        defaults["feature_profile"] = table.feature_profile
    for key in table.allocate:
        word = draft.attribute((*path, "allocate", key), key)
        here = (*path, "allocate", key)
        if word is not None and not word.key:
            draft.objection(here, "can be shared by accounts, so numbers cannot be used up")
        elif word is not None and word.many:
            draft.objection(here, "holds several texts, and one number is allocated")
    for place, key in enumerate(table.wins):
        if key not in {*defaults, *table.allocate, *table.generate}:
            draft.objection((*path, "wins", place), f"{key!r} has neither a default nor an allocation here")
    return Template(
        name=name,
        services=table.services,
        defaults={**defaults, **_generated(draft, (*path, "generate"), table.generate)},
        wins=frozenset(table.wins),
        allocate={key: replace(pool, template=name) for key, pool in table.allocate.items()},
    )


def _generated(draft: Draft, path: KeyPath, table: Mapping[str, tuple[str, int]]) -> dict[str, Value]:
    """Return what a new account says of the secrets that are made for it: the first version of each."""
    found: dict[str, Value] = {}
    for name, (recipe, length) in table.items():
        word, here = draft.attribute((*path, name), name), (*path, name)
        if word is not None and (not word.secret or word.many or word.key):
            draft.objection(
                here, "is not secret, or holds several texts or a key: nothing can be made for it"
            )
        elif word is not None and word.limit is not None and length > word.limit:
            draft.objection(here, f"has {length} characters, {word.limit} are allowed")
        lowest = None if word is None or word.digits is None else max(1, word.digits[0])
        if lowest is not None and (recipe != "digits" or length < lowest):
            draft.objection(here, f"must be digits, {lowest} or more")
        found[name] = str(Sealed(name, 1, recipe, length))
    if found and "secrets_key" not in draft.document.tree:
        draft.objection(path, KEY_NEEDED)
    return found


def _default(draft: Draft, path: KeyPath, value: Value) -> Value:
    word = draft.attribute(path, path[-1] if isinstance(path[-1], str) else "")
    if word is not None and word.secret:
        draft.objection(path, SECRET)
    if word is not None and not word.many and isinstance(value, tuple):
        draft.objection(path, "must be one text, as only one is held")
    return (value,) if word is not None and word.many and isinstance(value, str) else value


def compile_enterprises(draft: Draft) -> None:
    """Compile ``[enterprise.NAME]``; every source belongs to exactly one."""
    known = draft.document.tables("source")
    owner: dict[str, str] = {}
    for name, written in draft.document.tables("enterprise").items():
        path = ("enterprise", name)
        table = checked(draft.document, EnterpriseTable, written, path)
        draft.effective.note(path, written, table)
        if not _ENTERPRISE.fullmatch(name):
            draft.objection(path, "must be named with 4 to 32 letters, digits and dashes")
        if table.synchronizer == "none" and table.sources:
            draft.objection((*path, "sources"), 'has no place where synchronizer = "none"')
        for place, source in enumerate(table.sources):
            if source not in known:
                draft.document.object_to_name((*path, "sources", place), "source", source, known)
            elif owner.setdefault(source, name) != name:
                message = f"{source!r} belongs to the enterprise {owner[source]!r} already"
                draft.objection((*path, "sources", place), message)
        draft.enterprises[name] = EnterpriseSettings(
            name=name,
            synchronizer=table.synchronizer,
            sources=table.sources,
            protected=_protected(draft, path, table.protected),
        )


def _protected(draft: Draft, path: KeyPath, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for place, text in enumerate(texts):
        here = (*path, "protected", place)
        name, colon, pattern = text.partition(":")
        if not colon or not pattern:
            draft.objection(here, f'{text!r} must be an attribute and a pattern, such as "login:svc-*"')
            continue
        word = draft.attribute(here, name)
        if word is not None and word.secret:
            draft.objection(here, f"{name} {SECRET}")
        found.append((name, pattern))
    return tuple(found)
