"""What is told of a source whose proposal a standing decision keeps away: what it says, why, how to end it."""

import cli_world
import pytest
from line_world import PLAIN, UNLIMITED, Site, quiet  # noqa: F401

from syncd.pipeline import queue
from syncd.pipeline.explaining import explain, kept_away
from syncd.pipeline.undoing import plan_undo

office = cli_world.office

ASKS = {"map": {**PLAIN["map"], "last_name": {"from": "sn", "policy": "detain"}}}


def voices(site, account, attribute):
    """Return (layer, what counts of it, what it says, whether it won) of one attribute."""
    (one,) = [one for one in explain(site.here, account) if one.attribute == attribute]
    return [(voice.layer, voice.value, voice.says, voice.won) for voice in one.voices]


def says(site, account):
    """Return what decisions keep away from an account: (kind, what the source says of the last name)."""
    return [(one.kind, (one.says or {}).get("last_name")) for one in kept_away(site.here, account)]


@pytest.fixture
def undone(office):
    """Grace has another name and no address any more, and Alan is gone; all of that was undone."""
    office.begin()
    office.later(days=1)
    office.change(n2=("grace", "Grace", "Brewster", ""), n3=None)
    office.out("sync", "hr")
    office.out("undo", "4", "--yes", "--why", "the wrong export")
    office.out("sync", "hr")
    return office


def test_what_the_source_says_is_told_and_what_keeps_it_away(undone):
    assert """\
account 2: Grace Hopper (grace), active
  company: Acme   (operation 2 of run 1, 2026-01-05 09:00)
    * template: Acme
  email: grace@acme.example   (operation 8 of run 5, 2026-01-06 09:00)
    * hr: grace@acme.example   <- from = "mail", via = ["lower"]
      hr says - by now, which is kept away
  first_name: Grace   (operation 2 of run 1, 2026-01-05 09:00)
    * hr: Grace   <- first
  last_name: Hopper   (operation 8 of run 5, 2026-01-06 09:00)
    * hr: Hopper   <- last
      hr says Brewster by now, which is kept away
  login: grace   (operation 2 of run 1, 2026-01-05 09:00)
    * hr: grace   <- login
  role: employee   (operation 2 of run 1, 2026-01-05 09:00)
    * template: employee
kept away
  hr asks to update (entry 2)
    undone by run 5, by kim, 2026-01-06 09:00: the wrong export
    until the source's value changes, or you end it:
      syncd queue unignore hr 2   (the next full read asks again)
      syncd undo 5   (takes back all of run 5)
linked to hr
  (entry)             2
  (owns the account)  yes
decisions
  undo by kim, 2026-01-06 09:00: the wrong export
platforms
  phonebook: done, as 2
""" == undone.out("explain", "grace")
    assert "\nkept away\n" in undone.out("explain", "grace", "last_name")
    assert "kept away" not in undone.out("explain", "grace", "login")
    assert "kept away\n  hr asks to disable (entry 3)\n" in undone.out("explain", "alan")


def test_the_document_has_both_values_and_the_decision(undone):
    document = undone.json("explain", "grace", "last_name")
    (attribute,), (away,) = document["attributes"], document["kept_away"]

    assert [("hr", "Hopper", "Brewster", away["id"])] == [
        (one["layer"], one["value"], one["says"], one["decision"]) for one in attribute["layers"]
    ]
    assert ("undo", "kim", "the wrong export", 5) == tuple(away[key] for key in ("verb", "who", "why", "run"))
    assert ["syncd queue unignore hr 2", "syncd undo 5"] == away["end"]


def test_each_of_the_commands_ends_it(undone):
    first, second = (
        command.split()[1:] for command in undone.json("explain", "grace")["kept_away"][0]["end"]
    )
    undone.out(*first)
    undone.out("sync", "hr", "--full")

    assert "Brewster" == undone.json("accounts", "show", "grace")["attributes"]["last_name"]
    assert [] == undone.json("explain", "grace")["kept_away"]
    undone.out(*second, "--yes")
    assert [] == undone.json("explain", "alan")["kept_away"]
    assert ["missing"] == undone.json("explain", "alan")["disabled_by"]


def test_a_changed_value_ends_it(undone):
    undone.change(n2=("grace", "Grace", "Murray", "grace@acme.example"))
    undone.out("sync", "hr")

    assert "kept away" not in undone.out("explain", "grace")
    assert "  last_name: Murray " in undone.out("explain", "grace")


def test_an_attribute_that_nobody_else_speaks_of_is_told_as_well():
    site = Site()
    site.hired(2)
    site.world().change("p000", tel="1")
    site.apply(plan_undo(site.here, site.sync().id))

    assert [("hq", None, "1", False)] == voices(site, site.person("p000").id, "phone")


