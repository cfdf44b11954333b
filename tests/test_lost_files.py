"""A platform is told how much it has confirmed; where a file that had accounts is lost, nothing is begun anew."""

import threading

import cli_world
import companies
import pytest
from companies import ONE_SOURCE, PHONEBOOK, Company
from distribution_world import Clock, Desk, Log

from syncd import Unavailable
from syncd.distribution import distribute, verify, want_again
from syncd.pipeline import queue
from syncd.pipeline.delivering import lanes_of
from syncd.pipeline.policy import settle_policy
from syncd.testing.memory import MemoryPlatform
from syncd_bulk.csvplatform import CsvPlatform

office = cli_world.office

CSV = 'type = "csv"\npath = "{folder}/phonebook.csv"\ncolumns = ["login", "email", "phone"]\n'
ENTRIES = (
    'type = "ldif"\npath = "{folder}/phonebook.ldif"\ndn = "uid={{uid}},dc=x"\n'
    'object_class = ["account"]\nattributes = {{ uid = "login", mail = "email" }}\n'
)
FORMS = {
    "csv": (CSV, "phonebook.csv"),
    "csv with a state": (CSV + "key = false\n", "phonebook.csv.state"),
    "ldif": (ENTRIES, "phonebook.ldif"),
    "changes": (ENTRIES.replace("phonebook.ldif", "book") + 'style = "changes"\n', "book/.state.ldif"),
}


@pytest.fixture(params=FORMS)
def form(request, office):
    """An office whose phone book has this form and everybody in it, and the file that is its memory."""
    text, file = FORMS[request.param]
    (office.folder / "book").mkdir()
    office.set(CSV.format(folder=office.folder), text.format(folder=office.folder))
    office.begin()
    return office, office.folder / file


KEYED = (
    'type = "csv"\npath = "{folder}/phonebook.csv"\n'
    'columns = {{ login = {{ attribute = "login", key = true }}, email = "email", phone = "phone" }}\n'
)


@pytest.mark.parametrize(("text", "file"), [(KEYED, "phonebook.csv"), (ENTRIES, "phonebook.ldif")])
def test_after_an_older_database_was_restored_nobody_stands_in_the_file_twice(office, text, file, tmp_path):
    """Somebody who came after the backup is new to the database; the row that is there is taken over, as it is."""
    office.set(CSV.format(folder=office.folder), text.format(folder=office.folder))
    office.begin()
    office.out("db", "backup", str(tmp_path / "older.db"))
    office.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
    office.out("sync")
    before = (office.folder / file).read_bytes()
    office.out("db", "restore", str(tmp_path / "older.db"), "--yes")
    office.out("sync")

    assert before == (office.folder / file).read_bytes()
    assert "platform phonebook: as it should be\n" == office.out("verify")


class TestTheCure:
    def test_nobody_is_added_to_a_lost_file(self, form):
        office, file = form
        file.unlink()
        office.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
        result = office.run("sync")

        assert (77, False) == (result.exit_code, file.exists())
        assert f"{file} is gone or empty, and had 3 of the accounts; put it back, or let" in result.stdout
        assert "`syncd verify phonebook --repair`" in result.stdout

    def test_a_retry_does_not_either(self, form):
        office, file = form
        file.unlink()
        office.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
        office.run("sync")
        for _ in range(3):
            office.later(days=1)
            assert (77, False) == (office.run("deliveries", "retry").exit_code, file.exists())

    def test_verify_names_the_file_and_everybody_who_was_in_it(self, form):
        office, file = form
        file.unlink()
        result = office.run("verify")

        assert (65, False) == (result.exit_code, file.exists())
        assert 3 == result.stdout.count("  missing  ")
        assert f"  lost  {file} is gone or empty, and had 3 of the accounts; put it back" in result.stdout

    @pytest.mark.parametrize("lost", ["gone", "empty"])
    def test_repair_brings_everybody_back(self, form, lost):
        office, file = form
        before = office.json("verify")
        file.unlink()
        office.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
        office.run("sync")
        if lost == "empty" and file.suffix == ".ldif":
            file.write_text("version: 1\n")
        office.out("verify", "--repair")

        text = file.read_text("utf-8")
        assert [True] * 4 == [login in text for login in ("ada", "grace", "alan", "joan")]
        assert before == office.json("verify")

    def test_so_does_putting_it_back(self, form):
        office, file = form
        kept = file.read_bytes()
        file.unlink()
        office.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
        office.run("sync")
        file.write_bytes(kept)
        office.later(days=1)
        office.out("deliveries", "retry")

        assert "joan" in file.read_text("utf-8")
        assert "platform phonebook: as it should be\n" == office.out("verify")

    def test_a_repair_of_many_is_done_in_batches(self, form, monkeypatch):
        office, file = form
        monkeypatch.setattr(CsvPlatform, "batch", 1)
        file.unlink()
        office.out("verify", "--repair")

        assert "platform phonebook: as it should be\n" == office.out("verify")


