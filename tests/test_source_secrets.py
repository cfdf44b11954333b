"""Codes and passwords that sources say: hidden as soon as they are mapped, sealed, and told to platforms."""

import json
import random
import traceback
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_secrets import TEXT, Sealing, problems

from syncd import SyncdError
from syncd.hiding import codes_of, hide, keyed, without_bad_codes
from syncd.mapping import AttributeMapping, Rule, mapper
from syncd.model import VOCABULARY, Entry, Fault, Hidden, Record, sampled, sealed_of
from syncd.pipeline import people, queue, secrets
from syncd.pipeline.line import apply_run
from syncd.pipeline.policy import settle_policy
from syncd.pipeline.retiring import erase
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink
from syncd.sealing import new_key
from syncd.store import warned
from syncd.store.keeping import prune
from syncd.store.sealed import find_sealed
from syncd.validation.judging import Check, judge

MAP = '[source.hq.map]\npin = "pin"\nlogin_code = "code"\npassword = {{ from = "pw" }}\n'
SAID = TEXT.replace("[source.hq.map]\n", MAP)
ALWAYS = SAID.replace('pin = "pin"', 'pin = {{ from = "pin", policy = "always" }}')
NOT_MADE = ALWAYS.replace('generate = {{ password = "password:24", pin = "digits:6" }}', "")


@pytest.fixture
def make(tmp_path):
    """Makes companies, each in a folder of its own."""
    made = []

    def company(text=SAID):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Sealing(folder, text))
        return made[-1]

    yield company
    for one in made:
        one.database.close()


def versions(company, login, attribute="pin"):
    query = "SELECT version, digest <> '' FROM secrets WHERE account = ? AND attribute = ? ORDER BY 1"
    return company.rows(query, company.account(login), attribute)


def said(company, login, attribute="pin"):
    return company.value(f"SELECT attributes ->> '{attribute}' FROM accounts WHERE login = ?", login)


class TestTelling:
    def test_the_platform_gets_what_the_source_said(self, make):
        company = make()
        company.hire("anna", pin="739154", code="8812", pw="Grüße aus Kiel!")
        company.sync()

        told = [company.told("anna", field) for field in ("pin", "login_code", "password")]
        assert ["739154", "8812", "Grüße aus Kiel!"] == told
        assert told == [company.shown("anna", field) for field in ("pin", "login_code", "password")]
        assert ("show", "pin 2") == company.rows("SELECT verb, secret FROM decisions ORDER BY id")[0]

    def test_no_value_stands_in_the_database(self, make):
        company = make(ALWAYS)
        values = ["739154739154", "881288128812", "hunter-of-the-lost-22", "5550001112223"]
        company.hire("anna", pin=values[0], code=values[1], pw=values[2])
        held = company.plan()
        there = "".join(file.read_bytes().decode("latin-1") for file in company.folder.glob("syncd.db*"))
        assert there.count("sealed:pin:0:digits:12:")  # in the write-ahead log
        apply_run(company.here, held)
        company.deliver()
        company.world().change("anna", pin=values[3])
        company.sync()

        assert values[3] == company.told("anna", "pin")
        assert [] == [value for value in values if value in there + company.everything()]

    def test_a_second_run_changes_nothing_and_writes_no_link(self, make):
        company = make(ALWAYS)
        company.hire("anna", "ben", pin="739154")
        company.sync()
        links, changes = company.rows("SELECT * FROM links"), company.rows("SELECT * FROM operations")
        company.sync()

        assert links == company.rows("SELECT * FROM links")
        assert changes == company.rows("SELECT * FROM operations")

    def test_two_people_with_one_code_are_not_seen_to_have_the_same(self, make):
        company = make()
        company.hire("anna", "ben", pin="739154")
        company.sync()

        assert said(company, "anna") != said(company, "ben")
        assert company.told("anna", "pin") == company.told("ben", "pin")

    def test_nobody_can_try_codes_against_digests_or_fingerprints(self, make):
        """With the same input, another installation's random key makes others of both."""
        found = []
        for _ in range(2):
            company = make()
            company.hire("anna", pin="4711")
            company.sync()
            found.append((said(company, "anna"), company.value("SELECT fingerprint FROM links")))

        assert set(found[0]).isdisjoint(found[1])

    def test_the_same_input_has_the_same_plan(self, make):
        company = make()
        company.hire("anna", "ben", pin="4711", pw="hunter2")
        first, second = company.plan(), company.plan()

        assert (first.id, first.plan_hash) == (second.id, second.plan_hash)
        company.world().change("ben", pin="4712")
        assert first.plan_hash != company.plan().plan_hash

    def test_nothing_stays_in_the_plans_store_once_it_is_applied_or_replaced(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="4711")
        company.plan()
        company.world().change("anna", pin="4712")
        company.plan()
        assert 3 == company.value("SELECT COUNT(*) FROM sealed")
        company.sync()

        assert [("digest key",)] == company.rows("SELECT name FROM sealed")
        assert "4712" == company.told("anna", "pin")

    def test_a_contact_has_none(self, make):
        company = make(SAID.replace('role = "employee"', 'kind = "contact"'))
        company.hire("anna", pin="4711")
        company.sync()

        assert (None, 0) == (company.told("anna", "pin"), company.value("SELECT COUNT(*) FROM secrets"))

    def test_a_connection_that_maps_none_needs_no_key(self, make):
        company = make(TEXT.replace("[template.desk]\ngenerate", "[template.desk]\n#"))
        company.key = None
        company.hire("anna")
        company.sync()

        assert ["anna"] == company.on()
        assert 0 == company.value("SELECT COUNT(*) FROM sealed")

    def test_without_the_key_nothing_is_read_and_nothing_lost(self, make):
        company = make()
        company.hire("anna", pin="4711")
        key, company.key = company.key, None
        with pytest.raises(SyncdError, match="there is no such file"):
            company.sync()
        assert ["failed"] == [state for (state,) in company.rows("SELECT state FROM runs")]

        company.key = key
        company.sync()
        assert "4711" == company.told("anna", "pin")


