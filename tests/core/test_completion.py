"""What one source says becomes what the account will say: roles, templates, layers, policies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import MONDAY, TUESDAY, correlated, layer, record, role, standing, stranger

from syncd.completion import Completion, complete
from syncd.model import Checkpoint, Completed, Fault, Numbers, Present, Range, fold_layers

SALES = role(
    defaults={"company": "Acme", "title": "Seller"},
    wins=frozenset({"title", "extension"}),
    allocate={"extension": Numbers((Range(100, 199),))},
)
PLAIN = Completion()
ROLES = Completion(roles={"sales": SALES, "plain": role("plain")}, default_role="sales")


def only(one, plan: Completion = PLAIN) -> Completed:
    (made,) = complete([one], plan)
    return made


def test_what_was_not_correlated_passes_on_in_order():
    stream = [Present("p"), correlated(record()), Checkpoint("c", full=True)]
    made = list(complete(stream, PLAIN))

    assert [stream[0], stream[2]] == [made[0], made[2]]
    assert isinstance(made[1], Completed)


class TestNewcomers:
    def test_without_roles_says_what_its_source_says(self):
        one = record(login="ann")

        assert Completed(one, "new", None, {"login": "ann"}, {"login": "ann"}, {}, ()) == only(
            correlated(one)
        )

    def test_gets_the_template_below_its_source(self):
        made = only(correlated(record(company="Sub", login="ann", title="Boss")), ROLES)

        assert {"company": "Sub", "login": "ann", "title": "Seller", "role": "sales"} == made.values
        assert {"company": "Sub", "login": "ann"} == made.layer, "what the template wins is not the source's"
        assert {"company": "Acme", "title": "Seller", "role": "sales"} == made.template
        assert SALES is made.role

    def test_the_source_may_name_the_role(self):
        made = only(correlated(record(role="plain")), ROLES)

        assert ({"role": "plain"}, {"role": "plain"}) == (made.values, made.template)

    def test_a_template_is_never_changed_by_those_who_get_it(self):
        only(correlated(record(company="Sub")), ROLES)

        assert {"company": "Acme", "title": "Seller"} == SALES.template.defaults

    def test_an_unknown_role_fails_with_the_roles_that_there_are(self):
        made = only(correlated(record(role="boss")), ROLES)
        message = "there is no role 'boss'; configured are: plain, sales"

        assert (Fault("role_unknown", "role", message),) == made.faults
        assert made.role is None

    def test_a_role_means_nothing_where_none_is_configured(self):
        assert () == only(correlated(record(role="boss"))).faults

    def test_without_a_role_there_is_no_template(self):
        assert {} == only(correlated(record()), Completion(roles=ROLES.roles)).template

    def test_faults_of_the_mapping_stay_and_ambiguity_detains(self):
        faulty = Fault("transform", "did", "no number")
        one = correlated(record()._replace(faults=(faulty,)), verdict="ambiguous")
        made = only(one._replace(rivals=("login is that of account 7", "email is that of account 8")))
        message = "login is that of account 7; email is that of account 8"

        assert (faulty, Fault("ambiguous", None, message, "detained")) == made.faults
        assert made.standing is None

    def test_a_source_that_only_adds_makes_nobody_of_what_is_ambiguous(self):
        made = only(ambiguous(stranger(), "ambiguous"), Completion(owns=False))

        assert stranger() == made.standing
        assert (Fault("ambiguous", None, "email is that of account 8", "detained"),) == made.faults


def ambiguous(known, verdict):
    return correlated(record(login="ann"), known, verdict)._replace(rivals=("email is that of account 8",))


class TestAcquaintances:
    @pytest.mark.parametrize(("owns", "codes"), [(True, []), (False, ["ambiguous"])])
    def test_an_entry_that_has_the_keys_of_another_detains_only_where_the_source_only_adds(self, owns, codes):
        made = only(ambiguous(standing(owner=False), "linked"), Completion(owns=owns))

        assert codes == [fault.code for fault in made.faults]

    def test_where_a_link_speaks_alone_its_layer_is_the_account(self):
        made = only(correlated(record(login="ann", title="Dr"), standing()))

        assert made.layer is made.values
        assert {"login": "ann", "title": "Dr"} == made.values

    def test_the_template_is_not_applied_again(self):
        known = standing(attributes={"login": "ann", "role": "sales"}, template={"role": "sales"})
        made = only(correlated(record(login="ann"), known), ROLES)

        assert {"login": "ann", "role": "sales"} == made.values

    def test_what_the_template_wins_stays_with_the_template(self):
        template = {"role": "sales", "title": "Seller", "extension": "100"}
        known = standing(attributes={"login": "ann", **template}, template=template)
        made = only(correlated(record(login="ann", title="Boss", extension="7"), known), ROLES)

        assert {"login": "ann", **template} == made.values
        assert {"login": "ann"} == made.layer

    @pytest.mark.parametrize("name", ["gone", ("sales", "plain")])
    def test_a_role_that_is_not_configured_wins_nothing(self, name):
        known = standing(attributes={"role": name}, template={"role": name})

        assert "Boss" == only(correlated(record(title="Boss"), known), ROLES).values["title"]

    def test_another_role_takes_nothing_from_an_account_that_was_made_without_its_template(self):
        """Otherwise the source's title would go, and the template's would not come."""
        known = standing(attributes={"role": "sales", "title": "Boss"}, template={"role": "plain"})
        made = only(correlated(record(role="sales", title="Chief"), known), ROLES)

        assert {"role": "sales", "title": "Chief"} == made.values

    def test_a_persons_word_counts_where_a_link_speaks_alone(self):
        assert {"title": "by hand"} == only(
            correlated(record(title="ours"), standing(local={"title": "by hand"}))
        ).values

    def test_other_links_and_a_persons_word_are_folded_in(self):
        known = standing(
            others=(layer(0, title="first"), layer(2, title="last", company="last")),
            local={"login": "by hand"},
            template={"city": "template"},
        )
        made = only(correlated(record(login="ann", title="ours"), known), Completion(precedence=1))

        assert {"login": "by hand", "title": "first", "company": "last", "city": "template"} == made.values
        assert {"login": "ann", "title": "ours"} == made.layer


class TestPolicies:
    def test_create_only_keeps_what_was_said_at_first(self):
        known = standing(record={"pin": "1"})
        plan = Completion(policies={"pin": "create-only", "title": "create-only"})
        made = only(correlated(record(pin="2", title="new", login="ann"), known), plan)

        assert {"pin": "1", "login": "ann"} == made.layer
        assert () == made.faults

    @pytest.mark.parametrize("now", [{"pin": "4711"}, {}], ids=["another", "none"])
    def test_detain_holds_a_change_without_telling_the_value(self, now):
        known = standing(record={"pin": "1234"})
        made = only(correlated(record(**now), known), Completion(policies={"pin": "detain"}))

        assert (
            Fault("policy", "pin", "pin would change, and its policy is to ask first", "detained"),
        ) == made.faults
        assert now == made.layer

    def test_detain_has_nothing_to_ask_where_nothing_changes(self):
        made = only(
            correlated(record(pin="1"), standing(record={"pin": "1"})), Completion(policies={"pin": "detain"})
        )

        assert () == made.faults

    def test_detain_does_not_hold_what_is_said_for_the_first_time(self):
        made = only(
            correlated(record(pin="1"), stranger(), "adoptable"), Completion(policies={"pin": "detain"})
        )

        assert () == made.faults

    def test_what_the_source_did_not_tell_stays_as_it_is_stored(self):
        one = record(login="ann")._replace(unknown=frozenset({"title", "city"}))
        plan = Completion(policies={"title": "detain"})
        made = only(correlated(one, standing(record={"title": "Dr"})), plan)

        assert {"login": "ann", "title": "Dr"} == made.layer
        assert () == made.faults, "and so asks nobody"

    def test_what_the_source_did_not_tell_stays_without_any_policy(self):
        one = record(login="ann")._replace(unknown=frozenset({"title"}))

        assert {"login": "ann", "title": "Dr"} == only(
            correlated(one, standing(record={"title": "Dr"}))
        ).layer

    def test_the_record_itself_is_not_changed(self):
        one = record(pin="2")
        only(correlated(one, standing(record={"pin": "1"})), Completion(policies={"pin": "create-only"}))

        assert {"pin": "2"} == one.values


SAID = st.dictionaries(
    st.sampled_from(["login", "title", "pin", "role", "company"]), st.sampled_from(["a", "b", "sales"])
)
OTHERS = st.lists(
    st.builds(
        layer,
        st.integers(2, 9),
        owner=st.booleans(),
        gone=st.sampled_from([None, MONDAY, TUESDAY]),
        title=st.just("t"),
    ),
    max_size=2,
)
PLANS = st.builds(
    Completion,
    precedence=st.just(1),
    roles=st.sampled_from([{}, ROLES.roles]),
    policies=st.dictionaries(
        st.sampled_from(["pin", "title"]), st.sampled_from(["create-only", "detain"]), max_size=2
    ),
)


@given(SAID, SAID, SAID, OTHERS, PLANS)
def test_the_account_says_what_its_layers_fold_to(values, stored, template, others, plan):
    """The same fold as everywhere, so that what is planned is what the next read finds."""
    known = standing(record=stored, attributes=stored, template=template, others=tuple(others))
    made = only(correlated(record(**values), known), plan)
    own = layer(plan.precedence, **made.layer)

    assert fold_layers(template, (*others, own), {}) == made.values


@given(SAID, SAID, SAID, OTHERS, PLANS)
def test_completing_what_was_completed_changes_nothing(values, stored, template, others, plan):
    """Whatever was stored before: what is stored now is completed to itself."""
    known = standing(record=stored, template=template, others=tuple(others))
    first = only(correlated(record(**values), known), plan)
    again = only(
        correlated(record(**values), known._replace(record=first.layer, attributes=first.values)), plan
    )

    assert (first.layer, first.values) == (again.layer, again.values)
