"""Provisioning through the command line, in the order in which things are needed: platforms, licences, places, roles, users."""

import json

import cli_world
import pytest

office = cli_world.office

PROVISIONED = """
departments = ["Sales", "Works"]
location = {{ north = ["Hamburg"], south = ["Munich"] }}

[licence.voicemail]
count = 4
[licence.softphone]
count = 1
[feature_profile.Standard]
description = "A desk phone with a mailbox"
licences = ["voicemail"]
[feature_profile.Mobile]
licences = ["voicemail", "softphone"]

[template.desk]
feature_profile = "Standard"
services = ["phonebook"]
defaults = {{ company = "Acme", location = "north" }}
allocate = {{ extension = "200-209" }}
[template.road]
feature_profile = "Mobile"
[role.employee]
template = "desk"
[role.traveller]
template = "road"
"""


@pytest.fixture
def staffed(office):
    """Three people, who have three of four licences for voicemail."""
    text = office.config.read_text("utf-8")
    head, rest = text.split("[template.desk]", 1)
    rest = rest.split("[enterprise.acme]", 1)[1]
    office.config.write_text(f"{head}{PROVISIONED.format()}\n[enterprise.acme]{rest}", "utf-8")
    office.set('email = { from = "mail", via = ["lower"] }', 'email = { from = "mail", via = ["lower"] }\n'
               'role = "role"\nlocation = "site"\ndepartment = "department"')  # fmt: skip
    office.set('update = "off" }', 'update = "off" }')
    office.set('stable_for = 0\nmatch = ["login"]\noperations = ["add", "update", "remove"]',
               'stable_for = 0\nmatch = ["login"]\noperations = ["add", "update", "remove"]\n'
               'limits = { add = "off", update = "off", remove = "off", container = "off", shrink = "off" }')  # fmt: skip
    office.set('columns = ["login", "email", "phone"]',
               'columns = ["login", "email", "phone"]\nlimits = { add = "off", update = "off", remove = "off" }')  # fmt: skip
    write(office, *PEOPLE)
    office.begin()
    return office


PEOPLE = [("1", "ada"), ("2", "grace"), ("3", "alan")]


def write(office, *people):
    """Write the file of the source hr: (number, login, role, site, department) each."""
    rows = ["number,login,first,last,mail,role,site,department"]
    for number, login, *rest in people:
        role, site, department = [*rest, "", "", ""][:3]
        rows.append(f"{number},{login},First,Last,{login}@acme.example,{role},{site},{department}")
    (office.folder / "hr.csv").write_text("\n".join(rows) + "\n", "utf-8")


def licences(office):
    return {one["feature"]: one for one in office.json("licences")["licences"]}


def used(office):
    return {feature: one["used"] for feature, one in licences(office).items()}


def waiting(office):
    return office.json("queue", "list")["operations"]


def account(office, login):
    return office.json("accounts", "show", login)


def reasons(office):
    return [reason["message"] for one in waiting(office) for reason in one["reasons"]]


class TestCheck:
    def test_says_what_is_configured_in_the_order_in_which_it_is_needed(self, staffed):
        result = staffed.run("check")

        assert 0 == result.exit_code, result.output
        assert (
            "configured: 1 platform, 2 licences, 3 feature profiles, 2 locations, 2 departments, 2 templates, "
            "2 roles, 1 enterprise, 2 sources\nno problem was found\n"
        ) in result.stderr
        assert ["platform", "licence", "feature profile"] == [*staffed.json("check")["configured"]][:3]

    def test_names_who_has_a_role_that_is_not_configured_any_more(self, staffed):
        staffed.set('[role.employee]\ntemplate = "desk"', '[role.clerk]\ntemplate = "desk"')
        staffed.set('role = "employee"', 'role = "clerk"')
        result = staffed.run("check")

        assert 0 == result.exit_code
        assert (
            "note: role employee: is not configured, and 3 accounts still have it (1, 2, 3): "
            "their platforms are no longer those of its template\n"
        ) in result.stderr

    def test_tells_of_more_licences_in_use_than_there_are_and_of_profiles_that_went(self, staffed):
        staffed.set("count = 4", "count = 2")
        assert "note: licence voicemail: 3 are in use, and 2 are configured: syncd licences" in (
            staffed.run("check").stderr
        )
        staffed.set("[feature_profile.Standard]", "[feature_profile.Plain]")
        staffed.set('feature_profile = "Standard"', 'feature_profile = "Plain"')

        assert (
            "feature profile Standard: is not configured, and 3 accounts still have it (1, 2, 3): "
            "no licence is counted for it"
        ) in staffed.run("check").stderr


