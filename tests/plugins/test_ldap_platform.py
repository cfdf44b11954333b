"""What the platform ``ldap`` does to a real slapd: entries found, made, renamed, changed, disabled, deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.ldap_platform import (
    LOCK,
    LOCKING,
    PPOLICY,
    WRITABLE,
    account,
    done,
    entries,
    ldap_platform,
    lines,
    outcome,
)
from servers.slapd import (
    ADMIN,
    MISSING,
    PASSWORD,
    PEOPLE,
    READER,
    SUFFIX,
    Slapd,
    StartSlapd,
    free_port,
    person,
    record,
)

from syncd import Blocked, Delivery, Denied, Gone, Rejected
from syncd_ldap.platform import LdapPlatform
from syncd_ldap.platformoptions import PERSON

pytest_plugins = ("servers.fixtures",)

Make = Callable[..., LdapPlatform]
NUMBERS = count()
CLASSES = sorted(PERSON)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    if MISSING:
        pytest.skip(MISSING)
    directory = tmp_path_factory.mktemp("platform")
    with Slapd(directory, [LOCK], access=WRITABLE, lines=PPOLICY, limits=LOCKING) as running:
        yield running


@pytest.fixture
def base(server: Slapd) -> str:
    """An entry of this test's own, for its people to stand below."""
    name = f"test{next(NUMBERS)}"
    server.add(record(f"ou={name},{SUFFIX}", objectClass="organizationalUnit", ou=name))
    return f"ou={name},{SUFFIX}"


@pytest.fixture
def make(server: Slapd, base: str) -> Iterator[Make]:
    """``make(**options)`` returns one more platform, opened."""
    made: list[LdapPlatform] = []

    def platform(**options: Any) -> LdapPlatform:
        made.append(ldap_platform(server, **{"base": base} | options))
        made[-1].open()
        return made[-1]

    yield platform
    for one in made:
        one.close()


def only(server: Slapd, base: str, *asked: str) -> tuple[str, dict[str, list[str]]]:
    """Return the one entry below ``base``."""
    (found,) = entries(server, base, *asked).items()
    return found


def same_as(values: dict[str, list[str]], **expected: str | list[str]) -> None:
    wanted = {name: [one] if isinstance(one, str) else sorted(one) for name, one in expected.items()}
    assert {"objectClass": CLASSES, **wanted} == values


# Adding


def test_an_account_becomes_an_entry(server: Slapd, base: str, make: Make) -> None:
    remote_id = done(make(), "add", account(1, mail=("a@x.test", "b@x.test"), description=""))
    name, values = only(server, base, "*", "entryUUID")

    assert (f"uid=u1,{base}", [remote_id]) == (name, values.pop("entryUUID"))
    same_as(values, uid="u1", cn="Person 1", sn="Surname 1", mail=["a@x.test", "b@x.test"])


def test_an_entry_that_has_the_key_is_taken_over(server: Slapd, base: str, make: Make) -> None:
    """It is brought to what the account says, and keeps what the account says nothing of."""
    unit = record(f"ou=unit,{base}", objectClass="organizationalUnit", ou="unit")
    old = person("U1", f"ou=unit,{base}", description="old", title="kept", employeeType="left")
    server.add(unit, old)
    platform = make()
    found = platform.find(account(1))

    assert found == done(platform, "add", account(1))
    name, values = only(server, f"ou=unit,{base}")
    assert f"uid=u1,ou=unit,{base}" == name
    same_as(values, uid="u1", cn="Person 1", sn="Surname 1", title="kept")


def test_an_entry_keeps_the_attribute_that_it_is_named_by(server: Slapd, base: str, make: Make) -> None:
    """It may be taken over from somebody who names entries otherwise, by several attributes even."""
    values = {"objectClass": "inetOrgPerson", "uid": "u1", "cn": ["Old", "Other"], "sn": "S"}
    server.add(record(f"cn=Old+sn=S,{base}", **values))
    done(make(), "add", account(1, cn="Nëw, 1"))
    name, found = only(server, base)

    assert f"cn=Nëw\\2C 1+sn=Surname 1,{base}" == name
    same_as(found, uid="u1", cn="Nëw, 1", sn="Surname 1")


