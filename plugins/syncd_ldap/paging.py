"""Asks for page after page, and believes none before it is judged (RFC 2696)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count

from syncd import Denied, Unavailable

from .adapter import Session, search_request
from .failures import failure
from .options import Options
from .wire import PAGED, Malformed, Page, Reader, Result, name_of, paged_value, search_message

ENABLED_ONLY = "(!(userAccountControl:1.2.840.113556.1.4.803:=2))"
"""Leaves out whom Active Directory has disabled (a vendor's rule)."""


class Reading:
    """One read over one session. The deadline runs from here."""

    def __init__(self, session: Session, options: Options, stopping: threading.Event) -> None:
        self.session = session
        self.options = options
        self.stopping = stopping
        self.total = 0
        self._reader = Reader(session.socket, time.monotonic() + options.deadline)

    def pages(self, base: str, attributes: list[str]) -> Iterator[Page]:
        """Yield the pages of what lies under ``base``; each is judged before it is handed on.

        Ends only when the server has said that this was all. Raises Unavailable or Denied, naming the page.
        While one page is used the server makes the next.
        """
        search = search_request(base, self._filter(), self.options.scope, attributes)
        cookie = b""
        begun: set[bytes] = set()
        message = self._ask(search, cookie, base)
        for number in count(1):
            where = f"{self.session.url}: page {number} of {base or 'the root'}"
            page = self._receive(message, where)
            first = page.entries[0] if page.entries else None
            while page.result is None:
                yield page
                page = self._receive(message, where)
            last, cookie = cookie, self._next(page.result, where)
            self._refuse_repetition(first, begun, where, stuck=first is None and cookie == last != b"")
            if cookie:
                message = self._ask(search, cookie, base)
            yield page
            if not cookie:
                return

    def _filter(self) -> str:
        text = self.options.filter
        skips = self.options.disabled == "skip" and self.session.root.kind == "ad"
        return f"(&{text}{ENABLED_ONLY})" if skips else text

    def _ask(self, search: bytes, cookie: bytes, base: str) -> int:
        """Send for a page; returns the number of the message."""
        number = self.session.next_number()
        try:
            self.session.socket.sendall(search_message(number, search, self.options.page_size, cookie))
        except OSError as error:
            raise Unavailable(f"{self.session.url}: search of {base or 'the root'}: {error}") from error
        return number

    def _receive(self, message: int, where: str) -> Page:
        where = self._so_far(where)
        if self.stopping.is_set():
            raise Unavailable(f"{where}: given up, because the service ends")
        try:
            page = self._reader.page(message)
        except TimeoutError as error:
            limits = f"read_timeout is {self.options.read_timeout} s, deadline {self.options.deadline} s"
            raise Unavailable(f"{where}: {error} ({limits})") from error
        except (EOFError, OSError, Malformed) as error:
            raise Unavailable(f"{where}: {error}") from error
        except IndexError as error:
            raise Unavailable(f"{where}: a message that is cut off") from error
        self.total += len(page.entries)
        if self.total > self.options.max_entries:
            limit = f"max_entries = {self.options.max_entries}"
            raise Denied(f"{where}: there are more than {limit}; raise it if that many are right")
        return page

    def _next(self, result: Result, where: str) -> bytes:
        """Return the cookie for the next page, empty after the last one; raise unless all went well."""
        where = self._so_far(where)
        if result.code != 0:
            raise failure(result.code, result.message, where)
        if not self.options.page_size:
            return b""
        if PAGED not in result.controls:
            cure = "set page_size = 0 if this server cannot page"
            raise Unavailable(f"{where}: no paged results control came, so this may not be all; {cure}")
        try:
            return paged_value(result.controls[PAGED])[1]
        except (Malformed, IndexError) as error:
            raise Unavailable(f"{where}: {error}") from error

    def _refuse_repetition(self, first: bytes | None, begun: set[bytes], where: str, *, stuck: bool) -> None:
        """Raise if this page begins like an earlier one, or if an empty one leads to itself.

        The cookie alone proves nothing: 389 Directory Server sends the same one with every page.
        """
        name = name_of(first) if first is not None else None
        if stuck or name in begun:
            raise Unavailable(f"{self._so_far(where)}: the server sends the same page again")
        if name is not None:
            begun.add(name)

    def _so_far(self, where: str) -> str:
        return f"{where}, after {self.total} entries"
