"""What a plan needs of licences, and what the guard says of it: pure figures."""

from hypothesis import given
from hypothesis import strategies as st

from syncd.guard import Limit, Limits, Summary, review
from syncd.model import Change, Licences, Profile

PROFILES = {
    name: Profile(name, frozenset(features))
    for name, features in {"Default": "", "Voice": "v", "Soft": "s", "Both": "vs"}.items()
}
THREE = Licences({"v": 3, "s": 1}, PROFILES)
FREE = Limits.unlimited()


def plan(*changes, users=None, **given):
    return Summary(licences=THREE, users=users or {}, changes=[Change(*one) for one in changes], **given)


def told(summary, limits=FREE):
    return [(one.code, one.scope, one.message) for one in review(summary, limits)]


def test_what_is_free_is_enough():
    assert [] == told(plan((None, "Voice", False, 2), (None, "Both", False, 1)))


def test_what_is_short_is_told_of_each_feature_with_what_is_needed_and_free():
    assert [
        ("too-few-licences:s", "licences", "s: 2 needed, 1 of 1 free (1 short)"),
        ("too-few-licences:v", "licences", "v: 3 needed, 2 of 3 free (1 short)"),
    ] == told(plan((None, "Both", False, 2), (None, "Voice", False, 1), users={"Voice": 1}))


def test_where_more_are_in_use_than_there_are_it_is_said():
    assert ["v: 1 needed, 0 of 3 free (1 short); 2 more are in use than there are"] == [
        message for *_, message in told(plan((None, "Voice", False, 1), users={"Voice": 5}))
    ]


def test_who_gets_fewer_is_no_objection_however_many_are_in_use():
    assert [] == told(plan(("Both", "Voice", False, 2), ("Voice", None, True, 1), users={"Both": 9}))


def test_leavers_make_room_unless_they_are_detained():
    exchange = plan(
        ("Voice", None, True, 3), (None, "Voice", False, 3), users={"Voice": 3}, removals=3, managed=3
    )

    assert [] == told(exchange)
    none = FREE._replace(remove=Limit(count=0))
    assert ["too-few-licences:v", "too-many-removals"] == [code for code, *_ in told(exchange, none)]


def test_a_profile_that_nobody_configured_takes_nothing():
    assert [] == told(plan((None, "Gold", False, 99)))


@given(
    st.dictionaries(st.sampled_from("vs"), st.integers(0, 6)),
    st.dictionaries(st.sampled_from(sorted(PROFILES)), st.integers(0, 4)),
    st.data(),
)
def test_what_is_left_when_the_short_are_detained_fits(counts, users, data):
    """Whoever is active goes from the profile that he has; what needs a feature that is short is left out."""
    licences, changes = Licences(counts, PROFILES), []
    for was, count in users.items():
        going = data.draw(st.integers(0, count))
        will = data.draw(st.sampled_from([None, *sorted(PROFILES)]))
        changes.append(Change(was, will, will is None, going))
    changes.append(
        Change(
            None,
            data.draw(st.sampled_from(sorted(PROFILES))),
            leaves=False,
            users=data.draw(st.integers(0, 5)),
        )
    )
    short = {need.feature for need in licences.short(users, changes)}
    left = [
        one for one in changes if short.isdisjoint(licences.features(one.will) - licences.features(one.was))
    ]
    used = licences.used(users)
    for one in left:
        used.update(dict.fromkeys(licences.features(one.will), one.users))
        used.subtract(dict.fromkeys(licences.features(one.was), one.users))

    assert [] == [
        name for name, there in counts.items() if used[name] > max(there, licences.used(users)[name])
    ]
    assert not licences.short(users, left)
