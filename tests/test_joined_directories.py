"""One person in two real directories, through the command line: one of them owns, the other only adds."""

from __future__ import annotations

from typing import Any

import cli_world
import pytest
from servers.slapd import PEOPLE, Slapd, StartSlapd, person

pytest_plugins = ("servers.fixtures",)
office = cli_world.office

CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
sources = ["hr", "phones"]
[source.hr]
type = "ldap"
preset = "openldap-inetorgperson"
url = ["{hr}"]
tls = "none"
base = ["{base}"]
detain = "never"
leavers = {{ reads = 1, after = "0s" }}
[source.hr.map]
company = {{ constant = "Acme" }}
distinguished_name = {{ from = [] }}
display_name = {{ from = [] }}
object_class = {{ from = [] }}
[source.phones]
type = "ldap"
url = ["{phones}"]
tls = "none"
base = ["{base}"]
filter = "(objectClass=inetOrgPerson)"
match = ["login"]
owns = false
detain = "never"
leavers = {{ reads = 1, after = "0s" }}
[source.phones.map]
login = "uid"
phone = "telephoneNumber"
mobile = "mobile"
"""

ADA, BOB = {"phone": "100", "mobile": "m1"}, {"phone": "2"}
"""What the accounts of the first two say of telephones: HR has a number of Ada's, and only that."""


class Company:
    """Two directories: HR has ada, bob and cyd; the phone book has ada, bob, and eve, whom HR never heard of."""

    def __init__(self, office: cli_world.Office, hr: Slapd, phones: Slapd) -> None:
        self.office, self.hr, self.phones = office, hr, phones
        text = CONFIGURATION.format(folder=office.folder, hr=hr.url, phones=phones.url, base=PEOPLE)
        office.config.write_text(text, "utf-8")

    def sync(self, *words: str) -> dict[str, dict[str, Any]]:
        """Read and apply; return the runs by their source. An hour passes."""
        runs = self.office.json("sync", *words)["runs"]
        self.office.later(hours=1)
        return {run["connection"]: run for run in runs}

    def told(self, login: str) -> dict[str, str]:
        """Return what an account says of telephones."""
        values = self.office.json("accounts", "show", login)["attributes"]
        return {name: values[name] for name in ("phone", "mobile") if name in values}

    def disabled(self, login: str) -> list[str]:
        return self.office.json("accounts", "show", login)["disabled_by"]

    def voices(self, login: str, attribute: str) -> list[tuple[str, str, bool]]:
        """Return (source, what it says, whether it won)."""
        (one,) = self.office.json("explain", login, attribute)["attributes"]
        return [(layer["layer"], layer["value"], layer["won"]) for layer in one["layers"]]


def change(directory: Slapd, login: str, **values: str) -> None:
    """Replace values of an entry; an empty one is deleted."""
    lines = [f"dn: uid={login},{PEOPLE}", "changetype: modify"]
    for name, value in values.items():
        lines += [f"replace: {name}", *([f"{name}: {value}"] if value else []), "-"]
    directory.modify("\n".join(lines) + "\n")


def applied(run: dict[str, Any]) -> list[str]:
    return [name for name in run["counts"] if name == "applied_operations"]


def leave(directory: Slapd, login: str) -> None:
    directory.delete(f"uid={login},{PEOPLE}")


@pytest.fixture
def company(office: cli_world.Office, start_slapd: StartSlapd) -> Company:
    hr = [person("ada", telephoneNumber="100"), person("bob"), person("cyd")]
    phones = [
        person("ada", telephoneNumber="1", mobile="m1"),
        person("bob", telephoneNumber="2"),
        person("eve", telephoneNumber="9"),
    ]
    made = Company(office, start_slapd(hr, session_log=100), start_slapd(phones, session_log=100))
    made.sync()
    assert (ADA, BOB) == (made.told("ada"), made.told("bob"))
    return made


def test_each_value_is_of_the_first_source_that_has_one_and_explain_says_which(company: Company) -> None:
    assert [("phones", "1", False), ("hr", "100", True)] == company.voices("ada", "phone")
    assert [("phones", "2", True)] == company.voices("bob", "phone")
    assert "    * hr: Acme   <- constant" in company.office.out("explain", "ada", "company")
    assert "    * hr: Surname ada   <- sn\n" in company.office.out("explain", "ada", "last_name")
    assert "    * phones: m1   <- mobile\n" in company.office.out("explain", "ada", "mobile")


def test_another_order_of_the_sources_is_another_precedence(company: Company) -> None:
    company.office.set('["hr", "phones"]', '["phones", "hr"]')
    company.sync()

    assert ({"phone": "1", "mobile": "m1"}, BOB) == (company.told("ada"), company.told("bob"))
    assert [("hr", "100", False), ("phones", "1", True)] == company.voices("ada", "phone")


