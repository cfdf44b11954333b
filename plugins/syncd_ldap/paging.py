"""Asks for page after page, and believes none before it is judged (RFC 2696)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from urllib.parse import unquote

from syncd import Denied, Unavailable

from .adapter import Scope, Session, search_request
from .failures import failure
from .options import Options
from .reader import Page, Reader
from .wire import PAGED, Malformed, Result, name_of, paged_control, paged_value, search_message

ENABLED_ONLY = {
    "ad": "(!(userAccountControl:1.2.840.113556.1.4.803:=2))",
    "389": "(!(nsAccountLock=true))",
}
"""Leaves out whose account a kind of server has disabled (vendors' rules)."""

NO_PEOPLE = ("dc=domaindnszones,", "dc=forestdnszones,", "cn=configuration,")
"""How the names of Active Directory's own partitions begin, to which every domain refers (a vendor's rule)."""


class Reading:
    """One read over one session. The deadline runs from here.

    ``elsewhere`` are the references to other servers that people may stand behind.
    """

    def __init__(self, session: Session, options: Options, stopping: threading.Event) -> None:
        self.session = session
        self.options = options
        self.stopping = stopping
        self.total = 0
        self.elsewhere: list[str] = []
        self._reader = Reader(session.socket, time.monotonic() + options.deadline)

    def pages(self, base: str, attributes: list[str], only: str = "") -> Iterator[Page]:
        """Yield the pages of whom the configuration wants under ``base``; ``only`` is a filter that narrows it."""
        text = f"(&{self.filter}{only})" if only else self.filter
        return self.search(base, text, self.options.scope, attributes, people=True)

    def search(
        self,
        base: str,
        text: str,
        scope: Scope,
        attributes: list[str],
        controls: Sequence[bytes] = (),
        *,
        people: bool = False,
    ) -> Iterator[Page]:
        """Yield the pages of a search; each is judged before it is handed on.

        Ends only when the server has said that this was all. Raises Unavailable or Denied, naming the page.
        While one page is used the server makes the next. Only ``people`` are counted, and missed where the
        server refers to another one.
        """
        search = search_request(base, text, scope, attributes)
        cookie = b""
        begun: set[bytes] = set()
        message = self._ask_page(search, controls, cookie, base)
        for number in count(1):
            where = f"{self.session.url}: page {number} of {base or 'the root'}"
            page = self._receive(message, where, people=people)
            first = page.entries[0] if page.entries else None
            while page.result is None:
                yield page
                page = self._receive(message, where, people=people)
            last, cookie = cookie, self._next(page.result, where)
            self._refuse_repetition(first, begun, where, stuck=first is None and cookie == last != b"")
            if cookie:
                message = self._ask_page(search, controls, cookie, base)
            yield page
            if not cookie:
                return

    def messages(self, base: str, attributes: list[str], controls: Sequence[bytes]) -> Iterator[bytes]:
        """Yield every answer to one search that is not paged, its result last, which nobody has judged."""
        search = search_request(base, self.filter, self.options.scope, attributes)
        number = self._ask(search, controls, base)
        where = f"{self.session.url}: changes of {base or 'the root'}"
        answers = self._reader.messages(number)
        while True:
            with self._in_time(where):
                answer = next(answers, None)
            if answer is None:
                return
            yield answer

    def whole(
        self, base: str, text: str, attributes: list[str], controls: Sequence[bytes]
    ) -> tuple[list[bytes], Result]:
        """Return what a search of all below ``base`` finds without pages, and its result, which nobody has judged."""
        message = self._ask(search_request(base, text, "subtree", attributes), controls, base)
        entries: list[bytes] = []
        result: Result | None = None
        while result is None:
            part, _, result = self._receive(message, f"{self.session.url}: changes of {base or 'the root'}")
            entries += part
        return entries, result

    def finds(self, base: str, text: str, scope: Scope, controls: Sequence[bytes] = ()) -> bool:
        """Tell whether a search finds an entry; no more than one is asked for. Raises Unavailable or Denied."""
        search = search_request(base, text, scope, ["1.1"])
        where = f"{self.session.url}: search of {base or 'the root'}"
        found, cookie = False, b""
        while not found:
            one = [paged_control(1, cookie)] if self.options.page_size else []
            message = self._ask(search, [*controls, *one], base)
            page = self._receive(message, where)
            while page.result is None:
                found = True
                page = self._receive(message, where)
            found = found or bool(page.entries)
            cookie = b"" if found else self._next(page.result, where)
            if not cookie:
                break
        return found

    def _holds_people(self, uri: str) -> bool:
        return self.session.root.kind != "ad" or not name_in(uri).startswith(NO_PEOPLE)

    @property
    def filter(self) -> str:
        """Whom the configuration wants."""
        text = self.options.filter
        only = ENABLED_ONLY.get(self.session.root.kind, "") if self.options.disabled == "skip" else ""
        return f"(&{text}{only})" if only else text

    def _ask_page(self, search: bytes, controls: Sequence[bytes], cookie: bytes, base: str) -> int:
        size = self.options.page_size
        return self._ask(search, [*controls, paged_control(size, cookie)] if size else controls, base)

    def _ask(self, search: bytes, controls: Sequence[bytes], base: str) -> int:
        """Send a search; returns the number of the message."""
        number = self.session.next_number()
        try:
            self.session.socket.sendall(search_message(number, search, controls))
        except OSError as error:
            raise Unavailable(f"{self.session.url}: search of {base or 'the root'}: {error}") from error
        return number

    def _receive(self, message: int, where: str, *, people: bool = False) -> Page:
        with self._in_time(where):
            page = self._reader.page(message)
        if people:
            self.total += len(page.entries)
            self.elsewhere += filter(self._holds_people, page.references)
        if self.total > self.options.max_entries:
            limit = f"max_entries = {self.options.max_entries}"
            raise Denied(
                f"{self._so_far(where)}: there are more than {limit}; raise it if that many are right"
            )
        return page

    @contextmanager
    def _in_time(self, where: str) -> Iterator[None]:
        """Turn what receiving may raise into Unavailable."""
        if self.stopping.is_set():
            raise Unavailable(f"{self._so_far(where)}: given up, because the service ends")
        try:
            yield
        except TimeoutError as error:
            limits = f"read_timeout is {self.options.read_timeout} s, deadline {self.options.deadline} s"
            raise Unavailable(f"{self._so_far(where)}: {error} ({limits})") from error
        except (EOFError, OSError, Malformed) as error:
            raise Unavailable(f"{self._so_far(where)}: {error}") from error
        except IndexError as error:
            raise Unavailable(f"{self._so_far(where)}: a message that is cut off") from error

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


def name_in(uri: str) -> str:
    """Return the distinguished name in an LDAP URL (RFC 4516), in lower case; any text is taken."""
    return unquote(uri.partition("://")[2].partition("/")[2]).lower()
