"""Nodes and syncd end in the middle of deliveries; afterwards everybody is there, and nobody twice."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing, nullcontext
from itertools import count

import pytest
from chances import EXPLORING, chance_seed
from cli_world import at_work
from servers.databases import SERVERS, server_of
from servers.nodes import sqlite_database
from servers.slapd import person
from sqlalchemy.engine.default import DefaultDialect
from telephone_world import Telephony, dn, over
from victims import Nursery

from syncd_pbx.asterisk import AsteriskPlatform

pytest_plugins = ("servers.fixtures",)


@pytest.fixture(scope="module", params=[*SERVERS])
def server(request):
    with server_of(request.param) as running:
        yield running


def crowd(numbers, **attributes):
    """Return the LDIF of people with mailboxes, and with extensions of their own: what is allocated is looked for first."""
    for number in numbers:
        own = {"telephoneNumber": str(6000 + number), "employeeNumber": str(5000 + number)}
        yield person(f"u{number}", l="Hamburg", **{**own, **attributes})


def check_all(office, database, expected):
    """See that so many are on the node, each of them once, and that the journal has an outcome of everything."""
    wanted = sorted(
        number for (number,) in office.rows(
            "SELECT json_extract(attributes, '$.extension') FROM accounts WHERE deleted_at IS NULL"
        )
    )  # fmt: skip
    assert expected == len(wanted)
    for table in ("ps_endpoints", "ps_auths", "ps_aors"):
        assert wanted == sorted(row["id"] for row in database.rows(table)), table
    boxes = Counter(row["mailbox"] for row in database.rows("voicemail"))
    assert (expected, {1}) == (len(boxes), set(boxes.values()))
    assert (0, 0) == (office.undelivered(), office.without_outcome())
    assert [] == office.json("deliveries")["deliveries"]
    office.out("verify")


def at_commit(monkeypatch, number, *, before=lambda: None, after=lambda _dialect: None):
    """Let something happen before, or right after, the transaction of this number on a node's database is committed."""

    def committed(dialect, connection):
        its = next(numbers) == number
        if its:
            before()
        commit(dialect, connection)
        if its:
            after(dialect)

    numbers, commit = count(1), DefaultDialect.do_commit
    monkeypatch.setattr(DefaultDialect, "do_commit", committed)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("answer_lost", "there", "cure"),
    [
        pytest.param(False, 60, "sync", id="before the commit"),
        pytest.param(True, 80, "deliveries retry", id="after the commit"),
    ],
)
def test_a_server_that_is_killed_amid_deliveries_gets_each_of_them_once(
    tmp_path, monkeypatch, start_slapd, server, answer_lost, there, cure
):
    database = server.database()
    monkeypatch.setattr(AsteriskPlatform, "batch", 20)

    def kill_before_it_answers(dialect):
        server.kill()
        raise dialect.loaded_dbapi.OperationalError("the server has gone away")

    kill = {"after": kill_before_it_answers} if answer_lost else {"before": server.kill}
    office = Telephony(tmp_path, start_slapd(crowd(range(200))), over(database))
    with at_work(office, monkeypatch):
        at_commit(monkeypatch, 5, **kill)  # the first is that of open()
        office.sync(code=69)
        server.start()
        assert there == len(database.rows("ps_endpoints"))
        office.later(hours=2)
        office.out(*cure.split())

        check_all(office, database, 200)


def test_a_file_that_somebody_else_writes_to_for_too_long_gets_the_rest_later(
    tmp_path, monkeypatch, start_slapd
):
    database = sqlite_database(tmp_path / "node.sqlite")
    monkeypatch.setattr(AsteriskPlatform, "batch", 20)
    office = Telephony(tmp_path, start_slapd(crowd(range(60))), over(database, timeout="1"))
    somebody = sqlite3.connect(tmp_path / "node.sqlite", isolation_level=None, check_same_thread=False)
    with at_work(office, monkeypatch), closing(somebody) as other:
        at_commit(monkeypatch, 2, after=lambda _dialect: other.execute("BEGIN IMMEDIATE"))
        office.sync(code=69)
        assert 20 == len(database.rows("ps_endpoints"))
        assert {"waiting", "pending"} == {one["state"] for one in office.json("deliveries")["deliveries"]}
        other.execute("ROLLBACK")
        office.later(minutes=1)
        office.out("deliveries", "retry")

        check_all(office, database, 60)


