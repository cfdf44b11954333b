"""Several requests in flight on one connection, each on behalf of a program that waits for its answer.

A program is a generator: it yields a request, is sent the answer, and returns what it was for. A server may
answer in any order and works on several requests of a connection at once, so whatever builds upon another
request waits for the answer to that one; between programs there is no order but that of ``claims``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from syncd import ConnectorError, Unavailable

from .adapter import Session
from .reader import CHUNK, MESSAGE_LIMIT
from .wire import (
    DONE,
    ENTRY,
    EXTENDED,
    INTERMEDIATE,
    REFERENCE,
    Malformed,
    Result,
    attributes_of,
    contents_of,
    element,
    integer,
    length,
    result,
)

T = TypeVar("T")

_ANSWERS = frozenset({DONE, 0x67, 0x69, 0x6B, 0x6D})
"""How the results of a search, a modify, an add, a delete and a rename begin."""


class Found(NamedTuple):
    """An entry: its name, and its attributes by name in lower case."""

    dn: str
    values: Mapping[str, list[bytes]]


class Answer(NamedTuple):
    """What came back: how it ended, and the entries if it was a search."""

    result: Result
    found: list[Found]


Program: TypeAlias = Generator[bytes, Answer, T]


class Job(NamedTuple, Generic[T]):
    """A program, and the names of what no other program may touch while it runs."""

    program: Program[T]
    claims: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Slot(Generic[T]):
    job: Job[T]
    found: list[Found] = field(default_factory=list)
    done: bool = False
    outcome: T | ConnectorError | None = None


class Conversation:
    """The requests of one session. Once ``lost``, the session can only be closed."""

    def __init__(self, session: Session, width: int) -> None:
        self.session = session
        self.lost = False
        self._width = width
        # Otherwise a request stays in the kernel while an earlier one is not answered.
        session.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._running: dict[int, _Slot[Any]] = {}
        self._outgoing: list[bytes] = []
        self._data = b""
        self._at = 0

    def one(self, program: Program[T]) -> T:
        """Return what a program returns, or raise what it raises."""
        if self.lost:
            raise Unavailable(f"{self.session.url}: the connection is lost; nothing was asked")
        (outcome,) = self.run([Job(program)])
        if isinstance(outcome, ConnectorError):
            raise outcome
        return outcome

    def run(self, jobs: Iterable[Job[T]]) -> Iterator[T | ConnectorError]:
        """Yield what each program returned, or its ConnectorError, in the order of the jobs.

        No more than ``width`` are begun and not yet yielded. When the connection breaks, the programs that
        run end with Unavailable, and no further one is begun.
        """
        slots: deque[_Slot[T]] = deque()
        coming = iter(jobs)
        held: Job[T] | None = None
        try:
            while True:
                while len(slots) < self._width and not self.lost:
                    held = held or next(coming, None)
                    if held is None or not self._free(held):
                        break
                    slots.append(self._begun(held))
                    held = None
                if slots and slots[0].done:
                    yield cast("T | ConnectorError", slots.popleft().outcome)
                elif slots:
                    self._exchange()
                elif held is not None:
                    yield Unavailable(f"{self.session.url}: the connection is lost; nothing was asked")
                    return
                else:
                    return
        finally:
            self.lost = self.lost or bool(self._running)

    def _free(self, job: Job[Any]) -> bool:
        """Say whether no running program touches what this one will touch."""
        return all(job.claims.isdisjoint(slot.job.claims) for slot in self._running.values())

    def _begun(self, job: Job[T]) -> _Slot[T]:
        slot = _Slot(job)
        self._advance(slot, None)
        return slot

    def _advance(self, slot: _Slot[Any], answer: Answer | None) -> None:
        """Let a program go on to its next request, or to its end."""
        try:
            request = next(slot.job.program) if answer is None else slot.job.program.send(answer)
        except StopIteration as end:
            slot.outcome, slot.done = end.value, True
        except ConnectorError as error:
            slot.outcome, slot.done = error, True
        else:
            number = self.session.next_number()
            self._running[number] = slot
            self._outgoing.append(element(0x30, integer(number), request))

    def _exchange(self) -> None:
        """Send what is to be sent, and take one answer; a failure ends every program that runs."""
        try:
            if self._outgoing:
                self.session.socket.sendall(b"".join(self._outgoing))
                self._outgoing.clear()
            ended = self._taken(self._message())
        except TimeoutError:
            self._lose("no answer in time (read_timeout)")
        except (EOFError, OSError, Malformed, IndexError) as error:
            self._lose(str(error) or type(error).__name__)
        else:
            if ended is not None:
                self._advance(*ended)

    def _lose(self, reason: str) -> None:
        self.lost = True
        for slot in self._running.values():
            slot.job.program.close()
            slot.outcome = Unavailable(f"{self.session.url}: {reason}; what was asked may have been done")
            slot.done = True
        self._running.clear()

    def _taken(self, message: bytes) -> tuple[_Slot[Any], Answer] | None:
        """Return the program whose request a message ends, and the answer; None if more is to come."""
        number, operation = _parsed(message)
        kind = operation[0]
        if number == 0 and kind == EXTENDED:
            notice = result(operation).message
            raise EOFError(f"the server ended the connection: {notice or 'no reason given'}")
        if number not in self._running:
            raise Malformed(f"an answer to message {number}, which nobody waits for")
        slot = self._running[number]
        if kind == ENTRY:
            slot.found.append(found_in(operation))
        elif kind in _ANSWERS:
            del self._running[number]
            found, slot.found = slot.found, []
            return slot, Answer(result(operation), found)
        elif kind not in {REFERENCE, INTERMEDIATE}:
            raise Malformed(f"an answer of kind {kind:#x}")
        return None

    def _message(self) -> bytes:
        """Return the next message, received if need be."""
        while (end := self._end()) is None or end > len(self._data):
            more = self.session.socket.recv(CHUNK)
            if not more:
                raise EOFError("the server closed the connection")
            self._data, self._at = self._data[self._at :] + more, 0
        message, self._at = self._data[self._at : end], end
        return message

    def _end(self) -> int | None:
        """Return where the message at hand ends, None while not even its length is there."""
        left = len(self._data) - self._at
        if left < 2 or left < 2 + (self._data[self._at + 1] & 0x7F if self._data[self._at + 1] > 0x80 else 0):
            return None
        if self._data[self._at] != 0x30:
            raise Malformed("something else than an LDAP message")
        size, begin = length(self._data, self._at + 1)
        if size > MESSAGE_LIMIT:
            raise Malformed("a message beyond all measure")
        return begin + size


def found_in(operation: bytes) -> Found:
    """Return what a searchResultEntry says."""
    name, begin, end = contents_of(operation)
    _, pairs = attributes_of(operation, begin, end, {})
    values = {kind.decode("ascii", "replace").lower(): texts for kind, texts in pairs}
    return Found(name.decode("utf-8", "replace"), values)


def _parsed(message: bytes) -> tuple[int, bytes]:
    """Return the number of a message, and the rest of it from the tag of its operation on."""
    _, at = length(message, 1)
    size, begin = length(message, at + 1)
    operation = message[begin + size :]
    if message[at] != 0x02 or len(operation) < 2:
        raise Malformed("a message without a number or an operation")
    return int.from_bytes(message[begin : begin + size], "big"), operation