class TestCodes:
    @pytest.mark.parametrize(
        ("attribute", "name", "value"),
        [
            ("pin", "pin", "12a4"),
            ("pin", "pin", "1" * 32),
            ("pin", "pin", "٤٧١١"),
            ("pin", "pin", "47\x0111"),
            ("login_code", "code", "123"),
            ("login_code", "code", "1" * 16),
        ],
    )
    def test_what_is_no_code_is_left_empty_with_a_warning_and_the_person_is_created(
        self, make, attribute, name, value
    ):
        company = make(NOT_MADE)
        company.hire("anna", **{name: value})
        run = company.sync()

        (reasons,) = company.rows("SELECT reasons FROM operations")
        ((code, about, message, held),) = json.loads(reasons[0])
        assert ("no_code", attribute, "warning") == (code, about, held)
        assert f"{attribute} is not " in message
        assert value not in message
        assert ("applied", 1) == (company.value("SELECT state FROM operations"), run.counts["warnings"])
        assert None is company.told("anna", attribute)

    @pytest.mark.parametrize("text", [SAID, ALWAYS], ids=["create-only", "always"])
    def test_whose_it_is_can_be_found_though_nothing_else_of_the_entry_has_changed(self, make, text):
        company = make(text)
        company.hire("anna", "ben", pin="739154")
        company.sync()
        company.world().change("anna", pin="12a4")
        run = company.sync()

        (told,) = warned.of_run(company.database, run.id)
        assert ("hq", "anna", company.account("anna"), "no_code", "pin") == told[:5]
        assert [told] == warned.standing(company.database)
        assert "12a4" not in told.message + company.everything()
        company.world().change("anna", pin="739155")
        company.sync()
        assert [] == warned.standing(company.database)

    def test_what_a_transform_refuses_is_no_code_either(self, make):
        company = make(NOT_MADE.replace('from = "pin", ', 'from = "pin", via = ["extension-of:+4940"], '))
        company.hire("anna", pin="nobody's number")
        company.sync()

        assert ["anna"] == company.on()

    def test_one_that_is_made_takes_its_place(self, make):
        company = make()
        company.hire("anna", pin="12a4")
        company.sync()

        assert 6 == len(company.told("anna", "pin"))
        assert company.told("anna", "pin") == company.shown("anna", "pin")

    def test_a_password_that_is_too_long_fails_as_everything_else_does(self, make):
        company = make()
        company.hire("anna", pw="p" * 257)
        company.sync()

        (state, reasons), *_ = company.rows("SELECT state, reasons FROM operations")
        assert ("failed", True) == (state, "the value has 257 characters" in reasons)
        assert "ppp" not in company.everything()

    def test_rules_judge_the_value_and_do_not_repeat_it(self, make):
        company = make(
            f'{SAID}\n[source.hq.rules]\npassword = {{{{ pattern = ".*!.*", length = [8, 20] }}}}\n'
        )
        company.hire("anna", pw="hunter-of-nothing")
        company.hire("ben", pw="hunter-of-something!")
        company.sync()

        states = dict(company.rows("SELECT anchor, state FROM operations"))
        (reasons,) = company.rows("SELECT reasons FROM operations WHERE anchor = 'anna'")[0]
        assert {"anna": "failed", "ben": "applied"} == states
        assert "it is secret and not shown" in reasons

    def test_where_a_code_is_required_validation_says_so_as_usual(self, make):
        company = make(f"{NOT_MADE}\n[source.hq.rules]\npin = {{{{ required = true }}}}\n")
        company.hire("anna", pin="12a4")
        company.sync()

        state, reasons = company.rows("SELECT state, reasons FROM operations")[0]
        assert ("failed", ["required", "no_code"]) == (state, [one[0] for one in json.loads(reasons)])

    def test_what_a_plugin_raises_of_a_secret_is_kept_back(self):
        value = "hunter2"

        def careless(values):
            raise KeyError(values)

        rule = Rule(attribute="password", sources=("pw",), transforms=(careless,))
        with pytest.raises(
            TypeError, match="password raised KeyError; its text may hold the secret"
        ) as caught:
            mapper(AttributeMapping((rule,), ""), VOCABULARY)(Entry("a", {"pw": (value,)}))
        assert value not in "".join(traceback.format_exception(caught.value))

        check = Check("password", tests=(careless,), secret=True)
        with pytest.raises(TypeError, match="password raised KeyError") as caught:
            judge({"password": value}, (check,))
        assert value not in "".join(traceback.format_exception(caught.value))

    @given(st.text(max_size=40), st.sampled_from(["pin", "login_code"]))
    def test_a_code_that_stays_is_digits_of_the_right_number(self, value, name):
        codes = codes_of([name, "password"], VOCABULARY)
        record = without_bad_codes(Record("a", {name: value} if value else {}, True, None), codes)
        low, high = codes[name]
        kept = record.values.get(name)

        assert bool(record.warnings) == (bool(value) and kept is None)
        assert kept is None or (set(kept) <= set("0123456789") and low <= len(kept) <= high)

    def test_what_the_source_did_not_tell_is_no_bad_code(self):
        fault = Fault("too_long", "last_name", "too long")
        record = Record("a", {}, True, None, (fault,), unknown=frozenset({"pin", "last_name"}))

        assert record == without_bad_codes(record, {"pin": (0, 31)})


