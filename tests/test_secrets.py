"""Passwords and codes that syncd makes: sealed where they lie, told to platforms, shown to those who say so."""

import base64
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import cli_world
import pytest
from companies import ONE_SOURCE, PHONEBOOK, Company

from syncd import ConfigError, SyncdError
from syncd.config import load
from syncd.daemon import generation
from syncd.daemon.courier import Courier
from syncd.daemon.site import Site
from syncd.distribution.verifying import verify
from syncd.model import Sealed, sampled, sealed_of
from syncd.pipeline import people, queue, secrets
from syncd.pipeline.delivering import lanes_of
from syncd.pipeline.line import apply_run
from syncd.pipeline.opening import catalog_of
from syncd.pipeline.retiring import erase
from syncd.pipeline.undoing import plan_undo
from syncd.sealing import Keys, made, new_key
from syncd.store.keeping import prune

office = cli_world.office

DESK = """
[template.desk]
generate = {{ password = "password:24", pin = "digits:6" }}
[role.employee]
template = "desk"
"""
TEXT = (
    'secrets_key = "file:/key"\n' + DESK + ONE_SOURCE.replace("world =", 'role = "employee"\nworld =') + PHONEBOOK
)  # fmt: skip


class Sealing(Company):
    """A company whose accounts have passwords; ``key`` is what stands in the file of the key, None for no file."""

    def __init__(self, folder, text=TEXT):
        self.key = new_key()
        super().__init__(folder, text)

    def configure(self, text):
        super().configure(text)
        self.here = replace(self.here, secret=self.secret)

    def secret(self, reference):
        if self.key is None:
            raise ConfigError(f"{reference}: there is no such file")
        return self.key

    def rotate(self):
        return secrets.rotate(self.here)

    def told(self, login, field="password"):
        """Return what the platform was told."""
        (account,) = [one for one in self.system().accounts.values() if one.fields["login"] == login]
        return account.fields.get(field)

    def shown(self, login, attribute="password", why=None):
        return secrets.show(self.here, self.account(login), attribute, why)[1]

    def everything(self):
        """Return every value of the database, and its file, as one text."""
        self.database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        tables = [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        values = repr([self.rows(f"SELECT * FROM {name}") for name in tables])
        return values + (self.folder / "syncd.db").read_bytes().decode("latin-1")


@pytest.fixture
def company(tmp_path):
    """Anna and Ben, with passwords on the platform."""
    made = Sealing(tmp_path)
    made.hire("anna", "ben", mail="")
    made.sync()
    yield made
    made.database.close()


class TestMaking:
    def test_the_platform_gets_what_is_shown(self, company):
        assert company.told("anna") == company.shown("anna")
        assert company.told("anna", "pin") == company.shown("anna", "pin")

    def test_each_account_has_its_own(self, company):
        assert 24 == len(company.told("anna"))
        assert company.told("anna") != company.told("ben")
        assert 6 == len(company.told("ben", "pin"))
        assert company.told("ben", "pin").isdecimal()

    def test_no_value_stands_in_the_database(self, company):
        values = [company.told(login, field) for login in ("anna", "ben") for field in ("password", "pin")]
        company.shown("anna")
        secrets.renew(company.here, company.account("ben"), "password")
        company.deliver()

        assert [] == [value for value in [*values, company.told("ben")] if value in company.everything()]

    def test_operations_layers_and_platforms_know_the_version_alone(self, company):
        after = json.loads(company.value("SELECT after FROM operations WHERE anchor = 'anna'"))
        delivered = json.loads(company.value("SELECT delivered FROM remotes LIMIT 1"))

        assert "sealed:password:1:password:24" == after["password"]
        assert "sealed:password:1:password:24" == delivered["fields"]["password"]

    def test_the_same_input_has_the_same_plan(self, tmp_path):
        hashes = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            made = Sealing(tmp_path / name)
            made.hire("anna", "ben", mail="")
            hashes.append(made.plan().plan_hash)
            made.database.close()

        assert hashes[0] == hashes[1]

    def test_a_second_run_changes_nothing(self, company):
        run = company.sync()

        assert 0 == company.value("SELECT COUNT(*) FROM operations WHERE run = ?", run.id)

    def test_an_account_by_hand_has_them_by_its_role(self, company):
        people.add(company.here, "acme", {"login": "zoe"}, role="employee")
        company.deliver()

        assert company.told("zoe") == company.shown("zoe")

    def test_a_short_code_may_be_spoken_of_by_more_than_its_limit(self, company):
        company.configure(TEXT.replace('pin = "digits:6"', 'login_code = "digits:4"'))
        people.add(company.here, "acme", {"login": "zoe"}, role="employee")
        company.sync()

        assert 4 == len(company.told("zoe", "login_code"))

    def test_what_a_source_says_is_never_taken_for_a_secret(self, tmp_path):
        """It costs no key, makes nothing, and arrives as it is."""
        company = Sealing(tmp_path, ONE_SOURCE + PHONEBOOK)
        with closing(company.database):
            said = "sealed:phone:1:password:24"
            company.hire("anna", telephoneNumber=said)
            company.sync()

            assert said == company.told("anna", "phone")
            assert 0 == company.value("SELECT COUNT(*) FROM secrets")

    def test_one_cannot_be_typed_into_what_waits(self, company):
        company.hire("cem", mail="m" * 300)
        company.sync()
        waiting = company.value("SELECT id FROM operations WHERE state IN ('detained','failed')")

        with pytest.raises(SyncdError, match="pin is secret and is not typed here"):
            queue.edit(company.here, waiting, {"pin": "4711"})

    def test_a_contact_has_none(self, company):
        people.add(company.here, "acme", {"login": "desk"}, role="employee", kind="contact")
        company.deliver()

        assert None is company.told("desk")
        assert 4 == company.value("SELECT COUNT(*) FROM secrets")

    def test_one_that_was_rolled_back_was_never_made(self, company):
        company.database.conn.execute(
            "CREATE TEMP TRIGGER fails BEFORE INSERT ON main.remotes BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        company.hire("cem")
        with pytest.raises(Exception, match="no"):
            company.sync()

        assert 4 == company.value("SELECT COUNT(*) FROM secrets")

    def test_verify_compares_what_was_delivered(self, company):
        (lane,) = lanes_of(company.here)
        assert [] == list(verify(company.database, lane))

        (remote_id, account) = next(iter(company.system().accounts.items()))
        company.system().accounts[remote_id] = replace(
            account, fields={**account.fields, "password": "other"}
        )
        assert ["different"] == [one.kind for one in verify(company.database, lane)]


class TestTheKey:
    def test_without_it_nothing_is_applied_and_nothing_is_lost(self, company):
        company.hire("cem")
        key, company.key = company.key, None
        with pytest.raises(ConfigError, match="file:/key: there is no such file"):
            company.sync()
        assert [] == company.rows("SELECT 1 FROM accounts WHERE login = 'cem'")

        company.key = key
        company.sync()
        assert company.told("cem") == company.shown("cem")

    def test_what_needs_no_secret_goes_on_without_it(self, company):
        company.key = None
        company.world().remove("ben")
        company.world().change("anna", sn="Berg")
        company.sync()

        assert "missing" == company.value("SELECT disabled_by FROM accounts WHERE login = 'ben'")
        assert "Berg" == company.value("SELECT attributes ->> 'last_name' FROM accounts WHERE login = 'anna'")

    def test_a_leaver_does_not_wait_for_it_and_has_all_back_on_returning(self, company):
        password, key, company.key = company.told("ben"), company.key, None
        company.world().remove("ben")
        company.sync()
        assert [False] == [
            one.enabled for one in company.system().accounts.values() if "Ben" in one.fields.values()
        ]

        company.key = key
        company.hire("ben", mail="")
        company.sync()
        assert [True, True] == [one.enabled for one in company.system().accounts.values()]
        assert password == company.told("ben")
        assert "password:1" in company.value(
            "SELECT delivered FROM remotes WHERE account = ?", company.account("ben")
        )

    def test_deliveries_wait_for_it(self, company):
        key, company.key = company.key, None
        company.world().change("anna", sn="Berg")
        company.sync()
        state, message = company.rows("SELECT state, message FROM remotes WHERE state <> 'done'")[0]
        assert ("waiting", True) == (state, "file:/key: there is no such file" in message)

        company.key = key
        company.wait(hours=2)
        company.deliver()
        assert "Berg" == company.told("anna", "last_name")

    def test_another_key_makes_nothing_and_opens_nothing(self, company):
        company.hire("cem")
        right, company.key = company.key, new_key()

        with pytest.raises(ConfigError, match=r"does not hold the key .* put the line of that key back"):
            company.sync()
        with pytest.raises(ConfigError, match="does not hold the key"):
            company.shown("anna")

        company.key = right
        company.sync()
        assert company.told("cem") == company.shown("cem")

    def test_it_is_changed_in_three_steps(self, company):
        before, old = company.shown("anna"), company.key
        new = new_key()
        company.key = f"{new}\n{old}"
        assert before == company.shown("anna")
        assert 4 == secrets.rotate(company.here)
        assert 0 == secrets.rotate(company.here)

        company.key = new
        assert before == company.shown("anna")

    def test_a_value_does_not_open_in_the_row_of_another(self, company):
        anna, ben = company.account("anna"), company.account("ben")
        company.database.conn.execute(
            "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE account = ? AND attribute = 'pin')"
            " WHERE account = ? AND attribute = 'pin'",
            (ben, anna),
        )
        with pytest.raises(SyncdError, match=f"pin 1 of account {anna} does not open"):
            company.shown("anna", "pin")

    @pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(31)).decode(), "ö" * 44])
    def test_what_is_no_key_is_refused_and_not_repeated(self, text):
        with pytest.raises(ConfigError) as caught:
            Keys(text)

        assert "syncd secrets key FILE" in str(caught.value)
        assert not text or text not in str(caught.value)


