"""Licences: the whole plan's demand is judged before the first write, and nobody takes one that there is not."""

from contextlib import suppress

import pytest
from companies import ONE_SOURCE, PHONEBOOK, Company
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.errors import ConfigError, SyncdError
from syncd.pipeline import people, queue
from syncd.pipeline.line import apply_run
from syncd.pipeline.metrics import Counters, families
from syncd.pipeline.policy import settle_policy
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink
from syncd.pipeline.watching import standing
from syncd.store.licences import users_by_profile
from syncd.store.runs import runs

LICENCES = """
[licence.voicemail]
count = {voicemail}
[licence.softphone]
count = 1
[feature_profile.Standard]
description = "A desk phone with a mailbox"
licences = ["voicemail"]
[feature_profile.Mobile]
licences = ["softphone"]
[feature_profile.Both]
licences = ["voicemail", "softphone"]
"""
STAFF = ONE_SOURCE + 'feature_profile = {{ from = "profile", default = "Standard" }}\n'


PLATFORM = PHONEBOOK + 'limits = {{ remove = "off", add = "off", update = "off" }}\n'


def configured(voicemail=3, staff=STAFF):
    return LICENCES.replace("{voicemail}", str(voicemail)) + staff + PLATFORM


def twofold(text):
    """Return a configuration with a second enterprise that is like the first."""
    second = text.replace("acme", "beta").replace("source.hq", "source.b").replace('["hq"]', '["b"]')
    return text + second.replace("{folder}/hq", "{folder}/b")


@pytest.fixture
def company(tmp_path):
    """Two people, who have two of three licences of voicemail."""
    made = Company(tmp_path, configured())
    made.hire("ada", "bob")
    made.sync()
    yield made
    made.database.close()


def used(company):
    return dict(company.here.settings.licences.used(users_by_profile(company.database)))


def codes(run):
    return [(one.code, one.scope) for one in run.objections]


def states(company):
    """Return who is active (True), or who has disabled whom, by login."""
    rows = company.rows("SELECT login, disabled_by, deleted_at FROM accounts")
    return {login: "deleted" if deleted else by or True for login, by, deleted in rows}


def waiting(company):
    return [one.id for one in queue.waiting(company.here)]


def release(company):
    done = queue.release(company.here, waiting(company))
    company.deliver()
    return done