def test_two_entries_with_the_same_key_are_for_a_person_to_part(server: Slapd, base: str, make: Make) -> None:
    """Who of them it is cannot be known: nothing is changed, and both are named."""
    server.add(
        record(f"cn=one,{base}", objectClass="inetOrgPerson", cn="one", sn="x", uid="u1"),
        record(f"cn=two,{base}", objectClass="inetOrgPerson", cn="two", sn="x", uid="u1"),
        record(f"cn=three,{base}", objectClass="inetOrgPerson", cn="three", sn="x", uid="u1"),
    )
    before = entries(server, base)
    platform = make()
    with pytest.raises(Rejected, match=f"cn=one,{base} and cn=two,{base} have the same uid as account 1"):
        done(platform, "add", account(1))
    with pytest.raises(Rejected, match="cn=one"):
        platform.find(account(1))

    assert before == entries(server, base)


def test_a_name_that_somebody_else_has_is_not_taken(server: Slapd, base: str, make: Make) -> None:
    """Here people are named by what two of them may share."""
    platform = make(rdn="cn", key=["uid"])
    done(platform, "add", account(1, cn="Anna"))
    with pytest.raises(
        Rejected, match=rf"add of cn=Anna,{base} \(where nobody has the account's uid\): entryAlreadyExists"
    ):
        done(platform, "add", account(2, cn="Anna"))
    second = done(platform, "add", account(2, cn="Berta"))
    with pytest.raises(Rejected, match=f"cn=Berta,{base} to cn=Anna,{base}: entryAlreadyExists"):
        done(platform, "update", account(2, cn="Anna"), second)

    assert [f"cn=Anna,{base}", f"cn=Berta,{base}"] == sorted(entries(server, base, "1.1"))


def test_the_first_key_decides(server: Slapd, base: str, make: Make) -> None:
    """By the second key only who has nothing in the first is found."""
    attributes = {
        "uid": "login",
        "cn": "display_name",
        "sn": "last_name",
        "employeeNumber": "employee_number",
    }
    platform = make(attributes=attributes, key=["employeeNumber", "uid"])
    server.add(
        person("u1", base), person("u2", base, employeeNumber="22"), person("u3", base, employeeNumber="3")
    )

    assert platform.find(account(1, employeeNumber="1"))
    assert platform.find(account(1))
    assert platform.find(account(9, employeeNumber="3"))
    assert platform.find(account(2, employeeNumber="2")) is None
    with pytest.raises(
        Rejected,
        match=rf"add of uid=u2,{base} \(where nobody has the account's employeeNumber, uid\): entryAlready",
    ):
        done(platform, "add", account(2, employeeNumber="2"))


def test_only_entries_of_the_filter_are_found(server: Slapd, base: str, make: Make) -> None:
    server.add(person("u1", base, employeeType="staff"), person("u2", base, employeeType="robot"))
    platform = make(filter="(|(employeeType=staff)(employeeType=boss))")

    assert platform.find(account(1))
    assert platform.find(account(2)) is None


@pytest.mark.parametrize("text", ["*", "u*", "*)(uid=*", "u1)(|(uid=*", "\\75\\31", "u1\0", "u 1", "\\2a"])
def test_a_value_is_never_more_than_itself_in_a_search(
    server: Slapd, base: str, make: Make, text: str
) -> None:
    server.add(person("u1", base), person("u2", base))

    assert make().find(account(uid=text)) is None