class TestShowing:
    def test_the_journal_says_who_saw_what_and_why(self, company):
        company.shown("anna", why="ticket 4711")

        rows = company.rows("SELECT verb, who, account, secret, why, at = ended_at FROM decisions")
        assert [("show", "ada", company.account("anna"), "password 1", "ticket 4711", 1)] == rows

    def test_without_the_journal_nothing_is_shown(self, company):
        company.database.conn.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.decisions BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        with pytest.raises(Exception, match="full"):
            company.shown("anna")

    @pytest.mark.parametrize(
        ("attribute", "message"), [("login", "login is not secret"), ("login_code", "has no login_code")]
    )
    def test_what_is_not_there_is_said(self, company, attribute, message):
        with pytest.raises(SyncdError, match=message):
            company.shown("anna", attribute)


class TestRenewing:
    def test_the_platform_gets_the_new_one_and_undo_brings_the_old_one_back(self, company):
        old = company.told("anna")
        run = secrets.renew(company.here, company.account("anna"), "password")
        company.deliver()
        new = company.told("anna")
        assert (True, new) == (old != new, company.shown("anna"))

        apply_run(company.here, plan_undo(company.here, run.id))
        company.deliver()
        assert old == company.told("anna") == company.shown("anna")

        secrets.renew(company.here, company.account("anna"), "password")
        company.deliver()
        assert company.told("anna") not in {old, new}

    def test_an_account_that_never_had_one_gets_it_by_its_role(self, tmp_path):
        company = Sealing(tmp_path, TEXT.replace(', pin = "digits:6"', ""))
        with closing(company.database):
            company.hire("anna")
            company.sync()
            company.configure(TEXT)
            company.sync()
            assert None is company.told("anna", "pin")

            secrets.renew(company.here, company.account("anna"), "pin")
            company.deliver()
            assert company.told("anna", "pin") == company.shown("anna", "pin")

    def test_without_the_key_nothing_is_planned(self, company):
        company.key = None
        with pytest.raises(ConfigError):
            secrets.renew(company.here, company.account("anna"), "password")

        assert 1 == company.value("SELECT COUNT(*) FROM runs")


