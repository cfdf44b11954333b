"""Entries whose change changes others that do not show it: a container that is moved, a group of people.

What lies below a container that is renamed or moved has another name, may have come under a base or gone from
it, and bears no trace of that. So such a change is answered by reading in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncd import CursorExpired, Unavailable

from . import dn
from .paging import Reading
from .wire import Malformed, attributes_of, contents_of

MEMBERSHIPS = frozenset(
    {
        *("memberof", "ismemberof", "nsrole", "msds-memberoftransitive"),
        *("tokengroups", "tokengroupsglobalanduniversal", "tokengroupsnogcacceptable"),
    }
)
"""Attributes of a person that change with a group, in lower case; servers compute them."""


def uses_memberships(text: str, attributes: Iterable[str]) -> bool:
    """Tell whether who is read, or what of them, depends on groups; ``text`` is the filter."""
    return any(name in text.lower() for name in MEMBERSHIPS) or any(
        name.lower() in MEMBERSHIPS for name in attributes
    )


def context_of(base: str, contexts: Iterable[str]) -> str | None:
    """Return the name of the database that holds ``base``: the longest of ``contexts`` that it lies in."""
    holding = [one for one in contexts if dn.within(base, one)]
    return max(holding, key=lambda one: len(dn.normalise(one)), default=None)


def contexts_of(bases: Iterable[str], contexts: Iterable[str]) -> list[str]:
    """Return the names of the databases that hold the bases, each once; of the bases themselves if none is told."""
    return sorted({context_of(base, contexts) or base for base in bases})


def found(reading: Reading, context: str, text: str, *names: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and attributes (in lower case, the last value of each) of all that ``text`` finds."""
    for page in reading.search(context, text, "subtree", list(names)):
        for name, values in map(shown, page.entries):
            yield (
                name,
                {kind: given[-1].decode("utf-8", "replace") for kind, given in values.items() if given},
            )


def shown(raw: bytes) -> tuple[str, dict[str, list[bytes]]]:
    """Return the name of an entry, and its attributes by their names in lower case. Raises Unavailable."""
    try:
        name, begin, end = contents_of(raw)
        values = attributes_of(raw, begin, end, {})[1]
    except (Malformed, IndexError) as error:
        raise Unavailable(f"an entry cannot be read: {error!r}") from error
    return name.decode("utf-8", "replace"), {kind.decode("ascii", "replace").lower(): v for kind, v in values}


def overlooked(reading: Reading, text: str) -> str | None:
    """Return why people are not found by ``text``, though it holds for every one of them.

    Who may not read an attribute of them finds nobody by it, without an error.
    """
    scope = reading.options.scope
    for base in reading.options.base:
        narrowed = f"(&{reading.filter}{text})"
        if not reading.finds(base, narrowed, scope) and reading.finds(base, reading.filter, scope):
            return f"nobody of {base} is found by {text}: let the bind identity read and search these"
    return None


def blind(reading: Reading, names: Iterable[str], text: str) -> str | None:
    """Return why what ``text`` asks cannot be seen, though it holds for every one of ``names``.

    An attribute that may not be read, or that this server does not search by, finds nobody, without an error.
    """
    for name in names:
        pages = reading.search(name, text, "base", ["1.1"])
        if not sum(len(page.entries) for page in pages):
            return f"{name or 'the root'} is not found by {text}: let the bind identity read and search these"
    return None


def refuse(name: str, created: str, since: str) -> None:
    """Raise CursorExpired for a container that was there before ``since``.

    Times are those of LDAP (``20260101000000Z``) in UTC, of which the seconds count. In a container that is
    new there is nobody who was elsewhere and does not show it.
    """
    if created[:14] <= since[:14]:
        raise CursorExpired(f"{name} was changed, and may have been renamed or moved with all that is in it")