class TestLicences:
    def test_says_how_many_there_are_and_who_takes_them(self, staffed):
        assert (
            "LICENCE    COUNT  USED  FREE  OVER  WAITING  QUEUED\n"
            "softphone  1      0     1     0     0        0\n"
            "voicemail  4      3     1     0     0        0\n"
            "\n"
            "FEATURE PROFILE  USERS  LICENCES              DESCRIPTION\n"
            "Standard         3      voicemail             A desk phone with a mailbox\n"
            "Mobile           0      softphone, voicemail  -\n"
            "Default          0      -                     -\n"
        ) == staffed.out("licences")

    def test_says_where_none_is_configured(self, office):
        result = office.run("licences")

        assert (0, "") == (result.exit_code, result.stdout)
        assert "no licence is configured" in result.stderr
        assert {"licences": [], "feature_profiles": [], "unknown_profiles": []} == office.json("licences")

    def test_knows_of_users_whose_profile_is_not_configured(self, staffed):
        staffed.set("[feature_profile.Standard]", "[feature_profile.Plain]")
        staffed.set('feature_profile = "Standard"', 'feature_profile = "Plain"')

        assert [{"profile": "Standard", "users": 3}] == staffed.json("licences")["unknown_profiles"]
        assert (
            "3 users with the feature profile Standard, which is not configured"
            in staffed.run("licences").stderr
        )

    def test_more_in_use_than_there_are_is_a_warning(self, staffed):
        staffed.set("count = 4", "count = 2")
        told = staffed.json("licences")["licences"][1]
        (trouble,) = [one for one in staffed.json("status")["troubles"] if "licence" in one["kind"]]

        assert (2, 3, 0, 1) == tuple(told[name] for name in ("count", "used", "free", "over"))
        assert ("licences_scarce", "licence voicemail", "3 of 2 are in use", "syncd licences") == tuple(
            trouble[name] for name in ("kind", "subject", "text", "next")
        )
        health = staffed.run("health")
        assert "licence voicemail: 3 of 2 are in use" in health.stdout
        assert "'licence_voicemail_free'=-1" in health.stdout


