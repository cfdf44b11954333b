"""A source that has another name keeps its accounts, if the configuration says what it was called."""

from __future__ import annotations

import pytest
from line_world import Site, quiet  # noqa: F401

from syncd.errors import SyncdError

BEFORE = {"limits": {}, "detain": "first-run"}
RENAMED = {**BEFORE, "formerly": "hq"}


@pytest.fixture
def site():
    made = Site(hq=BEFORE)
    made.hire("ann", "ben")
    made.approve(made.plan())
    return made


def configure(site, **sources):
    """Configure sources that read what hq has read, under other names."""
    for name in sources:
        site.worlds[name] = site.world("hq")
    site.configure(**sources)


def owners(site):
    return site.rows(
        "SELECT c.name, l.anchor, l.owner FROM links l JOIN connections c ON c.id = l.connection ORDER BY 1, 2"
    )


def test_its_accounts_stay_its_own_and_nothing_changes(site):
    configure(site, people=RENAMED)
    run = site.sync("people")

    assert ("ended", [], 2) == (run.state, site.operations(run), run.unchanged)
    assert [("people", "ann", 1), ("people", "ben", 1)] == owners(site)


def test_said_only_after_a_first_plan_it_still_counts(site):
    """Whoever forgot it sees a plan in which everybody is linked anew; that plan is superseded."""
    configure(site, people=BEFORE)
    forgotten = site.plan("people")
    configure(site, people=RENAMED)
    run = site.sync("people")

    assert ("held", "superseded") == (forgotten.state, site.run(forgotten.id).state)
    assert ("ended", [], []) == (run.state, site.operations(run), site.operations())
    assert [("people", "ann", 1), ("people", "ben", 1)] == owners(site)
    site.fire("ann", source="people")
    assert [("ann", "disable", "applied")] == site.told(site.sync("people"))


def test_said_after_the_new_name_has_links_it_is_refused_with_the_cure(site):
    configure(site, people=BEFORE)
    site.approve(site.plan("people"))
    configure(site, people=RENAMED)

    with pytest.raises(SyncdError, match=r"source people has accounts of its own.*syncd retire hq"):
        site.plan("people")


def test_once_it_is_renamed_the_word_may_stay(site):
    configure(site, people=RENAMED)
    site.sync("people")

    assert "ended" == site.sync("people").state