def test_who_leaves_the_owner_goes_though_the_other_still_has_them(company: Company) -> None:
    leave(company.hr, "ada")
    runs = company.sync()

    assert ["missing"] == company.disabled("ada")
    assert {"incremental"} == {run["mode"] for run in runs.values()}
    change(company.phones, "ada", mobile="m2")
    company.sync()
    company.sync("--full")
    assert (["missing"], "m2") == (company.disabled("ada"), company.told("ada")["mobile"])


def test_an_entry_that_only_added_takes_its_own_values_along_and_nothing_else(company: Company) -> None:
    before = company.office.json("accounts", "show", "ada")["attributes"]
    leave(company.phones, "ada")
    company.sync()

    assert {name: value for name, value in before.items() if name != "mobile"} == (
        company.office.json("accounts", "show", "ada")["attributes"]
    )
    assert ([], [("hr", "100", True)]) == (company.disabled("ada"), company.voices("ada", "phone"))
    company.phones.add(person("ada", telephoneNumber="7"))
    company.sync()
    change(company.hr, "ada", telephoneNumber="")
    company.sync()
    assert {"phone": "7"} == company.told("ada")


def test_a_source_that_is_retired_takes_only_its_layer(company: Company) -> None:
    company.office.without("phones")
    company.office.out("retire", "phones", "--yes")

    assert [{"phone": "100"}, {}] == [company.told("ada"), company.told("bob")]
    assert [[], []] == [company.disabled("ada"), company.disabled("bob")]
    assert "Acme" == company.office.json("accounts", "show", "bob")["attributes"]["company"]


def test_when_the_owner_is_retired_its_people_leave_with_all_that_was_said_of_them(company: Company) -> None:
    leave(company.hr, "cyd")
    company.sync()
    company.office.without("hr")
    company.office.out("retire", "hr", "--yes")

    assert [ADA, BOB] == [company.told("ada"), company.told("bob")]
    assert [["missing"]] * 3 == [company.disabled(login) for login in ("ada", "bob", "cyd")]


@pytest.mark.parametrize("first", ["hr", "phones"])
def test_the_runs_of_either_side_are_undone_by_themselves(company: Company, first: str) -> None:
    change(company.hr, "bob", title="Dr", telephoneNumber="200")
    change(company.phones, "bob", telephoneNumber="3", mobile="m3")
    runs = company.sync()
    assert {"phone": "200", "mobile": "m3"} == company.told("bob")

    company.office.out("undo", str(runs[first]["run"]), "--yes")
    assert {"hr": {"phone": "3", "mobile": "m3"}, "phones": {"phone": "200"}}[first] == company.told("bob")
    (second,) = {"hr", "phones"} - {first}
    company.office.out("undo", str(runs[second]["run"]), "--yes")
    assert BOB == company.told("bob")
    assert [[], []] == [applied(run) for run in company.sync("--full").values()], "what is undone stays so"
    assert BOB == company.told("bob")


def test_who_is_only_in_the_phone_book_is_told_and_joins_once_hr_has_them(company: Company) -> None:
    assert 1 == company.sync("--full")["phones"]["counts"]["unmatched"]
    assert 64 == company.office.run("accounts", "show", "eve").exit_code
    company.hr.add(person("eve"))
    company.sync()
    assert {} == company.told("eve"), "nothing has changed in the phone book"
    company.sync("phones", "--full")
    assert {"phone": "9"} == company.told("eve")


def test_each_is_asked_for_what_has_changed_there(company: Company) -> None:
    change(company.hr, "bob", title="Dr")
    change(company.phones, "ada", mobile="m2")
    change(company.phones, "bob", telephoneNumber="3")
    runs = company.sync()

    assert {"hr": ("incremental", 1), "phones": ("incremental", 2)} == {
        source: (run["mode"], run["entries"]) for source, run in runs.items()
    }
    assert ({"phone": "100", "mobile": "m2"}, {"phone": "3"}) == (company.told("ada"), company.told("bob"))
    assert "Dr" == company.office.json("accounts", "show", "bob")["attributes"]["title"]


def test_an_entry_that_was_given_to_somebody_else_waits_for_a_person(company: Company) -> None:
    leave(company.phones, "bob")
    company.sync()
    company.phones.modify(f"dn: uid=ada,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=bob\ndeleteoldrdn: 1\n")
    company.sync()

    both = "login is that of account 2; the entry is linked to account 1"
    (asked,) = company.office.json("queue", "list")["operations"]
    assert ("detained", "ambiguous", both) == (
        asked["state"], asked["reasons"][0]["code"], asked["reasons"][0]["message"]
    )  # fmt: skip
    assert (ADA, {}) == (company.told("ada"), company.told("bob"))
    company.office.out("accounts", "unlink", "ada", "phones")
    company.sync("phones", "--full")
    assert ({"phone": "100"}, {"phone": "1", "mobile": "m1"}) == (company.told("ada"), company.told("bob"))
    assert [] == company.office.json("queue", "list")["operations"]