class TestForgetting:
    def test_an_erased_person_leaves_no_secret(self, company):
        anna = company.account("anna")
        value = company.shown("anna", why="Anna has lost her telephone")
        people.delete(company.here, anna)
        company.deliver()
        erase(company.here, anna)

        assert [] == company.rows("SELECT * FROM secrets WHERE account = ?", anna)
        assert [("show", "ada", None)] == company.rows("SELECT verb, who, why FROM decisions")
        assert "lost her telephone" not in company.everything()
        assert value not in company.everything()

    def test_old_versions_go_with_the_values_that_spoke_of_them(self, company):
        for _ in range(3):
            secrets.renew(company.here, company.account("anna"), "password")
            company.deliver()
        company.wait(days=400)
        counts = prune(company.database, timedelta(days=365), None, company.now)

        versions = "SELECT version FROM secrets WHERE account = ? AND attribute = 'password'"
        assert 2 == counts["secrets"]
        assert [(1,), (4,)] == company.rows(versions, company.account("anna"))
        company.world().change("anna", sn="Berg")
        company.sync()
        assert company.told("anna") == company.shown("anna")


class TestWords:
    def test_a_secret_is_spoken_of_by_its_version(self):
        one = Sealed("password", 7, "password", 24)

        assert one == sealed_of(str(one))
        assert [None] * 4 == [sealed_of(text) for text in ("", "hunter2", "sealed:pin:0:digits:4", ("a",))]

    def test_a_sample_stands_for_it_and_for_nothing_else(self):
        pin = str(Sealed("pin", 1, "digits", 4))

        assert {"pin": "0000", "title": pin} == sampled({"pin": pin, "title": pin})

    def test_what_is_made_follows_the_recipe(self):
        assert made(Sealed("pin", 1, "digits", 31)).isdecimal()
        assert set("0O1Il").isdisjoint(made(Sealed("password", 1, "password", 256)))


