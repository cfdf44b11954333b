"""Who waits for whose key: an account takes a key only after the platform has confirmed that it is free."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Waits:
    """Accounts that want a key which another one still has on the same platform.

    ``contended`` are (account, the other account, attribute). An account is *held* once its turn has
    come and it has to wait.
    """

    def __init__(self, contended: Iterable[tuple[int, int, str]]) -> None:
        self._holders: dict[int, dict[int, set[str]]] = {}
        self._takers: dict[int, set[int]] = {}
        self._held: dict[int, int] = {}
        self._broken: set[int] = set()
        for account, holder, attribute in contended:
            self._holders.setdefault(account, {}).setdefault(holder, set()).add(attribute)
            self._takers.setdefault(holder, set()).add(account)

    def must_wait(self, account: int) -> bool:
        """Say whether somebody still has a key that the account wants."""
        return bool(self._holders.get(account))

    def hold(self, account: int, revision: int) -> None:
        """Remember that its turn has come; ``release`` tells when it can go on."""
        self._held[account] = revision

    def release(self, holder: int) -> list[int]:
        """Note that the platform has nothing of the holder's former keys; return who waits no longer."""
        free = []
        for account in self._takers.pop(holder, ()):
            holders = self._holders[account]
            del holders[holder]
            if not holders and self._held.pop(account, None) is not None:
                free.append(account)
        return free

    def settle(self, account: int) -> list[int]:
        """Note that the platform has the account as it is wanted; return who waits no longer."""
        self._held.pop(account, None)
        return self.release(account)

    @property
    def held(self) -> int:
        """How many are held."""
        return len(self._held)

    def break_cycles(self) -> dict[int, set[str]]:
        """Return, of every circle of accounts that wait for each other, the one that has to give way.

        It is the one with the lowest revision, with the attributes that the others wait for. Nobody is
        named twice.
        """
        held = {account: self._holders[account] for account in self._held.keys() - self._broken}
        chosen: dict[int, set[str]] = {}
        for circle in circles(held, self._place):
            first = min(circle, key=self._place)
            chosen[first] = set().union(*(self._holders[taker][first] for taker in self._takers[first]))
        self._broken.update(chosen)
        return chosen

    def _place(self, account: int) -> tuple[int, int]:
        return self._held[account], account

    @property
    def waiting(self) -> Collection[int]:
        """Those who are held."""
        return self._held.keys()

    def holders(self, account: int) -> Collection[int]:
        """Return those who still have a key that the account wants, whether it is held or not."""
        return self._holders.get(account, {}).keys()

    def takers(self, account: int) -> Collection[int]:
        """Return those who want keys that the account still has."""
        return self._takers.get(account, ())

    def together(self, account: int) -> set[int]:
        """Return the account, those whose keys it wants, those whose keys they want, and so on."""
        found, left = set[int](), {account}
        while left:
            found |= left
            left = set().union(*(self._holders.get(one, ()) for one in left)) - found
        return found


def circles(waits: Mapping[T, Collection[T]], place: Callable[[T], Any]) -> list[list[T]]:
    """Return circles of those who wait only for each other, and for nobody who is not among ``waits`` himself.

    Nobody stands in two of them; where somebody waits for several, it is the one of the lowest ``place`` that counts.
    """
    left = _only_for_each_other(waits)
    next_of = {one: min(waits[one], key=place) for one in left}
    found: list[list[T]] = []
    walked: set[T] = set()
    for start in sorted(left, key=place):
        path: dict[T, int] = {}
        one = start
        while one not in walked:
            walked.add(one)
            path[one] = len(path)
            one = next_of[one]
        if one in path:
            found.append(list(path)[path[one] :])
    return found


def _only_for_each_other(waits: Mapping[T, Collection[T]]) -> set[T]:
    takers: dict[T, list[T]] = {}
    for one, others in waits.items():
        for other in others:
            takers.setdefault(other, []).append(one)
    left = {one for one, others in waits.items() if others}
    outside = [one for one in [*waits, *takers] if one not in left]
    while outside:
        for taker in takers.pop(outside.pop(), ()):
            if taker in left:
                left.discard(taker)
                outside.append(taker)
    return left