class TestPolicies:
    def test_by_default_it_is_used_for_a_new_account_alone(self, make):
        company = make()
        company.hire("anna", pin="4711", pw="hunter2")
        company.sync()
        company.world().change("anna", pin="4712", pw="hunter3", sn="Berg")
        company.sync()

        assert ("4711", "hunter2", "Berg") == tuple(
            company.told("anna", name) for name in ("pin", "password", "last_name")
        )
        assert [(2, 1)] == versions(company, "anna")

    def test_always_lets_updates_through_and_blanks_what_is_gone(self, make):
        company = make(NOT_MADE)
        company.hire("anna", pin="4711")
        company.sync()
        for pin in ("4712", "4711", ""):
            company.world().change("anna", pin=pin)
            company.sync()
            assert (pin or None) == company.told("anna", "pin")

        assert [(2, 1), (3, 1)] == versions(company, "anna")

    @pytest.mark.parametrize("text", [ALWAYS, NOT_MADE], ids=["made", "not made"])
    @pytest.mark.parametrize("bad", ["no digits", "1" * 32, "47\x0111"])
    def test_who_has_a_code_keeps_it_when_the_source_says_one_that_is_none(self, make, text, bad):
        company = make(text)
        company.hire("anna", pin="4711")
        company.sync()
        company.world().change("anna", pin=bad, sn="Berg")
        run = company.sync()

        assert ("4711", "Berg", 1) == (
            company.told("anna", "pin"), company.told("anna", "last_name"), run.counts["warnings"],
        )  # fmt: skip
        company.world().change("anna", pin="4712")
        company.sync()
        assert "4712" == company.told("anna", "pin")

    def test_another_policy_means_that_entries_are_read_anew(self, make):
        company = make()
        company.hire("anna", pin="4711")
        company.sync()
        company.world().change("anna", pin="4712")
        company.sync()
        company.configure(ALWAYS)
        company.sync()

        assert "4712" == company.told("anna", "pin")

    def test_to_ask_first_detains_the_change_and_does_not_show_it(self, make):
        company = make(ALWAYS.replace('"always"', '"detain"'))
        company.hire("anna", pin="471147114711")
        company.sync()
        company.world().change("anna", pin="471247124712")
        company.sync()
        ((number, state),) = company.rows("SELECT id, state FROM operations WHERE state <> 'applied'")
        assert ("detained", "471147114711") == (state, company.told("anna", "pin"))

        queue.release(company.here, [number])
        company.deliver()
        assert "471247124712" == company.told("anna", "pin")
        assert "471247124712" not in company.everything()

    def test_what_is_mapped_beats_what_is_made(self, make):
        company = make()
        company.hire("anna", pin="4711")
        company.sync()

        assert ("4711", 24) == (company.told("anna", "pin"), len(company.told("anna")))
        assert [(1, 0)] == versions(company, "anna", "password")

    def test_unless_the_template_wins(self, make):
        company = make(ALWAYS.replace("[template.desk]\n", '[template.desk]\nwins = ["pin"]\n'))
        company.hire("anna", pin="4711")
        company.sync()
        company.world().change("anna", pin="4712")
        company.sync()

        assert 6 == len(company.told("anna", "pin"))
        assert [(1, 0)] == versions(company, "anna")

    def test_where_the_source_says_none_any_more_one_is_made(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="4711")
        company.sync()
        company.world().change("anna", pin="")
        company.sync()

        assert 6 == len(company.told("anna", "pin"))
        assert company.told("anna", "pin") == company.shown("anna", "pin")
        assert [(1, 0), (2, 1)] == versions(company, "anna")


