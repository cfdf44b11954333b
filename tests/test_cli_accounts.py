"""``syncd accounts``, ``deliveries`` and ``verify``: what is stored of people, and what platforms have of them."""

import json
import os
import sqlite3
from contextlib import closing

import cli_world
import pytest

office = cli_world.office


@pytest.fixture
def staffed(office):
    office.begin()
    return office


def logins(office, *words):
    return [one["attributes"].get("login") for one in office.json("accounts", "list", *words)["accounts"]]


class TestList:
    def test_a_table_of_everybody(self, staffed):
        assert (
            "ACCOUNT  LOGIN  NAME          EMAIL               EXTENSION  STATE   ENTERPRISE\n"
            "1        ada    Ada Lovelace  ada@acme.example    -          active  acme\n"
            "2        grace  Grace Hopper  grace@acme.example  -          active  acme\n"
            "3        alan   Alan Turing   alan@acme.example   -          active  acme\n"
        ) == staffed.out("accounts")

    @pytest.mark.parametrize("words", [(), ("--limit", "1"), ("nobody",)])
    def test_json_that_is_written_as_it_is_read_looks_like_all_other(self, staffed, words):
        told = staffed.out("accounts", "list", "--json", *words)
        assert json.dumps(json.loads(told), indent=2) + "\n" == told

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (("HOPPER",), ["grace"]),
            (("49 40",), ["ada"]),
            (("nobody",), []),
            (("--where", "last_name=lovelace"), ["ada"]),
            (("--where", "last_name=Love"), []),
            (("--where", "phone="), ["grace", "alan"]),
            (("--where", "phone=", "--where", "first_name=Alan"), ["alan"]),
            (("--connection", "directory"), ["ada"]),
            (("--enterprise", "acme"), ["ada", "grace", "alan"]),
            (("--enterprise", "other"), []),
            (("--limit", "2"), ["ada", "grace"]),
            (("--limit", "2", "--after", "2"), ["alan"]),
            (("--disabled",), []),
            (("--deleted",), []),
        ],
        ids=str,
    )
    def test_filters(self, staffed, words, found):
        assert found == logins(staffed, *words)

    @pytest.mark.parametrize("condition", ["shoe_size=42", "pin=1234", "email"])
    def test_what_cannot_be_asked_for_is_wrong_use(self, staffed, condition):
        assert 64 == staffed.run("accounts", "list", "--where", condition).exit_code

    def test_nobody_found_is_said_to_the_person_and_is_no_failure(self, staffed):
        result = staffed.run("accounts", "list", "nobody")

        assert (0, "", "there are no such accounts\n") == (result.exit_code, result.stdout, result.stderr)

    def test_there_is_no_upper_bound_and_columns_stay_aligned(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(1000, 3500)}
        office.write()
        office.begin()
        table = office.out("accounts").splitlines()

        assert 2501 == len(table)
        assert {table[0].index("STATE")} == {line.index("active") for line in table[1:]}


class TestShow:
    def test_what_it_says_who_says_it_and_what_platforms_have(self, staffed):
        shown = staffed.out("accounts", "show", "ADA")

        assert shown.startswith("account 1: Ada Lovelace (ada)\n  state       active\n")
        assert "from the template\n  company  Acme\n  role     employee\n" in shown
        assert "linked to directory\n  (entry)             u-1\n  (owns the account)  no\n" in shown
        assert "  email               countess@acme.example\n" in shown
        assert "platforms\n  phonebook: done, as 1\n" in shown

    def test_the_document(self, staffed):
        document = staffed.json("accounts", "show", "1")

        assert {
            "account", "enterprise", "kind", "disabled_by", "deleted_at", "attributes", "created_at", "changed_at",
            "template", "by_hand", "links", "platforms",
        } == set(document)  # fmt: skip

    def test_a_secret_is_never_shown(self, staffed):
        with sqlite3.connect(staffed.database) as conn:
            conn.execute("""UPDATE accounts SET attributes = json_set(attributes, '$.pin', '4711'),
              local = '{"pin": "4711"}' WHERE id = 1""")

        for words in (("accounts", "show", "ada"), ("accounts",), ("explain", "ada")):
            result = staffed.out(*words) + staffed.out(*words, "--json")
            assert "4711" not in result
        assert "***" == staffed.json("accounts", "show", "ada")["attributes"]["pin"]

    def test_somebody_who_is_not_there(self, staffed):
        result = staffed.run("accounts", "show", "nobody")

        assert 0 != result.exit_code
        assert "syncd accounts list" in result.stderr


