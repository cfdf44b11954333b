"""The guards judge a whole plan: what they object to, and what they let pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.guard import FEW, Effect, Limit, Limits, Summary, allowed, review

USUAL = Limits()
CALM = Summary(managed=1000, linked=1000, size=1000, sizes=(1000,) * 5)


def codes(plan: Summary, limits: Limits = USUAL) -> list[str]:
    return [one.code for one in review(plan, limits)]


def messages(plan: Summary, limits: Limits = USUAL) -> list[str]:
    return [one.message for one in review(plan, limits)]


def test_a_calm_plan_passes():
    assert [] == review(CALM._replace(adds=10, updates=20, removals=5), USUAL)


@pytest.mark.parametrize(
    ("limit", "total", "most"),
    [
        (Limit(), 1000, None),
        (Limit(percent=5), 1000, 50),
        (Limit(percent=5, count=20), 1000, 20),
        (Limit(percent=5, count=80), 1000, 50),
        (Limit(count=3), 5, 3),
        (Limit(percent=5), 20, 1),
        (Limit(percent=5), 19, 2),
        (Limit(percent=5), 0, 2),
        (Limit(percent=50), 10, 5),
        (Limit(percent=0), 10, 0),
        (Limit(percent=5, count=1), 10, 1),
        (Limit(percent=5, per_day=1), 1000, 50),
    ],
)
def test_the_lowest_limit_wins_and_a_percentage_of_few_is_two(limit, total, most):
    assert most == allowed(limit, total)


class TestTheSource:
    def test_an_empty_source_holds_the_run(self):
        plan = CALM._replace(size=0)

        assert ["source-empty"] == codes(plan, Limits.unlimited())
        assert ["the source is empty, and 1000 accounts come from it"] == messages(plan)

    def test_an_empty_source_that_nothing_came_from_is_no_surprise(self):
        assert [] == codes(CALM._replace(size=0, managed=0, linked=0, sizes=()))

    @pytest.mark.parametrize(
        ("size", "sizes", "expected"),
        [
            (800, (1000,) * 5, []),
            (799, (1000,) * 5, ["source-shrunk"]),
            (799, (), []),
            (None, (1000,) * 5, []),
            (100, (1000, 1000, 1000, 1000, 100, 100, 100), []),
            (2, (4,), []),
            (1, (4,), ["source-shrunk"]),
        ],
        ids=["a fifth", "more", "the first", "incomplete", "the last five", "two fewer", "three fewer"],
    )
    def test_a_source_that_shrank_holds_the_run(self, size, sizes, expected):
        assert expected == codes(CALM._replace(managed=10, size=size, sizes=sizes))

    def test_how_much_a_source_shrank_is_told(self):
        assert ["the source has 700 entries, and 1000 were usual: more than 20 percent fewer"] == messages(
            CALM._replace(size=700)
        )

    @pytest.mark.parametrize(
        ("there", "leaving", "expected"),
        [(100, 50, []), (100, 51, ["container-emptied"]), (2, 2, []), (3, 3, ["container-emptied"])],
    )
    def test_a_container_that_is_emptied_holds_the_run(self, there, leaving, expected):
        plan = CALM._replace(containers={"OU=North": (there, leaving), "OU=South": (50, 1)})

        assert expected == codes(plan)
        assert [] == codes(plan, Limits.unlimited())

    @pytest.mark.parametrize(
        ("moves", "linked", "expected"),
        [(500, 1000, []), (501, 1000, ["anchors-new"]), (2, 2, []), (3, 3, ["anchors-new"])],
    )
    def test_new_anchors_for_most_accounts_hold_the_run(self, moves, linked, expected):
        assert expected == codes(CALM._replace(moves=moves, linked=linked, size=None))

    def test_what_a_person_asked_for_is_not_held_for_its_source(self):
        plan = Summary(
            kind="manual", managed=10, linked=10, size=0, sizes=(50,), detain="always", updates=1, moves=9
        )

        assert [] == codes(plan._replace(containers={"OU=North": (9, 9)}))


class TestAgreement:
    @pytest.mark.parametrize("change", [{"adds": 1}, {"updates": 1}, {"removals": 1}])
    @pytest.mark.parametrize(
        ("detain", "first", "expected"),
        [
            ("always", False, ["detain-always"]),
            ("always", True, ["detain-always"]),
            ("first-run", True, ["first-run"]),
            ("first-run", False, []),
            ("never", True, []),
        ],
    )
    def test_a_person_has_to_agree(self, detain, first, expected, change):
        assert expected == codes(CALM._replace(detain=detain, first=first, **change))

    def test_to_an_empty_plan_nobody_has_to_agree(self):
        assert [] == codes(CALM._replace(detain="always", first=True))


class TestRemovals:
    def test_too_many_detain_the_removals_and_let_the_rest_go_on(self):
        plan = CALM._replace(adds=9, removals=51)
        (one,) = review(plan, USUAL)

        assert ("too-many-removals", "removals") == (one.code, one.scope)
        assert "51 of 1000 accounts would be removed, and at most 50 may be" == one.message

    def test_many_small_plans_cannot_do_what_one_large_plan_may_not(self):
        plan = CALM._replace(removals=1, removed_today=100)
        (one,) = review(plan, USUAL)

        assert ("too-many-removals-today", "removals") == (one.code, one.scope)
        assert [] == codes(plan._replace(removed_today=99))
        assert [] == codes(CALM._replace(removals=50)), "as many as are allowed"

    def test_without_a_removal_the_day_does_not_matter(self):
        assert [] == codes(CALM._replace(removed_today=1000))

    def test_removals_that_a_person_asked_for_are_judged_as_well(self):
        assert ["too-many-removals"] == codes(Summary(kind="undo", managed=1000, removals=51))


def on_platform(there: int = 100, limits: Limits = USUAL, **counts: int) -> Summary:
    return CALM._replace(effects=[Effect(platform="pbx", there=there, limits=limits, **counts)])


KINDS = [("add", "appear", "adds"), ("update", "change", "updates"), ("remove", "vanish", "removals")]


class TestPlatforms:
    @pytest.mark.parametrize(
        ("counts", "code", "scope", "message"),
        [
            (
                {"appear": 31},
                "too-many-adds:pbx",
                "run",
                "31 accounts would appear on platform pbx, 100 are there, and at most 30 may",
            ),
            (
                {"change": 31},
                "too-many-updates:pbx",
                "run",
                "31 of 100 accounts would change on platform pbx, and at most 30 may",
            ),
            (
                {"vanish": 6},
                "too-many-removals:pbx",
                "removals",
                "6 of 100 accounts would vanish from platform pbx, and at most 5 may",
            ),
            (
                {"vanish": 1, "vanished_today": 100},
                "too-many-removals-today:pbx",
                "removals",
                (
                    "1 of 100 accounts would vanish from platform pbx, 100 did in the last 24 hours, "
                    "and at most 100 may in a day"
                ),
            ),
        ],
    )
    def test_what_becomes_of_a_platform_is_judged_by_its_own_limits(self, counts, code, scope, message):
        (one,) = review(on_platform(**counts), Limits.unlimited())

        assert (code, scope, message) == (one.code, one.scope, one.message)

    @pytest.mark.parametrize(("kind", "count", "code"), KINDS)
    @pytest.mark.parametrize("limit", [Limit(percent=5), Limit(count=5), Limit(percent=50, count=5)])
    @pytest.mark.parametrize("beyond", [-1, 0, 1])
    def test_as_many_as_the_limit_may_and_no_more(self, kind, count, code, limit, beyond):
        limits = Limits.unlimited()._replace(**{kind: limit})
        expected = [f"too-many-{code}:pbx"] if beyond > 0 else []

        assert expected == codes(on_platform(limits=limits, **{count: 5 + beyond}))

    @pytest.mark.parametrize(("kind", "count", "code"), KINDS)
    @pytest.mark.parametrize("beyond", [-1, 0, 1])
    def test_a_day_has_a_sum_as_well(self, kind, count, code, beyond):
        limits = Limits.unlimited()._replace(**{kind: Limit(per_day=10)})
        today = {"appear": "appeared_today", "change": "changed_today", "vanish": "vanished_today"}[count]
        expected = [f"too-many-{code}-today:pbx"] if beyond > 0 else []

        assert expected == codes(on_platform(limits=limits, **{count: 4, today: 6 + beyond}))
        assert [] == codes(on_platform(limits=limits, **{today: 100})), "nothing more is planned"

    def test_a_platform_that_is_filled_for_the_first_time_may_get_any_number(self):
        none = Limits(add=Limit(count=0, per_day=0), update=Limit(count=0, per_day=0))

        assert [] == codes(on_platform(there=0, limits=none, appear=1000))
        assert ["too-many-adds-today:pbx", "too-many-adds:pbx"] == codes(
            on_platform(there=1, limits=none, appear=1000)
        )

    def test_nor_is_what_the_first_plan_of_a_source_brings_a_surprise(self):
        plan = on_platform(appear=99, change=99, vanish=99)._replace(first=True)

        assert ["too-many-removals:pbx"] == codes(plan)

    def test_each_platform_is_judged_by_itself(self):
        few = Limits(remove=Limit(count=2))
        effects = [
            Effect(platform="pbx", there=100, appear=30, vanish=3, limits=few),
            Effect(platform="xmpp", there=100, vanish=5, limits=Limits()),
            Effect(platform="scim", there=0, appear=9, limits=Limits(remove=Limit(count=0))),
            Effect(platform="file", there=9, appear=99, change=9, vanish=9, limits=Limits.unlimited()),
        ]

        assert ["too-many-removals:pbx"] == codes(CALM._replace(effects=effects))


class TestOtherChanges:
    @pytest.mark.parametrize(
        ("plan", "expected"),
        [
            ({"adds": 301}, ["too-many-adds"]),
            ({"updates": 301}, ["too-many-updates"]),
            ({"adds": 300, "updates": 300}, []),
            ({"adds": 301, "updates": 301, "first": True}, []),
        ],
    )
    def test_too_many_hold_the_run_but_not_the_first(self, plan, expected):
        assert expected == codes(CALM._replace(**plan))

    @pytest.mark.parametrize("kind", ["add", "update"])
    def test_a_day_has_a_sum_as_well(self, kind):
        limits = Limits(**{kind: Limit(per_day=100)})
        done = {"add": "added_today", "update": "updated_today"}[kind]

        assert [f"too-many-{kind}s-today"] == codes(CALM._replace(**{f"{kind}s": 1, done: 100}), limits)
        assert [] == codes(CALM._replace(**{f"{kind}s": 1, done: 99}), limits)
        assert [] == codes(CALM._replace(**{done: 1000}), limits), "nothing more is planned"

    def test_a_source_that_owns_nobody_is_judged_by_those_whom_it_adds_to(self):
        adds = CALM._replace(managed=0)

        assert [] == codes(adds._replace(updates=300, moves=500))
        assert ["too-many-updates"] == codes(adds._replace(updates=301))
        assert ["anchors-new"] == codes(adds._replace(moves=501))
        assert ["source-empty"] == codes(adds._replace(size=0))
        assert ["too-many-removals"] == codes(adds._replace(removals=3)), "no account is its own to remove"

    def test_a_count_means_what_it_says(self):
        limits = Limits(add=Limit(count=1))

        assert ["2 adds are planned, 1000 accounts are linked, and at most 1 may be"] == messages(
            CALM._replace(adds=2), limits
        )

    def test_without_limits_everything_passes(self):
        plan = CALM._replace(adds=10**6, updates=10**6, removals=10**6, size=1, removed_today=10**6)

        assert [] == codes(plan, Limits.unlimited())


def test_a_plugin_that_did_not_load_holds_every_run():
    plan = Summary(kind="manual", broken_plugins=["acme_hr"])
    (one,) = review(plan, Limits.unlimited())

    assert ("plugin-missing", "run") == (one.code, one.scope)
    assert "acme_hr" in one.message


LIMIT = st.builds(
    Limit,
    percent=st.none() | st.floats(0, 100),
    count=st.none() | st.integers(0, 40),
    per_day=st.none() | st.integers(0, 60),
)
LIMITS = st.builds(
    Limits,
    remove=LIMIT,
    add=LIMIT,
    update=LIMIT,
    container=st.none() | st.floats(0, 100),
)
COUNTS = st.integers(0, 60)
PLATFORMS = st.lists(
    st.builds(
        Effect,
        platform=st.sampled_from("abc"),
        there=COUNTS,
        appear=COUNTS,
        change=COUNTS,
        vanish=COUNTS,
        appeared_today=COUNTS,
        changed_today=COUNTS,
        vanished_today=COUNTS,
        limits=LIMITS,
    ),
    max_size=3,
    unique_by=lambda effect: effect.platform,
)
PLANS = st.builds(
    Summary,
    kind=st.sampled_from(["sync", "manual", "undo", "policy"]),
    adds=COUNTS,
    updates=COUNTS,
    removals=COUNTS,
    moves=COUNTS,
    managed=COUNTS,
    linked=COUNTS,
    removed_today=COUNTS,
    size=st.none() | COUNTS,
    sizes=st.lists(COUNTS, max_size=6),
    first=st.booleans(),
    detain=st.sampled_from(["never", "first-run", "always"]),
    containers=st.dictionaries(st.sampled_from("xyz"), st.tuples(COUNTS, COUNTS)),
    effects=PLATFORMS,
    broken_plugins=st.lists(st.sampled_from(["p", "q", "r"])),
)


@given(PLANS, LIMITS, COUNTS)
def test_more_removals_never_lose_an_objection(plan, limits, more):
    """Nor do more that vanish from platforms or from containers, nor more that were removed today."""
    worse = plan._replace(
        removals=plan.removals + more,
        removed_today=plan.removed_today + more,
        containers={name: (whole, going + more) for name, (whole, going) in plan.containers.items()},
        effects=[
            effect._replace(vanish=effect.vanish + more, vanished_today=effect.vanished_today + more)
            for effect in plan.effects
        ],
    )

    assert set(codes(plan, limits)) <= set(codes(worse, limits))


@given(PLANS, LIMITS)
def test_no_plan_passes_the_limit_of_a_platform(plan, limits):
    """What is not objected to keeps to every limit: of the plan, and of the day."""
    heard = set(codes(plan, limits))
    for effect in plan.effects:
        today = (effect.appeared_today, effect.changed_today, effect.vanished_today)
        free = plan.first or not effect.there
        for (kind, name, code), done in zip(KINDS, today, strict=True):
            limit, count = getattr(effect.limits, kind), getattr(effect, name)
            few, too_many = effect.there < FEW, f"too-many-{code}:{effect.platform}"
            share = effect.there * (limit.percent or 0) / 100
            fits = limit.percent is None or count <= max(share, 2 if few and limit.percent else 0)
            fits = fits and (limit.count is None or count <= limit.count)
            in_time = not count or limit.per_day is None or done + count <= limit.per_day
            exempt = free and kind != "remove"
            assert (exempt or fits) == (too_many not in heard)
            assert (exempt or in_time) == (too_many.replace(":", "-today:") not in heard)


@given(PLANS, LIMITS)
def test_the_order_in_which_things_are_told_does_not_matter(plan, limits):
    other = plan._replace(
        containers=dict(reversed(plan.containers.items())),
        effects=[*reversed(plan.effects)],
        broken_plugins=[*reversed(plan.broken_plugins)],
    )

    assert review(plan, limits) == review(other, limits) == sorted(review(plan, limits))


@given(PLANS, LIMITS)
def test_stricter_limits_never_lose_an_objection(plan, limits):
    strict = limits._replace(remove=Limit(percent=0, count=0, per_day=0), container=0.0)

    assert set(codes(plan, limits)) <= set(codes(plan, strict))


@given(PLANS, LIMITS)
def test_an_objection_is_to_the_run_or_to_its_removals(plan, limits):
    assert {one.scope for one in review(plan, limits)} <= {"run", "removals"}