def problems(company, text):
    with pytest.raises(ConfigError) as caught:
        load_text(company, text)
    return "\n".join(caught.value.problems)


def load_text(company, text):
    file = company.folder / "other.toml"
    file.write_text(text.format(folder=company.folder), "utf-8")
    return load([file], catalog_of(company.here.plugins), {})


class TestConfiguration:
    def test_making_needs_a_key(self, company):
        assert "template.desk.generate: needs secrets_key" in problems(
            company, TEXT.replace("secrets_key", "#")
        )

    def test_a_key_in_the_file_is_refused_and_not_repeated(self, company):
        key = new_key()
        found = problems(company, TEXT.replace("file:/key", key))

        assert "secrets_key: is a secret, and this file is no place for one" in found
        assert key not in found

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('title = "password:24"', "is not secret"),
            ('password = "password:8"', "12 to 256"),
            ('password = "hunter2"', "must be how it is made"),
            ('pin = "digits:32"', "31 are allowed"),
            ('pin = "password:12"', "must be digits"),
            ('login_code = "digits:3"', "must be digits, 4 or more"),
        ],
    )
    def test_what_cannot_be_made_is_refused(self, company, row, message):
        found = problems(
            company, TEXT.replace('pin = "digits:6"', row).replace('password = "password:24", p', "p")
        )

        assert message in found

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('title = "password"', "password is secret, and the field title is not"),
            ('password = {{ from = "password", via = ["lower"] }}', "is copied as it is"),
        ],
    )
    def test_a_secret_goes_whole_and_into_a_secret_field(self, company, row, message):
        assert message in problems(company, f"{TEXT}\n[platform.phonebook.map]\n{row}\n")

    def test_another_secret_field_may_take_it(self, company):
        company.configure(f'{TEXT}\n[platform.phonebook.map]\nlogin_code = "pin"\n')
        company.sync()
        people.add(company.here, "acme", {"login": "zoe"}, role="employee")
        company.deliver()

        assert company.shown("zoe", "pin") == company.told("zoe", "login_code")


