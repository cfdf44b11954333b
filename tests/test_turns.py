"""Who may work now, with real threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

import pytest

from syncd.errors import Busy
from syncd.pipeline.turns import ACCOUNTS, Stopping, Turns


def never() -> bool:
    return False


def until(true: object) -> None:
    assert callable(true)
    end = monotonic() + 5
    while not true():
        assert monotonic() < end
        sleep(0.005)


class Somebody:
    """A thread that takes turns in an order, keeps the last until told to go on, then leaves them all."""

    def __init__(self, turns: Turns, *names: str | None, stopping: threading.Event | None = None) -> None:
        self.turns, self.names = turns, names
        self.has, self.go_on, self.over = threading.Event(), threading.Event(), threading.Event()
        self.stopping = stopping or threading.Event()
        self.error: BaseException | None = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        try:
            with ExitStack() as held:
                for name in self.names:
                    held.enter_context(
                        self.turns.take(name, f"turn {name}", patience=None, stopping=self.stopping.is_set)
                    )
                self.has.set()
                assert self.go_on.wait(5)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self.over.set()

    def leave(self) -> None:
        self.go_on.set()
        assert self.over.wait(5)


def try_to_take(turns: Turns, name: str | None) -> None:
    with turns.take(name, "another", patience=0.05, stopping=never):
        raise AssertionError("it is somebody else's turn")


@contextmanager
def held(turns: Turns, *names: str | None) -> Iterator[Somebody]:
    one = Somebody(turns, *names)
    assert one.has.wait(5)
    yield one
    one.leave()


def test_two_enterprises_are_read_side_by_side() -> None:
    turns = Turns()
    with held(turns, "acme"), held(turns, "emca"):
        assert ["turn acme", "turn emca"] == turns.holders()


def test_one_enterprise_is_read_once_at_a_time_and_who_waits_too_long_hears_for_what() -> None:
    turns = Turns()
    with held(turns, "acme"), pytest.raises(Busy, match="turn acme"):
        try_to_take(turns, "acme")
    with turns.take("acme", "another", patience=0, stopping=never):
        assert ["another"] == turns.holders()


def test_a_thread_may_take_its_turn_again() -> None:
    turns = Turns()
    with turns.take("acme", "a run", patience=0, stopping=never):
        with (
            turns.take("acme", "the reading", patience=0, stopping=never),
            turns.take(ACCOUNTS, "the applying", patience=0, stopping=never),
        ):
            assert 2 == len(turns.holders())
        assert ["a run"] == turns.holders()
    assert [] == turns.holders()


@pytest.mark.parametrize("name", ["acme", ACCOUNTS])
def test_everything_excludes_everybody(name: str) -> None:
    turns = Turns()
    with held(turns, None), pytest.raises(Busy, match="turn None"):
        try_to_take(turns, name)
    with held(turns, name), pytest.raises(Busy, match=f"turn {name}"):
        try_to_take(turns, None)


def test_who_reads_can_change_accounts_while_somebody_waits_for_everything() -> None:
    turns = Turns()
    reader = Somebody(turns, "acme", "wait")
    assert reader.has.wait(5)
    patient = Somebody(turns, None)
    until(lambda: turns.wanted(ACCOUNTS))
    with pytest.raises(Busy, match="waited longer"):  # somebody new stands behind it in the queue
        try_to_take(turns, "emca")
    applier = Somebody(turns, "x")  # waits as well
    reader.leave()
    assert patient.has.wait(5)
    assert not applier.has.is_set()
    patient.leave()
    assert applier.has.wait(5)
    applier.leave()
    assert [None, None, None] == [one.error for one in (reader, patient, applier)]


def test_who_has_waited_longer_comes_first() -> None:
    turns = Turns()
    with held(turns, ACCOUNTS) as first:
        assert not turns.wanted(ACCOUNTS)
        second = Somebody(turns, ACCOUNTS)
        until(lambda: turns.wanted(ACCOUNTS))
        third = Somebody(turns, ACCOUNTS)
        sleep(0.05)
        first.leave()
        assert second.has.wait(5)
        assert not third.has.is_set()
        second.leave()
        assert third.has.wait(5)
        third.leave()


def test_who_waits_when_the_service_ends_gives_up() -> None:
    turns, stopping = Turns(), threading.Event()
    with held(turns, "acme"):
        waiting = Somebody(turns, "acme", stopping=stopping)
        until(lambda: turns.wanted("acme"))
        stopping.set()
        assert waiting.over.wait(5)
    assert isinstance(waiting.error, Stopping)
    assert 75 == waiting.error.exit_code