def test_accounts_with_the_same_key_in_one_batch_do_not_become_two_entries(
    server: Slapd, base: str, make: Make
) -> None:
    """Deliveries run side by side, but not those of one key."""
    platform = make(rdn="cn", key=["uid"])
    wanted = [account(n % 4, key=str(n), cn=f"Person {n}") for n in range(40)]
    found = list(platform.deliver(Delivery(n, "add", 1, None, one) for n, one in enumerate(wanted)))

    assert [None] * 40 == [one.error for one in found]
    assert 4 == len({one.remote_id for one in found}) == len(entries(server, base, "1.1"))


def test_a_bad_record_among_many_good_ones_is_one_outcome(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    wanted = [account(n, sn="" if n % 7 == 3 else "x") for n in range(100)]
    found = list(platform.deliver(Delivery(n, "add", 1, None, one) for n, one in enumerate(wanted)))

    assert list(range(100)) == [one.id for one in found]
    assert [n for n in range(100) if n % 7 == 3] == [
        one.id for one in found if isinstance(one.error, Rejected)
    ]
    assert sum(one.error is None for one in found) == len(entries(server, base, "1.1"))


# Names


AWKWARD = st.text(
    st.sampled_from(',+"\\<>;#= \0\n\r\tabÄ\u00a0\u4e2d\U0001f642*()/'), min_size=1, max_size=12
)
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=AWKWARD | ANY, second=AWKWARD | ANY)
def test_any_text_can_name_an_entry(server: Slapd, base: str, make: Make, first: str, second: str) -> None:
    """It goes into the name and comes back, by adding and by renaming; or the server refuses it."""
    platform = make()
    one = account(1, uid=first)
    try:
        remote_id = done(platform, "add", one)
    except Rejected:
        return
    assert [(remote_id, platform.fingerprint(one))] == list(platform.list())
    assert remote_id == platform.find(one)
    two = account(1, uid=second)
    try:
        done(platform, "update", two, remote_id)
    except Rejected:
        two = one
    assert [(remote_id, platform.fingerprint(two))] == list(platform.list())
    platform.delete(remote_id)
    assert {} == entries(server, base)


def test_a_name_that_the_index_has_no_room_for_is_refused_and_is_no_failure_of_the_server(
    server: Slapd, base: str, make: Make
) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1))
    long = "ж" * 150
    for action, one, known in (
        ("add", account(2, uid=long), None),
        ("update", account(1, uid=long), remote_id),
    ):
        found = outcome(platform, action, one, known)
        assert isinstance(found.error, Rejected)
        assert "the name is too long for OpenLDAP" in str(found.error)


def test_a_name_that_is_too_long_is_refused_before_it_is_sent(make: Make) -> None:
    with pytest.raises(Rejected, match=r"uid=xxx.* is too long for the name of an entry: 480 bytes at most"):
        done(make(), "add", account(1, uid="x" * 500))


# Changing


def test_a_new_name_is_a_rename_and_the_entry_stays_the_same(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1))
    server.modify(f"dn: uid=u1,{base}\nchangetype: modify\nadd: uid\nuid: alias\n-\nadd: title\ntitle: Dr.\n")

    assert remote_id == done(platform, "update", account(1, uid="Ü, 1"), remote_id, "uid")
    name, values = only(server, base)
    assert f"uid=Ü\\2C 1,{base}" == name
    same_as(values, uid="Ü, 1", cn="Person 1", sn="Surname 1", title="Dr.")


@pytest.mark.parametrize("width", [1, 16])
def test_names_are_exchanged(server: Slapd, base: str, make: Make, width: int) -> None:
    """Two by two, and in a circle of three; who wants the name of somebody who stays fails alone."""
    platform = make(in_flight=width)
    ids = {n: done(platform, "add", account(n)) for n in range(8)}
    new = {0: "u1", 1: "u0", 2: "u3", 3: "u4", 4: "u2", 5: "U5", 6: "u7"}
    found = platform.deliver(
        Delivery(n, "update", 1, ids[n], account(n, uid=uid), frozenset({"uid"})) for n, uid in new.items()
    )
    errors = {one.id: one.error for one in found}
    (failed,) = (n for n, error in errors.items() if error)

    assert (6, set(new)) == (failed, set(errors))
    assert f"rename of uid=u6,{base} to uid=u7,{base}: entryAlreadyExists (68)" in str(errors[6])
    names = {
        values["entryUUID"][0]: values["uid"] for values in entries(server, base, "entryUUID", "uid").values()
    }
    assert {ids[n]: [{**new, 6: "u6"}.get(n, f"u{n}")] for n in ids} == names