class TestNewcomers:
    def test_for_whom_licences_are_short_are_shown_by_preview_and_wait_while_the_others_go_on(self, staffed):
        write(staffed, ("1", "countess"), ("2", "grace"), ("4", "bob"), ("5", "cyd"), ("6", "dan"))
        shown = staffed.out("preview", "hr")

        short = "voicemail: 3 needed, 2 of 4 free (1 short)"
        assert f"detained, while the rest goes on:\n  too-few-licences:voicemail: {short}\n" in shown
        assert f"! detained: {short} (too-few-licences:voicemail)" in shown
        (plan,) = staffed.json("preview", "hr")["runs"]
        assert [("too-few-licences:voicemail", "licences", short)] == [
            (one["code"], one["scope"], one["message"]) for one in plan["objections"]
        ]
        staffed.out("apply", str(plan["run"]), "--yes")
        assert ["missing"] == account(staffed, "alan")["disabled_by"]
        assert "countess@acme.example" == account(staffed, "countess")["attributes"]["email"]
        assert (2, 3) == (used(staffed)["voicemail"], licences(staffed)["voicemail"]["queued"])

    def test_who_are_released_are_active_as_far_as_there_are_licences_and_the_rest_when_there_are(
        self, staffed
    ):
        write(staffed, *PEOPLE, ("4", "bob"), ("5", "cyd"))
        staffed.out("sync")
        released = staffed.out("queue", "release", "--all", "--yes")

        assert "2 applied" in released
        assert "1 account is not active for want of a licence: syncd licences" in released
        assert ([], ["licence"]) == tuple(account(staffed, name)["disabled_by"] for name in ("bob", "cyd"))
        assert 1 == licences(staffed)["voicemail"]["waiting"]
        assert "1 user is not active for want of one" in staffed.out("health", code=1)
        staffed.set("count = 4", "count = 5")
        done = staffed.json("sync")["runs"]

        assert [("policy", {"enable": {"applied": 1}})] == [
            (run["kind"], {"enable": {"applied": run["counts"]["applied_enable"]}})
            for run in done
            if run["kind"] == "policy"
        ]
        assert [] == account(staffed, "cyd")["disabled_by"]
        assert "SYNCD OK" in staffed.out("health")

    @pytest.mark.parametrize(
        ("row", "code", "message"),
        [
            (("4", "bob", "", "Kiel", ""), "location_unknown",
             "location 'Kiel' is not configured; add it to [location], or mend it in the source"),
            (("4", "bob", "", "", "Tooling"), "department_unknown",
             "department 'Tooling' is not configured; add it to departments, or mend it in the source"),
            (("4", "bob", "boss", "", ""), "role_unknown",
             "there is no role 'boss'; configured are: employee, traveller"),
            (("1", "ada", "boss", "", ""), "role_unknown",
             "role 'boss' is not configured; write a table [role.NAME] for it, or mend it in the source"),
        ],
    )  # fmt: skip
    def test_with_a_word_that_nobody_configured_are_held_with_the_cure(self, staffed, row, code, message):
        write(staffed, *(one for one in PEOPLE if one[0] != row[0]), row)
        staffed.out("sync")
        (one,) = waiting(staffed)

        assert [(code, message)] == [(reason["code"], reason["message"]) for reason in one["reasons"]]
        assert "detained" == one["state"] or "role_unknown" == code
        assert message in staffed.out("queue", "show", str(one["operation"]))

    def test_in_a_place_that_is_configured_are_let_in(self, staffed):
        write(staffed, *PEOPLE, ("4", "bob", "", "Munich", "Works"))
        staffed.out("sync")

        assert [] == waiting(staffed)