class TestTheOtherSource:
    BOTH = ALWAYS.replace('["hq"]', '["hq", "branch"]', 1) + (
        '[source.branch]\ntype = "memory"\nworld = "{folder}/branch"\nmatch = ["login"]\ndetain = "never"\n'
        'adopt = true\n[source.branch.map]\nlogin = "uid"\npin = {{ from = "pin", policy = "always" }}\n'
    )

    def test_what_was_beaten_is_there_when_the_other_says_nothing_any_more(self, make):
        company = make(self.BOTH)
        company.hire("anna", pin="4711")
        company.sync()
        company.hire("anna", source="branch", pin="4799")
        company.sync("branch")
        assert "4711" == company.told("anna", "pin")

        company.world().change("anna", pin="")
        company.sync()
        assert "4799" == company.told("anna", "pin")


class TestPeople:
    def test_undo_and_its_undoing_tell_the_platform_each_value_again(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="4711")
        company.sync()
        company.world().change("anna", pin="4712")
        run = company.sync()
        undone = apply_run(company.here, plan_undo(company.here, run.id))
        company.deliver()
        assert "4711" == company.told("anna", "pin")

        apply_run(company.here, plan_undo(company.here, undone.id))
        company.deliver()
        assert "4712" == company.told("anna", "pin")

    def test_a_renewed_one_beats_the_source(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="4711")
        company.sync()
        secrets.renew(company.here, company.account("anna"), "pin")
        company.world().change("anna", pin="4712")
        company.sync()

        assert 6 == len(company.told("anna", "pin"))
        assert [(2, 1), (3, 0), (4, 1)] == versions(company, "anna")

    def test_one_that_no_template_makes_is_not_renewed(self, make):
        company = make()
        company.hire("anna", code="4711")
        company.sync()

        with pytest.raises(SyncdError, match="nothing says how login_code of account"):
            secrets.renew(company.here, company.account("anna"), "login_code")

    def test_what_waits_is_judged_by_the_value_itself_when_it_is_edited(self, make):
        rules = '[source.hq.rules]\npassword = {{ pattern = ".*!.*", length = [6, 20] }}\n'
        company = make(f"{SAID}\n{rules}".replace('"never"', '"always"'))
        company.hire("anna", pw="hunter!2")
        company.hire("ben", pw="hunter2")
        company.plan()
        for number, state in ((1, "detained"), (2, "failed")):
            queue.edit(company.here, number, {"last_name": "Berg"})
            assert state == company.value("SELECT state FROM operations ORDER BY id DESC LIMIT 1")
        assert "hunter" not in company.everything()

    def test_what_waits_can_be_edited_and_keeps_it(self, make):
        company = make()
        company.hire("anna", mail="m" * 300, pin="471147114711", pw="hunter-of-nothing")
        company.sync()
        waiting = company.value("SELECT id FROM operations WHERE state = 'failed'")
        with pytest.raises(SyncdError, match="pin is secret and is not typed here"):
            queue.edit(company.here, waiting, {"pin": "4711"})
        queue.edit(company.here, waiting, {"email": "anna@acme.example"})
        queue.release(company.here, [company.value("SELECT id FROM operations WHERE state = 'detained'")])
        company.deliver()

        told = tuple(company.told("anna", name) for name in ("email", "pin", "password"))
        assert ("anna@acme.example", "471147114711", "hunter-of-nothing") == told
        assert "471147114711" not in company.everything()

    def test_old_values_go_with_the_operations_that_spoke_of_them(self, make):
        company = make(ALWAYS)
        for pin in ("4711", "4712", "4713"):
            company.world().people.pop("anna", None)
            company.hire("anna", pin=pin)
            company.sync()
        company.wait(days=400)
        prune(company.database, timedelta(days=365), None, company.now)

        assert [(4, 1)] == versions(company, "anna")
        assert "4713" == company.shown("anna", "pin")

    def test_an_erased_person_leaves_nothing(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="471147114711")
        company.sync()
        anna, token = company.account("anna"), sealed_of(said(company, "anna"))
        people.delete(company.here, anna)
        company.deliver()
        erase(company.here, anna)

        tables = [name for (name,) in company.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert token.digest not in repr([company.rows(f"SELECT * FROM {name}") for name in tables])
        assert 0 == company.value("SELECT COUNT(*) FROM secrets")


class TestTheKey:
    def test_after_its_change_nothing_looks_changed(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="4711")
        company.sync()
        company.hire("ben", mail="m" * 300, pin="4712")
        company.sync()
        before, old = company.rows("SELECT * FROM operations"), company.key
        new = new_key()
        company.key = f"{new}\n{old}"
        company.sync()
        assert before == company.rows("SELECT * FROM operations")

        assert 2 == secrets.rotate(company.here)  # a password that was made, a code that was said
        company.key = new
        company.sync()
        assert before == company.rows("SELECT * FROM operations")
        assert ("4711", "4711") == (company.shown("anna", "pin"), company.told("anna", "pin"))

        company.world().change("ben", mail="ben@acme.example")
        company.sync()
        assert "4712" == company.told("ben", "pin") == company.shown("ben", "pin")

    def test_another_key_reads_nothing(self, make):
        company = make()
        company.hire("anna", pin="4711")
        company.sync()
        company.key = new_key()

        with pytest.raises(SyncdError, match="put the line of that key back"):
            company.sync()

    def test_a_changed_row_does_not_open(self, make):
        company = make()
        company.hire("anna", pin="4711", pw="hunter2")
        run = company.plan()
        company.database.conn.execute(
            "UPDATE sealed SET sealed = (SELECT sealed FROM sealed WHERE name LIKE 'sealed:password:%')"
            " WHERE name LIKE 'sealed:pin:%'"
        )
        with pytest.raises(SyncdError, match="does not open, as it was changed"):
            apply_run(company.here, run)


class TestRandomHistories:
    @pytest.mark.parametrize("seed", range(6))
    def test_the_platform_has_what_was_said_last_and_the_database_never(self, make, seed):
        chance = random.Random(seed)
        company = make(NOT_MADE.replace(SYSTEM, UNLIMITED))
        used, says, now = set(), {}, {}
        for step in range(12):
            login = f"p{chance.randrange(3)}"
            pin = f"{chance.randrange(10**11):013}" if chance.random() < 0.8 else "none"
            used.add(pin)
            if login in company.world().people:
                company.world().change(login, pin=pin)
            else:
                company.hire(login, pin=pin)
            says[login] = pin
            if chance.random() < 0.3:
                company.plan()
            if step % 4 == 2:
                new = new_key()
                company.key = f"{new}\n{company.key}"
                secrets.rotate(company.here)
                company.key = new
            if step == 11 or chance.random() < 0.7:
                company.sync()
                now |= {login: pin for login, pin in says.items() if pin != "none" or login not in now}

        now = {login: None if pin == "none" else pin for login, pin in now.items()}
        assert now == {login: company.told(login, "pin") for login in now}
        assert [] == [pin for pin in used - {"none"} if pin in company.everything()]
        assert [("digest key",)] == company.rows("SELECT name FROM sealed")

    @pytest.mark.parametrize("seed", range(12))
    def test_whatever_people_do_everything_that_is_spoken_of_is_there(self, make, seed):
        chance = random.Random(seed)
        company = make(ASKED)
        company.hire("p0", "p1", pin="4711")
        for _ in range(25):
            with suppress(SyncdError, IndexError):  # what cannot be done just now
                stir(company, chance)
            for table, column in (("accounts a", "attributes"), ("links", "record"), ("accounts a", "local")):
                account = "a.id" if column != "record" else "account"
                for number, text in company.rows(f"SELECT {account}, {column} FROM {table}"):
                    spoken = [one for one in map(sealed_of, json.loads(text or "{}").values()) if one]
                    assert [] == [
                        one for one in spoken if find_sealed(company.database.conn, number, one) is None
                    ]


SYSTEM = 'system = "{folder}/phonebook"\n'
UNLIMITED = f'{SYSTEM}limits = {{{{ update = "off", remove = "off" }}}}\n'
ASKED = TestTheOtherSource.BOTH.replace('policy = "always"', 'policy = "detain"', 1).replace(
    SYSTEM, UNLIMITED
)


def stir(company, chance):
    """Do something that people or sources may do."""
    login, pin, source = (
        f"p{chance.randrange(2)}",
        f"47{chance.randrange(10, 14)}",
        chance.choice(["hq", "branch"]),
    )
    open_ones = company.rows("SELECT id FROM operations WHERE state IN ('detained','failed','waiting')")
    ended = company.rows("SELECT id FROM runs WHERE state = 'ended'")
    match chance.randrange(12):
        case 0 | 1 | 9:
            company.hire(login, source=source, pin=pin)
        case 2:
            company.world(source).people.pop(login, None)
        case 3 | 4 | 10 | 11:
            company.sync(source)
        case 5 if open_ones:
            does = chance.choice([queue.release, queue.release, queue.discard])
            does(company.here, [chance.choice(open_ones)[0]])
        case 6 if ended:
            apply_run(company.here, plan_undo(company.here, chance.choice(ended[-4:])[0]))
        case 7:
            secrets.renew(company.here, company.account(login), "pin")
        case 8:
            unlink(company.here, company.account(login), source)


class TestALostKey:
    def test_what_a_source_always_says_is_taken_from_there_again(self, make):
        company = make(ALWAYS)
        company.hire("anna", pin="739154", code="8812", pw="Grüße aus Kiel!")
        company.sync()
        company.key = new_key()
        found = secrets.lost(company.here)
        secrets.renew_lost(company.here)
        company.sync()

        assert (1, 1) == (found.accounts, found.said)
        assert "739154" == company.told("anna", "pin") == company.shown("anna", "pin")
        code, password = company.told("anna", "login_code"), company.told("anna")
        assert (4, True, 15) == (len(code), code.isdecimal(), len(password))
        assert [] == [one for one in (code, password) if one in ("8812", "Grüße aus Kiel!")]
        assert "***" not in (code, password)
        assert not any(secrets.lost(company.here))

    def test_the_second_read_changes_nothing(self, make):
        company = make()
        company.hire("anna", pin="739154", code="8812", pw="Grüße aus Kiel!")
        company.sync()
        company.key = new_key()
        secrets.renew_lost(company.here)
        company.sync()
        run = company.sync()

        assert (1, 0) == (run.unchanged, run.counts["update"])


class TestWords:
    def test_a_hidden_value_is_everywhere_the_text_that_speaks_of_it(self):
        record = Record("a", {"pin": "4711", "last_name": "Maier"}, True, None)
        ((hidden,),) = [
            one.secrets for one in hide([record], {"pin", "password"}, VOCABULARY, "acme", bytes(32))
        ]
        (one,) = hide([record], {"pin"}, VOCABULARY, "acme", bytes(32))

        assert ("4711", True) == (hidden.plain, hidden == one.values["pin"])
        assert "4711" not in f"{one!r} {one.values} {json.dumps(one.values)} {hidden} {hidden!r}"
        assert ("pin", 0, "digits", 4) == sealed_of(hidden)[:4]

    def test_it_is_judged_as_it_is_and_one_that_has_not_changed_as_the_same(self):
        (one,) = hide(
            [Record("a", {"password": "päss"}, True, None)],
            {"password"},
            VOCABULARY,
            "acme",
            bytes(32),
        )
        stored = {"password": str(one.values["password"])}

        assert {"password": "päss"} == sampled(one.values) == sampled(stored, one.values)
        assert not isinstance(stored["password"], Hidden)
        assert {"password": "aA2a"} == sampled(stored)

    def test_fingerprints_depend_on_the_key(self):
        assert keyed(b"1")(b"x") == keyed(b"1")(b"x") != keyed(b"2")(b"x")
        assert 16 == len(keyed(b"1")(b"x"))


class TestConfiguration:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("secrets_key", "#", "source.hq.map.pin: needs secrets_key"),
            (
                '"pin"\nl',
                '{{ constant = "4711" }}\nl',
                "source.hq.map.pin.constant: is a secret, and this file",
            ),
            ('"pin"\nl', '{{ from = "p", default = "47" }}\nl', "source.hq.map.pin.default: is a secret"),
            (
                '"pin"\nl',
                '{{ from = "p", via = ["constant:4711"] }}\nl',
                "source.hq.map.pin.via[0]: is a secret",
            ),
            ("[template", "[attribute.badge]\nsecret = true\nkey = true\n[template", "no source can fill it"),
            (
                "world =",
                "owns = false\nworld =",
                "source.hq.map.pin: is used for new accounts alone, and this source",
            ),
        ],
    )
    def test_what_cannot_be_is_said(self, make, old, new, message):
        text = SAID.replace(old, new, 1)
        if "badge" in new:
            text = text.replace('pin = "pin"', 'badge = "pin"')
        found = problems(make(), text)

        assert message in found
        assert "4711" not in found

    def test_a_constant_for_a_secret_field_of_a_platform_is_refused(self, make):
        found = problems(make(), f'{TEXT}\n[platform.phonebook.map]\npin = {{{{ constant = "4711" }}}}\n')

        assert "platform.phonebook.map.pin.constant: is a secret, and this file is no place for one" in found
        assert "4711" not in found

    def test_own_secret_attributes_can_be_mapped(self, make):
        company = make(
            SAID.replace("[template.desk]", "[attribute.badge]\nsecret = true\n[template.desk]").replace(
                'pin = "pin"', 'badge = "pin"'
            )
            + '[platform.phonebook.map]\npin = "badge"\n'
        )
        company.hire("anna", pin="Ü-4711")
        company.sync()

        assert "Ü-4711" == company.told("anna", "pin") == company.shown("anna", "badge")

    def test_one_that_is_secret_no_more_is_told_once_its_source_says_it_again(self, make):
        own = SAID.replace("[template.desk]", "[attribute.badge]\nsecret = true\n[template.desk]")
        own = own.replace('pin = "pin"', 'badge = {{ from = "pin", policy = "always" }}')
        company = make(own)
        company.hire("anna", pin="47-11")
        company.sync()
        company.configure(
            own.replace("secret = true", "") + '[platform.phonebook.map]\nlast_name = "badge"\n'
        )
        settle_policy(company.here)
        company.deliver()
        assert None is company.told("anna", "last_name")
        company.sync()

        assert "47-11" == company.told("anna", "last_name")