def test_an_exchange_that_was_cut_off_is_finished(server: Slapd, base: str, make: Make) -> None:
    """The first was put aside, and nothing else was done."""
    platform = make()
    ids = [done(platform, "add", account(n)) for n in range(2)]
    server.modify(f"dn: uid=u0,{base}\nchangetype: modrdn\nnewrdn: uid={ids[0]}\ndeleteoldrdn: 1\n")
    found = platform.deliver(
        Delivery(n, "update", 1, one, account(n, uid=f"u{1 - n}"), frozenset({"uid"}))
        for n, one in enumerate(ids)
    )

    assert [None, None] == [one.error for one in found]
    names = {
        values["entryUUID"][0]: values["uid"] for values in entries(server, base, "entryUUID", "uid").values()
    }
    assert {ids[0]: ["u1"], ids[1]: ["u0"]} == names


def test_a_name_can_change_in_its_case_alone(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1, uid="anna"))
    done(platform, "update", account(1, uid="ANNA"), remote_id, "uid")

    assert (f"uid=ANNA,{base}", {"uid": ["ANNA"]}) == only(server, base, "uid")


@pytest.mark.parametrize("anchor", ["entryUUID", "dn"])
def test_a_rename_that_was_cut_off_is_finished(server: Slapd, base: str, make: Make, anchor: str) -> None:
    """The name was changed and the rest was not: the account is delivered again with all of its fields."""
    platform = make(anchor=anchor)
    remote_id = done(platform, "add", account(1))
    server.modify(f"dn: uid=u1,{base}\nchangetype: modrdn\nnewrdn: uid=new\ndeleteoldrdn: 1\n")
    renamed = account(1, uid="new", cn="New")
    again = outcome(platform, "update", renamed, remote_id)
    if anchor == "dn":
        assert isinstance(again.error, Gone)
        remote_id = done(platform, "update", renamed, platform.find(renamed))

    assert [(remote_id, platform.fingerprint(renamed))] == list(platform.list())


def test_an_entry_that_others_rename_and_move_is_still_known(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1))
    server.add(record(f"ou=deep,{base}", objectClass="organizationalUnit", ou="deep"))
    server.modify(
        f"dn: uid=u1,{base}\nchangetype: modrdn\nnewrdn: uid=theirs\ndeleteoldrdn: 1\nnewsuperior: ou=deep,{base}\n"
    )
    done(platform, "update", account(1, description="new"), remote_id, "description")
    name, values = only(server, f"ou=deep,{base}")

    assert (f"uid=theirs,ou=deep,{base}", ["new"]) == (name, values["description"])
    platform.delete(remote_id)
    assert {} == entries(server, f"ou=deep,{base}")


def test_where_names_are_the_remote_ids_a_rename_gives_a_new_one(base: str, make: Make) -> None:
    platform = make(anchor="dn")
    remote_id = done(platform, "add", account(1))
    renamed = done(platform, "update", account(1, uid="x"), remote_id, "uid")

    assert (f"uid=u1,{base}", f"uid=x,{base}") == (remote_id, renamed)
    assert renamed == platform.find(account(1, uid="x"))


def test_only_what_has_changed_is_written(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1, description="ours"))
    server.modify(f"dn: uid=u1,{base}\nchangetype: modify\nreplace: cn\ncn: theirs\n")
    done(platform, "update", account(1, description="new"), remote_id, "description")
    _, values = only(server, base)

    same_as(values, uid="u1", cn="theirs", sn="Surname 1", description="new")


