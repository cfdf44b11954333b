"""The service at work: real threads, real files, real sockets; only the clock is the test's."""

from __future__ import annotations

import csv
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import pytest

from syncd import Event as SomethingHappened
from syncd import Observer
from syncd.cli.serving import execute
from syncd.cli.session import Guest, Overtaken, Session
from syncd.control.calls import Call
from syncd.control.verbs import verb_of
from syncd.daemon import Service, lines
from syncd.daemon.beats import Beats
from syncd.daemon.courier import Courier
from syncd.daemon.generation import Generation, load
from syncd.daemon.house import House
from syncd.daemon.lines import EnterpriseLine
from syncd.daemon.site import Site
from syncd.daemon.troubles import Troubles
from syncd.distribution.health import Health
from syncd.errors import Busy, Denied, PluginError, StoreError, Unavailable
from syncd.logs import configure
from syncd.pipeline import scheduling, turns
from syncd.pipeline.turns import ACCOUNTS, Stopping
from syncd.store.runs import runs

START = datetime(2026, 1, 5, 8, tzinfo=UTC)

CONFIGURATION = """
state_directory = "{folder}/state"
role = {{ desk = {{ template = "desk" }} }}
template = {{ desk = {{ services = ["list"] }} }}
[enterprise.acme]
sources = ["hq"]
[enterprise.emca]
sources = ["far"]

[source.hq]
type = "ldif"
path = "{folder}/hq.ldif"
anchor = "entryUUID"
stable_for = 0
role = "desk"
operations = ["add", "update", "remove"]
detain = "never"
schedule = {{ full = "every 1h" }}
[source.hq.map]
login = "uid"

[source.far]
type = "ldap"
url = ["ldap://127.0.0.1:{port}"]
tls = "none"
base = ["dc=emca"]
filter = "(uid=*)"
anchor = "entryUUID"
detain = "never"
schedule = {{ full = "every 1h" }}
[source.far.map]
login = "uid"

[platform.list]
type = "csv"
path = "{folder}/list.csv"
columns = ["login"]
"""


def until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class World:
    """A service without its process: everything but signals and systemd."""

    def __init__(
        self, folder: Path, port: int, enterprises: AbstractSet[str] = frozenset({"acme", "emca"})
    ) -> None:
        self.folder = folder
        self.now = START
        (folder / "state").mkdir(mode=0o700)
        self.config = folder / "syncd.toml"
        self.config.write_text(CONFIGURATION.format(folder=folder, port=port))
        self.people("ann", "bob")
        self.site = Site(load((self.config,), None, {}), (self.config,), {}, lambda: self.now)
        self.site.open().close()  # as the process does, before its threads begin
        self.courier = Courier(self.site)
        self.house = House(self.site, self.courier)
        self.lines = {name: EnterpriseLine(self.site, name, self.courier.wake) for name in enterprises}

    def people(self, *names: str) -> None:
        entries = [f"dn: uid={one}\nentryUUID: {one}\nuid: {one}\n" for one in names]
        (self.folder / "hq.ldif").write_text("version: 1\n\n" + "\n".join(entries))

    def tick(self) -> list[str]:
        until(lambda: self.courier.resumed)
        with closing(self.site.open()) as database, self.site.using(database) as (_, here):
            mine = [
                one
                for one in scheduling.due(here)
                if here.settings.sources[one.source].enterprise in self.lines
            ]
            due = [one for one in mine if scheduling.claim(here, one)]
            for one in due:
                self.lines[here.settings.sources[one.source].enterprise].order(one)
        return [one.source for one in due]

    def runs(self, connection: str) -> list[str]:
        with closing(self.site.open()) as database:
            where = "connection = (SELECT id FROM connections WHERE name = ?)"
            return [one.state for one in runs(database, where, (connection,))]

    def listed(self, platform: str = "list") -> list[str]:
        path = self.folder / f"{platform}.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return sorted(row["login"] for row in csv.DictReader(file))

    def end(self) -> None:
        self.site.stopping.set()
        for one in [self.courier.thread, *(line.thread for line in self.lines.values())]:
            one.join(10)
            assert not one.is_alive()


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def world(tmp_path):
    with silent_server() as port:
        made = World(tmp_path, port)
        yield made
    made.end()