class Booked(MemoryPlatform):
    """A memory platform that remembers what it was told when it was opened."""

    told = []  # noqa: RUF012 - shared on purpose: every run has its own connector

    def open(self):
        self.told.append(self.context.confirmed)
        super().open()


@pytest.fixture
def company(tmp_path, monkeypatch):
    monkeypatch.setattr(companies, "MemoryPlatform", Booked)
    monkeypatch.setattr(Booked, "told", [])
    made = Company(tmp_path, ONE_SOURCE + PHONEBOOK)
    yield made
    made.database.close()


class TestWhatAPlatformIsTold:
    def test_it_is_how_many_accounts_it_has_confirmed(self, company):
        company.hire("a", "b")
        company.sync()
        company.hire("c")
        company.sync()
        company.world().remove("a")
        company.world().disable("b")
        company.sync()
        company.hire("d")
        company.sync()

        assert [0, 2, 3, 3] == Booked.told

    def test_who_was_deleted_there_is_no_longer_counted(self, company):
        company.configure(ONE_SOURCE.replace("reads = 1", 'missing = "delete", reads = 1') + PHONEBOOK)
        company.hire("a", "b")
        company.sync()
        company.world().remove("a")
        company.sync()
        company.hire("c")
        company.sync()

        assert [0, 2, 1] == Booked.told

    def test_whoever_is_to_be_delivered_anew_is_not_counted(self, company):
        company.hire("a", "b")
        company.sync()
        want_again(company.database, "phonebook", [company.account("a")])
        company.deliver()

        assert [0, 1] == Booked.told

    def test_verify_tells_it_as_well(self, company):
        company.hire("a", "b")
        company.sync()
        (lane,) = lanes_of(company.here)

        assert [] == list(verify(company.database, lane))
        assert [0, 2] == Booked.told

    def test_it_is_told_anew_after_a_pause(self, company):
        company.hire("a", "b")
        company.sync()
        company.hire("c")
        company.system().down = Unavailable("no route", retry_after=1)
        company.sync()
        company.system().down = None
        company.wait(hours=1)
        company.world().remove("a")
        company.sync()

        assert [0, 2, 2] == Booked.told

    def test_a_lane_without_a_context_is_delivered_to(self, company):
        """As in the tests of a plugin's author, who makes a lane by hand."""
        from distribution_world import lane

        desk = Desk()
        distribute(
            company.database, [lane(desk)], clock=Clock(), log=Log(), stopping=threading.Event().is_set
        )

        assert 0 == desk.context.confirmed

    def test_as_many_are_handed_over_at_once_as_the_platform_wants(self, company, monkeypatch):
        monkeypatch.setattr(Booked, "batch", 7)

        assert [7] == [lane.batch for lane in lanes_of(company.here)]


def test_who_is_kept_from_vanishing_is_told_as_missing_and_does_not_stop_the_repair(tmp_path):
    """A guard keeps them; but they are gone from the file like everybody else."""
    north = (
        PHONEBOOK
        + 'accept = {{ location = "north" }}\nlimits = {{ remove = {{ count = 0 }}, add = "off" }}\n'
    )
    company = Company(tmp_path, ONE_SOURCE + PHONEBOOK)
    company.hire("n1", "n2")
    company.hire("s1", l="south")
    company.sync()
    company.configure(ONE_SOURCE + north)
    settle_policy(company.here)
    company.system().accounts.clear()
    (lane,) = lanes_of(company.here)
    found = list(verify(company.database, lane))
    want_again(company.database, "phonebook", [one.account for one in found])
    company.deliver()

    assert ["missing"] * 3 == [one.kind for one in found]
    assert ["n1", "n2"] == company.on()
    queue.release(company.here, [one.id for one in queue.waiting(company.here)])
    company.deliver()
    assert [] == company.rows("SELECT account FROM remotes WHERE state <> 'done'")
    company.database.close()
