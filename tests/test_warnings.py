"""What a mapping mends on the way is told with the operation that it belongs to, and holds nothing up."""

import random

import cli_world
import pytest
from line_world import PLAIN, UNLIMITED, Site, quiet  # noqa: F401

from syncd.pipeline import queue
from syncd.store import warned
from syncd.store.runs import run_of

office = cli_world.office

STRIPPED = {**PLAIN["map"], "last_name": {"from": "sn", "illegal": "strip"}}
TOLD = "characters that are not allowed were removed: 1, first U+0001 at offset 2"
WARNING = ("illegal_character", "last_name", TOLD, "warning")


@pytest.fixture
def site():
    return Site(hq={"map": STRIPPED})


def with_warnings(site, run=None):
    """Return (anchor, state, what holds it, its warnings) of operations that have a warning."""
    return sorted(
        (one.anchor, one.state, [fault.code for fault in one.faults], one.warnings)
        for one in site.operations(run)
        if one.warnings
    )


def test_a_warning_stands_with_its_operation_and_the_run_counts_it(site):
    site.hire("a", sn="Ma\x01er")
    site.hire("b")
    run = site.sync()

    assert [("a", "applied", [], (WARNING,))] == with_warnings(site, run)
    assert 1 == run.counts["warnings"]
    assert "Maer" == site.person("a").attributes["last_name"]


def test_who_is_read_again_without_a_change_is_no_operation_and_warns_no_more(site):
    site.hire("a", sn="Ma\x01er")
    site.sync()
    run = site.sync(full=True)

    assert ([], 0) == (site.told(run), run.counts["warnings"])


def test_a_record_that_changes_nothing_is_counted_alone(site):
    site.hire("a", sn="Maer")
    site.sync()
    site.world().change("a", sn="Ma\x01er")
    run = site.sync()

    assert ([], 1) == (site.told(run), run.counts["warnings"])
    assert (0, 1) == (site.sync().counts["warnings"], site.value("SELECT COUNT(*) FROM operations"))


def standing(site):
    """Return what the sources are to be corrected in: (anchor, account, code, attribute)."""
    return [(one.anchor, one.account, one.code, one.attribute) for one in warned.standing(site.database)]


def of_run(site, run):
    return [
        (one.anchor, one.account, one.code, one.attribute) for one in warned.of_run(site.database, run.id)
    ]


def test_whose_it_is_can_be_found_though_nothing_of_the_account_changes(site):
    site.hire("a", "b", sn="Maer")
    site.sync()
    assert [] == standing(site)
    site.world().change("a", sn="Ma\x01er")
    run = site.sync()

    about = ("a", site.person("a").id, "illegal_character", "last_name")
    assert ([about], [about]) == (of_run(site, run), standing(site))
    assert ([], 0) == (site.problems(run), run.counts["problems"])
    later = site.sync()
    assert ([], [about]) == (of_run(site, later), standing(site)), (
        "it is no news, and stands until it is mended"
    )


@pytest.mark.parametrize("name", ["Maer", "Moor"])
def test_it_stands_no_longer_once_the_source_is_mended(site, name):
    site.hire("a", sn="Ma\x01er")
    site.sync()
    assert ["a"] == [one[0] for one in standing(site)]
    site.world().change("a", sn=name)
    site.sync()

    assert [] == standing(site)


def test_it_stands_no_longer_once_the_entry_is_gone_and_again_once_it_is_back(site):
    site.hire("a", sn="Ma\x01er")
    site.hire("b")
    site.sync()
    site.fire("a")
    site.sync()
    assert [] == standing(site)
    site.hire("a", sn="Ma\x01er")
    site.sync()

    assert ["a"] == [one[0] for one in standing(site)]


def test_of_an_entry_that_is_nobodys_the_run_tells():
    site = Site(hq={"map": STRIPPED, "operations": ["update"]})
    site.hire("a", sn="Ma\x01er")
    run = site.sync()

    assert [("a", None, "illegal_character", "last_name")] == of_run(site, run)
    assert ([], 1) == (standing(site), run.counts["warnings"])


def test_what_has_an_operation_is_told_of_its_run_as_well(site):
    site.hire("a", sn="Ma\x01er")
    run = site.sync()

    about = ("a", site.person("a").id, "illegal_character", "last_name")
    assert ([about], [about]) == (of_run(site, run), standing(site))


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_is_the_same_in_any_order(seed):
    people = [(f"p{number}", f"Ma\x01er{number}" if number % 2 else "Meier") for number in range(20)]
    random.Random(seed).shuffle(people)
    hashes = set()
    for order in (people, sorted(people)):
        site = Site(hq={"map": STRIPPED})
        for anchor, name in order:
            site.hire(anchor, sn=name)
        hashes.add(site.plan().plan_hash)

    assert 1 == len(hashes)


