"""Who waits for whose key: an account takes a key only after the platform has confirmed that it is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
        circling = self._circling()
        next_of = {
            account: min(self._holders[account], key=lambda one: (self._held[one], one))
            for account in circling
        }
        chosen: dict[int, set[str]] = {}
        walked: set[int] = set()
        for start in sorted(circling, key=lambda one: (self._held[one], one)):
            path: dict[int, int] = {}
            account = start
            while account not in walked:
                walked.add(account)
                path[account] = len(path)
                account = next_of[account]
            if account in path:
                circle = list(path)[path[account] :]
                first = min(circle, key=lambda one: (self._held[one], one))
                chosen[first] = set().union(*(self._holders[taker][first] for taker in self._takers[first]))
        self._broken.update(chosen)
        return chosen

    def together(self, account: int) -> set[int]:
        """Return the account, those whose keys it wants, those whose keys they want, and so on."""
        return {account, *reached(self._holders, account)}

    def _circling(self) -> set[int]:
        """Return the held accounts that wait only for each other, without those that wait for anybody else."""
        left = set(self._held) - self._broken
        outside = [account for account in left if self._holders[account].keys() - left]
        while outside:
            account = outside.pop()
            if account in left:
                left.discard(account)
                outside.extend(taker for taker in self._takers.get(account, ()) if taker in left)
        return left


def reached(wants: Mapping[int, Iterable[int]], start: int) -> set[int]:
    """Return whom ``start`` waits for, whom those wait for, and so on; itself only if it stands in a circle."""
    found: set[int] = set()
    left = set(wants.get(start, ()))
    while left:
        found |= left
        left = set().union(*(wants.get(one, ()) for one in left)) - found
    return found
