"""Who left, was deleted and comes back as somebody new: what another source adds to them finds them again."""

import csv

import cli_world
import pytest
from line_world import AT_ONCE, Site, check_books, quiet  # noqa: F401

from syncd.pipeline import people, queue
from syncd.pipeline.undoing import plan_undo

office = cli_world.office

DELETES = {"leavers": {**AT_ONCE, "missing": "delete", "removed": "delete"}}
PHONES = {
    "owns": False,
    "match": ["login", "email"],
    "map": {"login": "uid", "email": "mail", "phone": "tel"},
}


@pytest.fixture(params=["memory", "memory-delta"])
def site(request):
    """Ann is account 1, deleted, and the phone book's x is still linked to it; Ben is account 2, linked to y."""
    made = Site(hq={"type": request.param, **DELETES}, phones=PHONES)
    made.hire("ann", "ben")
    made.hire("x", source="phones", uid="ann", mail="", tel="1")
    made.hire("y", source="phones", uid="ben", mail="", tel="2")
    for source in ("hq", "phones"):
        made.sync(source)
    made.fire("ann")
    made.sync(full=True)
    assert [1, 2] == [made.person(one, "phones").id for one in ("x", "y")]
    assert made.people()[1].deleted
    yield made
    check_books(made)
    made.database.close()


def back(site, anchor="ann2", **values):
    """Let Ann come back as another entry, be read, and return her new account."""
    site.hire(anchor, **{"uid": "ann", "mail": "ann@acme.example", **values})
    site.sync()
    return site.person(anchor).id


def phones(site):
    return {number: person.attributes.get("phone") for number, person in site.people().items()}


@pytest.mark.parametrize("meanwhile", [False, True], ids=["not-read", "read"])
def test_what_another_source_adds_goes_to_the_new_account_though_its_entry_is_the_same(site, meanwhile):
    if meanwhile:
        site.sync("phones", full=True)
    new = back(site)
    run = site.sync("phones", full=True)

    assert [("x", "update", "applied")] == site.told(run)
    assert {1: "1", 2: "2", new: "1"} == phones(site)
    assert new == site.person("x", "phones").id
    assert (2, 0) == (run.counts["entries"], run.counts["missing"])
    site.world("phones").change("x", tel="3")
    site.sync("phones")
    assert {1: "1", 2: "2", new: "3"} == phones(site)


def test_a_second_read_changes_nothing_and_writes_no_link(site):
    back(site)
    site.sync("phones", full=True)
    links = site.rows("SELECT * FROM links")

    run = site.sync("phones", full=True)
    assert ([], 2, 2) == (site.operations(run), run.counts["entries"], run.unchanged)
    assert links == site.rows("SELECT * FROM links")


def test_while_nobody_has_its_keys_it_stays_and_is_not_even_looked_at(site):
    links = site.rows("SELECT * FROM links")
    run = site.sync("phones", full=True)

    assert ([], 2) == (site.operations(run), run.unchanged)
    assert links == site.rows("SELECT * FROM links")


def test_who_is_still_employed_keeps_what_is_added(site):
    """Another account with one of the keys of an entry is no reason to leave an account that is there."""
    site.hire("ann3", uid="other", mail="ben@else.example")
    site.sync()
    site.world("phones").change("y", mail="ben@else.example", tel="4")
    site.sync("phones")

    one = site.open_one("y")
    assert ("detained", 2) == (one.state, one.account)
    queue.discard(site.here, [one.id])


def test_undone_it_adds_to_nobody_and_undone_again_to_the_new_account(site):
    new = back(site)
    joined = site.sync("phones", full=True)
    undone = site.apply(plan_undo(site.here, joined.id))

    assert {1: "1", 2: "2", new: None} == phones(site)
    assert [] == site.operations(site.sync("phones", full=True)), "what was undone is not asked again"
    site.apply(plan_undo(site.here, undone.id))
    assert {1: "1", 2: "2", new: "1"} == phones(site)


def test_the_entry_of_two_is_asked_whose_it_is(site):
    new = back(site, mail="new@acme.example")
    site.world("phones").change("x", mail="ben@acme.example")
    site.sync("phones")

    one = site.open_one("x")
    message = f"login is that of account {new}; email is that of account 2"
    assert ("detained", [message]) == (one.state, [fault.message for fault in one.faults])
    queue.release(site.here, [one.id])
    assert new == site.person("x", "phones").id


def test_it_takes_the_place_of_an_entry_that_had_joined_the_new_account_and_is_gone(site):
    new = back(site)
    site.world("phones").change("x", uid="nobody")
    site.hire("z", source="phones", uid="ann", mail="", tel="8")
    site.sync("phones")
    assert {1: "1", 2: "2", new: "8"} == phones(site)
    site.fire("z", source="phones")
    site.world("phones").change("x", uid="ann")
    site.sync("phones", full=True)

    assert {1: "1", 2: "2", new: "1"} == phones(site)
    assert {"x": new, "y": 2} == {anchor: person.id for anchor, person in site.linked("phones").items()}


def test_what_may_not_update_leaves_nobody_missing(site):
    site.configure(hq=DELETES, phones={**PHONES, "operations": []})
    back(site)
    run = site.sync("phones", full=True)

    assert ([], 2, 0) == (site.operations(run), run.counts["entries"], run.counts["missing"])


def test_a_plan_of_before_the_deletion_was_taken_back_is_stale(site):
    deletion = site.value("SELECT run FROM operations WHERE kind = 'delete'")
    new = back(site)
    plan = site.plan("phones", full=True)
    people.delete(site.here, new)
    site.apply(plan_undo(site.here, deletion))
    site.apply(plan)

    assert 1 == site.person("x", "phones").id
    assert "stale" in [fault.code for fault in site.open_one("x").faults]
    queue.discard(site.here, [site.open_one("x").id])


class TestTwoFiles:
    """The same, by the command line and two CSV files."""

    @pytest.fixture
    def staffed(self, office):
        text = office.config.read_text("utf-8")
        begin = text.index("[source.directory]")
        end = text.index("[source.directory.map]")
        directory = (
            f'[source.directory]\ntype = "csv"\npath = "{office.folder}/phones.csv"\nanchor = "id"\nstable_for = 0\n'
            'match = ["login"]\noperations = ["update"]\nowns = false\ndetain = "never"\nlimits = { update = "off" }\n'
        )
        text = text[:begin] + directory + text[end:]
        text = text.replace('"uid"', '"login"').replace('phone = "telephoneNumber"', 'phone = "phone"')
        text = text.replace('email = "mail"\nphone', "phone").replace(
            'leavers = { reads = 1, after = "0s" }',
            'detain = "never"\nlimits = { remove = "off", container = "off", shrink = "off" }\n'
            'leavers = { reads = 1, after = "0s", missing = "delete" }',
        )
        office.config.write_text(text, "utf-8")
        self.phones(office, ("u-1", "ada", "+49 40 111"))
        return office

    def phones(self, office, *rows):
        with (office.folder / "phones.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "login", "phone"), *rows])

    def test_who_comes_back_under_another_number_has_the_telephone_again(self, staffed):
        ada = staffed.people["1"]
        staffed.out("sync")
        assert "+49 40 111" == staffed.json("accounts", "show", "ada")["attributes"]["phone"]
        staffed.change(n1=None)
        staffed.out("sync")
        staffed.change(n9=ada)
        staffed.out("sync")

        shown = staffed.json("accounts", "show", "ada")
        assert "+49 40 111" == shown["attributes"]["phone"]
        assert ["directory", "hr"] == [link["connection"] for link in shown["links"]]
