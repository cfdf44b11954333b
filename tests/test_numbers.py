"""Extensions: allocated once, kept, contested by name, and nobody's twice."""

from __future__ import annotations

import json

import pytest
from line_world import PLAIN, Site
from line_world import quiet as quiet  # noqa: PLC0414 - a fixture

from syncd.pipeline import line, people, queue
from syncd.store import applying
from syncd.store.renumbering import renumbered


def desk(allocate, **more):
    """Return tables with a template for everybody."""
    names = {"extension": allocate} if isinstance(allocate, str) else allocate
    return {"template": {"desk": {"allocate": names, **more}}, "role": {"sales": {"template": "desk"}}}


def site_of(allocate, *, hq=None, top=None, **sources):
    made = {name: {"role": "sales", **keys} for name, keys in {"hq": hq or {}, **sources}.items()}
    return Site(top={**desk(allocate), **(top or {})}, **made)


def numbers(site, source="hq", attribute="extension"):
    return {anchor: one.attributes.get(attribute) for anchor, one in site.linked(source).items()}


# --- which number ---


@pytest.mark.parametrize(
    ("allocate", "expected"),
    [
        ("200-299", ["200", "201", "202", "203"]),
        ("200-", ["200", "201", "202", "203"]),
        ("270-271,200-249", ["270", "271", "200", "201"]),
        ("9998-,0200-0299", ["9998", "9999", "0200", "0201"]),
        ("0098-", ["0098", "0099", "0100", "0101"]),
    ],
)
def test_the_ranges_of_a_template_are_used_one_after_the_other(allocate, expected):
    site = site_of(allocate)
    site.hire("a", "b", "c", "d")

    site.sync()

    assert expected == [numbers(site)[anchor] for anchor in "abcd"]
    assert [] == site.operations(site.sync())
    assert site.claimed() == site.taken()


def test_a_start_alone_never_leads_to_numbers_with_more_digits():
    """200 and 2000 cannot both be dialled, so a range does not grow into another length."""
    site = site_of("98-")
    site.hire("a", "b", "c")

    site.sync()

    (fault,) = site.open_one("c").faults
    assert "no number of 98-99 is free for extension: extend [template.desk] allocate" in fault.message


def test_soft_telephones_and_public_numbers_are_allocated_as_well():
    site = site_of({"extension": "200-", "softphone_extension": "600-", "did": "4940123200-4940123299"})
    site.hire("a", "b")

    site.sync()

    assert {"a": "600", "b": "601"} == numbers(site, attribute="softphone_extension")
    assert {"a": "4940123200", "b": "4940123201"} == numbers(site, attribute="did")


def test_what_the_preview_shows_is_what_is_applied_however_often_it_is_planned():
    site = site_of("200-", hq={"detain": "always"})
    site.hire("a", "b")
    first = site.plan()
    shown = {one.anchor: json.loads(one.after)["extension"] for one in site.operations(first)}

    again = site.plan()
    site.approve(again)

    assert (first.id, first.plan_hash) == (again.id, again.plan_hash)
    assert {"a": "200", "b": "201"} == shown == numbers(site)


def test_who_waits_keeps_the_number_that_was_shown_even_if_the_source_says_something_new():
    site = site_of("200-", top={"departments": ["Sales"]}, hq={"map": {**PLAIN["map"], "department": "d"}})
    site.hire("a", "b", d="Sales")
    site.hire("c", d="Alchemy", ext="")
    plan = site.plan()
    site.apply(plan)
    site.world().change("c", d="Magic")
    site.sync()

    queue.release(site.here, [site.open_one("c").id])

    assert {"a": "200", "b": "201", "c": "202"} == numbers(site)


def test_a_number_that_another_open_plan_gives_to_an_account_that_exists_is_given_to_nobody():
    site = site_of("200-", lab={"detain": "always"})
    site.hire("x", source="lab", ext="900")
    site.approve(site.plan("lab"))
    site.world("lab").change("x", ext="200")
    held = site.plan("lab")
    site.hire("a")

    site.sync()
    site.approve(held)

    assert ({"a": "201"}, {"x": "200"}) == (numbers(site), numbers(site, "lab"))
    assert [] == site.operations()


# --- the template's number and the source's ---