def test_an_approval_of_a_plan_is_none_of_one_with_another_warning():
    """Whoever agreed did not see it."""
    site = Site(hq={"map": STRIPPED, "detain": "always"})
    site.hire("a", sn="Maer")
    first = site.plan()
    site.world().change("a", sn="Ma\x01er")
    second = site.plan()

    assert "superseded" == run_of(site.database, first.id).state
    assert first.plan_hash != second.plan_hash


def test_what_is_detained_keeps_its_warning_and_so_does_what_is_released():
    site = Site(hq={"map": STRIPPED, "limits": {**UNLIMITED, "remove": {"count": 0}}})
    site.hire("a", sn="Maer")
    site.sync()
    site.world().change("a", sn="Mo\x01er")
    site.world().disable("a")
    run = site.sync()

    assert [("a", "detained", ["too-many-removals"], (WARNING,))] == with_warnings(site, run)
    (released,) = queue.release(site.here, [one.id for one in site.operations()])
    assert [("a", "applied", [], (WARNING,))] == with_warnings(site, released)


def test_a_fault_is_told_beside_the_warning():
    site = Site(hq={"map": STRIPPED, "rules": {"email": {"required": True}}})
    site.hire("a", sn="Ma\x01er", mail="")

    assert [("a", "failed", ["required"], (WARNING,))] == with_warnings(site, site.sync())


def test_an_edit_keeps_the_warnings_of_what_was_not_edited():
    site = Site(hq={"map": STRIPPED, "rules": {"email": {"required": True}}})
    site.hire("a", sn="Ma\x01er", mail="")
    site.sync()
    queue.edit(site.here, site.open_one("a").id, {"email": "a@acme.example"})
    assert [("a", "detained", ["edited"], (WARNING,))] == with_warnings(site)
    queue.edit(site.here, site.open_one("a").id, {"last_name": "Maier"})
    assert [] == with_warnings(site)


class TestTheCommandLine:
    @pytest.fixture
    def careless(self, office):
        """An office whose source strips what is not allowed, and has something to strip."""
        office.set('last_name = "last"', 'last_name = { from = "last", illegal = "strip" }')
        office.people = {"1": ("ada", "Ada", "Lo\x01velace", "")}
        office.write()
        return office

    def test_preview_shows_it_below_its_operation_and_their_number(self, careless):
        shown = careless.out("preview", "hr", code=3)

        assert (
            "          role:       employee\n"
            f"          ! warning: last_name: {TOLD} (illegal_character)\n"
            "\n"
            "add: 1 (1 planned)\n"
            "warnings, of values that had to be mended: 1 (syncd runs 1)\n"
        ) in shown

    def test_the_document_has_it_beside_the_reasons(self, careless):
        (run,) = careless.json("preview", "hr", code=3)["runs"]
        (one,) = run["operations"]

        assert [] == one["reasons"]
        code, attribute, message, _ = WARNING
        assert [{"code": code, "attribute": attribute, "message": message}] == one["warnings"]
        assert 1 == run["counts"]["warnings"]

    def test_queue_show_has_it_and_the_list_says_why_it_waits(self, careless):
        careless.out("preview", "hr", code=3)

        assert f"warnings\n  last_name: {TOLD} (illegal_character)\n" in careless.out("queue", "show", "1")
        assert "syncd apply 1" in careless.out("queue", "list")

    def test_a_sync_tells_their_number(self, careless):
        careless.set('role = "employee"', 'role = "employee"\ndetain = "never"')

        assert "hr: run 1 is done: 1 entry, 0 unchanged, 1 warning, 1 applied" in careless.out("sync", "hr")

    def test_whose_it_is_stands_with_the_run_in_status_and_explain_until_it_is_mended(self, careless):
        careless.set('role = "employee"', 'role = "employee"\ndetain = "never"')
        careless.people = {"1": ("ada", "Ada", "Lovelace", "")}
        careless.write()
        careless.out("sync", "hr")
        careless.change(n1=("ada", "Ada", "Lo\x01velace", ""))
        synced = careless.out("sync", "hr")

        told = f"last_name: {TOLD} (illegal_character)"
        assert "warnings, of values that had to be mended: 1 (syncd runs 2)\n" in synced
        assert f"warnings\n  entry 1, account 1: {told}\n" in careless.out("runs", "2")
        (one,) = careless.json("runs", "2")["warnings"]
        code, attribute, message, _ = WARNING
        about = {"anchor": "1", "account": 1, "code": code, "attribute": attribute, "message": message}
        assert {"connection": "hr", **about} == one
        assert f"to correct in the source\n  hr, entry 1, account 1: {told}\n" in careless.out("status")
        assert [one] == careless.json("status")["warnings"]
        assert f"(to correct) {told}" in " ".join(careless.out("explain", "ada").split())
        (link,) = careless.json("explain", "ada")["links"]
        assert [{"code": code, "attribute": attribute, "message": message}] == link["warnings"]

        careless.change(n1=("ada", "Ada", "Lovelace", ""))
        careless.out("sync", "hr")
        assert [] == careless.json("status")["warnings"]
        assert "to correct" not in careless.out("status") + careless.out("explain", "ada")
        assert [one] == careless.json("runs", "2")["warnings"]