def test_what_a_person_has_edited_is_not_what_the_source_says():
    site = Site(hq=ASKS)
    site.hired(2)
    site.world().change("p000", sn="Said")
    site.sync()
    queue.edit(site.here, site.open_one("p000").id, {"last_name": "Edited"})
    (released,) = queue.release(site.here, [site.open_one("p000").id])
    account = site.person("p000").id
    before = voices(site, account, "last_name")
    site.apply(plan_undo(site.here, released.id))

    assert [("hq", "Edited", "Said", True)] == before
    assert [("hq", "P000", "Said", True)] == voices(site, account, "last_name")
    assert [] == site.operations(site.sync())
    assert [("update", "Said")] == says(site, account)


def test_what_was_edited_is_told_until_the_source_proposes_anew():
    """Also of a leaver, and where the release was undone and that undone; what was merely released is nobody's edit."""
    site = Site(hq=ASKS)
    site.hired(2)
    site.world().change("p000", sn="Said", mail="")
    site.world().change("p001", sn="Released")
    site.sync()
    edited = queue.edit(site.here, site.open_one("p000").id, {"last_name": "Edited"})
    (number,) = [one.id for one in site.operations(edited)]
    (released,) = queue.release(site.here, [one.id for one in site.operations()])
    account = site.person("p000").id
    undone = site.apply(plan_undo(site.here, released.id))
    site.apply(plan_undo(site.here, undone.id))
    site.fire("p000")
    site.sync()

    assert [("hq", "Edited", "Said", number)] == told(site, account, "last_name")
    assert [("hq", "Released", "Released", None)] == told(site, site.person("p001").id, "last_name")
    site.hire("p000", sn="Said", tel="1")
    site.sync()
    queue.release(site.here, [site.open_one("p000").id])
    assert [("hq", "Said", "Said", None)] == told(site, account, "last_name")


def told(site, account, attribute):
    (one,) = [one for one in explain(site.here, account) if one.attribute == attribute]
    return [(voice.layer, voice.value, voice.says, voice.edited) for voice in one.voices]


def test_the_verb_tells_an_edited_value_from_that_of_the_source(office):
    office.begin()
    office.set('last_name = "last"', 'last_name = { from = "last", policy = "detain" }')
    office.change(n2=("grace", "Grace", "Brewster", "grace@acme.example"))
    office.out("sync", "hr")
    (asks,) = office.json("queue", "list")["operations"]
    office.out("queue", "edit", str(asks["operation"]), "last_name=Murray")
    (edited,) = office.json("queue", "list")["operations"]
    office.out("queue", "release", str(edited["operation"]), "--yes")

    shown = office.out("explain", "grace", "last_name")
    assert f"      hr says Brewster, edited in operation {edited['operation']}\n" in shown
    assert "    * hr: Murray " in shown
    (layer,) = office.json("explain", "grace", "last_name")["attributes"][0]["layers"]
    assert ("Murray", "Brewster", edited["operation"], None) == tuple(
        layer[key] for key in ("value", "says", "edited", "decision")
    )


def test_discarded_proposals_for_an_account_are_told_whether_or_not_it_is_linked():
    site = Site(hq=ASKS, lab={"detain": "always"})
    site.hired(2)
    site.world().change("p000", sn="Said")
    site.hire("x", source="lab", uid="p000", sn="Of the lab")
    site.sync()
    held = site.plan("lab")
    account = site.person("p000").id
    queue.discard(site.here, [site.open_one("p000").id, *(one.id for one in site.operations(held))])

    assert [("update", "Of the lab"), ("update", "Said")] == says(site, account)
    assert [("hq", "P000", "Said", True)] == voices(site, account, "last_name")
    assert [("syncd queue unignore lab x",), ("syncd queue unignore hq p000",)] == [
        one.end for one in kept_away(site.here, account)
    ]


def test_a_removal_that_was_discarded_says_nothing_of_values():
    site = Site(hq={"limits": {**UNLIMITED, "remove": {"count": 0}}})
    site.hired(3)
    site.fire("p001")
    site.sync()
    queue.discard(site.here, [site.open_one("p001").id])
    account = site.person("p001").id

    assert [("disable", None)] == says(site, account)
    assert [("hq", "P001", "P001", True)] == voices(site, account, "last_name")


def test_what_disabled_an_account_and_enabled_it_again_is_told(undone):
    """Of somebody who was never anything but active, nothing is told of that."""
    undone.out("accounts", "disable", "grace")
    disabled = undone.out("explain", "grace").splitlines()[:2]
    undone.out("accounts", "enable", "grace")

    assert [
        "account 2: Grace Hopper (grace), disabled (local)",
        "  disabled (local)   (operation 11 of run 7, 2026-01-06 09:00)",
    ] == disabled
    assert "\n  active   (operation 12 of run 8, " in undone.out("explain", "grace")
    assert {"operation": 12, "run": 8} == {
        name: undone.json("explain", "grace")["state"][name] for name in ("operation", "run")
    }
    assert undone.json("explain", "ada")["state"] is None