class TestQuickAdd:
    def test_gives_what_the_template_of_the_role_gives_and_takes_a_licence(self, staffed):
        staffed.out("accounts", "add", "acme", "login=zoe", "--role", "employee")
        found = account(staffed, "zoe")["attributes"]

        assert ("Acme", "north", "203", "Standard", "employee") == tuple(
            found[name] for name in ("company", "location", "extension", "feature_profile", "role")
        )
        assert {"softphone": 0, "voicemail": 4} == used(staffed)

    def test_lets_values_of_the_template_be_overridden(self, staffed):
        staffed.out(
            *("accounts", "add", "acme", "login=zoe", "company=Zenith", "extension=900"),
            *("feature_profile=Default", "--role", "employee"),
        )
        found = account(staffed, "zoe")["attributes"]

        assert ("Zenith", "900", "Default") == tuple(
            found[name] for name in ("company", "extension", "feature_profile")
        )
        assert 3 == used(staffed)["voicemail"]

    def test_with_a_role_among_the_values_is_the_same(self, staffed):
        staffed.out("accounts", "add", "acme", "login=zoe", "role=employee")

        assert "Standard" == account(staffed, "zoe")["attributes"]["feature_profile"]
        assert "give it once" in staffed.run("accounts", "add", "acme", "login=yan", "role=employee",
                                             "--role", "traveller").output  # fmt: skip

    @pytest.mark.parametrize("words", [("--role", "employe"), ("role=employe",)])
    def test_with_an_unknown_role_says_which_there_are(self, staffed, words):
        result = staffed.run("accounts", "add", "acme", "login=zoe", *words)

        assert 64 == result.exit_code
        assert "there is no role 'employe'; did you mean 'employee'?" in result.output

    def test_tells_of_all_that_is_wrong_at_once(self, staffed):
        result = staffed.run("accounts", "add", "acme", "login=zoe", "location=Kiel", "department=Tooling",
                             "feature_profile=Gold", "--role", "employee")  # fmt: skip

        assert 64 == result.exit_code
        for word in ("location 'Kiel'", "department 'Tooling'", "feature_profile 'Gold'"):
            assert word in result.output

    def test_waits_in_the_queue_without_a_licence_and_a_release_makes_it_not_active(self, staffed):
        staffed.out("accounts", "add", "acme", "login=yan", "--role", "traveller")
        result = staffed.run("accounts", "add", "acme", "login=zoe", "--role", "traveller")

        assert 3 == result.exit_code
        assert "softphone: 1 needed, 0 of 1 free (1 short)" in result.output
        assert "voicemail: 1 needed, 0 of 4 free (1 short)" in result.output
        (one,) = waiting(staffed)
        assert 2 == len(one["reasons"])
        staffed.out("queue", "release", str(one["operation"]), "--yes")
        assert ["licence"] == account(staffed, "zoe")["disabled_by"]
        assert {"softphone": 1, "voicemail": 4} == used(staffed)
        staffed.out("accounts", "delete", "yan", "--yes")
        assert [] == account(staffed, "zoe")["disabled_by"]

    def test_of_a_contact_takes_none(self, staffed):
        staffed.set("count = 4", "count = 0")
        staffed.out("accounts", "add", "acme", "login=zoe", "--role", "employee", "--contact")

        assert [] == waiting(staffed)
        assert 3 == used(staffed)["voicemail"]


def test_the_document_of_a_plan_names_the_features(staffed):
    write(staffed, *PEOPLE, ("4", "bob"), ("5", "cyd"))
    staffed.run("sync")
    told = json.loads(staffed.run("queue", "list", "--json").stdout)["operations"]

    assert {"too-few-licences:voicemail"} == {reason["code"] for one in told for reason in one["reasons"]}


def test_what_happened_to_who_waited_is_told_by_explain_and_runs(staffed):
    write(staffed, *PEOPLE, ("4", "bob"), ("5", "cyd"))
    staffed.out("sync")
    staffed.out("queue", "release", "--all", "--yes")
    assert "disabled (licence)" in staffed.out("accounts", "list", "cyd")
    staffed.out("accounts", "delete", "bob", "--yes")
    (run,) = [one for one in staffed.json("runs")["runs"] if one["kind"] == "policy"]

    assert "there are licences for users who waited for one" in staffed.out("runs", str(run["run"]))
    assert "active" in staffed.out("accounts", "list", "cyd")
    assert f"of run {run['run']}" in staffed.out("explain", "cyd")
    undone = staffed.run("undo", str(run["run"]), "--yes")
    assert 64 == undone.exit_code
    assert "to take one back: syncd accounts disable" in undone.output


def test_who_waits_for_a_licence_gets_what_a_leaver_gives_back_with_the_same_sync(staffed):
    write(staffed, *PEOPLE, ("4", "kay"), ("5", "ida"))
    staffed.out("sync", "hr")
    staffed.out("queue", "release", "--all", "--yes")
    assert 1 == licences(staffed)["voicemail"]["waiting"]
    write(staffed, *PEOPLE[1:], ("4", "kay"), ("5", "ida"))
    staffed.out("sync", "hr")

    assert (4, 0) == (used(staffed)["voicemail"], licences(staffed)["voicemail"]["waiting"])
    assert [[], []] == [account(staffed, name)["disabled_by"] for name in ("kay", "ida")]