class TestALostKey:
    def test_new_secrets_are_told_and_all_goes_on(self, company):
        old = [company.told(login, field) for login in ("anna", "ben") for field in ("password", "pin")]
        company.key = new_key()
        for blocked in (
            lambda: secrets.renew(company.here, company.account("anna"), "password"),
            company.rotate,
        ):
            with pytest.raises(ConfigError, match="if it is lost for good: syncd secrets renew --lost"):
                blocked()
        found = secrets.lost(company.here)
        assert (1, 2, 0) == (len(found.keys), found.accounts, found.said)
        (run,) = secrets.renew_lost(company.here)
        company.deliver()

        new = [company.told(login, field) for login in ("anna", "ben") for field in ("password", "pin")]
        assert (2, 4) == (run.counts["applied_operations"], len(set(new) - set(old)))
        assert new[0] == company.shown("anna")
        company.hire("carl")
        company.sync()
        assert company.told("carl") == company.shown("carl")
        assert not any(secrets.lost(company.here))

    def test_nothing_is_lost_while_the_old_key_is_there_as_well(self, company):
        company.key = f"{new_key()}\n{company.key}"

        assert not any(secrets.lost(company.here))

    def test_who_is_deleted_gets_none(self, company):
        people.delete(company.here, company.account("ben"))
        company.key = new_key()

        assert 1 == secrets.lost(company.here).accounts

    def test_what_a_killed_process_has_not_made_is_still_lost(self, company, monkeypatch):
        def killed(*_given, **_more):
            raise KeyboardInterrupt

        company.key = new_key()
        with monkeypatch.context() as patch:
            patch.setattr(secrets, "by_hand", killed)
            with pytest.raises(KeyboardInterrupt):
                secrets.renew_lost(company.here)

        found = secrets.lost(company.here)
        assert ((), 2) == (found.keys, found.accounts)
        secrets.renew_lost(company.here)
        company.deliver()
        assert company.told("ben") == company.shown("ben")