def test_an_enterprise_whose_server_is_silent_keeps_no_other_waiting(world):
    assert ["hq", "far"] == world.tick()
    until(lambda: world.runs("hq") == ["ended"])
    until(lambda: world.listed() == ["ann", "bob"])
    assert ["reading"] == world.runs("far")
    assert "enterprise emca" in world.site.beats.working()
    assert [] == world.tick()  # neither slot is due again


def test_what_a_person_does_waits_for_its_turn_and_is_delivered(world):
    world.tick()
    until(lambda: world.listed() == ["ann", "bob"])
    with ExitStack() as opened, pytest.raises(Busy, match="of far"):
        House(world.site, world.courier, patience=0.3).writing("queue release", "ada", opened)
    with ExitStack() as opened:
        here = world.house.writing("sync", "ada", opened)
        assert ("ada", {"list"}) == (here.actor, set(here.courier(None)))


def test_a_persons_verb_has_everything_to_itself_until_it_delivers(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    world.tick()
    until(lambda: world.listed() == ["ann", "bob"])
    with ExitStack() as opened:
        here = world.house.writing("queue release", "ada", opened)
        assert world.site.turns.held(ACCOUNTS)
        world.now += timedelta(hours=1)
        world.tick()
        time.sleep(0.2)
        assert ["ended"] == world.runs("hq")
        here.courier(None)
        until(lambda: world.runs("hq") == ["ended", "ended"])
    world.end()


class Words:
    """Takes what a verb has to say."""

    cut = False

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def put(self, document: Mapping[str, Any]) -> None:
        self.told.append(document["parameters"])

    hint = put


def verb(world: World, *arguments: str, watched: bool = False) -> tuple[int, list[dict[str, Any]]]:
    """Have the service carry out a verb as it does for somebody at its socket."""
    ear = Words()
    call = Call(arguments, verb_of(arguments), "ada", ear, changes=True, watched=watched)
    return execute(call, world.house), ear.told


@pytest.mark.parametrize(("watched", "told"), [(True, True), (False, False)])
def test_whoever_waits_for_a_turn_is_told_for_what_if_they_watch(tmp_path, monkeypatch, watched, told):
    monkeypatch.setattr(turns, "SILENT", 0.2)
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)
    with ExitStack() as held:
        held.enter_context(
            world.site.turns.take("acme", "the reading of hq", patience=1, stopping=lambda: False)
        )
        thread = Thread(target=lambda: said.extend(verb(world, "sync", "hq", watched=watched)[1]))
        said: list[dict[str, Any]] = []
        thread.start()
        time.sleep(1)
    thread.join(10)
    texts = [one["output"]["text"] for one in said if "output" in one]
    assert told == ("waits for the reading of hq, begun 0s ago" in "".join(texts))
    assert any("run 1" in text for text in texts)
    world.end()


def test_a_program_that_waits_for_a_turn_is_told_so_as_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "SILENT", 0.2)
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)
    other = world.site.turns.take(ACCOUNTS, "the applying of run 7", patience=1, stopping=lambda: False)
    with ExitStack() as held:
        held.enter_context(other)
        ear = Words()
        call = Call(("sync", "hq", "--json"), "sync", "ada", ear, changes=True, watched=True, document=True)
        thread = Thread(target=execute, args=(call, world.house))
        thread.start()
        time.sleep(1)
    thread.join(10)
    told = [one["progress"] for one in ear.told if "progress" in one]
    assert {"about": "the applying of run 7", "stage": "wait", "count": 0} in told
    world.end()