class TestChanges:
    def test_add_begins_with_the_template_and_no_source_owns_it(self, staffed):
        shown = staffed.out("accounts", "add", "acme", "login=zoe", "first_name=Zoe", "--role", "employee")
        document = staffed.json("accounts", "show", "zoe")

        assert "acme: run 4 (manual) is done: 1 applied\n" in shown
        assert "platform phonebook: 1 confirmed\n" in shown
        assert ("Acme", []) == (document["attributes"]["company"], document["links"])

    def test_a_contact_can_be_added(self, staffed):
        staffed.out("accounts", "add", "acme", "display_name=Reception", "phone=+49 40 0", "--contact")

        assert ["user", "user", "user", "contact"] == [
            one["kind"] for one in staffed.json("accounts")["accounts"]
        ]

    def test_edit_beats_every_source_until_reset(self, staffed):
        staffed.out("accounts", "edit", "ada", "email=ada@home.example", "title=Countess")
        staffed.out("sync", "--full")
        kept = staffed.json("accounts", "show", "ada")
        staffed.out("accounts", "reset", "ada", "email")
        back = staffed.json("accounts", "show", "ada")

        assert "ada@home.example" == kept["attributes"]["email"]
        assert ("ada@acme.example", "Countess") == tuple(
            back["attributes"][name] for name in ("email", "title")
        )
        assert "Lovelace" == kept["attributes"]["last_name"] == back["attributes"]["last_name"]

    def test_edit_touches_nothing_else_where_there_is_but_one_source(self, office):
        office.set('sources = ["hr", "directory"]', 'sources = ["hr"]')
        text = office.config.read_text("utf-8")
        start, end = text.index("[source.directory]"), text.index("[platform.phonebook]")
        office.config.write_text(text[:start] + text[end:], "utf-8")
        office.begin()
        (operation,) = office.json("accounts", "edit", "ada", "title=Countess")["runs"]

        assert {"title": "Countess", "last_name": "Lovelace"}.items() <= office.json(
            "accounts", "show", "ada"
        )["attributes"].items()
        assert 1 == operation["counts"]["applied_operations"]

    def test_an_empty_value_stays_empty(self, staffed):
        staffed.out("accounts", "edit", "ada", "phone=")

        assert "phone" not in staffed.json("accounts", "show", "ada")["attributes"]

    def test_an_attribute_that_holds_many_is_given_once_for_each(self, staffed):
        staffed.out("accounts", "edit", "ada", "secondary_phones=1", "secondary_phones=2")

        assert ["1", "2"] == staffed.json("accounts", "show", "ada")["attributes"]["secondary_phones"]
        assert 64 == staffed.run("accounts", "edit", "ada", "phone=1", "phone=2").exit_code
        assert 64 == staffed.run("accounts", "edit", "ada", "phone").exit_code

    def test_disable_and_enable(self, staffed):
        staffed.out("accounts", "disable", "ada")
        disabled = staffed.json("accounts", "--disabled")["accounts"]
        staffed.out("accounts", "enable", "ada")

        assert [["local"]] == [one["disabled_by"] for one in disabled]
        assert [] == staffed.json("accounts", "--disabled")["accounts"]

    def test_delete_asks_and_can_be_undone(self, staffed):
        refused = staffed.run("accounts", "delete", "ada")
        staffed.out("accounts", "delete", "ada", "--yes")
        gone = logins(staffed)
        staffed.out("undo", "4", "--yes")

        assert 64 == refused.exit_code
        assert "Delete account 1, Ada Lovelace (ada)?" in refused.stderr
        assert ["grace", "alan"] == gone
        assert ["ada", "grace", "alan"] == logins(staffed)

    def test_erase_forgets_a_person_who_is_deleted(self, staffed):
        alive = staffed.run("accounts", "erase", "ada", "--yes")
        staffed.out("accounts", "delete", "ada", "--yes")
        asked = staffed.run("accounts", "erase", "1")

        assert 0 != alive.exit_code
        assert "syncd accounts delete 1" in alive.stderr
        assert "This cannot be undone" in asked.stderr
        assert "account 1 is forgotten\n" == staffed.out("accounts", "erase", "1", "--yes")
        assert b"Lovelace" not in staffed.database.read_bytes()

    def test_erase_says_what_brings_the_person_back(self, staffed):
        staffed.out("accounts", "delete", "grace", "--yes")
        staffed.out("sync")
        before = staffed.run("accounts", "erase", "2")
        staffed.out("queue", "ignore", "hr", "2")
        after = staffed.run("accounts", "erase", "2", "--yes", "--json")

        assert (
            "hr still had the entry 2 when it was last read: with it the person comes back as a new account, "
            "unless you do this first: syncd queue ignore hr 2"
        ) in before.stderr
        assert ("", {"erased": 2, "entries": []}) == (after.stderr, json.loads(after.stdout))

    def test_link_and_unlink(self, staffed):
        staffed.out("accounts", "unlink", "ada", "directory")
        apart = staffed.json("accounts", "show", "ada")
        staffed.out("accounts", "link", "ada", "directory", "u-1")
        staffed.out("sync", "directory", "--full")

        assert ["hr"] == [one["connection"] for one in apart["links"]]
        assert "phone" not in apart["attributes"]
        assert "+49 40 111" == staffed.json("accounts", "show", "ada")["attributes"]["phone"]

    def test_the_document_of_a_change_has_the_run_and_the_deliveries(self, staffed):
        document = staffed.json("accounts", "edit", "ada", "phone=1")

        assert ["manual"] == [run["kind"] for run in document["runs"]]
        assert [1] == [one["confirmed"] for one in document["deliveries"]]

    @pytest.mark.parametrize("words", [("shoe_size=42",), ("pin=4711",)], ids=str)
    def test_unknown_and_secret_attributes_are_refused(self, staffed, words):
        assert 0 != staffed.run("accounts", "edit", "ada", *words).exit_code
        assert [3, 2, 1] == [run["run"] for run in staffed.json("runs")["runs"]]