def test_the_number_of_the_source_is_used_unless_the_template_wins():
    yields, wins = site_of("200-"), site_of("200-", top=desk("200-", wins=["extension"]))
    for site in (yields, wins):
        site.hire("a", ext="777")
        site.sync()

    assert ({"a": "777"}, {"a": "200"}) == (numbers(yields), numbers(wins))


def test_what_a_template_wins_it_has_won_for_good_and_no_update_allocates():
    """The vendor's rule: used for new people only; what the source says of the number later changes nothing."""
    site = site_of("200-", top=desk("200-", wins=["extension"]))
    site.hire("a", ext="777")
    site.sync()
    site.world().change("a", ext="778", sn="Changed")
    site.sync()
    assert ("200", "Changed") == tuple(
        site.person("a").attributes[name] for name in ("extension", "last_name")
    )

    site.configure(top=desk("500-599", wins=["extension"]), hq={"role": "sales"})
    site.world().change("a", sn="Changed again")
    site.hire("b", ext="200")
    site.sync()

    assert {"a": "200", "b": "500"} == numbers(site)
    assert [] == site.operations()


# --- who has it already ---


def conflict():
    """Return a site in which lab wants the extension that hq has."""
    site = Site(hq={}, lab={})
    site.hire("ann", ext="200")
    site.sync()
    site.hire("ben", source="lab", ext="200")
    site.sync("lab")
    return site


def test_a_conflict_names_both_owners_and_their_sources():
    site = conflict()

    (fault,) = site.open_one("ben").faults

    assert ("key_taken", "detained") == (fault.code, fault.held)
    assert (
        f"extension '200' belongs to account {site.person('ann').id} of hq, Ann (ann), "
        "and is wanted by entry ben of lab, Ben (ben)"
    ) == fault.message


def test_a_conflict_is_asked_once_whatever_its_owner_is_called():
    site = conflict()
    number = site.open_one("ben").id
    site.world().change("ann", sn="Married")
    site.sync()
    site.sync("lab")
    assert number == site.open_one("ben").id

    queue.discard(site.here, [number])
    site.world().change("ann", sn="Divorced")
    site.sync()
    site.sync("lab")

    assert [] == site.operations()


@pytest.mark.parametrize("way", ["changed", "gone", "given up"])
def test_a_conflict_ends_by_itself_when_one_of_both_lets_go(way):
    site = conflict()
    if way == "changed":
        site.world().change("ann", ext="201")
        site.sync()
    elif way == "gone":
        people.delete(site.here, site.person("ann").id)
    else:
        site.world("lab").change("ben", ext="202")

    site.sync("lab")

    assert [] == site.operations()
    assert {"ben": "202" if way == "given up" else "200"} == numbers(site, "lab")
    assert site.claimed() == site.taken()


def test_of_many_who_want_one_number_some_are_named():
    site = Site()
    site.hire(*"abcde", ext="200")
    site.sync()

    (fault,) = site.open_one("e").faults

    assert fault.message.endswith("by entry b of hq, B (b), by entry c of hq, C (c), and by 2 more")


SOFT = {"map": {**PLAIN["map"], "softphone_extension": "soft"}}


def test_the_number_of_a_soft_telephone_is_nobody_elses_on_the_desk():
    """Both are dialled alike; who has the same number on both telephones is one person."""
    site = Site(hq=SOFT)
    site.hire("ann", ext="200", soft="200")
    site.sync()
    site.hire("ben", ext="300", soft="200")
    site.hire("cat", ext="400", soft="500")
    site.hire("dan", ext="500")

    site.sync()

    assert {"ann": "200"} == numbers(site)
    assert "extension '200' belongs to account" in site.open_one("ben").faults[0].message
    for anchor in ("cat", "dan"):
        message = site.open_one(anchor).faults[0].message
        assert (
            "extension '500' is wanted by entry cat of hq, Cat (cat), and by entry dan of hq, Dan (dan)"
            == message
        )

    site.world().change("ann", soft="", ext="201")
    site.world().change("cat", soft="501")
    site.sync()

    assert {"ann": "201", "ben": "300", "cat": "400", "dan": "500"} == numbers(site)
    assert [] == site.operations()


def test_a_desk_and_a_soft_telephone_get_two_numbers_from_one_range():
    site = site_of({"extension": "200-", "softphone_extension": "200-"})
    site.hire("a", "b")

    site.sync()

    assert {"a": ("200", "201"), "b": ("202", "203")} == {
        anchor: (one.attributes["extension"], one.attributes["softphone_extension"])
        for anchor, one in site.linked().items()
    }


