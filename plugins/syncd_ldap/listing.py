"""Everything that a directory has of its accounts, for ``syncd verify``."""

from __future__ import annotations

from collections.abc import Iterator

from syncd import ConnectorError, Context, Unavailable

from .connecting import session_of
from .conversation import Conversation, Found, Job, found_in
from .directory import Directory
from .options import Options, ServerOptions
from .paging import Reading
from .platformoptions import BY_NAME
from .reader import Page
from .values import digest
from .wire import Malformed

_SHARED = (*ServerOptions.model_fields, "filter", "page_size", "deadline", "max_entries")


def listed(conversation: Conversation, directory: Directory, context: Context) -> Iterator[tuple[str, str]]:
    """Yield (remote id, fingerprint) of every entry. Raises Unavailable unless all of them could be read.

    The entries come over a second connection, so that ``conversation`` can ask for groups meanwhile.
    """
    options = directory.options
    shared = {name: getattr(options, name) for name in _SHARED}
    session, _ = session_of(options, options.anchor, context)
    try:
        reading = Reading(session, Options(**shared, base=options.places), context.stopping)
        for place in options.places:
            for page in reading.pages(place, _asked(directory)):
                entries = _entries(page, session.url)
                groups = _groups(conversation, directory, entries)
                for entry in entries:
                    marks = next(groups)
                    values = {name: entry.values.get(name.lower(), []) for name in options.attributes}
                    enabled = directory.switch.is_on(entry)
                    yield directory.remote_id(entry), digest(values, marks, enabled=enabled)
    finally:
        session.close()


def _asked(directory: Directory) -> list[str]:
    names = [*directory.options.attributes, *directory.switch.asked]
    return names if directory.anchor == BY_NAME else [*names, directory.anchor]


def _entries(page: Page, url: str) -> list[Found]:
    try:
        return [found_in(raw) for raw in page.entries]
    except (Malformed, IndexError) as error:
        raise Unavailable(f"{url}: an entry that cannot be decoded: {error}") from error


def _groups(conversation: Conversation, directory: Directory, entries: list[Found]) -> Iterator[list[str]]:
    """Yield the groups of each entry."""
    groups = directory.groups
    if groups is None:
        yield from ([] for _ in entries)
        return
    for outcome in conversation.run(Job(groups.of(entry.dn)) for entry in entries):
        if isinstance(outcome, ConnectorError):
            raise outcome
        yield list(outcome)
