"""The platform ``mivoice``: what lies in its folder for others to import, and what is known of what they took."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from syncd import Account, Blocked, Delivery, Denied, Gone, Rejected, Unavailable
from syncd.testing import context
from syncd_pbx.exchange import Folder
from syncd_pbx.mivoice import MivoicePlatform

DN = "CN={sAMAccountName},OU=users,DC=acme,DC=example"
REQUIRED = ["Last Name", "Login ID", "Role"]


def options(folder, **given):
    settings = {"path": str(folder), "product": "business", "dn": DN, **given}
    return MivoicePlatform.Options.model_validate({k: v for k, v in settings.items() if v is not None})


def platform(folder, confirmed=0, **given):
    made = MivoicePlatform(options(folder, **given), context("pbx", confirmed=confirmed))
    made.open()
    return made


def mx_one(folder):
    return platform(folder, product="mx-one", dn=None)


def account(number=1, *, enabled=True, **fields):
    standard = {
        "First Name": "Ada",
        "Last Name": "Lovelace",
        "Login ID": f"ada{number}",
        "Role": "sales",
        "Primary Phone Directory Number": str(20000 + number),
    }
    given = {**standard, **{name.replace("_", " "): value for name, value in fields.items()}}
    return Account(str(number), "user", enabled, {name: value for name, value in given.items() if value})


def add(one):
    return ("add", None, one)


def update(one, *changed):
    return ("update", one.key, one, frozenset(changed or one.fields))


def do(made, *steps):
    """Deliver and return the kinds of error, None where there is none."""
    batch = [Delivery(place, step[0], 1, *step[1:]) for place, step in enumerate(steps)]
    return [outcome.error and type(outcome.error).__name__ for outcome in made.deliver(batch)]


def waiting(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def collect(folder, *names):
    """Take files away, as whoever has imported them does; all that wait if none is named."""
    texts = []
    for name in names or waiting(folder):
        texts.append((folder / name).read_bytes().decode())
        (folder / name).unlink()
    return texts


def table(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def logins(text):
    return [row["Login ID"] for row in table(text)]


# --- new users ------------------------------------------------------------------------------------------------


def test_twelve_thousand_new_users_are_three_files_of_at_most_five_thousand(tmp_path):
    made = platform(tmp_path)

    assert {None} == set(do(made, *[add(account(number)) for number in range(12_000)]))

    files = [table((tmp_path / name).read_bytes().decode()) for name in waiting(tmp_path)]
    assert [5000, 5000, 2000] == sorted(map(len, files), reverse=True)
    assert {f"ada{number}" for number in range(12_000)} == {row["Login ID"] for rows in files for row in rows}
    assert {"First Name", *REQUIRED, "Primary Phone Directory Number"} == set(files[0][0])


def test_full_files_stay_as_they_are_while_others_are_made_anew(tmp_path):
    made = platform(tmp_path, max_entries=3)
    do(made, *[add(account(number)) for number in range(7)])
    assert ["users-000001.csv", "users-000002.csv", "users-000003.csv"] == waiting(tmp_path)
    first = (tmp_path / "users-000001.csv").stat().st_ino

    do(made, add(account(8)), update(account(4, First_Name="Eve")))

    assert ["users-000001.csv", "users-000004.csv", "users-000005.csv"] == waiting(tmp_path)
    assert first == (tmp_path / "users-000001.csv").stat().st_ino
    assert 8 == sum(len(table(text)) for text in collect(tmp_path))


def test_a_column_that_nobody_fills_is_left_out_as_an_empty_one_would_clear(tmp_path):
    bare = account(First_Name=None, Primary_Phone_Directory_Number=None)
    do(platform(tmp_path), add(bare))

    assert [dict(zip(REQUIRED, ["Lovelace", "ada1", "sales"], strict=True))] == table(collect(tmp_path)[0])


def test_headers_can_be_what_a_release_calls_them_and_columns_be_added(tmp_path):
    made = platform(
        tmp_path,
        headers={"Primary Phone Directory Number": "DN"},
        columns={"Badge": {"attribute": "badge", "ldif": "employeeNumber"}},
    )
    do(made, add(account(Badge="+49 40 1")))

    assert {"DN": "20001", "Badge": "+49 40 1"}.items() <= table(collect(tmp_path)[0])[0].items()


@pytest.mark.parametrize(
    "text", ['Zoë "Ång", 王', "O'Brien; x", "\U0001f642", " blank ", "a\u2028b", "\u00a0"]
)
def test_a_text_of_one_line_arrives_as_it_is(tmp_path, text):
    do(platform(tmp_path), add(account(Last_Name=text)))

    assert [text] == [row["Last Name"] for row in table(collect(tmp_path)[0])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=st.text(min_size=1, max_size=20))
def test_any_text_arrives_as_it_is_or_is_rejected(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("folder")
    (error,) = do(platform(folder), add(account(Last_Name=text)))

    assert [text] == ([row["Last Name"] for row in table(collect(folder)[0])] if error is None else [text])
    assert (error is not None) == bool(
        re.match(r"[=+\-@]", text) or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)
    )


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-1", "@SUM(A1)", "a\nb", "a\tb", "\r"])
def test_what_a_spreadsheet_computes_or_a_line_cannot_hold_is_rejected_and_not_changed(tmp_path, text):
    """An apostrophe before it, as the platform csv writes, would become a part of the name over there."""
    assert ["Rejected", None] == do(platform(tmp_path), add(account(1, Last_Name=text)), add(account(2)))
    assert ["ada2"] == logins(collect(tmp_path)[0])


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("Login ID", ["ab", "a.b-c_d", "x" * 21, "4711"], ["a", "a@b", "a,b", "a b", "ä1", "-ab"]),
        ("Email Address", ["a@b.example"], ["a", "ä@b.example", "a b@c", "@b"]),
        ("Primary Phone Directory Number", ["4711", "*7#"], ["+4940", "47 11", "a"]),
        ("Department", ["R & D"], ["Büro", "=x"]),
        ("Location", ["Hamburg"], ["Köln"]),
        ("Role", ["Außendienst"], ["=x", "a\nb"]),
    ],
)
def test_the_rules_of_the_columns_are_there_for_the_plan_to_be_checked_by(tmp_path, column, good, bad):
    field = platform(tmp_path).fields[column]

    assert good == [text for text in [*good, *bad] if re.fullmatch(field.pattern, text)]
    assert REQUIRED == [name for name, one in platform(tmp_path).fields.items() if one.required]
    assert 21 == platform(tmp_path).fields["Login ID"].limit


def test_contacts_are_refused(tmp_path):
    contact = Account("1", "contact", True, account().fields)

    assert frozenset({"user"}) == MivoicePlatform.kinds
    with pytest.raises(Rejected, match="is a contact, and no contacts can be imported"):
        platform(tmp_path).add(contact)


# --- what waits, and what was collected -----------------------------------------------------------------------


def test_what_waits_is_extended_under_a_new_number_and_never_under_the_old_one(tmp_path):
    """Whoever has read the first file, and deletes it by its name, deletes nothing that they have not read."""
    do(platform(tmp_path), add(account(1)))
    assert ["users-000001.csv"] == waiting(tmp_path)

    do(platform(tmp_path), add(account(2)))

    assert ["users-000002.csv"] == waiting(tmp_path)
    assert ["ada1", "ada2"] == logins(collect(tmp_path)[0])


def test_after_a_file_was_collected_the_next_one_has_only_what_is_new(tmp_path):
    do(platform(tmp_path), add(account(1)))
    collect(tmp_path)

    do(platform(tmp_path), add(account(2)))

    assert ["users-000002.csv"] == waiting(tmp_path)
    assert ["ada2"] == logins(collect(tmp_path)[0])


def test_a_change_of_who_was_not_collected_is_made_in_the_file_of_new_users(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    do(platform(tmp_path), update(account(1, Last_Name="King"), "Last Name"))

    assert ["users-000002.csv"] == waiting(tmp_path)
    assert ["King", "Lovelace"] == [row["Last Name"] for row in table(collect(tmp_path)[0])]


def test_a_delete_of_who_was_not_collected_takes_the_add_back(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    do(platform(tmp_path), ("delete", "1", account(1)))

    assert ["ada2"] == logins(collect(tmp_path)[0])
    do(platform(tmp_path), ("delete", "2", account(2)))
    assert ["changes-000001.ldif"] == waiting(tmp_path)


def test_when_everything_is_taken_back_no_file_is_left(tmp_path):
    do(platform(tmp_path), add(account(1)))
    do(platform(tmp_path), ("delete", "1", account(1)))

    assert [] == waiting(tmp_path)
    assert {} == dict(platform(tmp_path).list())


def test_changes_of_who_was_collected_go_to_ldif_with_the_changed_attributes_only(tmp_path):
    do(platform(tmp_path), *[add(account(number)) for number in range(1, 5)])
    collect(tmp_path)
    do(
        platform(tmp_path),
        update(account(1, Last_Name="König", First_Name=None), "Last Name", "First Name"),
        ("delete", "2", account(2)),
        ("disable", "3", account(3, enabled=False)),
        update(account(4, Login_ID="a,d+a"), "Login ID"),
        add(account(5)),
    )

    assert ["changes-000001.ldif", "users-000002.csv"] == waiting(tmp_path)
    assert (
        "version: 1\n"
        "\ndn: CN=ada1,OU=users,DC=acme,DC=example\nchangetype: modify\nreplace: sn\nsn:: S8O2bmln\n-\n"
        "replace: givenName\n-\n"
        "\ndn: CN=ada3,OU=users,DC=acme,DC=example\nchangetype: delete\n"
        "\ndn: CN=ada4,OU=users,DC=acme,DC=example\nchangetype: delete\n"
        "\ndn: CN=a\\,d\\+a,OU=users,DC=acme,DC=example\nchangetype: add\n"
        "objectClass: top\nobjectClass: person\nobjectClass: organizationalPerson\nobjectClass: user\n"
        "givenName: Ada\nsn: Lovelace\nsAMAccountName: a,d+a\nemployeeType: sales\ntelephoneNumber: 20004\nCN: a,d+a\n"
        "\ndn: CN=ada2,OU=users,DC=acme,DC=example\nchangetype: delete\n\n"
    ) == collect(tmp_path, "changes-000001.ldif")[0]  # fmt: skip


def test_several_changes_before_the_collection_are_one_and_a_change_back_is_none(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    collect(tmp_path)
    for name in ("King", "Queen"):
        do(platform(tmp_path), update(account(1, Last_Name=name), "Last Name"))
    (text,) = [(tmp_path / name).read_text() for name in waiting(tmp_path)]
    assert (1, 0) == (text.count("sn: Queen"), text.count("King"))

    do(platform(tmp_path), update(account(1), "Last Name"))

    assert [] == waiting(tmp_path)


def test_somebody_removed_and_added_again_before_the_collection_is_a_change_alone(tmp_path):
    do(platform(tmp_path), add(account(1)))
    collect(tmp_path)
    do(platform(tmp_path), ("delete", "1", account(1)))
    assert None is platform(tmp_path).find(account(1))

    do(platform(tmp_path), add(account(1, Last_Name="King")))

    assert ["changes-000002.ldif"] == waiting(tmp_path)
    assert ["modify"] == re.findall("changetype: (.*)", collect(tmp_path)[0])


def test_a_leaver_has_no_user_there_even_where_the_rest_is_refused(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    refused = account(1, enabled=False, Last_Name="=Lovelace")
    step = ("disable", "1", refused, frozenset(refused.fields))

    assert ["Rejected"] == do(platform(tmp_path), step)
    expected = {"1": account(1, enabled=False), "2": account(2)}
    made = platform(tmp_path)
    assert {key: made.fingerprint(one) for key, one in expected.items()} == dict(made.list())


def test_who_is_disabled_has_no_user_there_and_is_found_all_the_same(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2, enabled=False)))
    assert ["ada1"] == logins(collect(tmp_path)[0])
    do(platform(tmp_path), ("disable", "1", account(1, enabled=False)), ("enable", "2", account(2)))

    assert ("1", "2") == (platform(tmp_path).find(account(1)), platform(tmp_path).find(account(2)))
    assert ["changes-000001.ldif", "users-000002.csv"] == waiting(tmp_path)
    assert ["ada2"] == logins(collect(tmp_path)[1])
    do(platform(tmp_path), ("enable", "1", account(1)))
    assert ["ada1"] == logins(collect(tmp_path)[0])


def test_files_can_be_collected_in_any_order(tmp_path):
    do(platform(tmp_path), add(account(1)))
    collect(tmp_path)
    do(platform(tmp_path), update(account(1, Last_Name="King"), "Last Name"), add(account(2)))
    collect(tmp_path, "users-000002.csv")
    do(platform(tmp_path), update(account(2, Last_Name="King"), "Last Name"))

    assert ["changes-000002.ldif"] == waiting(tmp_path)
    assert ["CN=ada1", "CN=ada2"] == re.findall("dn: (CN=[^,]*)", collect(tmp_path)[0])


def test_a_value_that_is_another_users_over_there_waits_until_that_was_told(tmp_path):
    """The files may be imported in any order, so no file may rely on another one that waits."""
    do(platform(tmp_path), add(account(1)))
    collect(tmp_path)
    do(
        platform(tmp_path),
        update(account(1, Primary_Phone_Directory_Number="30000"), "Primary Phone Directory Number"),
    )

    newcomer = add(account(2, Primary_Phone_Directory_Number="20001"))
    (outcome,) = platform(tmp_path).deliver([Delivery(1, newcomer[0], 1, None, newcomer[2])])
    assert isinstance(outcome.error, Blocked)
    assert ("changes-000001.ldif",) == outcome.error.references
    assert "Primary Phone Directory Number is another user's over there until changes-000001.ldif" in str(
        outcome.error
    )

    collect(tmp_path)
    assert [None] == do(platform(tmp_path), newcomer)


def test_a_value_that_is_given_up_in_the_same_batch_waits_as_well(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    collect(tmp_path)
    renamed, newcomer = account(1, Login_ID="new"), account(3, Login_ID="ADA1")
    second = account(4, Login_ID="ada2")

    steps = [update(renamed, "Login ID"), ("delete", "2", account(2)), add(newcomer), add(second)]
    assert [None, None, "Blocked", "Blocked"] == do(platform(tmp_path), *steps)

    assert ["changes-000001.ldif"] == waiting(tmp_path)
    collect(tmp_path)
    assert [None, None] == do(platform(tmp_path), add(newcomer), add(second))


def test_a_file_that_is_put_back_waits_again(tmp_path):
    do(platform(tmp_path), add(account(1)))
    (text,) = collect(tmp_path)
    (tmp_path / "users-000001.csv").write_text(text)

    do(platform(tmp_path), add(account(2)))

    assert ["ada1", "ada2"] == logins(collect(tmp_path)[0])


def test_a_file_that_is_collected_at_that_very_moment_is_not_handed_over_twice(tmp_path, monkeypatch):
    made = platform(tmp_path)
    do(made, add(account(1)))
    taken, original = [], Folder.withdraw

    def first_collected(folder, names):
        if not taken:
            taken.extend(collect(tmp_path))
        return original(folder, names)

    monkeypatch.setattr(Folder, "withdraw", first_collected)

    assert [None] == do(made, add(account(2)))
    assert (["ada1"], ["ada2"]) == (logins(taken[0]), logins(collect(tmp_path)[0]))
    assert [".state.jsonl"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_emptied_all_the_time_is_unavailable_and_nothing_is_lost(tmp_path, monkeypatch):
    made = platform(tmp_path)
    do(made, add(account(1)), add(account(2)))
    original = Folder.withdraw
    monkeypatch.setattr(
        Folder, "withdraw", lambda folder, names: original(folder, [*names, "users-999999.csv"])
    )
    before = (tmp_path / "users-000001.csv").read_bytes()

    with pytest.raises(Unavailable, match="collected all the time"):
        do(made, add(account(3)))

    assert before == (tmp_path / "users-000001.csv").read_bytes()
    assert {".state.jsonl", "users-000001.csv"} == {path.name for path in tmp_path.iterdir()}


def failing(original, left):
    def instead(*given):
        if next(left) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*given)

    return instead


@pytest.mark.parametrize("call", range(1, 12))
def test_a_full_disk_at_any_call_loses_nothing_and_the_next_try_succeeds(tmp_path, monkeypatch, call):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    collect(tmp_path)
    do(platform(tmp_path), add(account(3)))
    steps = [update(account(1, Last_Name="King"), "Last Name"), add(account(4))]
    left = itertools.count(call, -1)
    with monkeypatch.context() as broken:
        for where, name in ((os, "fsync"), (Path, "rename")):
            broken.setattr(where, name, failing(getattr(where, name), left))
        made = platform(tmp_path)
        if call < 11:
            with pytest.raises(Unavailable, match="No space left on device"):
                do(made, *steps)

    assert [None, None] == do(made, *steps)
    assert ["ada3", "ada4"] == logins(collect(tmp_path, waiting(tmp_path)[1])[0])
    assert ["modify"] == re.findall("changetype: (.*)", collect(tmp_path)[0])
    assert [".state.jsonl"] == [path.name for path in tmp_path.iterdir()]


def test_repeating_what_was_done_leaves_every_file_alone(tmp_path):
    do(platform(tmp_path), add(account(1)), add(account(2)))
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}

    assert [None, None, None] == do(
        platform(tmp_path), add(account(1)), update(account(2)), ("delete", "9", account(9))
    )

    assert before == {path.name: path.stat().st_ino for path in tmp_path.iterdir()}


def test_the_account_of_a_restored_database_takes_over_the_row_of_the_same_login(tmp_path):
    do(platform(tmp_path), add(account(1)))
    collect(tmp_path)
    again = Account("77", "user", True, account(1, Last_Name="King").fields)

    assert "1" == platform(tmp_path).find(again)
    assert [None] == do(platform(tmp_path), add(again))
    assert ["modify"] == re.findall("changetype: (.*)", collect(tmp_path)[0])


def test_a_state_that_is_lost_or_broken_is_not_begun_anew(tmp_path):
    do(platform(tmp_path), add(account(1)))
    state = tmp_path / ".state.jsonl"
    lines = state.read_bytes().splitlines(keepends=True)
    for text, message in [
        (b"".join(lines[:-1]), "its end is not as it was written"),
        (b"{}\n" + lines[1], ":1 is not as it was written"),
        (b"[]\n" + lines[1], ":1 is not as it was written"),
        (b"", "its end is not as it was written"),
    ]:
        state.write_bytes(text)
        with pytest.raises(Denied, match=message):
            list(platform(tmp_path, confirmed=1).list())
    state.unlink()
    with pytest.raises(Denied, match="verify pbx --repair"):
        do(platform(tmp_path, confirmed=1), add(account(2)))
    with pytest.raises(Gone):
        list(platform(tmp_path, confirmed=1).list())


def test_check_says_what_waits(tmp_path):
    do(platform(tmp_path, max_entries=2), *[add(account(number)) for number in range(3)])

    assert [
        f"{tmp_path}/.state.jsonl: 3 accounts",
        f"{tmp_path}/users-000001.csv: waits to be imported, 2 entries",
        f"{tmp_path}/users-000002.csv: waits to be imported, 1 entries",
    ] == list(platform(tmp_path).check())


# --- all as LDIF ----------------------------------------------------------------------------------------------


def test_new_users_can_be_written_as_ldif_too_with_the_key_as_their_id(tmp_path):
    do(platform(tmp_path, format="ldif", user_id="objectGUID"), add(account(1)))

    (text,) = collect(tmp_path)
    assert "dn: CN=ada1,OU=users,DC=acme,DC=example\nchangetype: add\n" in text
    assert "objectGUID: 1\n" in text


def test_ldif_files_have_five_thousand_entries_at_most_as_well(tmp_path):
    do(platform(tmp_path, format="ldif", max_entries=4), *[add(account(number)) for number in range(10)])

    assert [4, 4, 2] == [text.count("changetype: add") for text in collect(tmp_path)]


# --- products that take the first import alone ----------------------------------------------------------------


def test_an_mx_one_takes_new_users_and_says_where_a_person_changes_them(tmp_path):
    do(mx_one(tmp_path), add(account(1)), add(account(2)))
    assert [None] == do(mx_one(tmp_path), update(account(1, Last_Name="King"), "Last Name"))
    assert ["King", "Lovelace"] == [row["Last Name"] for row in table(collect(tmp_path)[0])]
    made = mx_one(tmp_path)
    steps = [
        update(account(1), "Last Name"),
        ("delete", "1", account(1)),
        ("disable", "2", account(2, enabled=False)),
        update(account(2), "Last Name"),
        add(account(3)),
    ]
    outcomes = list(made.deliver(Delivery(place, step[0], 1, *step[1:]) for place, step in enumerate(steps)))

    assert [
        "account 1: mx-one imports new users only, and ada1 was collected: change Last Name in the MX-ONE's Provisioning Manager",
        "account 1: mx-one imports new users only, and ada1 was collected: remove them in the MX-ONE's Provisioning Manager",
        "account 2: mx-one imports new users only, and ada2 was collected: remove them in the MX-ONE's Provisioning Manager",
        "None",
        "None",
    ] == [str(outcome.error) for outcome in outcomes]
    assert {Rejected} == {type(outcome.error) for outcome in outcomes[:3]}
    assert ["ada3"] == logins(collect(tmp_path)[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"product": "5000"}, "a MiVoice 5000 takes no bulk import: its users are made in MiVoice 5000 Manager"),
        ({"product": "mx-one", "format": "ldif"}, "an mx-one takes the first import of users as CSV, and no changes"),
        ({"product": "office-400", "format": "csv+ldif"}, "make them in MiCollab's Users and Services, or with the tool"),
        ({"product": "mx-one"}, "dn, attributes and user_id are for LDIF, which this format has not"),
        ({"dn": None}, "dn: is missing; LDIF needs names"),
        ({"dn": "CN=x,DC=y"}, "dn: write a name such as"),
        ({"dn": "CN={login},DC=y"}, "dn: {login} is none of the attributes"),
        ({"columns": {"Badge": "badge"}}, "columns.Badge: say which attribute it is in LDIF"),
        ({"columns": {"Role": "badge"}, "dn": None, "format": "csv"}, "column 'Role': names are not empty"),
        ({"headers": {"Nobody": "x"}}, "'Nobody' is none of the vendor's columns, which are: First Name"),
        ({"attributes": {"Role": "mail"}}, "attribute 'mail': not a name that an attribute may have here, or it stands twice"),
        ({"path": "out"}, "write an absolute path"),
        ({"max_entries": 5001}, "less than or equal to 5000"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error_of_the_configuration(tmp_path, given, message):
    with pytest.raises(ValidationError) as caught:
        options(tmp_path, **given)

    assert message in str(caught.value)


def test_the_state_can_be_read_by_its_owner_alone_and_counts_what_waits(tmp_path):
    do(platform(tmp_path, mode="0640"), add(account(1)))

    row, end = map(json.loads, (tmp_path / ".state.jsonl").read_text().splitlines())
    assert ("1", "users-000001.csv", None) == (row["key"], row["file"], row["there"])
    assert {"numbers": {"users": 1}, "waiting": {"users-000001.csv": 1}} == end
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in (".state.jsonl", "users-000001.csv")]
    assert [0o600, 0o640] == modes