def test_a_soft_telephone_that_was_planned_waits_if_its_number_was_taken_for_a_desk_meanwhile():
    site = Site(hq={**SOFT, "detain": "always"})
    site.hire("ann", soft="200")
    plan = site.plan()
    people.add(site.here, "acme", {"login": "door", "extension": "200"})

    site.approve(plan)

    assert "extension '200' belongs to account" in site.open_one("ann").faults[-1].message


@pytest.mark.parametrize("order", ["AB", "BA"])
def test_a_number_moves_between_the_people_of_two_sources_in_two_runs(order):
    """Whichever is read first: who wants it before it is let go waits for the other."""
    site = Site(hq={}, lab={})
    site.hire("ann", ext="200")
    site.hire("ben", source="lab", ext="300")
    site.sync()
    site.sync("lab")
    site.world().change("ann", ext="201")
    site.world("lab").change("ben", ext="200")

    for source in order + order:
        site.sync("hq" if source == "A" else "lab")

    assert ({"ann": "201"}, {"ben": "200"}) == (numbers(site), numbers(site, "lab"))
    assert [] == site.operations()


def test_a_swap_across_two_sources_waits_for_a_person_and_names_both_in_each():
    """No run sees both halves: each wants what the other has, and says so."""
    site = Site(hq={}, lab={})
    site.hire("ann", ext="200")
    site.hire("ben", source="lab", ext="300")
    for source in ("hq", "lab"):
        site.sync(source)
    site.world().change("ann", ext="300")
    site.world("lab").change("ben", ext="200")
    for source in ("hq", "lab"):
        site.sync(source)
    for anchor in ("ann", "ben"):
        message = site.open_one(anchor).faults[0].message
        assert "Ann (ann)" in message
        assert "Ben (ben)" in message

    people.edit(site.here, site.person("ann").id, {"extension": None})
    for source in ("lab", "hq"):
        site.sync(source)
    people.reset(site.here, site.person("ann").id, ())

    assert ({"ann": "300"}, {"ben": "200"}) == (numbers(site), numbers(site, "lab"))
    assert [] == site.operations()


# --- who restarts the client ---


def told_of(site, monkeypatch, work):
    """Return the events that observers are told while something is done."""
    events = []
    with monkeypatch.context() as patch:
        patch.setattr(site.here.plugins.hooks, "observe", events.append)
        work()
    return [one for one in events if one.name == "extensions_changed"]


def test_whose_extension_has_changed_is_told_once_it_is_committed(monkeypatch):
    """Not of new people, nor of other changes; of soft telephones as well; by number, never by name."""
    site = Site(hq={"map": {**PLAIN["map"], "softphone_extension": "soft"}})
    site.hire("a", "b", "c", "d")
    for anchor, number in zip("abc", ("200", "201", "202"), strict=True):
        site.world().change(anchor, ext=number, soft="6" + number)
    assert [] == told_of(site, monkeypatch, site.sync)
    site.world().change("a", ext="300")
    site.world().change("b", soft="")
    site.world().change("c", sn="Changed")
    site.hire("e", ext="200")

    (event,) = told_of(site, monkeypatch, site.sync)

    a, b = site.person("a").id, site.person("b").id
    run = event.fields["run"]
    assert {"run": run, "count": 2, "accounts": [a, b]} == event.fields
    assert 2 == site.run(run).counts["extensions_changed"]
    assert [(a, "extension", "200", "300"), (b, "softphone_extension", "6201", None)] == renumbered(
        site.database.conn, run
    )
    assert "extensions_changed" not in site.sync().counts


def test_a_killed_process_leaves_nobody_untold(monkeypatch):
    """What it applied counts for the run that goes on."""
    site = Site()
    site.hire("a", "b", ext="")
    site.sync()
    site.world().change("a", ext="200")
    site.world().change("b", ext="201")
    monkeypatch.setattr(applying, "CHUNK", 1)
    run = site.plan()
    with monkeypatch.context() as patch:
        patch.setattr(applying, "end", raising)
        with pytest.raises(KeyboardInterrupt):
            site.apply(run)

    (event,) = told_of(site, monkeypatch, lambda: line.resume(site.here))

    assert 2 == event.fields["count"]


def raising(*_):
    raise KeyboardInterrupt
