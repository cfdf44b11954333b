"""The groups that an account's memberships name: a person's entry is put in and taken out, nothing else.

Every group below the configured entry is syncd's to keep for the people that it writes; no other is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncd import Blocked, Rejected

from . import dn
from .conversation import Answer, Found, Program
from .failures import failure, refusal
from .platformoptions import BY_NAME
from .platformoptions import Groups as GroupOptions
from .requests import (
    ADD,
    DELETE,
    NO_ATTRIBUTES,
    SUBTREE,
    Change,
    adding,
    equal,
    modifying,
    searching,
)
from .values import recognised

NO_SUCH_OBJECT, OBJECT_CLASS_VIOLATION, EXISTS = 32, 65, 68
_ALREADY = {ADD: 20, DELETE: 16}
"""What a server says of a member who is there already, or is not there: attributeOrValueExists, noSuchAttribute."""


class Groups:
    """The groups below one entry of one server.

    ``follow``: the server itself renames members wherever their entry is renamed, and forgets deleted ones.
    """

    def __init__(self, options: GroupOptions, url: str, *, follow: bool) -> None:
        self.options = options
        self.url = url
        self.follow = follow
        self._by_name = options.name.lower() != BY_NAME

    def of(self, name: str) -> Program[dict[str, str]]:
        """Return the groups that the entry ``name`` is in: what each is recognised by -> its name."""
        wanted = equal(self.options.attribute, name.encode())
        asked = self.options.name if self._by_name else NO_ATTRIBUTES
        answer = yield searching(self.options.base, SUBTREE, wanted, [asked])
        self._read(answer)
        return {self._mark(found): found.dn for found in answer.found}

    def bring(self, name: str, wanted: Mapping[str, str]) -> Program[None]:
        """Let the entry ``name`` be in the groups ``wanted``, and in no other. Raises Rejected, Blocked."""
        there = yield from self.of(name)
        for mark, text in wanted.items():
            if mark not in there:
                yield from self._join(name, text)
        for mark, group in there.items():
            if mark not in wanted:
                yield from self._leave(name, group)

    def leave(self, name: str, *, heir: str | None = None) -> Program[list[str]]:
        """Take the entry ``name`` out of every group, before it goes or gets another name; return the groups.

        A group that needs a member, and has no other, gets the ``heir``: the entry's next name.
        """
        if self.follow:
            return []
        there = [*(yield from self.of(name)).values()]
        for group in there:
            yield from self._leave(name, group, heir)
        return there

    def back(self, name: str, heir: str, groups: Iterable[str]) -> Program[None]:
        """Put the entry ``name`` into the groups again that it left for a name which it did not get."""
        for group in groups:
            yield modifying(group, [self._member(ADD, name)])
            yield modifying(group, [self._member(DELETE, heir)])

    def _join(self, name: str, text: str) -> Program[None]:
        group = yield from self._named(text)
        code = NO_SUCH_OBJECT
        if group is not None:
            answer = yield modifying(group, [self._member(ADD, name)])
            code = answer.result.code
        if code != NO_SUCH_OBJECT:
            self._done(answer, ADD, f"member of {group}")
        elif self.options.create:
            yield from self._create(name, text)
        else:
            raise Rejected(
                f"{self.url}: there is no group {text!r} below {self.options.base}; make it, or set groups.create"
            )

    def _leave(self, name: str, group: str, heir: str | None = None) -> Program[None]:
        answer = yield modifying(group, [self._member(DELETE, name)])
        if answer.result.code == OBJECT_CLASS_VIOLATION and heir is not None:
            answer = yield modifying(group, [self._member(DELETE, name), self._member(ADD, heir)])
        if answer.result.code == OBJECT_CLASS_VIOLATION:
            message = f"{self.url}: {name} is the last member of {group}, which needs one; put another one in"
            raise Blocked(message, [group])
        if answer.result.code != NO_SUCH_OBJECT:
            self._done(answer, DELETE, f"member of {group}")

    def _named(self, text: str) -> Program[str | None]:
        """Return the distinguished name of a group. Raises Rejected where there are two."""
        if not self._by_name:
            return text
        wanted = equal(self.options.name, text.encode())
        answer = yield searching(self.options.base, SUBTREE, wanted, [NO_ATTRIBUTES], 2)
        found = answer.found
        if len(found) > 1:
            names = " and ".join(one.dn for one in found)
            raise Rejected(
                f"{self.url}: {names} are both called {text!r}; rename one, or set groups.name = 'dn'"
            )
        self._read(answer)
        return found[0].dn if found else None

    def _create(self, name: str, text: str) -> Program[None]:
        pairs = [(self.options.name, text)] if self._by_name else dn.parse(text)[0]
        group = f"{dn.step(pairs)},{self.options.base}" if self._by_name else text
        values = {kind: [value.encode()] for kind, value in pairs}
        values |= {"objectClass": [self.options.object_class.encode()]}
        answer = yield adding(group, {**values, self.options.attribute: [name.encode()]})
        if answer.result.code == EXISTS:  # somebody else was quicker
            answer = yield modifying(group, [self._member(ADD, name)])
        self._done(answer, ADD, f"new group {group}")

    def _member(self, kind: int, name: str) -> Change:
        return Change(kind, self.options.attribute, [name.encode()])

    def _mark(self, group: Found) -> str:
        if not self._by_name:
            return recognised(group.dn, self.options, group.dn)
        names = group.values.get(self.options.name.lower(), [b""])
        return recognised(names[0].decode("utf-8", "replace"), self.options, group.dn)

    def _read(self, answer: Answer) -> None:
        if answer.result.code != 0:
            where = f"{self.url}: groups below {self.options.base}"
            raise failure(answer.result.code, answer.result.message, where)

    def _done(self, answer: Answer, kind: int, what: str) -> None:
        if answer.result.code == NO_SUCH_OBJECT:
            raise Rejected(f"{self.url}: {what}: the entry above it does not exist; make it")
        if answer.result.code not in {0, _ALREADY[kind]}:
            raise refusal(answer.result.code, answer.result.message, f"{self.url}: {what}")