class Killed:
    """A company whose ``syncd`` is killed again and again; between two lives people come, go and get other names."""

    def __init__(self, office, database, nursery):
        self.office, self.database, self.nursery = office, database, nursery
        self.people = list(range(40))
        self.next = 40

    def live(self, **death):
        self.office.later(hours=2)  # whatever waits is due
        return self.nursery.live(["--config", str(self.office.config), "sync"], self.office.now, **death)

    def happens(self, chance):
        """Let twenty come, five go, ten marry and five move to another desk."""
        others = chance.sample(self.people, 20)
        gone, married, moved = others[:5], others[5:15], others[15:]
        directory = self.office.directory
        directory.delete(*(dn(f"u{number}") for number in gone))
        changes = [(number, "cn", f"Married {self.next}") for number in married]
        changes += [(number, "telephoneNumber", f"{self.next}{number:04}") for number in moved]
        directory.modify(
            "\n".join(
                f"dn: {dn(f'u{number}')}\nchangetype: modify\nreplace: {name}\n{name}: {value}\n"
                for number, name, value in changes
            )
        )
        new = range(self.next, self.next + 20)
        directory.add(*crowd(new))
        self.people = sorted({*self.people, *new} - set(gone))
        self.next += 20


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("nursery") / "output", "syncd_ldap", "syncd_pbx")
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def killed(request, tmp_path, monkeypatch, start_slapd, nursery):
    """Forty people; leavers are deleted at once."""
    with nullcontext() if request.param == "sqlite" else server_of(request.param) as server:
        database = server.database() if server else sqlite_database(tmp_path / "node.sqlite")
        office = Telephony(tmp_path, start_slapd(crowd(range(40))), over(database))
        office.set(
            'leavers = { delete_after = "30d" }', 'leavers = { reads = 1, after = "0s", missing = "delete" }'
        )
        with at_work(office, monkeypatch):
            yield Killed(office, database, nursery)


def test_who_is_killed_around_the_commit_of_a_node_finds_out_what_was_done(killed):
    """Before it nothing was, after it everything; the next one looks, and does the rest."""
    chance = random.Random(chance_seed())
    for when, number in (
        ("before", 2),
        ("after", 2),
        ("before", 3),
        ("after", 3),
        ("before", 4),
        ("after", 4),
    ):
        life = killed.live(commit=(when, number))
        assert life.killed, life.output
        assert killed.office.without_outcome()
        killed.happens(chance)
    life = killed.live()
    assert 0 == life.code, life.output

    check_all(killed.office, killed.database, len(killed.people))


@pytest.mark.parametrize("killed", ["sqlite"], indirect=True)
def test_a_number_that_was_written_and_never_confirmed_does_not_stay_when_another_follows(killed):
    """Who still had the telephone of that number could go on using it."""
    killed.live()
    killed.office.change("u1", "telephoneNumber", "600")
    assert killed.live(commit=("after", 2)).killed
    assert killed.database.rows("ps_endpoints", id="600")
    killed.office.change("u1", "telephoneNumber", "700")
    life = killed.live()
    assert 0 == life.code, life.output

    assert killed.database.rows("ps_endpoints", id="700")
    check_all(killed.office, killed.database, 40)


@pytest.mark.parametrize("killed", ["sqlite"], indirect=True)
def test_a_number_that_was_written_and_never_confirmed_goes_with_its_owner(killed):
    killed.live()
    killed.office.change("u1", "telephoneNumber", "600")
    assert killed.live(commit=("after", 2)).killed
    killed.office.dismiss("u1")
    life = killed.live()
    assert 0 == life.code, life.output

    check_all(killed.office, killed.database, 39)


@pytest.mark.parametrize("killed", ["sqlite"], indirect=True)
def test_who_is_killed_at_any_moment_loses_and_doubles_nothing(killed):
    chance = random.Random(chance_seed())
    whole = killed.live()
    assert 0 == whole.code, whole.output
    deaths, unknown = 0, 0
    for _ in range(100 if EXPLORING else 15):
        killed.happens(chance)
        life = killed.live(after=chance.uniform(0.2, 1.0) * whole.last)
        deaths += life.killed
        unknown += killed.office.without_outcome() > 0
    life = killed.live()
    assert 0 == life.code, life.output

    assert deaths > 5, (deaths, unknown)
    check_all(killed.office, killed.database, len(killed.people))