def test_a_cleared_attribute_is_deleted(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1, description="x", mail=("a@x.test",)))
    done(platform, "update", account(1, mail=("", "")), remote_id, "description", "mail")
    done(platform, "update", account(1), remote_id, "description", "mail")
    _, values = only(server, base)

    same_as(values, uid="u1", cn="Person 1", sn="Surname 1")


def test_an_attribute_that_entries_need_is_not_cleared(server: Slapd, base: str, make: Make) -> None:
    """Whether that is known from the options or told by the server."""
    platform = make(
        attributes={"uid": "login", "cn": "display_name", "sn": {"attribute": "last_name", "required": True}}
    )
    remote_id = done(platform, "add", account(1))
    before = entries(server, base)
    for fields, words in (
        ({"sn": ""}, "account 1: sn is empty, and is required"),
        ({"cn": ""}, "objectClassViolation at cn .65., it says .*'inetOrgPerson' requires attribute 'cn'"),
        ({"uid": ""}, "account 1: uid is empty"),
    ):
        with pytest.raises(Rejected, match=words):
            done(platform, "update", account(1, **fields), remote_id)

    assert before == entries(server, base)


REFUSED = {
    "unknown": ("badge", "1", "undefinedAttributeType at badge (17)"),
    "syntax": ("telephoneNumber", "ü", "invalidAttributeSyntax at telephoneNumber (21)"),
    "twice": ("mail", ("a@x.test", "A@X.test"), "attributeOrValueExists at mail (20)"),
    "single": ("employeeNumber", ("1", "2"), "constraintViolation at employeeNumber (19)"),
    "class": ("dc", "x", "objectClassViolation at dc (65)"),
    "too many": ("cn", ("a", "b"), "cn has 2 values and is not declared 'many'"),
    "surrogate": ("description", "\ud800", "half of a surrogate pair"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_schema_does_not_allow_is_refused_by_its_attribute(
    server: Slapd, base: str, make: Make, case: str
) -> None:
    name, value, words = REFUSED[case]
    many = {"attribute": "secondary_phones", "many": True}
    attributes = {"uid": "login", "cn": "display_name", "sn": "last_name", "description": "info"}
    attributes |= {
        "badge": "info",
        "telephoneNumber": "phone",
        "mail": many,
        "employeeNumber": many,
        "dc": "city",
    }
    platform = make(attributes=attributes)
    remote_id = done(platform, "add", account(1))
    before = entries(server, base)
    for found in (
        outcome(platform, "add", account(2, **{name: value})),
        outcome(platform, "update", account(1, **{name: value}), remote_id, name),
    ):
        assert isinstance(found.error, Rejected)
        assert words in str(found.error)

    assert before == entries(server, base)


# Disabling


def bind(server: Slapd, name: str, password: str) -> int:
    """Return the exit code of a bind as somebody."""
    command = ["ldapwhoami", "-x", "-H", server.url, "-D", name, "-w", password]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_disabled_person_cannot_log_in(server: Slapd, base: str, make: Make) -> None:
    """The lock of ppolicy is felt by the server itself, and is taken away again."""
    platform = make(disable="ppolicy")
    remote_id = done(platform, "add", account(1))
    server.modify(f"dn: uid=u1,{base}\nchangetype: modify\nreplace: userPassword\nuserPassword: pw\n")
    codes = [bind(server, f"uid=u1,{base}", "pw")]
    for action in ("disable", "enable"):
        one = account(1, enabled=action == "enable")
        done(platform, action, one, remote_id)
        codes.append(bind(server, f"uid=u1,{base}", "pw"))
        assert [(remote_id, platform.fingerprint(one))] == list(platform.list())

    assert [0, 49, 0] == codes


def test_a_lock_of_the_servers_own_is_no_disabling(server: Slapd, base: str, make: Make) -> None:
    """ppolicy writes into the same attribute when somebody mistypes their password too often."""
    platform = make(disable="ppolicy")
    remote_id = done(platform, "add", account(1))
    server.modify(
        f"dn: uid=u1,{base}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 20260101000000Z\n"
    )

    assert [(remote_id, platform.fingerprint(account(1)))] == list(platform.list())


def test_in_active_directory_one_bit_disables_and_the_others_stay(start_slapd: StartSlapd) -> None:
    server = start_slapd(access=WRITABLE, active_directory=True)
    platform = ldap_platform(server, disable="ad", object_classes=[*PERSON, "user"], anchor="entryUUID")
    remote_id = done(platform, "add", account(1))

    def control() -> list[str]:
        return only(server, PEOPLE, "userAccountControl")[1]["userAccountControl"]

    assert ["512"] == control()
    server.modify(
        f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 66048\n"
    )
    done(platform, "disable", account(1, enabled=False), remote_id)
    assert ["66050"] == control()
    done(platform, "enable", account(1), remote_id)
    assert ["66048"] == control()
    with pytest.raises(Rejected, match="description holds a NUL"):
        done(platform, "update", account(1, description="a\0b"), remote_id)
    platform.delete(remote_id)
    done(platform, "add", account(2, enabled=False))
    assert ["514"] == control()
    platform.close()


def test_an_attribute_may_have_a_value_for_each_state(server: Slapd, base: str, make: Make) -> None:
    platform = make(disable={"attribute": "employeeType", "value": "left", "enabled": "staff"})
    remote_id = done(platform, "add", account(1))
    seen = [only(server, base, "employeeType")[1]]
    for action in ("disable", "enable"):
        done(platform, action, account(1, enabled=action == "enable"), remote_id)
        seen.append(only(server, base, "employeeType")[1])

    assert [{"employeeType": [one]} for one in ("staff", "left", "staff")] == seen


def test_disabled_entries_can_be_moved_away_and_come_back(server: Slapd, base: str, make: Make) -> None:
    former = f"ou=former,{base}"
    platform = make(disable={"base": former})
    remote_id = done(platform, "add", account(1))
    with pytest.raises(Denied, match=f"{former} does not exist"):
        done(platform, "disable", account(1, enabled=False), remote_id)
    server.add(record(former, objectClass="organizationalUnit", ou="former"))
    one = account(1, enabled=False, uid="new", description="gone")
    done(platform, "disable", one, remote_id)

    assert f"uid=new,{former}" == only(server, former)[0]
    assert [(remote_id, platform.fingerprint(one))] == list(platform.list())
    assert remote_id == platform.find(one)
    done(platform, "enable", account(1), remote_id)
    assert sorted([former, f"uid=u1,{base}"]) == sorted(entries(server, base))


def test_whoever_is_disabled_when_added_is_so_from_the_first_moment(
    server: Slapd, base: str, make: Make
) -> None:
    done(make(), "add", account(1, enabled=False))

    assert {"employeeType": ["left"]} == only(server, base, "employeeType")[1]


def test_a_value_that_is_refused_keeps_nobody_enabled(server: Slapd, base: str, make: Make) -> None:
    """Disabling comes before all else that has changed."""
    platform = make(
        attributes={"uid": "login", "cn": "display_name", "sn": "last_name", "telephoneNumber": "phone"}
    )
    remote_id = done(platform, "add", account(1))
    for fields in ({"telephoneNumber": "ü"}, {"uid": ""}):
        found = outcome(platform, "disable", account(1, enabled=False, **fields), remote_id)
        assert isinstance(found.error, Rejected)
        assert {"employeeType": ["left"]} == only(server, base, "employeeType")[1]
        done(platform, "enable", account(1), remote_id)


def test_where_disabled_accounts_have_no_entry_they_get_one_when_they_return(
    server: Slapd, base: str, make: Make
) -> None:
    platform = make(disable="delete")
    remote_id = done(platform, "add", account(1))
    off = account(1, enabled=False)
    for _ in range(2):
        assert remote_id == done(platform, "disable", off, remote_id)
    assert remote_id == done(platform, "update", off, remote_id)
    assert {} == entries(server, base)
    with pytest.raises(Gone):
        done(platform, "enable", account(1), remote_id)
    assert platform.find(account(1)) is None
    assert done(platform, "add", account(1)) not in {"", remote_id}


def test_where_disabled_accounts_have_no_entry_a_new_one_gets_none(
    server: Slapd, base: str, make: Make
) -> None:
    platform = make(disable="delete")
    off = account(1, enabled=False)
    remote_id = done(platform, "add", off)

    assert {} == entries(server, base)
    for action in ("disable", "update", "delete"):
        done(platform, action, off, remote_id)
    with pytest.raises(Gone):
        done(platform, "enable", account(1), remote_id)


# Deleting


def test_an_entry_with_others_below_it_waits_for_them(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    remote_id = done(platform, "add", account(1))
    devices = [f"cn=device {n},uid=u1,{base}" for n in range(2)]
    server.add(*(record(name, objectClass="device", cn=name[3:11]) for name in devices))
    with pytest.raises(Blocked, match=f"uid=u1,{base} has entries below it") as caught:
        done(platform, "delete", account(1), remote_id)
    assert devices == sorted(caught.value.references)
    server.delete(*devices)
    done(platform, "delete", account(1), remote_id)

    assert {} == entries(server, base)


def test_the_id_of_another_kind_of_anchor_is_not_taken_for_gone(server: Slapd, base: str, make: Make) -> None:
    """Somebody has changed the anchor: an update finds the entry anew, a delete says what is wrong."""
    name = done(make(anchor="dn"), "add", account(1))
    platform = make()
    with pytest.raises(Gone):
        done(platform, "update", account(1), name)
    with pytest.raises(Rejected, match=f"{name} is no entryUUID; set anchor to what it was"):
        done(platform, "delete", account(1), name)
    with pytest.raises(Rejected, match="is no dn"):
        done(make(anchor="dn"), "delete", account(1), platform.find(account(1)))

    assert 1 == len(entries(server, base))


# Verifying and checking


def test_what_others_change_shows_in_the_list(server: Slapd, base: str, make: Make) -> None:
    platform = make()
    ids = {n: done(platform, "add", account(n, mail=("a@x.test", "b@x.test"))) for n in range(1, 7)}
    expected = {ids[n]: platform.fingerprint(account(n, mail=("a@x.test", "b@x.test"))) for n in ids}
    assert expected == dict(platform.list())
    for n, change in enumerate(
        ("replace: cn\ncn: theirs", "delete: mail\nmail: a@x.test", "add: employeeType\nemployeeType: left",
         "add: uid\nuid: alias", "add: title\ntitle: not ours"), 1
    ):  # fmt: skip
        server.modify(f"dn: uid=u{n},{base}\nchangetype: modify\n{change}\n")
    now = dict(platform.list())

    assert {1, 2, 3, 4} == {n for n in ids if now[ids[n]] != expected[ids[n]]}


def test_the_list_is_whole_or_fails(server: Slapd, base: str, make: Make, start_slapd: StartSlapd) -> None:
    limited = start_slapd(access=WRITABLE, limits=["limits * size.soft=5 size.hard=5 size.prtotal=5"])
    platform = ldap_platform(limited, page_size=3)
    for n in range(7):
        done(platform, "add", account(n))
    with pytest.raises(Exception, match="sizeLimitExceeded"):
        list(platform.list())
    platform.close()


def test_a_check_says_who_asks_whom(server: Slapd, make: Make) -> None:
    told = "\n".join(make().check())

    assert f"{server.url}: OpenLDAP; entries are known by entryUUID" in told
    assert f"bound as {READER}, whom the server calls dn:{READER}" in told
    assert "5 attributes and 4 object classes are in the schema" in told


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"base": f"ou=nowhere,{SUFFIX}"}, f"search of ou=nowhere,{SUFFIX}: noSuchObject"),
        ({"disable": {"base": f"ou=nowhere,{SUFFIX}"}}, f"search of ou=nowhere,{SUFFIX}: noSuchObject"),
        ({"groups": {"base": f"ou=nowhere,{SUFFIX}"}}, f"search of ou=nowhere,{SUFFIX}: noSuchObject"),
        ({"attributes": {"uid": "login", "badge": "info"}}, "its schema has no attribute badge"),
        (
            {"attributes": {"uid": "login", "surname": "last_name"}},
            "it answers with sn where surname is asked for",
        ),
        ({"object_classes": ["inetOrgPerson", "acmePerson"]}, "its schema has no object class acmePerson"),
        ({"disable": "nsaccountlock"}, "its schema has no attribute nsAccountLock"),
        ({"anchor": "nsUniqueId"}, "its schema has no attribute nsUniqueId"),
        ({"groups": {"base": SUFFIX, "attribute": "memberer"}}, "its schema has no attribute memberer"),
    ],
)
def test_a_check_finds_what_the_directory_has_not(make: Make, options: Any, expected: str) -> None:
    with pytest.raises(Denied, match=expected):
        list(make(**options).check())