class TestAPlan:
    def test_that_needs_what_is_free_goes_on(self, company):
        company.hire("cyd")
        run = company.sync()

        assert () == run.objections
        assert {"voicemail": 3, "softphone": 0} == used(company)

    def test_that_needs_more_is_told_of_each_feature_and_nobody_of_them_is_made(self, company):
        company.hire("cyd", "dan")
        company.hire("eve", "fay", profile="Both")
        run = company.sync()

        assert [
            ("too-few-licences:softphone", "licences"), ("too-few-licences:voicemail", "licences"),
        ] == codes(run)  # fmt: skip
        assert [
            "softphone: 2 needed, 1 of 1 free (1 short)", "voicemail: 4 needed, 1 of 3 free (3 short)",
        ] == [one.message for one in run.objections]  # fmt: skip
        assert ["ada", "bob"] == company.on()
        assert 4 == len(waiting(company))

    def test_may_need_what_its_own_leavers_give_back(self, company):
        company.hire("cyd", "dan")
        company.hire("eve", profile="Default")
        company.world().remove("ada")

        assert () == company.sync().objections
        assert {"ada": "missing", "bob": True, "cyd": True, "dan": True, "eve": True} == states(company)

    def test_may_need_what_those_give_back_who_are_deleted_or_disabled(self, company):
        company.configure(configured(staff=STAFF.replace("reads = 1", 'missing = "delete", reads = 1')))
        company.hire("cyd", "dan", "eve")
        company.world().remove("ada")
        company.world().disable("bob")

        assert () == company.sync().objections
        assert {"ada": "deleted", "bob": "source", "cyd": True, "dan": True, "eve": True} == states(company)

    def test_goes_on_for_leavers_and_changes_when_newcomers_are_too_many(self, company):
        company.hire("cyd", "dan", "eve", "fay")
        company.world().remove("ada")
        company.world().change("bob", mail="bob@acme.example")
        run = company.sync()

        assert ["voicemail: 4 needed, 2 of 3 free (2 short)"] == [one.message for one in run.objections]
        assert {"ada": "missing", "bob": True} == states(company)
        assert "bob@acme.example" == company.value("SELECT email FROM accounts WHERE login = 'bob'")

    def test_counts_no_leavers_whom_another_guard_detains(self, company):
        strict = STAFF.replace('limits = {{ remove = "off"', "limits = {{ remove = {{ count = 0 }}")
        company.configure(configured(staff=strict))
        company.hire("cyd", "dan")
        company.world().remove("ada")
        run = company.sync()

        assert ["too-few-licences:voicemail", "too-many-removals"] == [one.code for one in run.objections]
        assert {"ada": True, "bob": True} == states(company)

    def test_that_cannot_give_one_feature_counts_on_no_other_that_it_would_free(self, company):
        """Bob stays Standard as there is no softphone for him, so his mailbox is not free for a newcomer."""
        company.hire("cyd", profile="Mobile")
        company.hire("dan")
        company.sync()
        company.world().change("bob", profile="Mobile")
        company.hire("eve")
        run = company.sync()

        assert ["too-few-licences:softphone", "too-few-licences:voicemail"] == [
            one.code for one in run.objections
        ]
        assert {"voicemail": 3, "softphone": 1} == used(company)

    def test_of_contacts_needs_none(self, tmp_path):
        contacts = STAFF.replace('detain = "never"', 'detain = "never"\nkind = "contact"')
        company = Company(tmp_path, configured(0, contacts))
        company.hire("ada", "bob")
        run = company.sync()

        assert ((), 2) == (run.objections, run.counts["applied_add"])
        assert {"voicemail": 0, "softphone": 0} == used(company)
        company.database.close()

    def test_of_people_whom_the_source_disables_needs_none_until_they_are_enabled(self, company):
        company.hire("cyd", "dan")
        for name in ("cyd", "dan"):
            company.world().disable(name)
        assert () == company.sync().objections
        assert {"voicemail": 2, "softphone": 0} == used(company)
        for name in ("cyd", "dan"):
            company.world().enable(name)

        assert ["voicemail: 2 needed, 1 of 3 free (1 short)"] == [
            one.message for one in company.sync().objections
        ]
        assert {"cyd": "source", "dan": "source"} == {name: states(company)[name] for name in ("cyd", "dan")}

    def test_is_not_asked_again_while_it_waits(self, company):
        company.hire("cyd", "dan")
        company.sync()
        run = company.sync()

        assert ((), 2) == (run.objections, run.counts["kept"])

    def test_sees_what_other_enterprises_have_taken(self, tmp_path):
        company = Company(tmp_path, LICENCES.replace("{voicemail}", "3") + twofold(STAFF) + PLATFORM)
        company.hire("ada", "bob")
        company.hire("cyd", "dan", source="b")
        company.sync()
        run = company.sync("b")

        assert ["voicemail: 2 needed, 1 of 3 free (1 short)"] == [one.message for one in run.objections]
        company.database.close()

    def test_that_was_judged_before_others_took_the_licences_is_judged_again_when_it_is_applied(
        self, tmp_path
    ):
        company = Company(tmp_path, LICENCES.replace("{voicemail}", "3") + twofold(STAFF) + PLATFORM)
        company.hire("ada", "bob")
        company.hire("cyd", "dan", source="b")
        first, second = company.plan(), company.plan("b")
        apply_run(company.here, first)
        ended = apply_run(company.here, second)

        assert ((), 2) == (second.objections, ended.counts["detained_operations"])
        assert {"voicemail": 2, "softphone": 0} == used(company)
        assert ["voicemail: 2 needed, 1 of 3 free (1 short)"] * 2 == [
            fault.message for one in queue.waiting(company.here) for fault in one.faults
        ]
        company.database.close()

    def test_counts_on_no_leaver_who_is_somebody_else_s_affair_by_the_time_it_is_applied(self, company):
        company.configure(configured(2))
        company.world().remove("ada")
        company.hire("cyd")
        run = company.plan()
        unlink(company.here, company.account("ada"), "hq", ignore=False)
        ended = apply_run(company.here, run)

        assert ((), 2) == (run.objections, ended.counts["detained_operations"])
        assert {"ada": True, "bob": True} == states(company)

    def test_counts_on_a_leaver_of_whom_something_else_was_changed_by_then(self, company):
        company.configure(configured(2))
        company.world().remove("ada")
        company.hire("cyd")
        run = company.plan()
        people.edit(company.here, company.account("ada"), {"title": "Countess"})
        apply_run(company.here, run)

        assert {"ada": "missing", "bob": True, "cyd": True} == states(company)

    def test_where_no_licence_is_configured_is_not_judged(self, tmp_path):
        company = Company(tmp_path, STAFF + PLATFORM)
        company.hire(*(f"n{number}" for number in range(30)))

        assert () == company.sync().objections
        company.database.close()


