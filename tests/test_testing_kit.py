"""The kit for plugin authors: right connectors pass, and every requirement fails for some wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

import broken_connectors
import pytest

import syncd.testing
from syncd import (
    Account,
    Checkpoint,
    ConfigError,
    CursorExpired,
    Delivery,
    Denied,
    Entry,
    Gone,
    Problem,
    Rejected,
    Removed,
    Unavailable,
)
from syncd.plugins import load
from syncd.testing import (
    HostileSource,
    MemoryDeltaSource,
    MemoryPlatform,
    MemorySource,
    ObserverConformance,
    PlatformConformance,
    RuleConformance,
    SourceConformance,
    System,
    TransformConformance,
    World,
    context,
)

ROOT = Path(__file__).parents[1]
KITS = (SourceConformance, PlatformConformance, ObserverConformance, TransformConformance, RuleConformance)


class OverAWorld(SourceConformance):
    """The fixtures of both memory sources."""

    kind = MemorySource

    @pytest.fixture
    def world(self):
        world = World()
        for _ in range(3):
            world.add()
        return world

    @pytest.fixture
    def source(self, world):
        return self.kind(self.kind.Options(), context(), world)

    @pytest.fixture
    def unreachable(self, source):
        source.world.down = Unavailable("down for the test")
        return source

    @pytest.fixture
    def denied(self, source):
        source.world.down = Denied("denied for the test")
        return source


class TestMemorySource(OverAWorld):
    pass


class TestMemoryDeltaSource(OverAWorld):
    incremental = True
    kind = MemoryDeltaSource

    @pytest.fixture
    def stale_cursor(self, world):
        cursor = world.cursor
        world.forget()
        return cursor


class TestHarmlessHostileSource(OverAWorld):
    """Without a fault it is as good as what it wraps."""

    incremental = True
    kind = MemoryDeltaSource

    @pytest.fixture
    def source(self, world):
        return HostileSource(MemoryDeltaSource(MemorySource.Options(), context(), world))

    def test_constructing_it_touches_no_network(self):
        pytest.skip("is made from a source")

    @pytest.fixture
    def unreachable(self, source):
        source.wrapped.world.down = Unavailable("down for the test")
        return source

    @pytest.fixture
    def denied(self, source):
        source.wrapped.world.down = Denied("denied for the test")
        return source

    def test_options_are_described_and_refuse_unknown_names(self):
        pytest.skip("has the options of what it wraps")


class TestMemoryPlatform(PlatformConformance):
    lists = True

    @pytest.fixture
    def platform(self):
        return MemoryPlatform(MemoryPlatform.Options(), context())

    @pytest.fixture
    def unreachable(self, platform):
        platform.system.down = Unavailable("down for the test")
        return platform

    @pytest.fixture
    def denied(self, platform):
        platform.system.down = Denied("denied for the test")
        return platform


class TestUpper(TransformConformance):
    examples: ClassVar = {("a", "ß"): ("A", "SS"), (): ()}

    @pytest.fixture
    def transform(self):
        return lambda texts: tuple(text.upper() for text in texts)


class TestDigits(RuleConformance):
    accepts = ("1", "42")
    refuses = ("", "x")

    @pytest.fixture
    def rule(self):
        return lambda value: None if value.isdigit() else "not digits"


def broken():
    """Return (class, requirement) for everything that the file of broken connectors says it breaks."""
    return [
        (name, requirement)
        for name, kind in vars(broken_connectors).items()
        if name.startswith("Test")
        for requirement in kind.breaks
    ]


@pytest.fixture(scope="module")
def report():
    """What pytest says about the broken connectors: only the requirements that they break are run."""
    names = [f"tests/broken_connectors.py::{name}::{requirement}" for name, requirement in broken()]
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


class TestTheRequirements:
    @pytest.mark.parametrize(("name", "requirement"), broken())
    def test_catch_what_breaks_them(self, report, name, requirement):
        assert re.search(rf"^FAILED \S+::{name}::{requirement}\b", report, re.MULTILINE)

    def test_can_each_fail(self):
        """There is no requirement that no broken connector fails."""
        shown = {
            (where(kind, requirement), requirement)
            for kind in vars(broken_connectors).values()
            for requirement in getattr(kind, "breaks", ())
        }

        assert set() == {(where(kit, name), name) for kit in KITS for name in requirements(kit)} - shown

    def test_are_written_down(self):
        """Each has a docstring that says what is required."""
        silent = [
            name for kit in KITS for name in sorted(requirements(kit)) if not getattr(kit, name).__doc__
        ]

        assert [] == silent

    def test_show_the_values_that_differ(self, report):
        """Assertions of the kit are rewritten, although it is installed and not a test module."""
        assert re.search(r"assert \[0, 4\] == \[4\]", report)


def requirements(kit):
    return {name for name in dir(kit) if name.startswith("test_")}


def where(kind, requirement):
    """Return the class of the kit that states the requirement."""
    return next(base for base in kind.__mro__ if requirement in vars(base))


class TestMissingFixtures:
    def test_what_cannot_be_asked_is_skipped_visibly(self, tmp_path):
        (tmp_path / "test_bare.py").write_text(
            dedent("""
            import pytest
            from syncd.testing import *

            class TestBare(SourceConformance):
                @pytest.fixture
                def source(self, memory_source):
                    return memory_source

            class TestForgotten(SourceConformance):
                pass

            class TestBroken(TestBare):
                @pytest.fixture
                def unreachable(self, nothing_of_the_kind): ...
            """)
        )
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path)]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

        for reason in ("no fixture 'world'", "no fixture 'denied'", "not incremental"):
            assert reason in said
        assert "fixture 'source' not found" in said
        assert "fixture 'nothing_of_the_kind' not found" in said

    def test_the_example_of_the_documentation_works(self, tmp_path):
        """The source and its test in docs/plugins.md, as they stand there."""
        text = (ROOT / "docs/plugins.md").read_text()
        blocks = re.findall(r"(?:^    .*\n|^\n)+", text, re.MULTILINE)
        code = [dedent(block) for block in blocks if "class Badges(Source)" in block or "TestBadges" in block]
        (tmp_path / "test_badges.py").write_text("".join(code))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

        assert 2 == len(code)
        assert re.search(r"^\d+ passed, \d+ skipped in", said, re.MULTILINE), said


class TestTheContext:
    def test_records_its_log(self, context):
        log = context.log.bind(run=7)
        log.info("run_planned", operations=3)
        context.log.exception("run_failed")  # noqa: LOG004 - only kept

        assert [
            ("info", "run_planned", {"run": 7, "operations": 3}),
            ("error", "run_failed", {"exc_info": True}),
        ] == context.log.lines

    @pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
    def test_has_every_level(self, context, level):
        getattr(context.log, level)("seen", x=1)

        assert [(level, "seen", {"x": 1})] == context.log.lines

    def test_knows_the_secrets_of_the_test(self, context, secrets):
        secrets["credential:hq"] = "geheim"

        assert "geheim" == context.secret("credential:hq")
        with pytest.raises(ConfigError, match="no secret 'file:other'"):
            context.secret("file:other")


def kinds(items):
    return [type(item).__name__ for item in items]


class TestTheWorld:
    def test_a_delta_tells_each_anchor_once(self):
        world = World()
        source = MemoryDeltaSource(MemorySource.Options(), context(), world)
        first, second = world.add(name="A"), world.add(name="B")
        cursor = world.cursor
        world.change(first, name="C", many=("1", "2"))
        world.disable(first)
        world.remove(second)
        entry, removed, checkpoint = source.read(cursor)

        assert ({"name": ("C",), "many": ("1", "2")}, False) == (entry.attributes, entry.enabled)
        assert (Removed(second), Checkpoint(world.cursor, full=False)) == (removed, checkpoint)

        world.enable(first)

        assert next(iter(source.read(None))).enabled

    def test_a_forgotten_cursor_has_expired(self):
        world = World()
        world.add()
        before = world.cursor
        world.forget()

        assert [] == world.since(world.cursor)
        for cursor in (before, "-1", "999", "x"):
            with pytest.raises(CursorExpired, match="does not know the cursor"):
                world.since(cursor)

    def test_a_name_shares_it_within_the_process(self):
        options = MemorySource.Options(world="shared by two")
        first, second = (MemorySource(options, context()) for _ in range(2))

        assert first.world is second.world
        assert first.world is not MemorySource(MemorySource.Options(), context()).world


ADA = Account("1", "user", enabled=True, fields={"login": "Ada"})


class TestTheSystem:
    @pytest.fixture
    def system(self, memory_platform):
        return memory_platform.system

    def test_the_nth_call_fails(self, memory_platform, system):
        system.fail(2, Rejected("no"))
        adds = [Delivery(number, "add", 1, None, ADA) for number in (1, 2, 3)]

        assert [None, "Rejected", None] == [
            one.error and type(one.error).__name__ for one in memory_platform.deliver(adds)
        ]
        assert [("add", "1")] * 3 == system.calls

    def test_an_answer_can_be_lost_after_it_was_applied(self, memory_platform, system):
        system.fail(applied=True)
        with pytest.raises(Unavailable, match="the connection was lost"):
            memory_platform.add(ADA)

        assert "r1" == memory_platform.find(ADA)

    def test_it_can_be_down(self, memory_platform, system):
        system.down = Unavailable("maintenance")
        for call in (memory_platform.open, lambda: memory_platform.find(ADA)):
            with pytest.raises(Unavailable, match="maintenance"):
                call()
        system.down = None

        assert "r1" == memory_platform.add(ADA)

    def test_an_account_is_found_by_a_key_field_as_well(self, memory_platform):
        memory_platform.add(ADA)

        assert "r1" == memory_platform.find(Account("2", "user", enabled=True, fields={"login": "ADA"}))

    def test_what_is_not_there_is_gone(self, memory_platform):
        with pytest.raises(Gone, match="there is no account r7"):
            memory_platform.disable("r7", ADA)

    def test_it_outlives_its_platform(self):
        system = System()
        MemoryPlatform(MemoryPlatform.Options(), context(), system).add(ADA)

        assert "r1" == MemoryPlatform(MemoryPlatform.Options(), context(), system).find(ADA)


class TestTheHostileSource:
    def test_it_tears_loudly_or_silently(self, hostile_source):
        source = hostile_source(tear_after=2)
        with pytest.raises(Unavailable, match="in the middle of the read"):
            list(source.read(None))
        source.silent = True

        assert ["Entry", "Entry"] == kinds(source.read(None))

    def test_it_repeats_entries(self, hostile_source):
        anchors = [item.anchor for item in hostile_source(duplicate=2).read(None) if isinstance(item, Entry)]

        assert ["anchor-1", "anchor-2", "anchor-2", "anchor-3"] == anchors

    def test_it_yields_problems(self, hostile_source):
        source = hostile_source(bad_entries=2)

        assert Problem("anchor-2", "unreadable", "cannot be decoded") == list(source.read(None))[1]

        source.anchorless = True

        assert Problem(None, "unreadable", "cannot be decoded") == list(source.read(None))[1]

    def test_it_lies(self, hostile_source):
        items = list(hostile_source(liar_after=1).read(None))

        assert ["Entry", "Checkpoint"] == kinds(items)
        assert Checkpoint(None, full=True) == items[-1]

    def test_it_is_slow(self, hostile_source):
        before = time.monotonic()
        list(hostile_source(slow=0.01).read(None))

        assert time.monotonic() - before >= 0.04

    def test_it_hands_on_everything_else(self, hostile_source):
        world = World()
        source = hostile_source(MemoryDeltaSource(MemorySource.Options(), context(), world))
        source.open()
        source.select(["name"])

        assert (("name",), ("name",)) == (source.selected, source.wrapped.selected)
        assert (True, "world ", []) == (source.incremental, source.scope(), list(source.check()))

        source.close()


class TestThePackage:
    def test_its_names_are_sorted_and_there(self):
        assert sorted(syncd.testing.__all__) == syncd.testing.__all__ == dir(syncd.testing)
        assert [] == [name for name in syncd.testing.__all__ if not hasattr(syncd.testing, name)]
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            _ = syncd.testing.Nothing

    def test_the_memory_connectors_are_a_plugin(self, tmp_path, monkeypatch):
        info = tmp_path / "syncd_memory-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: syncd-memory\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[syncd]\nsyncd_memory = syncd.testing.memory\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        plugins = load(["memory", "memory-delta"], ["syncd_memory"])

        assert () == plugins.failures
        assert (MemorySource, MemoryPlatform) == (plugins.sources["memory"], plugins.platforms["memory"])

    def test_the_pytest_plugin_is_light(self):
        """It loads in every run of pytest of everybody who has syncd installed."""
        code = (
            "import sys, pytest; before = set(sys.modules); import syncd.testing.fixtures; "
            "print(*sorted(name for name in set(sys.modules) - before if 'syncd' not in name))"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "\n" == answer.stdout