def test_a_check_finds_what_the_object_classes_require(start_slapd: StartSlapd) -> None:
    platform = ldap_platform(start_slapd(access=WRITABLE), attributes={"uid": "login", "gn": "first_name"})
    with pytest.raises(Denied) as caught:
        list(platform.check())
    platform.close()

    for words in (
        "givenName where gn",
        "the object class person requires sn",
        "the object class person requires cn",
    ):
        assert words in str(caught.value)


# Rights and servers


def test_whoever_may_not_write_is_told_so(server: Slapd, base: str, make: Make) -> None:
    reader = make(bind=None, allow_plaintext_bind=False)
    with pytest.raises(Denied, match=r"strongerAuthRequired.*configure bind"):
        done(reader, "add", account(1))
    server.add(person("weak", base, userPassword=PASSWORD))
    weak = make(bind={"dn": f"uid=weak,{base}", "password": "credential:x"})
    with pytest.raises(
        Denied, match=r"insufficientAccessRights .50., .*give the bind identity the right to write"
    ):
        done(weak, "add", account(1))


def test_a_server_that_only_reads_is_named(start_slapd: StartSlapd) -> None:
    server = start_slapd(access=WRITABLE, limits=["limits * size=unlimited", "readonly on"])
    platform = ldap_platform(server)
    with pytest.raises(Denied, match=f"{server.url}: add of .*name a server in url that may be written to"):
        done(platform, "add", account(1))
    platform.close()


def test_a_base_that_is_not_there_is_for_a_person_to_make(make: Make) -> None:
    with pytest.raises(Denied, match=r"noSuchObject .32.; mend base"):
        done(make(base=f"ou=nowhere,{SUFFIX}"), "add", account(1))


def test_the_first_server_that_answers_is_written_to(server: Slapd, base: str, make: Make) -> None:
    dead = f"ldap://127.0.0.1:{free_port()}"
    platform = make(url=[dead, server.url])
    done(platform, "add", account(1))

    assert [f"uid=u1,{base}"] == list(entries(server, base))
    assert ["server_passed_over"] == [line.event for line in lines(platform)]


def test_an_anchor_that_cannot_be_seen_is_for_a_person_to_mend(start_slapd: StartSlapd) -> None:
    hidden = (f"access to attrs=entryUUID by dn.exact={ADMIN} read", *WRITABLE)
    platform = ldap_platform(start_slapd(access=hidden))
    with pytest.raises(Denied, match=r"uid=u1,.* shows no entryUUID: let the bind identity read it"):
        done(platform, "add", account(1))
    platform.close()
