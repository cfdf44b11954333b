"""What people do by hand is judged, kept and guarded as what sources do."""

from __future__ import annotations

import cli_world
import pytest

office = cli_world.office


@pytest.fixture
def staffed(office):
    office.begin()
    return office


def active(office):
    accounts = office.json("accounts", "list")["accounts"]
    return sum(not one["disabled_by"] and not one["deleted_at"] for one in accounts)


def said(office, login, attribute):
    return office.json("accounts", "show", login)["attributes"].get(attribute)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("accounts", "edit", "grace", "first_name=a\x01b"), "U+0001"),
        (("accounts", "edit", "grace", f"first_name={'x' * 5000}"), "5000"),
        (("accounts", "add", "acme", "login=zoe", "first_name=a\x01b"), "U+0001"),
    ],
)
def test_what_no_source_may_say_nobody_may_type(staffed, words, told):
    result = staffed.run(*words)

    assert 64 == result.exit_code
    assert told in result.output
    assert "Grace" == said(staffed, "grace", "first_name")
    assert 3 == len(staffed.json("accounts", "list")["accounts"])


def test_an_edit_that_is_edited_stays_an_edit(staffed):
    """A key that is taken detains it; corrected and released, it is what the person said, and explain agrees."""
    staffed.out("accounts", "edit", "grace", "email=alan@acme.example", code=3)
    (waits,) = staffed.json("queue", "list")["operations"]
    staffed.out("queue", "edit", str(waits["operation"]), "email=hopper@acme.example")
    (waits,) = staffed.json("queue", "list")["operations"]
    staffed.out("queue", "release", str(waits["operation"]), "--yes")

    assert "hopper@acme.example" == said(staffed, "grace", "email")
    assert "a person: hopper@acme.example" in staffed.out("explain", "grace", "email")
    staffed.out("accounts", "reset", "grace")
    assert "grace@acme.example" == said(staffed, "grace", "email")


def test_release_goes_round_no_objection_to_a_source(staffed):
    """An empty source is set aside by an approval of its run alone, which names it."""
    staffed.change(n1=None, n2=None, n3=None)
    staffed.out("sync", "hr", code=3)
    waits = [str(one["operation"]) for one in staffed.json("queue", "list")["operations"]]
    result = staffed.run("queue", "release", *waits, "--yes")

    assert 64 == result.exit_code
    assert "source-empty" in result.output
    staffed.run("queue", "release", "--all", "--yes")
    assert 3 == active(staffed)


@pytest.mark.parametrize("words", [("retire", "hr", "--preview"), ("undo", "1", "--preview")])
def test_what_was_only_shown_is_not_among_all_that_is_released(staffed, words):
    if words[0] == "retire":
        staffed.without("hr")
    staffed.out(*words)
    staffed.run("queue", "release", "--all", "--yes")

    assert 3 == active(staffed)


@pytest.mark.parametrize("disk", ["whole", "lost"])
def test_after_a_restore_no_number_is_given_twice(staffed, tmp_path, disk):
    """Platforms know accounts by their numbers: somebody new must not become somebody who is there already."""
    staffed.out("db", "backup", str(tmp_path / "copy.db"))
    staffed.out("accounts", "add", "acme", "login=lost")
    lost = staffed.json("accounts", "show", "lost")["account"]
    if disk == "lost":
        for file in staffed.database.parent.glob("syncd.db*"):
            file.unlink()
    staffed.out("db", "restore", str(tmp_path / "copy.db"), "--yes")
    staffed.out("accounts", "add", "acme", "login=found")

    assert lost < staffed.json("accounts", "show", "found")["account"]


def test_the_same_edit_again_and_a_reset_of_nothing_make_no_run(staffed):
    staffed.out("accounts", "edit", "grace", "phone=+4940555", "fax=")
    before = staffed.json("runs")["runs"]
    again = staffed.run("accounts", "edit", "grace", "phone=+4940555", "fax=")
    nothing = staffed.run("accounts", "reset", "grace", "title")

    assert (64, 64) == (again.exit_code, nothing.exit_code)
    assert "is set by hand to just that already: fax, phone" in again.output
    assert "title was not set by hand; what was: fax, phone" in nothing.output
    assert before == staffed.json("runs")["runs"]


def test_what_is_set_by_hand_to_what_the_source_says_is_told_as_that(staffed):
    told = staffed.out("accounts", "edit", "grace", "first_name=Grace")

    assert "only what is set by hand changes; the account says the same" in told


def test_who_is_looked_for_and_is_no_account_yet_is_told_where_to_be_found(staffed):
    staffed.change(n4=("other", "Another", "Grace", "no address"))
    staffed.out("sync", "hr")
    (waits,) = staffed.json("queue", "list")["operations"]

    for text in ("Other", waits["anchor"]):
        assert (
            f"waits in the queue: syncd queue show {waits['operation']}\n"
            in staffed.run("explain", text).output
        )
    edited = staffed.run("accounts", "edit", "nobody", "fax=1").output
    assert "no account with the id or key 'nobody'; see syncd accounts list" in edited