class TestAChangeByHand:
    def test_waits_in_the_queue_if_there_is_no_licence_for_it(self, company):
        company.hire("cyd")
        company.sync()
        run = people.add(company.here, "acme", {"login": "dan", "feature_profile": "Standard"})

        assert [("too-few-licences:voicemail", "licences")] == codes(run)
        assert 1 == len(waiting(company))
        assert "dan" not in states(company)

    def test_to_a_profile_that_is_not_configured_is_refused(self, company):
        with pytest.raises(SyncdError, match="feature_profile 'Standrad' is not configured"):
            people.edit(company.here, company.account("ada"), {"feature_profile": "Standrad"})

    def test_to_a_profile_without_licences_gives_them_back(self, company):
        people.edit(company.here, company.account("ada"), {"feature_profile": "Default"})

        assert {"voicemail": 1, "softphone": 0} == used(company)

    def test_that_disables_or_deletes_gives_them_back(self, company):
        people.set_enabled(company.here, company.account("ada"), enabled=False)
        people.delete(company.here, company.account("bob"))

        assert {"voicemail": 0, "softphone": 0} == used(company)

    def test_the_undoing_of_a_removal_needs_a_licence_again(self, company):
        company.world().remove("ada")
        left = company.sync()
        company.hire("cyd", "dan")
        company.sync()
        undone = plan_undo(company.here, left.id)

        assert [("too-few-licences:voicemail", "licences")] == codes(undone)
        apply_run(company.here, undone)
        assert "missing" == states(company)["ada"]


class TestARelease:
    def test_makes_active_whom_there_are_licences_for_and_the_others_not_active(self, company):
        company.hire("cyd", "dan", "eve")
        company.sync()
        (run,) = release(company)

        assert 3 == run.counts["applied_add"]
        assert {"cyd": True, "dan": "licence", "eve": "licence"} == {
            name: states(company)[name] for name in ("cyd", "dan", "eve")
        }
        assert {"voicemail": 3, "softphone": 0} == used(company)
        there = {account.fields["login"]: account.enabled for account in company.system().accounts.values()}
        assert {"cyd"} == {name for name in ("cyd", "dan", "eve") if there.get(name)}

    def test_who_is_not_active_for_want_of_a_licence_stays_so_whatever_the_source_says(self, company):
        company.hire("cyd", "dan")
        company.sync()
        release(company)
        company.world().change("dan", mail="dan@acme.example")
        company.sync()

        assert "licence" == states(company)["dan"]
        assert "dan@acme.example" == company.value("SELECT email FROM accounts WHERE login = 'dan'")

    def test_never_makes_inactive_who_is_active(self, company):
        company.hire("cyd", profile="Mobile")
        company.sync()
        company.world().change("ada", profile="Both")
        company.sync()
        (run,) = release(company)

        assert 0 == run.counts.get("applied_operations", 0)
        assert True is states(company)["ada"]
        assert ["softphone: 1 needed, 0 of 1 free (1 short)"] == [
            fault.message for one in queue.waiting(company.here) for fault in one.faults
        ]

    def test_counts_on_nothing_that_what_stays_would_have_freed(self, company):
        company.hire("cyd", profile="Mobile")
        company.configure(configured(2))
        company.sync()
        company.world().change("ada", profile="Mobile")
        company.hire("dan")
        company.sync()
        (run,) = release(company)

        assert (1, 1) == (run.counts["applied_add"], run.counts["detained_operations"])
        assert {"ada": True, "dan": "licence"} == {name: states(company)[name] for name in ("ada", "dan")}
        assert {"voicemail": 2, "softphone": 1} == used(company)

    def test_of_somebody_who_was_disabled_enables_only_with_a_licence(self, company):
        company.hire("cyd", "dan")
        company.world().disable("cyd")
        company.sync()
        company.world().enable("cyd")
        company.sync()
        (run,) = release(company)

        assert (1, "licence") == (run.counts["applied_update"], states(company)["cyd"])

    def test_is_undone_like_any_other(self, company):
        company.hire("cyd", "dan")
        company.sync()
        (run,) = release(company)
        apply_run(company.here, plan_undo(company.here, run.id))

        assert {"cyd": "deleted", "dan": "deleted"} == {
            name: states(company)[name] for name in ("cyd", "dan")
        }