class TestTheVerbs:
    @pytest.fixture
    def sealing(self, office):
        """The office with a key, and zoe whose password was made."""
        office.out("secrets", "key", str(office.folder / "key"))
        office.set('timezone = "Europe', f'secrets_key = "file:{office.folder}/key"\ntimezone = "Europe')
        office.set("defaults = ", 'generate = { password = "password:24" }\ndefaults = ')
        office.begin()
        office.out("accounts", "add", "acme", "login=zoe", "--role", "employee")
        return office

    def test_a_secret_is_shown_by_one_verb_and_explained_to_the_next_person(self, sealing):
        document = sealing.json("secrets", "show", "zoe", "password", "--why", "ticket 4711")
        value = sealing.out("secrets", "show", "zoe", "password").strip()

        assert {"account", "attribute", "version", "value"} == set(document)
        assert (24, value) == (len(value), document["value"])
        assert "***" == sealing.json("accounts", "show", "zoe")["attributes"]["password"]
        told = sealing.out("explain", "zoe")
        assert "show password 1 by kim" in told
        assert "ticket 4711" in told
        assert value not in told

    def test_nobody_is_found_by_how_a_secret_is_spoken_of(self, sealing):
        for text in ("sealed:", "password"):
            assert [] == sealing.json("accounts", "list", text)["accounts"]

    def test_a_new_one_is_made_and_its_change_is_told_without_it(self, sealing):
        old = sealing.out("secrets", "show", "zoe", "password").strip()
        told = sealing.out("secrets", "renew", "zoe", "password")
        new = sealing.json("secrets", "show", "zoe", "password")

        assert 2 == new["version"]
        assert old != new["value"]
        assert "password: *** -> ***" in told

    def test_the_key_is_private_and_a_new_one_comes_first(self, sealing):
        key = sealing.folder / "key"
        old = key.read_text()
        value = sealing.out("secrets", "show", "zoe", "password")
        assert 2 == sealing.json("secrets", "key", str(key))["keys"]
        assert (0o600, True) == (key.stat().st_mode & 0o777, key.read_text().endswith(old))

        assert 4 == sealing.json("secrets", "rotate")["sealed"]
        key.write_text(key.read_text().split()[0])
        assert value == sealing.out("secrets", "show", "zoe", "password")

    def test_a_key_that_is_none_is_found_by_check(self, sealing):
        (sealing.folder / "key").write_text("hunter2\n")
        told = sealing.out("check", code=78)

        assert "secrets_key: line 1 is not 32 bytes in base64" in told
        assert "hunter2" not in told

    def test_another_key_than_that_of_the_secrets_is_found_by_check(self, sealing):
        key = sealing.folder / "key"
        old = key.read_text()
        key.write_text(new_key())

        assert "secrets_key does not hold the key" in sealing.out("check", code=78)
        key.write_text(f"{key.read_text()}\n{old}")
        assert "secrets_key" not in sealing.out("check")

    @pytest.fixture
    def interrupted(self, sealing):
        """The process was killed while it applied who has to get a password, and the key is away since."""
        sealing.change(n4=("joan", "Joan", "Clarke", "joan@acme.example"))
        run = sealing.json("preview", "hr")["runs"][0]["run"]
        with closing(sqlite3.connect(sealing.database)) as conn, conn:
            conn.execute("UPDATE runs SET state = 'applying' WHERE id = ?", (run,))
        (sealing.folder / "key").rename(sealing.folder / "away")
        return sealing

    def test_a_run_that_waits_for_its_key_keeps_nobody_else_waiting(self, interrupted):
        told = interrupted.run("accounts", "edit", "ada", "phone=1")
        assert (0, True) == (told.exit_code, "phone: +49 40 111 -> 1" in told.stdout)
        assert "has secrets to seal, and goes on by itself once their key is there" in told.stderr
        assert f"{interrupted.folder}/key: there is no such file" in told.stderr

        interrupted.out("sync", "directory")
        for verb in ("sync", "preview"):
            result = interrupted.json(verb, "hr", code=78)["runs"][0]
            assert ("failed", True) == (result["state"], "has secrets to seal" in result["error"])
        (run,) = interrupted.json("runs", "--state", "applying")["runs"]
        told = interrupted.run("undo", str(run["run"]), "--yes")
        assert (78, True) == (told.exit_code, "has secrets to seal" in told.stderr)
        assert 0 != interrupted.run("secrets", "show", "joan", "password").exit_code

    def test_a_service_that_begins_with_such_a_run_delivers_all_the_same(self, interrupted):
        site = Site(
            generation.load((interrupted.config,), None, {}),
            (interrupted.config,),
            {},
            lambda: interrupted.now,
        )
        courier = Courier(site)
        courier.ask()
        site.stopping.set()
        courier.thread.join(10)

        assert (True, "") == (courier.resumed, courier.trouble)
        assert ["hr"] == [
            one["connection"] for one in interrupted.json("runs", "--state", "applying")["runs"]
        ]

    def test_it_goes_on_when_the_key_is_back(self, interrupted):
        interrupted.run("accounts", "edit", "ada", "phone=1")
        (interrupted.folder / "away").rename(interrupted.folder / "key")
        told = interrupted.run("accounts", "edit", "ada", "phone=2")

        assert "secrets to seal" not in told.stderr
        assert 24 == len(interrupted.out("secrets", "show", "joan", "password").strip())
        assert [] == interrupted.json("runs", "--state", "applying")["runs"]

    def test_a_key_that_is_lost_for_good_is_said_and_new_secrets_are_made_for_all(self, interrupted):
        """Whom a run waits for that needs the key gets a password by the way."""
        interrupted.out("secrets", "key", str(interrupted.folder / "key"))
        asked = interrupted.run("secrets", "renew", "--lost")
        told = interrupted.out("secrets", "renew", "--lost", "--yes")

        assert 0 != asked.exit_code
        assert "new secrets are made for 4 accounts, and told to the platforms" in asked.stderr
        assert "(manual) is done: 4 applied" in told
        values = {interrupted.out("secrets", "show", one, "password") for one in ("ada", "zoe", "joan")}
        assert 3 == len(values)
        assert 0 == interrupted.run("check").exit_code
        assert "nothing is lost" in interrupted.run("secrets", "renew", "--lost").stderr
        interrupted.out("sync", "hr")

    @pytest.mark.parametrize("words", [(), ("ada",), ("ada", "password", "--lost")], ids=str)
    def test_a_renewal_is_of_one_secret_or_of_all_that_are_lost(self, sealing, words):
        assert 64 == sealing.run("secrets", "renew", *words).exit_code

    def test_a_key_that_cannot_be_written_is_said(self, office):
        assert "cannot be written" in office.run("secrets", "key", str(office.folder / "no" / "key")).stderr