class TestDeliveries:
    @pytest.fixture
    def broken(self, staffed):
        """The file of the platform is away, and a folder stands in its place."""
        file = staffed.folder / "phonebook.csv"
        file.rename(staffed.folder / "away")
        file.mkdir()
        return staffed

    def test_nothing_to_deliver_is_said(self, staffed):
        assert "every platform has what it should have" in staffed.run("deliveries").stderr

    def test_what_has_failed_is_told_again_until_somebody_has_seen_to_it(self, staffed):
        with closing(sqlite3.connect(staffed.database)) as conn, conn:
            conn.execute("UPDATE remotes SET state = 'failed', message = 'no such department'")

        assert "platform phonebook: 3 failed before\n  see to them: syncd deliveries list\n" in staffed.out(
            "sync"
        )
        assert [3] == [one["failed_before"] for one in staffed.json("sync")["deliveries"]]

        staffed.out("deliveries", "retry")

        assert "platform" not in staffed.out("sync")

    def test_what_a_platform_refuses_waits_and_is_told_with_its_cause(self, broken):
        result = broken.run("accounts", "edit", "ada", "phone=1")
        (waiting,) = broken.json("deliveries")["deliveries"]

        assert 77 == result.exit_code
        assert "platform phonebook: " in result.stdout
        assert "syncd deliveries list" in result.stdout
        assert ("phonebook", 1, "Ada Lovelace (ada)") == (
            waiting["platform"],
            waiting["account"],
            waiting["who"],
        )
        assert "phonebook.csv" in waiting["message"]
        assert [] == broken.json("deliveries", "list", "--platform", "other")["deliveries"]

    def test_what_the_configuration_changed_for_the_platform_is_said_to_come_first(self, broken):
        broken.run("accounts", "edit", "ada", "phone=1")
        broken.set('columns = ["login", "email", "phone"]', 'columns = ["login", "email"]')
        (waiting,) = broken.json("deliveries")["deliveries"]

        assert "nothing is delivered until what the configuration changed is applied" in waiting["message"]

    def test_retry_tries_at_once(self, broken):
        broken.run("accounts", "edit", "ada", "phone=1")
        (broken.folder / "phonebook.csv").rmdir()
        (broken.folder / "away").rename(broken.folder / "phonebook.csv")
        result = broken.run("deliveries", "retry", "phonebook", "--account", "ada")

        assert (0, True) == (result.exit_code, "platform phonebook: 1 confirmed\n" in result.stdout)
        assert [] == broken.json("deliveries")["deliveries"]
        assert 64 == broken.run("deliveries", "retry", "nowhere").exit_code