class TestWhoWaitsForALicence:
    @pytest.fixture
    def short(self, company):
        """Dan and Eve are not active: there are three licences for five."""
        company.hire("cyd", "dan", "eve")
        company.sync()
        release(company)
        return company

    def test_is_given_one_that_a_leaver_gives_back(self, short):
        short.world().remove("ada")
        short.sync()

        assert {"dan": True, "eve": "licence"} == {name: states(short)[name] for name in ("dan", "eve")}
        (run,) = runs(short.database, "kind = 'policy'")
        assert ("ended", "there are licences for users who waited for one") == (run.state, run.why)
        assert {"voicemail": 3, "softphone": 0} == used(short)

    def test_is_given_one_that_a_person_gives_back(self, short):
        people.delete(short.here, short.account("ada"))

        assert True is states(short)["dan"]

    def test_is_given_one_when_there_are_more(self, short):
        short.configure(configured(4))
        settle_policy(short.here)

        assert {"dan": True, "eve": "licence"} == {name: states(short)[name] for name in ("dan", "eve")}

    def test_is_given_one_whatever_else_of_the_account_waits_for_a_person(self, short):
        short.world().change("dan", profile="Gold")
        short.sync()
        short.configure(configured(4))
        settle_policy(short.here)

        assert (1, True) == (len(waiting(short)), states(short)["dan"])

    def test_is_active_when_licences_are_no_longer_counted(self, short):
        short.configure(STAFF + PLATFORM)
        settle_policy(short.here)
        short.deliver()

        assert {True} == set(states(short).values())
        assert all(account.enabled for account in short.system().accounts.values())

    def test_gets_it_once(self, short):
        short.configure(configured(9))
        settle_policy(short.here)

        assert [] == settle_policy(short.here)
        assert 1 == len(runs(short.database, "kind = 'policy'"))

    def test_is_counted_by_the_metrics(self, short):
        found = {one.name: one.samples for one in families(standing(short.here), Counters())}

        assert [("softphone", 1, 0, 0), ("voicemail", 3, 3, 2)] == [
            (
                labels["feature"],
                *(value for one, value in found["syncd_licences"] if one["feature"] == labels["feature"]),
            )
            for labels, _ in found["syncd_licences"]
            if labels["state"] == "count"
        ]

    def test_is_not_enabled_by_hand(self, short):
        with pytest.raises(SyncdError, match="waits for a licence: syncd licences"):
            people.set_enabled(short.here, short.account("dan"), enabled=True)

    def test_and_is_disabled_by_hand_as_well_gets_none(self, short):
        people.set_enabled(short.here, short.account("dan"), enabled=False)
        short.configure(configured(9))
        settle_policy(short.here)

        assert {"dan": "licence,local", "eve": True} == {name: states(short)[name] for name in ("dan", "eve")}


