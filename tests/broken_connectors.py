"""Connectors, transforms and rules that break one requirement each; test_testing_kit.py sees them fail.

``breaks`` names the requirements that have to catch it. pytest does not collect this file by itself.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import pytest
from pydantic import BaseModel

from syncd import Checkpoint, Denied, Entry, Field, Gone, Observer, Outcome, Problem, Removed, Unavailable
from syncd.testing import (
    MemoryDeltaSource,
    MemoryPlatform,
    MemorySource,
    ObserverConformance,
    PlatformConformance,
    RuleConformance,
    SourceConformance,
    TransformConformance,
    World,
    context,
)


class BrokenSource(SourceConformance):
    """A delta source over three people; subclasses say what is wrong with it in ``Broken``."""

    breaks: ClassVar[tuple[str, ...]]
    incremental = True
    Broken: ClassVar[type[MemorySource]]

    @pytest.fixture
    def world(self):
        world = World()
        for _ in range(3):
            world.add()
        return world

    @pytest.fixture
    def source(self, world):
        source = self.Broken(self.Broken.Options(), context())
        source.world = world
        return source


class TestTwoCheckpoints(BrokenSource):
    breaks = ("test_a_read_ends_with_its_one_checkpoint",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            yield Checkpoint(self.world.cursor, full=True)
            yield from super().read(cursor)


class TestNoCheckpoint(BrokenSource):
    breaks = ("test_a_read_ends_with_its_one_checkpoint", "test_two_reads_are_alike")

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            return (item for item in super().read(cursor) if not isinstance(item, Checkpoint))


class TestStrangeItems(BrokenSource):
    breaks = ("test_a_read_ends_with_its_one_checkpoint",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            yield {"anchor": "1"}
            yield from super().read(cursor)


class TestRepeatedAnchor(BrokenSource):
    breaks = ("test_anchors_are_unique",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            for item in super().read(cursor):
                yield item
                if isinstance(item, Entry):
                    yield item


class Changed(MemoryDeltaSource):
    """Passes every entry through ``entry``."""

    def entry(self, entry):
        return entry

    def read(self, cursor):
        return (self.entry(item) if isinstance(item, Entry) else item for item in super().read(cursor))


class TestListsOfText(BrokenSource):
    breaks = ("test_attributes_are_tuples_of_text",)

    class Broken(Changed):
        def entry(self, entry):
            entry.attributes = {name: list(texts) for name, texts in entry.attributes.items()}
            return entry


class TestUnknownAndYetKnown(BrokenSource):
    breaks = ("test_attributes_are_tuples_of_text",)

    class Broken(Changed):
        def entry(self, entry):
            entry.unknown = frozenset(entry.attributes)
            return entry


class TestLongFingerprint(BrokenSource):
    breaks = ("test_fingerprints_are_short_digests",)

    class Broken(Changed):
        def entry(self, entry):
            entry.fingerprint = repr(entry.attributes).encode() * 9
            return entry


class TestProblemWithoutMessage(BrokenSource):
    breaks = ("test_problems_have_a_code_and_a_message",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            yield Problem(None, "bad", "")
            yield from super().read(cursor)


class TestRestless(BrokenSource):
    breaks = ("test_two_reads_are_alike",)

    class Broken(Changed):
        numbers = itertools.count()

        def entry(self, entry):
            entry.attributes = {**entry.attributes, "read": (str(next(self.numbers)),)}
            return entry


class TestEager(BrokenSource):
    breaks = ("test_it_reads_lazily",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            return iter(list(super().read(cursor)))


class TestConfusedByAbandonedReads(BrokenSource):
    breaks = ("test_an_abandoned_read_does_no_harm",)

    class Broken(MemoryDeltaSource):
        reading = False

        def read(self, cursor):
            if self.reading:
                raise Unavailable("a read is under way")
            self.reading = True
            yield from super().read(cursor)
            self.reading = False


class TestKeepsWhatItReadFirst(BrokenSource):
    breaks = ("test_somebody_new_is_read",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            if cursor is None:
                self.kept = vars(self).get("kept") or list(super().read(None))[:-1]
                yield from self.kept
                yield Checkpoint(self.world.cursor, full=True)
            else:
                yield from super().read(cursor)


class TestNeverRemoves(BrokenSource):
    breaks = ("test_whoever_is_removed_is_gone", "test_a_removal_is_told_after_the_cursor")

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            known = self.world.__dict__.setdefault("known", {})
            for item in super().read(cursor):
                if isinstance(item, Entry):
                    known[item.anchor] = item
                if isinstance(item, Checkpoint) and cursor is None:
                    yield from (known[anchor] for anchor in known if anchor not in self.world.people)
                if not isinstance(item, Removed):
                    yield item


class TestConstantFingerprint(BrokenSource):
    breaks = ("test_a_changed_entry_reads_differently",)

    class Broken(Changed):
        def entry(self, entry):
            entry.fingerprint = entry.anchor.encode()[:32]
            return entry


class TestSaysItIsNotIncremental(BrokenSource):
    breaks = ("test_it_says_whether_it_is_incremental",)

    class Broken(MemoryDeltaSource):
        incremental = False


class TestUnsteadyScope(BrokenSource):
    breaks = ("test_the_scope_is_a_steady_text",)

    class Broken(MemoryDeltaSource):
        numbers = itertools.count()

        def scope(self):
            return str(next(self.numbers))


class TestWithoutCursor(BrokenSource):
    breaks = ("test_nothing_new_after_the_cursor",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            for item in super().read(cursor):
                yield replace(item, cursor=None) if isinstance(item, Checkpoint) else item


class TestTellsChangesTwice(BrokenSource):
    breaks = ("test_a_change_comes_once_after_the_cursor",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            for item in super().read(cursor):
                yield item
                if cursor is not None and isinstance(item, Entry):
                    yield item


class TestLosesChanges(BrokenSource):
    breaks = ("test_a_change_comes_once_after_the_cursor", "test_full_equals_initial_plus_increments")

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            stream = super().read(cursor)
            return (item for item in stream if cursor is None or not isinstance(item, Entry))


class TestTakesAnyCursor(BrokenSource):
    breaks = ("test_a_stale_cursor_is_refused_or_read_in_full",)

    class Broken(MemoryDeltaSource):
        def read(self, cursor):
            known = cursor is None or cursor.isdecimal()
            return super().read(cursor if known else self.world.cursor)


class TestConnectsInItsConstructor(BrokenSource):
    breaks = ("test_constructing_it_touches_no_network",)

    class Broken(MemoryDeltaSource):
        def __init__(self, options, context):
            super().__init__(options, context)
            socket.socket().close()


class TestCarelessOptions(BrokenSource):
    breaks = ("test_options_are_described_and_refuse_unknown_names",)

    class Broken(MemoryDeltaSource):
        class Options(MemorySource.Options, extra="forbid"):
            inner: list[CarelessInner] = []  # noqa: RUF012 - pydantic copies it


class CarelessInner(BaseModel):
    port: int = 1


TestCarelessOptions.Broken.Options.model_rebuild()


class TestCheckWithoutLines(BrokenSource):
    breaks = ("test_check_tells_lines",)

    class Broken(MemoryDeltaSource):
        def check(self):
            return ["two\nlines", 7]


class TestClosesOnce(BrokenSource):
    breaks = ("test_closing_is_harmless",)

    class Broken(MemoryDeltaSource):
        def open(self):
            self.connection = [1]

        def close(self):
            self.connection.pop()


class TestOpensOnce(BrokenSource):
    breaks = ("test_it_can_be_opened_again",)

    class Broken(MemoryDeltaSource):
        opened = False

        def open(self):
            if self.opened:
                raise Unavailable("the session has ended")
            self.opened = True


class TestWrongErrors(BrokenSource):
    breaks = ("test_a_dead_host_is_unavailable", "test_a_wrong_password_is_denied")
    Broken = MemoryDeltaSource

    @pytest.fixture
    def unreachable(self, source):
        source.world.down = ConnectionRefusedError("111")
        return source

    @pytest.fixture
    def denied(self, source):
        source.world.down = Unavailable("invalid credentials")
        return source


class BrokenPlatform(PlatformConformance):
    """A memory platform; subclasses say what is wrong with it in ``Broken``."""

    breaks: ClassVar[tuple[str, ...]]
    lists = True
    Broken: ClassVar[type[MemoryPlatform]]

    @pytest.fixture
    def platform(self):
        return self.Broken(self.Broken.Options(), context())


class TestHidesItsList(BrokenPlatform):
    breaks = ("test_it_says_whether_it_lists",)
    lists = False
    Broken = MemoryPlatform


class TestUndescribedField(BrokenPlatform):
    breaks = ("test_fields_are_declared",)

    class Broken(MemoryPlatform):
        fields: Mapping[str, Field] = {"login": Field("login"), "note": Field("info", "free text")}


class TestFindsNobody(BrokenPlatform):
    breaks = ("test_an_added_account_is_found",)

    class Broken(MemoryPlatform):
        def find(self, account):
            return None


class TestFindsInNoOrder(BrokenPlatform):
    breaks = ("test_many_are_found_as_each_of_them_is",)

    class Broken(MemoryPlatform):
        def find_all(self, accounts):
            return sorted(map(self.find, accounts), key=str)


class TestDoubles(BrokenPlatform):
    breaks = ("test_adding_twice_makes_one_account",)

    class Broken(MemoryPlatform):
        def add(self, account):
            remote_id = self.system.number()
            self.system.accounts[remote_id] = account
            return remote_id


class TestDeletesOnce(BrokenPlatform):
    breaks = ("test_deleting_twice_is_harmless",)

    class Broken(MemoryPlatform):
        def delete(self, remote_id):
            self.system.named(remote_id)
            super().delete(remote_id)


class TestSilentUpdate(BrokenPlatform):
    breaks = ("test_an_update_of_what_vanished_is_gone", "test_there_is_one_outcome_per_delivery_in_order")

    class Broken(MemoryPlatform):
        def update(self, remote_id, account, changed):
            if remote_id in self.system.accounts:
                super().update(remote_id, account, changed)


class TestDisablesByDeleting(BrokenPlatform):
    breaks = ("test_a_disabled_account_is_still_found",)

    class Broken(MemoryPlatform):
        def disable(self, remote_id, account):
            self.delete(remote_id)


class TestIgnoresUpdates(BrokenPlatform):
    breaks = ("test_an_update_changes_what_it_names",)

    class Broken(MemoryPlatform):
        def update(self, remote_id, account, changed):
            self.system.named(remote_id)


class TestNeverClears(BrokenPlatform):
    breaks = ("test_an_empty_value_clears_the_field",)

    class Broken(MemoryPlatform):
        def update(self, remote_id, account, changed):
            super().update(remote_id, account, changed & frozenset(account.fields))


class TestMangles(BrokenPlatform):
    breaks = ("test_awkward_values_survive",)

    class Broken(MemoryPlatform):
        def add(self, account):
            fields = {
                name: value.replace("\n", " ") if isinstance(value, str) else value
                for name, value in account.fields.items()
            }
            return super().add(replace(account, fields=fields))


class TestLeavesTraces(BrokenPlatform):
    breaks = ("test_the_inverse_leaves_the_world_as_it_was",)

    class Broken(MemoryPlatform):
        def disable(self, remote_id, account):
            super().disable(remote_id, account)
            self.update(remote_id, replace(account, fields={"info": "was disabled"}), frozenset({"info"}))


class TestStopsAtTheFirstError(BrokenPlatform):
    breaks = ("test_there_is_one_outcome_per_delivery_in_order",)

    class Broken(MemoryPlatform):
        def deliver(self, deliveries):
            for delivery in deliveries:
                yield Outcome(delivery.id, self._one(delivery))


class TestAnswersUnasked(BrokenPlatform):
    breaks = ("test_nothing_to_deliver_is_nothing",)

    class Broken(MemoryPlatform):
        def deliver(self, deliveries):
            yield from super().deliver(deliveries)
            yield Outcome(0, error=Gone("nothing there"))


class TestListsAnotherFingerprint(BrokenPlatform):
    breaks = ("test_the_list_agrees_with_the_fingerprint",)

    class Broken(MemoryPlatform):
        def list(self):
            return ((remote_id, fingerprint[:-1]) for remote_id, fingerprint in super().list())


class TestSlowAndChoosy(ObserverConformance):
    breaks = ("test_any_event_can_be_told", "test_being_told_takes_no_time")

    class Broken(Observer):
        class Options(BaseModel, extra="forbid"):
            pass

        def observe(self, event):
            time.sleep(0.6)
            assert event.fields["severity"] in {"ok", "warning", "critical"}

    @pytest.fixture
    def observer(self):
        return self.Broken(self.Broken.Options(), context())


class TestBadTransform(TransformConformance):
    breaks = ("test_the_examples_hold", "test_it_is_total", "test_it_is_pure")
    examples: ClassVar = {("a",): ("A",)}

    @pytest.fixture
    def transform(self):
        numbers = itertools.count()
        return lambda texts: [f"{text}{next(numbers)}" for text in texts]


class TestBadRule(RuleConformance):
    breaks = (
        "test_it_accepts_what_is_right",
        "test_it_refuses_what_is_wrong",
        "test_it_is_total",
        "test_it_is_pure",
    )
    accepts = ("good",)
    refuses = ("bad",)

    @pytest.fixture
    def rule(self):
        numbers = itertools.count()
        return lambda value: f"no {next(numbers)}" if value == "good" or value[0] == "p" else None


class TestDeniedIsNotUnavailable(BrokenPlatform):
    breaks = ("test_a_dead_host_is_unavailable",)
    Broken = MemoryPlatform

    @pytest.fixture
    def unreachable(self, platform):
        platform.system.down = Denied("no")
        return platform
