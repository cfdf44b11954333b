"""The service at work: real threads, real files, real sockets; only the clock is the test's."""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncd.daemon.beats import Beats
from syncd.daemon.courier import Courier
from syncd.daemon.generation import load
from syncd.daemon.house import House
from syncd.daemon.lines import EnterpriseLine
from syncd.daemon.site import Site
from syncd.daemon.troubles import Troubles
from syncd.errors import Busy, Denied, Unavailable
from syncd.logs import configure
from syncd.pipeline import scheduling
from syncd.pipeline.turns import ACCOUNTS
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