class TestTheConfiguration:
    def test_fewer_licences_take_nothing_from_anybody_and_let_nobody_in(self, company):
        company.configure(configured(1))
        settle_policy(company.here)
        company.hire("cyd")
        run = company.sync()

        assert {"ada": True, "bob": True} == states(company)
        assert [
            "voicemail: 1 needed, 0 of 1 free (1 short); 1 more are in use than there are"
        ] == [one.message for one in run.objections]  # fmt: skip

    def test_a_profile_with_one_more_feature_takes_nothing_from_anybody(self, company):
        company.configure(
            configured().replace('licences = ["voicemail"]', 'licences = ["voicemail", "softphone"]')
        )
        company.sync()

        assert {"ada": True, "bob": True} == states(company)
        assert {"voicemail": 2, "softphone": 2} == used(company)

    def test_a_person_whose_profile_is_not_configured_is_detained(self, company):
        company.hire("cyd", profile="Gold")
        company.sync()
        (one,) = queue.waiting(company.here)

        assert ("detained", "feature_profile_unknown") == (one.state, one.faults[0].code)
        assert "feature_profile 'Gold' is not configured; write a table [feature_profile.NAME] for it" in (
            one.faults[0].message
        )

    def test_and_goes_on_once_it_is(self, company):
        company.hire("cyd", profile="Gold")
        company.sync()
        company.configure(configured() + '[feature_profile.Gold]\nlicences = ["voicemail"]\n')
        company.sync()

        assert True is states(company)["cyd"]

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("count = 1", "", "licence.softphone.count: is missing"),
            ("count = 1", "count = -1", "licence.softphone.count: must be a whole number, 0 or more"),
            ('["softphone"]', '["softfone"]',
             "feature_profile.Mobile.licences[0]: there is no licence 'softfone'; did you mean 'softphone'?"),
            ("[feature_profile.Mobile]", '[feature_profile."a|b"]',
             'feature_profile."a|b": its name must be a text of 1 to 64 characters without |'),
            ("[feature_profile.Mobile]", "[feature_profile.Default]",
             "feature_profile.Default.licences: has no place here: the profile Default takes no licence"),
            ('"A desk phone with a mailbox"', '"' + 129 * "a" + '"',
             "feature_profile.Standard.description: must be a text of at most 128 characters without |"),
            ('default = "Standard"', 'default = "Standrad"',
             "source.hq.map.feature_profile.default: there is no feature profile 'Standrad'; did you mean 'Standard'?"),
            ("[licence.voicemail]", '[template.t]\nfeature_profile = "Standrad"\n[licence.voicemail]',
             "template.t.feature_profile: there is no feature profile 'Standrad'; did you mean 'Standard'?"),
            ("[licence.voicemail]",
             '[template.t]\ndefaults = {{ feature_profile = "Moble" }}\n[licence.voicemail]',
             "template.t.defaults.feature_profile: there is no feature profile 'Moble'; did you mean 'Mobile'?"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_with_it_is_said_with_the_cure(self, company, old, new, problem):
        with pytest.raises(ConfigError) as caught:
            company.configure(configured().replace(old, new, 1))

        assert [problem] == [text.split(": ", 1)[1] for text in caught.value.problems]

    def test_the_profile_default_is_always_there(self, company):
        assert frozenset() == company.here.settings.licences.features("Default")
        assert "Default" in company.here.settings.licences.profiles


def indexes(company):
    return {name for (name,) in company.rows("SELECT name FROM sqlite_master WHERE type = 'index'")}


def test_users_are_counted_by_an_index_that_only_who_counts_licences_has(company, tmp_path_factory):
    queries = []
    company.database.conn.set_trace_callback(queries.append)
    users_by_profile(company.database)
    company.database.conn.set_trace_callback(None)
    (plan,) = company.rows(f"EXPLAIN QUERY PLAN {queries[-1]}")
    other = Company(tmp_path_factory.mktemp("other"), STAFF + PLATFORM)
    other.hire("ada")
    other.sync()

    assert "USING INDEX accounts_profile" in plan[-1]
    assert {"accounts_profile"} == indexes(company) - indexes(other)
    other.database.close()


NAMES = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hire"), NAMES, st.sampled_from(["Standard", "Mobile", "Both", "Default"])),
        st.tuples(st.sampled_from(["enable", "disable", "remove"]), NAMES),
        st.tuples(st.just("by hand"), NAMES, st.booleans()),
        st.tuples(st.just("edit"), NAMES, st.sampled_from(["Both", "Default"])),
        st.tuples(st.just("count"), st.integers(0, 4)),
        st.tuples(st.just("undo"), st.integers(0, 5)),
        st.tuples(st.just("late"), NAMES),
        *[st.sampled_from([("read",), ("release",)])] * 2,
    ),
    min_size=5,
    max_size=25,
)


def late(company, name):
    """Apply a plan that was judged before somebody else took a licence."""
    run = company.plan()
    with suppress(SyncdError):
        people.add(company.here, "acme", {"login": f"hand-{name}", "feature_profile": "Both"})
    apply_run(company.here, run)


def at_the_source(word):
    return lambda company, name: name in company.world().people and getattr(company.world(), word)(name)


STEP = {
    "hire": lambda company, name, profile: company.hire(name, profile=profile),
    **{word: at_the_source(word) for word in ("enable", "disable", "remove")},
    "by hand": lambda company, name, enabled: people.set_enabled(
        company.here, people.find_account(company.here, name), enabled=enabled
    ),
    "edit": lambda company, name, profile: people.edit(
        company.here, people.find_account(company.here, name), {"feature_profile": profile}
    ),
    "count": lambda company, count: company.configure(configured(count)),
    "undo": lambda company, number: apply_run(company.here, plan_undo(company.here, number)),
    "late": late,
    "read": lambda company: company.sync(),
    "release": lambda company: queue.release(company.here, waiting(company)),
}
"""What may happen; what cannot be done at the moment is refused."""


@settings(deadline=None, max_examples=50)
@given(STEPS)
def test_nobody_ever_takes_a_licence_that_there_is_not(tmp_path_factory, steps):
    """Where the configuration has made more of them be in use than there are, they never become more."""
    company = Company(tmp_path_factory.mktemp("company"), configured(2))
    try:
        for one in steps:
            before = used(company)
            with suppress(SyncdError):
                STEP[one[0]](company, *one[1:])
            for feature, there in company.here.settings.licences.counts.items():
                assert used(company)[feature] <= max(there, before[feature]), (one, feature)
    finally:
        company.database.close()
