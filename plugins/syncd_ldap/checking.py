"""Whether a directory has what the platform's options name; reads, and never writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syncd import Denied

from .conversation import Conversation, Found, Program
from .directory import Directory
from .platformoptions import BY_NAME
from .requests import BASE, NO_ATTRIBUTES, anything, searching

_NAMES = re.compile(r"\bNAME\s+(?:'([^']+)'|\(([^)]*)\))")
_LIST = r"\b{}\s+(?:([\w.-]+)|\(([^)]*)\))"
_SUP, _MUST = (re.compile(_LIST.format(word)) for word in ("SUP", "MUST"))


class Definition(NamedTuple):
    """What a schema says of one attribute or object class (RFC 4512, section 4.1)."""

    names: list[str]
    above: list[str]
    required: list[str]


def checked(conversation: Conversation, directory: Directory) -> Iterator[str]:
    """Yield what a person should know. Raises Denied where something that the options name is not there."""
    session, options = conversation.session, directory.options
    anchor = (
        "its name (a renamed entry is searched for by its keys)"
        if directory.anchor == BY_NAME
        else directory.anchor
    )
    yield f"{session.url}: {session.root.label}; entries are known by {anchor}"
    bound = options.bind.dn if options.bind else "nobody (anonymous)"
    identity = session.identity()
    yield f"bound as {bound}" + (f", whom the server calls {identity}" if identity else "")
    for place in [*options.places, *([options.groups.base] if options.groups else [])]:
        conversation.one(_there(directory, place))
    schema = conversation.one(_schema())
    if schema is None:
        yield "the schema cannot be read, so names of attributes and object classes are not checked"
        return
    problems = [
        *_unknown(directory, schema),
        *([] if session.root.kind == "ad" else _missing(directory, schema)),
    ]
    if problems:
        raise Denied(f"{session.url}: {'; '.join(problems)}")
    yield f"{len(options.attributes)} attributes and {len(options.object_classes)} object classes are in the schema"
    if directory.switch.asked == ["pwdAccountLockedTime"]:
        yield "pwdAccountLockedTime locks nobody out unless the password policy says pwdLockout: TRUE"
    yield "whether they may be written is only known once something is written"


def _there(directory: Directory, place: str) -> Program[None]:
    answer = yield searching(place, BASE, anything(), [NO_ATTRIBUTES])
    directory.read(answer, place)


def _schema() -> Program[Found | None]:
    """Return the subschema entry, None if it cannot be read."""
    answer = yield searching("", BASE, anything(), ["subschemaSubentry"])
    names = answer.found[0].values.get("subschemasubentry", []) if answer.found else []
    if not names:
        return None
    answer = yield searching(names[0].decode(), BASE, anything(), ["attributeTypes", "objectClasses"])
    found = answer.found[0] if answer.found else None
    return found if found is not None and found.values.get("attributetypes") else None


def _definitions(schema: Found, kind: str) -> dict[str, Definition]:
    """Return the definitions of the schema by each of their names, in lower case."""
    found = {}
    for raw in schema.values.get(kind, []):
        text = raw.decode("utf-8", "replace")
        match = _NAMES.search(text)
        names = [match[1]] if match and match[1] else re.findall(r"'([^']+)'", match[2]) if match else []
        definition = Definition(names, _listed(_SUP, text), _listed(_MUST, text))
        found.update({name.lower(): definition for name in names})
    return found


def _listed(pattern: re.Pattern[str], text: str) -> list[str]:
    match = pattern.search(text)
    return [match[1]] if match and match[1] else re.findall(r"[\w.-]+", match[2]) if match else []


def _unknown(directory: Directory, schema: Found) -> Iterator[str]:
    """Yield the names that the schema does not have, or has under another name first."""
    options = directory.options
    types, classes = _definitions(schema, "attributetypes"), _definitions(schema, "objectclasses")
    groups = options.groups
    known_by = [directory.anchor, groups.name] if groups else [directory.anchor]
    names = [
        *options.attributes,
        *directory.switch.asked,
        *[name for name in known_by if name.lower() != BY_NAME],
    ]
    for name in [*names, groups.attribute] if groups else names:
        plain = name.partition(";")[0]
        definition = types.get(plain.lower())
        if definition is None:
            yield f"its schema has no attribute {plain}"
        elif definition.names[0].lower() != plain.lower():
            yield f"it answers with {definition.names[0]} where {plain} is asked for: write {definition.names[0]}"
    for name in [*options.object_classes, *([groups.object_class] if groups and groups.create else [])]:
        if name.lower() not in classes:
            yield f"its schema has no object class {name}"


def _missing(directory: Directory, schema: Found) -> Iterator[str]:
    """Yield what the object classes require and nothing fills (in Active Directory the server fills much)."""
    classes, types = _definitions(schema, "objectclasses"), _definitions(schema, "attributetypes")
    waiting, seen = [name.lower() for name in directory.options.object_classes], set[str]()
    filled = {"objectclass", *map(str.lower, directory.options.attributes)}
    while waiting:
        name = waiting.pop()
        definition = classes.get(name)
        if definition is None or name in seen:
            continue
        seen.add(name)
        waiting += [above.lower() for above in definition.above]
        for required in definition.required:
            alike = types.get(required.lower(), Definition([required], [], [])).names
            if filled.isdisjoint(map(str.lower, alike)):
                yield f"the object class {definition.names[0]} requires {required}, which attributes do not name"