class TestVerify:
    def test_a_platform_as_it_should_be(self, staffed):
        assert "platform phonebook: as it should be\n" == staffed.out("verify")

    def test_differences_are_told_and_end_with_65(self, staffed):
        file = staffed.folder / "phonebook.csv"
        rows = file.read_text("utf-8").splitlines()
        file.write_text(
            "\r\n".join([rows[0], rows[1].replace("ada@", "eve@"), rows[2], '"77","eve","","","yes"', ""]),
            "utf-8",
        )
        shown = staffed.out("verify", "phonebook", code=65)

        assert "platform phonebook: 2 differences\n" in shown
        assert "  different  Ada Lovelace (ada): it differs from what was delivered\n" in shown
        assert "  missing  Alan Turing (alan): it is not there any more\n" in shown
        assert "  beside that 1 account unknown to syncd, see --unknown\n" in shown
        assert "77" not in shown

    def test_who_is_unknown_is_no_difference_unless_that_is_asked_for(self, staffed):
        """A directory has others in it, too."""
        file = staffed.folder / "phonebook.csv"
        file.write_text(file.read_text("utf-8") + '"77","eve","","","yes"\n', "utf-8")
        told = [
            "platform phonebook: as it should be",
            "  beside that 1 account unknown to syncd, see --unknown",
        ]

        assert told == staffed.out("verify").splitlines()
        assert told == staffed.out("verify", "--repair").splitlines()
        (platform,) = staffed.json("verify")["platforms"]
        assert ["unknown"] == [one["kind"] for one in platform["differences"]]
        listed = "platform phonebook: 1 difference\n  unknown  77: nothing is known of this account\n"
        assert listed == staffed.out("verify", "--unknown", code=65)
        assert listed == staffed.out("verify", "--repair", "--unknown", code=65)

    def test_repair_delivers_them_again_and_leaves_the_unknown_alone(self, staffed):
        file = staffed.folder / "phonebook.csv"
        file.write_text(file.read_text("utf-8").replace("ada@", "eve@"), "utf-8")
        document = staffed.json("verify", "--repair")

        assert ["different"] == [one["kind"] for one in document["platforms"][0]["differences"]]
        assert "platform phonebook: as it should be\n" == staffed.out("verify")
        assert "ada@acme.example" in file.read_text("utf-8")

    def test_a_file_that_is_gone_is_denied_and_repair_makes_it_anew(self, staffed):
        """Not one row is written before: whoever imports the file would take the others for gone."""
        file = staffed.folder / "phonebook.csv"
        before = file.read_text("utf-8")
        file.unlink()
        staffed.change(n2=("grace", "Grace", "Hopper", "hopper@acme.example"))
        result = staffed.run("sync")

        assert (77, False) == (result.exit_code, file.exists())
        assert f"{file} is gone or empty, and had 3 of the accounts; put it back" in result.stdout
        staffed.out("verify", "--repair")
        expected = before.replace("grace@acme.example", "hopper@acme.example")
        assert sorted(expected.splitlines()) == sorted(file.read_text("utf-8").splitlines())
        assert "platform phonebook: as it should be\n" == staffed.out("verify")

    def test_repair_does_not_wait_for_its_reader(self, staffed):
        file = staffed.folder / "phonebook.csv"
        before = file.read_text("utf-8")
        file.write_text(before.replace("ada@", "eve@"), "utf-8")
        reader, writer = os.pipe()
        os.close(reader)
        result = staffed.process("verify", "--repair", capture_output=False, stdout=writer)
        os.close(writer)

        assert (141, before) == (result.returncode, file.read_text("utf-8"))

    def test_what_repair_leaves_ends_with_65(self, staffed):
        file = staffed.folder / "phonebook.csv"
        text = file.read_text("utf-8")
        file.write_text(text.replace("ada@", "eve@") + '"77","eve","","","yes"\n', "utf-8")
        shown = staffed.out("verify", "--repair", "--unknown", code=65)

        assert "  different  Ada Lovelace (ada)" in shown
        assert "platform phonebook: 1 confirmed\n" in shown
        assert "platform phonebook: 1 difference\n" in staffed.out("verify", "--unknown", code=65)

    def test_a_platform_that_cannot_be_asked(self, staffed):
        (staffed.folder / "phonebook.csv").unlink()
        (staffed.folder / "phonebook.csv").mkdir()
        result = staffed.run("verify", "--json")

        assert 77 == result.exit_code
        assert {"platforms": []} == json.loads(result.stdout)
        assert "syncd: phonebook: " in result.stderr