def test_a_platform_of_which_a_person_says_that_it_is_well_again_is_not_left_alone_any_longer(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    world.tick()
    until(lambda: world.listed() == ["ann", "bob"])
    until(lambda: not world.site.beats.working())
    (lane,) = world.courier.lanes
    lane.health.setback("unavailable", "the disk is away", world.now, timedelta(hours=5))
    world.people("ann", "bob", "eve")
    world.now += timedelta(hours=1)
    world.tick()
    until(lambda: world.runs("hq") == ["ended", "ended"])
    assert 69 == verb(world, "verify", "--repair")[0]
    assert ["ann", "bob"] == world.listed()
    assert 0 == verb(world, "deliveries", "retry", "list")[0]
    assert ["ann", "bob", "eve"] == world.listed()
    world.end()


def test_a_source_that_cannot_be_read_is_said_once_and_tried_again_by_itself(tmp_path, capfd):
    configure(level="info", stream=None)
    world = World(tmp_path, 1, {"acme"})
    (tmp_path / "hq.ldif").rename(tmp_path / "away")
    world.tick()
    line = world.lines["acme"]
    until(lambda: "hq" in line.troubles)
    for attempts in (2, 3):
        assert [] == world.tick()
        world.now = line.troubles["hq"].until
        until(lambda attempts=attempts: line.troubles["hq"].attempts == attempts)
    (tmp_path / "away").rename(tmp_path / "hq.ldif")
    world.now = line.troubles["hq"].until
    until(lambda: not line.troubles)
    until(lambda: world.listed() == ["ann", "bob"])
    world.end()
    said = capfd.readouterr().err
    assert (1, 1) == (said.count("connection_failed"), said.count("connection_recovered"))


def test_a_reload_is_in_force_for_the_next_piece_of_work(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    world.tick()
    until(lambda: world.listed() == ["ann", "bob"])
    more = f'[platform.more]\ntype = "csv"\npath = "{tmp_path}/more.csv"\ncolumns = ["login"]\n'
    text = world.config.read_text().replace('services = ["list"]', 'services = ["list", "more"]')
    world.config.write_text(text + more)
    old = world.site.current
    world.site.replace(load((world.config,), None, {}))
    world.courier.wake()
    until(lambda: world.listed("more") == ["ann", "bob"])
    world.site.close_replaced()
    assert old is not world.site.current
    world.end()


def test_a_verb_never_works_with_two_configurations(tmp_path):
    world = World(tmp_path, 1, set())
    sessions = [Session(None, guest=Guest(world.house, "ada", True, lambda: True)) for _ in range(2)]
    assert "hq" in sessions[0].settings.sources
    replace(world)
    with closing(sessions[0]) as one, pytest.raises(Overtaken, match="ask again"):
        one.writing("sync")
    with closing(sessions[1]) as other:
        assert other.writing("sync").settings is other.settings
        before = other.plugins
        replace(world)
        assert (before, False) == (other.plugins, other.plugins is world.site.current.plugins)
    world.end()


def second_source(world: World, name: str = "two", more: str = "") -> None:
    """Give acme another source, in force at once."""
    text = world.config.read_text()
    table = text[text.index("[source.hq]") : text.index("[source.far]")]
    table = table.replace("source.hq", f"source.{name}").replace("hq.ldif", f"{name}.ldif")
    table = table.replace('anchor = "entryUUID"', f'anchor = "entryUUID"\n{more}')
    world.config.write_text(text.replace('["hq"]', f'["hq", "{name}"]') + table)
    replace(world)


def replace(world: World) -> None:
    world.site.replace(load((world.config,), None, {}))
    world.courier.wake()


def test_a_source_in_trouble_that_is_taken_out_of_the_configuration_keeps_no_other_waiting(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    line, before = world.lines["acme"], world.config.read_text()
    second_source(world)
    world.tick()
    until(lambda: "two" in line.troubles)
    world.config.write_text(before)
    replace(world)
    world.now = line.troubles["two"].until + timedelta(hours=1)
    begun = time.process_time()
    assert ["hq"] == world.tick()
    until(lambda: world.runs("hq") == ["ended", "ended"], 3)
    time.sleep(1)
    assert {} == line.troubles
    assert time.process_time() - begun < 0.7
    world.end()


def test_a_configuration_that_was_replaced_before_it_was_settled_keeps_nobody_waiting(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    until(world.site.current.settled.is_set)
    with world.site.turns.take(ACCOUNTS, "the test", patience=1, stopping=lambda: False):
        world.courier.wake()
        until(lambda: world.site.turns.wanted(ACCOUNTS))  # it is busy with the first configuration
        world.site.replace(load((world.config,), None, {}))
        world.tick()
        time.sleep(0.3)
        world.site.replace(load((world.config,), None, {}))
        with ExitStack() as opened, pytest.raises(Busy, match="a reload"):
            House(world.site, world.courier, patience=0.1).writing("sync", "ada", opened)
    until(lambda: world.runs("hq") == ["ended"])
    world.end()


def test_a_verb_that_waits_for_the_settling_ends_with_the_service(tmp_path):
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)
    with world.site.turns.take(ACCOUNTS, "the test", patience=1, stopping=lambda: False):
        world.courier.wake()
        until(lambda: world.site.turns.wanted(ACCOUNTS))
        replace(world)
        Timer(0.3, world.site.stopping.set).start()
        with ExitStack() as opened, pytest.raises(Stopping):
            world.house.writing("sync", "ada", opened)
    world.end()


def test_a_line_that_ends_in_the_middle_of_a_run_is_not_taken_for_stuck(tmp_path, monkeypatch):
    world = World(tmp_path, 1, {"acme"})
    go_on = Event()
    monkeypatch.setattr(lines, "finish", lambda _here, run: go_on.wait(10) and run)
    world.tick()
    line = world.lines["acme"]
    until(lambda: world.runs("hq") == ["ended"])
    line.end()
    go_on.set()
    line.thread.join(10)
    assert [] == [name for name in world.site.beats.working() if name == "enterprise acme"]
    world.end()


@pytest.mark.parametrize("error", [SystemExit("a plugin's"), KeyError("a plugin's")])
def test_what_a_plugin_raises_ends_no_thread(tmp_path, monkeypatch, error):
    world = World(tmp_path, 1, {"acme"})

    def sync(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(lines, "sync", sync)
    world.tick()
    line = world.lines["acme"]
    until(lambda: "hq" in line.troubles and not line.in_hand)
    assert line.thread.is_alive()
    world.end()


@pytest.fixture
def service(tmp_path):
    """A service whose ticks are the test's, with a database of its own; its world has no lines beside it."""
    world = World(tmp_path, 1, set())
    made = Service((world.config,), None, {}, lambda: world.now)
    made.site, made.courier = world.site, world.courier
    until(world.site.current.settled.is_set)
    with closing(made.site.open()) as database:
        yield made, world, lambda: made._tick(database)
    world.lines = made.lines
    world.end()


def test_what_was_claimed_when_its_enterprise_was_taken_away_is_read_once_that_is_back(service):
    made, world, tick = service
    text = world.config.read_text()
    with made.site.turns.take("acme", "the test", patience=1, stopping=lambda: False):
        tick()
        world.config.write_text(text.replace('sources = ["hq"]', "sources = []").replace(
            text[text.index("[source.hq]") : text.index("[source.far]")], ""))  # fmt: skip
        replace(world)
        ended = made.lines["acme"]
        tick()
        assert set(made.lines) == {"emca"}
    ended.thread.join(10)
    with closing(made.site.open()) as database:  # as if it had not been begun by then
        database.conn.execute("UPDATE schedules SET state = 'claimed', run = NULL, ended_at = NULL")
        database.conn.execute("UPDATE runs SET started_at = '2026-01-05T07:00:00.000000Z'")
    world.config.write_text(text)
    replace(world)
    tick()
    until(lambda: world.runs("hq") == ["ended", "ended"])


def test_a_source_that_is_renamed_while_it_is_read_is_read_again_by_its_new_name(service):
    made, world, tick = service
    with made.site.turns.take("acme", "the test", patience=1, stopping=lambda: False):
        tick()
        until(lambda: made.site.turns.wanted("acme"))
        text = world.config.read_text().replace('["hq"]', '["main"]').replace("source.hq", "source.main")
        world.config.write_text(text.replace("stable_for", 'formerly = "hq"\nstable_for', 1))
        replace(world)
        tick()
    until(lambda: not made.lines["acme"].in_hand)
    world.now += timedelta(hours=2)
    tick()
    until(lambda: not made.lines["acme"].in_hand)
    world.now += timedelta(hours=2)
    tick()
    until(lambda: not made.lines["acme"].in_hand)
    with closing(made.site.open()) as database:
        left = database.conn.execute(
            "SELECT c.name FROM schedules s JOIN connections c ON c.id = s.connection"
            " WHERE s.state = 'claimed' AND c.name <> 'far'"
        ).fetchall()
    assert [] == left


def test_what_could_not_be_noted_as_done_is_noted_by_the_next_tick(service, monkeypatch):
    made, world, tick = service
    failing = iter([StoreError("disk full")])
    finished = scheduling.finished

    def once(*given: object) -> None:
        for error in failing:
            raise error
        finished(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(lines.scheduling, "finished", once)
    tick()
    until(lambda: world.runs("hq") == ["ended"] and not made.lines["acme"].in_hand)
    assert made.lines["acme"].thread.is_alive()
    world.now += timedelta(hours=2)
    tick()
    until(lambda: world.runs("hq") == ["ended", "ended"])


def test_who_waits_for_a_turn_is_not_stuck(tmp_path):
    world = World(tmp_path, 1, {"acme"})
    until(world.site.current.settled.is_set)
    with world.site.turns.take("acme", "the test", patience=1, stopping=lambda: False):
        world.tick()
        until(lambda: world.site.turns.wanted("acme"))
        time.sleep(1)
        assert [] == world.site.beats.stuck(0.8)
    until(lambda: world.runs("hq") == ["ended"])
    world.end()


def test_a_verb_that_is_silent_at_work_is_stuck_and_one_that_goes_on_is_not(world):
    beats = world.site.beats
    with ExitStack() as opened:
        here = world.house.writing("sync", "ada", opened)
        time.sleep(0.3)
        (stuck,) = (one for one in beats.stuck(0.2) if "syncd" in one)
        assert stuck.endswith(": syncd sync (ada)")
        here.turns.heard()
        assert [] == [one for one in beats.stuck(0.2) if "syncd" in one]
    assert "syncd sync (ada)" not in beats.working().values()


def test_ticks_go_on_when_the_clock_is_set_back(service):
    made, _, _ = service
    ticks = []
    made._clock.every().minute.do(ticks.append, 1)
    made._run_due()
    assert [] == ticks
    made._clock.jobs[0].next_run += timedelta(hours=1)  # summer time has ended
    made._run_due()
    made._run_due()
    assert [1] == ticks


def test_a_reload_that_moves_the_socket_is_refused(service, tmp_path):
    made, world, _ = service
    old = made.site.current
    world.config.write_text(f'socket = "{tmp_path}/other"\n' + world.config.read_text())
    assert (made.reload() or "").endswith(f"{tmp_path}/other: that takes a restart")
    assert old is made.site.current


def test_a_reload_while_the_database_cannot_be_opened_keeps_the_old_configuration(service, monkeypatch):
    made, _, _ = service
    old = made.site.current

    def refuse() -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(made.site, "open", refuse)
    assert made.reload() == "the disk is full"
    assert (old, "the disk is full") == (made.site.current, made.site.refused)
    monkeypatch.undo()


@contextmanager
def process(world: World) -> Iterator[subprocess.Popen[str]]:
    """The service as a process of its own, in the middle of a read that never ends."""
    words = [sys.executable, "-m", "syncd", "--config", str(world.config), "daemon"]
    often = {**os.environ, "WATCHDOG_USEC": "3000000"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=often) as one:
        assert one.stderr is not None
        for line in one.stderr:
            if "platform_distributed" in line:
                break
        yield one
        one.kill()


@pytest.mark.parametrize("gone", ["state", "state/syncd.db"])
def test_a_service_whose_database_is_taken_away_ends_and_lets_nobody_begin_beside_it(world, gone):
    world.end()
    with process(world) as one:
        (world.folder / gone).rename(world.folder / "away")
        assert "database_gone" in (one.stderr.read() if one.stderr else "")
        assert 74 == one.wait(10)


def test_a_service_that_ends_takes_a_reload_for_no_second_word(world):
    world.end()
    with process(world) as one:
        one.terminate()
        time.sleep(0.5)
        one.send_signal(signal.SIGHUP)
        assert "service_ended" in (one.stderr.read() if one.stderr else "")
        assert 0 == one.wait(10)


def test_a_service_that_is_told_to_end_twice_ends_at_once_also_while_a_verb_is_under_way(world):
    world.end()
    hq, far = world.config.read_text().split("[source.far]")
    world.config.write_text(f"{hq}[source.far]" + far.replace("every 1h", "off"))  # the verb alone reads it
    with process(world) as one:
        words = [sys.executable, "-m", "syncd", "--config", str(world.config), "sync", "far"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as verb:
            time.sleep(1.5)
            one.terminate()
            time.sleep(0.5)
            begun = time.monotonic()
            one.terminate()
            assert -signal.SIGTERM == one.wait(10)
            assert time.monotonic() - begun < 1
            verb.communicate(timeout=10)


def test_a_service_has_its_garbage_collected(tmp_path):
    """A command that lives for a moment does not."""
    World(tmp_path, 1, set()).end()
    code = (
        "import gc; from syncd import cli; from syncd.daemon import Service\n"
        "Service.run = lambda self: print(gc.isenabled()) or 0\n"
        "cli.main()"
    )
    words = [sys.executable, "-c", code, "--config", str(tmp_path / "syncd.toml"), "daemon"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "True\n" == done.stdout


def test_an_observer_that_hangs_holds_up_no_reload(tmp_path):
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)
    go_on, told, hooks = Event(), Event(), world.site.current.plugins.hooks

    class Slow(Observer):
        def observe(self, event: object) -> None:
            told.set()
            go_on.wait(10)

    hooks.add_observer("slow", "acme_slow", lambda: Slow(None, None))  # type: ignore[arg-type]
    hooks.observe(SomethingHappened("run_ended", "2026-01-05T08:00:00Z", {}))
    told.wait(10)
    replace(world)
    until(world.site.current.settled.is_set)
    begun = time.monotonic()
    world.site.close_replaced()
    assert time.monotonic() - begun < 1
    go_on.set()
    world.end()


def test_a_platform_that_cannot_be_made_is_tried_again_after_a_while(tmp_path, monkeypatch):
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)
    made, tries = Generation.lanes, []

    def lanes(*given: object) -> None:
        tries.append(given)
        raise PluginError("acme_pbx", "there is no licence")

    monkeypatch.setattr(Generation, "lanes", lanes)
    replace(world)
    time.sleep(0.5)
    assert 1 == len(tries)
    with ExitStack() as opened, pytest.raises(Busy, match="there is no licence"):
        House(world.site, world.courier, patience=0.1).writing("sync", "ada", opened)
    monkeypatch.setattr(Generation, "lanes", made)
    world.courier.wake()
    until(world.site.current.settled.is_set)
    until(lambda: not world.courier.trouble)
    world.end()


def test_a_database_that_cannot_be_read_for_a_moment_ends_no_deliveries(tmp_path, monkeypatch):
    world = World(tmp_path, 1, set())
    until(world.site.current.settled.is_set)

    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Courier, "_rest", locked)
    assert {} == world.courier.ask()
    monkeypatch.undo()
    assert {"list"} == set(world.courier.ask())
    world.end()


NOW = START


def test_a_source_that_is_not_reachable_is_tried_again_soon_and_later_and_later():
    troubles = Troubles()
    pauses = []
    for _ in range(12):
        troubles.failed("hq", Unavailable("no route"), NOW, full=False)
        pauses.append((troubles.known["hq"].until - NOW).total_seconds())
    assert 30 <= pauses[0] <= 60
    assert 1800 <= pauses[-1] <= 3600
    assert troubles.resting("hq", NOW)
    assert [("hq", False)] == troubles.over(NOW + timedelta(hours=1))


def test_a_wrong_password_is_not_tried_until_the_directory_locks_the_account():
    troubles = Troubles()
    troubles.failed("hq", Denied("invalid credentials"), NOW, full=True)
    assert timedelta(minutes=15) <= troubles.known["hq"].until - NOW
    troubles.failed("hq", Unavailable("busy", retry_after=7200), NOW, full=False)
    assert timedelta(hours=2) <= troubles.known["hq"].until - NOW
    assert [("hq", True)] == troubles.over(NOW + timedelta(days=1))
    troubles.recovered("hq")
    assert not troubles.known


def test_who_is_silent_at_work_is_stuck_and_who_rests_is_not():
    beats = Beats()
    beats.works("one", "reading")
    beats.rests("two")
    time.sleep(0.02)
    assert (["one: reading"], []) == (beats.stuck(0.01), beats.stuck(5))
    assert {"one": "reading"} == beats.working()


def test_a_source_does_not_wait_for_a_time_that_the_clock_was_set_back_from():
    troubles = Troubles()
    troubles.failed("hq", Unavailable("no route"), NOW + timedelta(days=400), full=False)
    assert not troubles.resting("hq", NOW)
    assert [("hq", False)] == troubles.over(NOW)


def test_a_platform_does_not_wait_for_a_time_that_the_clock_was_set_back_from():
    health = Health()
    health.setback("unavailable", "no route", NOW + timedelta(days=400), timedelta(hours=1))
    assert health.until(NOW) is None
