"""The source ``ldap`` reads real OpenLDAP servers."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from hashlib import blake2b

import ldap3
import pytest
from servers.ldap_source import BIND, FILTER, Read, drain, ldap_source, lines
from servers.liar import Liar, done, message, text
from servers.slapd import ADMIN, CROWD, PASSWORD, PEOPLE, SUFFIX, Slapd, StartSlapd, people, person, record
from servers.spoilers import Listener

from syncd import Checkpoint, Entry
from syncd_ldap.wire import attributes_of, contents_of, element

pytest_plugins = ("servers.fixtures",)

GUID = bytes.fromhex("33221100554477668899aabbccddeeff")
GUID_TEXT = "00112233-4455-6677-8899-aabbccddeeff"


def ad_user(uid: str, guid: bytes | None, control: int = 512, **attributes: str | bytes) -> str:
    extra: dict[str, str | bytes | list[str | bytes]] = {
        "objectClass": ["inetOrgPerson", "user"],
        "sAMAccountName": uid,
        "userAccountControl": str(control),
        **attributes,
    }
    return person(uid, **extra, **({"objectGUID": guid} if guid else {}))


# --- what a read yields


def test_everybody_is_read_over_many_pages_and_one_full_checkpoint_ends_it(crowd: Slapd) -> None:
    read = drain(ldap_source(crowd, page_size=300))
    assert sorted(f"u{number}" for number in range(CROWD)) == read.values("uid")
    assert [Checkpoint(cursor=None, full=True)] == read.checkpoints
    assert [] == read.problems


def test_what_is_read_equals_what_the_stock_decoder_of_ldap3_makes_of_it(start_slapd: StartSlapd) -> None:
    """The pin on ldap3 2.9: raw attributes and names are the same, byte for byte."""
    photo = bytes(range(256)) * 300
    odd = [
        person("long", description="x" * 127, displayName="y" * 128, title="z" * 70000),
        person("many", mail=[f"m{number}@example.test" for number in range(300)], cn=["a", "b", "ü" * 100]),
        person("photo", jpegPhoto=[photo, photo[:128]]),
        person("läng,e+r", cn=" leading", sn="#hash "),
        record(f"cn={'c' * 200},{PEOPLE}", objectClass="inetOrgPerson", cn="c" * 200, sn="s"),
    ]
    server = start_slapd([*people(1500), *odd])
    names = ["uid", "cn", "sn", "mail", "title", "description", "displayName", "jpegPhoto", "objectClass"]
    with stock_connection(server) as stock:
        stock.search(PEOPLE, FILTER, attributes=[*names, "entryUUID"])
        expected = {entry["raw_dn"]: dict(entry["raw_attributes"]) for entry in stock.response}
    source = ldap_source(server, select=names, page_size=400)
    source.open()
    actual = {}
    for page in pages(source):
        for raw in page:
            name, begin, end = contents_of(raw)
            actual[name] = {kind.decode(): values for kind, values in attributes_of(raw, begin, end, {})[1]}
    assert 1505 == len(expected)
    assert {name: {k: v for k, v in pairs.items() if v} for name, pairs in expected.items()} == actual


@contextmanager
def stock_connection(server: Slapd):
    connection = ldap3.Connection(ldap3.Server(server.url, get_info=ldap3.NONE), auto_bind=True)
    yield connection
    connection.unbind()


def pages(source):
    from syncd_ldap.paging import Reading

    session = source._opened()
    reading = Reading(session, source.options, source.context.stopping)
    for page in reading.pages(PEOPLE, source._shape(session).requested):
        yield page.entries
    source.close()


def test_texts_are_equal_to_those_of_the_stock_decoder(crowd: Slapd) -> None:
    read = drain(ldap_source(crowd, select=["uid", "cn", "mail", "dn"]))
    with stock_connection(crowd) as stock:
        stock.search(PEOPLE, FILTER, attributes=["uid", "cn", "mail", "entryUUID"])
        expected = {
            entry["attributes"]["entryUUID"][0]: {
                **{name: tuple(entry["attributes"][name]) for name in ("uid", "cn", "mail")},
                "dn": (entry["dn"],),
            }
            for entry in stock.response
        }
    assert expected == {entry.anchor: entry.attributes for entry in read.entries}


def test_attributes_come_in_the_spelling_of_the_configuration(start_slapd: StartSlapd) -> None:
    server = start_slapd([person("a", mail="a@example.test")])
    read = drain(ldap_source(server, select=["MAIL", "givenname", "Uid", "mail", "DN"]))
    address = ("a@example.test",)
    expected = {"MAIL": address, "mail": address, "Uid": ("a",), "DN": (f"uid=a,{PEOPLE}",)}
    assert expected == read.entries[0].attributes


def test_only_what_is_selected_is_asked_for(crowd: Slapd) -> None:
    read = drain(ldap_source(crowd, select=["cn"]))
    assert {("cn",)} == {tuple(entry.attributes) for entry in read.entries}


def test_an_attribute_in_a_language_is_not_taken_for_the_plain_one(start_slapd: StartSlapd) -> None:
    """Asked for title, a server sends title;lang-de too (RFC 4512, section 2.5.2)."""
    server = start_slapd([person("a", **{"title": "Boss", "title;lang-de": "Chefin"})])
    assert {"title": ("Boss",)} == drain(ldap_source(server, select=["title"])).entries[0].attributes
    both = drain(ldap_source(server, select=["title;lang-de", "title"])).entries[0].attributes
    assert {"title": ("Boss",), "title;lang-de": ("Chefin",)} == both


def test_an_entry_is_decoded_only_when_asked(crowd: Slapd) -> None:
    read = drain(ldap_source(crowd))
    entry = read.entries[0]
    assert Entry.fingerprint.__get__(entry) is not None
    with pytest.raises(AttributeError):
        Entry.attributes.__get__(entry)
    assert ("cn", "mail", "sn", "uid") == tuple(sorted(entry.attributes))
    assert Entry.anchor.__get__(entry) == entry.anchor
    assert frozenset() == entry.unknown
    with pytest.raises(AttributeError):
        _ = entry.nonsense  # type: ignore[attr-defined]


def test_fingerprints_are_the_same_in_another_read_with_another_page_size(crowd: Slapd) -> None:
    first = {entry.anchor: entry.fingerprint for entry in drain(ldap_source(crowd)).entries}
    again = {entry.anchor: entry.fingerprint for entry in drain(ldap_source(crowd, page_size=77)).entries}
    assert first == again
    assert {16} == {len(fingerprint or b"") for fingerprint in first.values()}
    assert CROWD == len(set(first.values()))


def test_a_fingerprint_is_that_of_the_raw_entry_without_its_message_number(crowd: Slapd) -> None:
    source = ldap_source(crowd)
    source.open()
    raw = next(iter(pages(source)))[0]
    source.close()
    assert b"\x64" == raw[:1]
    expected = blake2b(raw, digest_size=16).digest()
    assert expected in {entry.fingerprint for entry in drain(source).entries}


def test_a_change_changes_the_fingerprint_of_that_entry_alone(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(5))
    before = {entry.attributes["uid"][0]: entry.fingerprint for entry in drain(ldap_source(server)).entries}
    server.modify(f"dn: uid=u3,{PEOPLE}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n")
    after = {entry.attributes["uid"][0]: entry.fingerprint for entry in drain(ldap_source(server)).entries}
    assert ["u3"] == [uid for uid in before if before[uid] != after[uid]]


def test_an_added_person_comes_and_a_deleted_one_does_not(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(3))
    server.add(person("new"))
    server.delete(f"uid=u1,{PEOPLE}")
    assert ["new", "u0", "u2"] == drain(ldap_source(server)).values("uid")


def test_a_read_may_be_repeated_and_abandoned(crowd: Slapd) -> None:
    source = ldap_source(crowd, page_size=100)
    source.open()
    abandoned = source.read(None)
    next(iter(abandoned))
    abandoned.close()
    assert CROWD + 1 == len(list(source.read(None)))
    source.close()
    source.close()


# --- where it looks


def test_several_bases_are_one_read(start_slapd: StartSlapd) -> None:
    north, south = f"ou=north,{PEOPLE}", f"ou=south,{PEOPLE}"
    units = [record(base, objectClass="organizationalUnit") for base in (north, south)]
    server = start_slapd([*units, *people(20, north), person("s", south), person("outside")])
    read = drain(ldap_source(server, base=[north, south], page_size=7))
    assert sorted([*(f"u{number}" for number in range(20)), "s"]) == read.values("uid")
    assert [Checkpoint(cursor=None, full=True)] == read.checkpoints


def test_a_missing_base_among_several_tears_the_whole_read(start_slapd: StartSlapd) -> None:
    from syncd import Denied

    server = start_slapd(people(3))
    with pytest.raises(Denied, match=r"page 1 of ou=typo,.* noSuchObject \(32\).*mend base"):
        drain(ldap_source(server, base=[PEOPLE, f"ou=typo,{SUFFIX}"]))


def test_an_empty_unit_is_a_complete_read_of_nobody(crowd: Slapd) -> None:
    """That somebody emptied it, or moved the base, is for the guards: nothing in LDAP tells."""
    assert Read([], [], [Checkpoint(cursor=None, full=True)]) == drain(
        ldap_source(crowd, base=[f"ou=empty,{SUFFIX}"])
    )


def test_a_filter_with_a_typing_error_finds_nobody_and_changes_the_scope(crowd: Slapd) -> None:
    good, bad = ldap_source(crowd), ldap_source(crowd, filter="(objectClass=inetOrgPersn)")
    assert [] == drain(bad).entries
    assert good.scope() != bad.scope()


def test_scope_one_reads_direct_children_only(start_slapd: StartSlapd) -> None:
    unit = f"ou=north,{PEOPLE}"
    server = start_slapd([record(unit, objectClass="organizationalUnit"), person("deep", unit), *people(2)])
    assert ["u0", "u1"] == drain(ldap_source(server, scope="one")).values("uid")
    nested = drain(ldap_source(server, scope="one", base=[PEOPLE, unit]))
    assert ["deep", "u0", "u1"] == nested.values("uid")


def test_a_server_that_cannot_page_is_read_in_one_answer(crowd: Slapd) -> None:
    assert CROWD == len(drain(ldap_source(crowd, page_size=0)).entries)


def test_the_scope_names_everything_that_absence_depends_on(crowd: Slapd) -> None:
    source = ldap_source(crowd, bind=BIND)
    source.open()
    source.close()
    base = source.scope()
    assert "anchor entryUUID\n" in base
    assert base == ldap_scope(crowd, url=["ldaps://another.example"])
    different = [
        {"base": [SUFFIX]},
        {"filter": "(uid=*)"},
        {"anchor": "uid"},
        {"bind": {"dn": ADMIN, "password": "credential:x"}},
        {"bind": None},
        {"disabled": "skip"},
        {"scope": "one"},
        {"referrals": "ignore"},
    ]
    scopes = {base, *(ldap_scope(crowd, **change) for change in different)}
    assert len(different) + 1 == len(scopes)
    assert PASSWORD not in base


def ldap_scope(server: Slapd, **options) -> str:
    return ldap_source(server, **{"bind": BIND, "anchor": "entryUUID"} | options).scope()


# --- anchors


def test_the_anchor_survives_a_move_and_a_new_name(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(1))
    (before,) = drain(ldap_source(server)).anchors()
    server.modify(
        f"dn: uid=u0,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=married\ndeleteoldrdn: 1\n"
        f"newsuperior: ou=empty,{SUFFIX}\n"
    )
    (after,) = drain(ldap_source(server, base=[SUFFIX])).anchors()
    assert before == after == str(uuid.UUID(after))


def test_another_attribute_can_be_the_anchor(start_slapd: StartSlapd) -> None:
    server = start_slapd([person("a", employeeNumber="0007"), person("b", employeeNumber="0008")])
    read = drain(ldap_source(server, anchor="EmployeeNumber", select=["uid"]))
    assert ["0007", "0008"] == sorted(read.anchors())
    assert {("uid",)} == {tuple(entry.attributes) for entry in read.entries}


def test_an_entry_without_anchor_is_a_problem_without_anchor(start_slapd: StartSlapd) -> None:
    server = start_slapd([person("a", employeeNumber="7"), person("b")])
    read = drain(ldap_source(server, anchor="employeeNumber"))
    assert ["7"] == read.anchors()
    (problem,) = read.problems
    assert (None, "no_anchor") == (problem.anchor, problem.code)
    assert problem.message.startswith(
        f"uid=b,{PEOPLE} shows no employeeNumber: let the bind identity read it"
    )


def test_an_anchor_with_two_values_is_a_problem(start_slapd: StartSlapd) -> None:
    server = start_slapd([person("a", mail=["1@example.test", "2@example.test"])])
    (problem,) = drain(ldap_source(server, anchor="mail")).problems
    assert (None, "ambiguous_anchor") == (problem.anchor, problem.code)


def test_a_hidden_anchor_is_a_problem_for_every_entry(start_slapd: StartSlapd) -> None:
    access = ("access to attrs=entryUUID by * none", "access to * by * read")
    read = drain(ldap_source(start_slapd(people(3), access=access)))
    assert [None] * 3 == [problem.anchor for problem in read.problems]
    assert [] == read.entries


# --- values that are no text


def test_bytes_that_are_no_text_are_a_problem_only_if_they_are_asked_for(start_slapd: StartSlapd) -> None:
    server = start_slapd([person("a", jpegPhoto=b"\xff\xd8\xff\xe0"), person("b")])
    assert ["a", "b"] == drain(ldap_source(server)).values("uid")
    read = drain(ldap_source(server, select=["uid", "jpegPhoto"]))
    assert ["b"] == read.values("uid")
    (problem,) = read.problems
    anchors = {entry.attributes["uid"]: entry.anchor for entry in drain(ldap_source(server)).entries}
    assert (anchors[("a",)], "not_text") == (problem.anchor, problem.code)
    expected = f"uid=a,{PEOPLE}: jpegPhoto is no text in UTF-8; mend it in the directory, or leave it out"
    assert problem.message.startswith(expected)


def test_a_value_in_an_old_encoding_is_a_problem_of_its_entry(start_slapd: StartSlapd) -> None:
    """userPassword takes any bytes, and slapd checks nothing about their encoding."""
    server = start_slapd(
        [person("a", userPassword="Grün".encode("latin-1")), person("b", userPassword="Grün")],
        access=("access to * by * read",),
    )
    read = drain(ldap_source(server, select=["uid", "userPassword"]))
    assert [("Grün",)] == [entry.attributes["userPassword"] for entry in read.entries]
    assert ["not_text"] == [problem.code for problem in read.problems]


# --- Active Directory


def test_active_directory_is_recognised_and_its_guid_is_the_anchor(start_slapd: StartSlapd) -> None:
    sid = bytes.fromhex("010500000000000515000000") + b"".join(
        number.to_bytes(4, "little") for number in (1, 2, 3, 1104)
    )
    server = start_slapd([ad_user("a", GUID, objectSid=sid), ad_user("b", None)], active_directory=True)
    source = ldap_source(server, select=["sAMAccountName", "objectSid"])
    read = drain(source)
    assert [GUID_TEXT] == read.anchors()
    assert {"sAMAccountName": ("a",), "objectSid": ("S-1-5-21-1-2-3-1104",)} == read.entries[0].attributes
    assert [(None, "no_anchor")] == [(problem.anchor, problem.code) for problem in read.problems]
    assert "anchor objectGUID\n" in source.scope()


@pytest.mark.parametrize(
    ("disabled", "expected"),
    [
        ("map", {"a": True, "b": False}),
        ("skip", {"a": True, "c": True}),
        ("ignore", {"a": True, "b": True, "c": True}),
    ],
)
def test_people_whom_active_directory_has_disabled(
    start_slapd: StartSlapd, disabled: str, expected: dict[str, bool]
) -> None:
    """Whether the second bit of userAccountControl is set; of a user who does not show it nobody knows."""
    guids = (bytes([number]) * 16 for number in range(1, 9))
    server = start_slapd(
        [
            ad_user("a", next(guids), 512),
            ad_user("b", next(guids), 514),
            person("c", objectClass=["inetOrgPerson", "user"], objectGUID=next(guids)),
        ],
        active_directory=True,
    )
    read = drain(ldap_source(server, disabled=disabled))
    assert expected == {entry.attributes["uid"][0]: entry.enabled for entry in read.entries}
    assert {("cn", "mail", "sn", "uid")} == {tuple(sorted(entry.attributes)) for entry in read.entries}
    assert (["not_shown"] if disabled == "map" else []) == [problem.code for problem in read.problems]


def test_elsewhere_everybody_is_enabled(crowd: Slapd) -> None:
    for disabled in ("map", "skip", "ignore"):
        assert {True} == {entry.enabled for entry in drain(ldap_source(crowd, disabled=disabled)).entries}


# --- references to other servers


def referral(rdn: str, uri: str, base: str = PEOPLE) -> str:
    return record(f"{rdn},{base}", objectClass=["referral", "extensibleObject"], ref=uri)


@pytest.mark.parametrize(("referrals", "full"), [("partial", False), ("ignore", True)])
def test_a_reference_to_a_second_server_is_reported_and_never_followed(
    start_slapd: StartSlapd, referrals: str, full: bool
) -> None:
    with Listener() as second:
        uri = f"ldap://127.0.0.1:{second.port}/ou=away,{PEOPLE}"
        server = start_slapd([*people(30), referral("ou=away", uri), *people(3, f"ou=empty,{SUFFIX}")])
        source = ldap_source(server, bind=BIND, allow_plaintext_bind=True, referrals=referrals, page_size=10)
        read = drain(source)
        assert (30, full) == (len(read.entries), read.checkpoints[0].full)
        assert (0, b"") == (second.connections, second.received)
    ((level, event, fields),) = lines(source)
    assert ("warning", "referrals_not_followed", 1) == (level, event, fields["count"])
    assert fields["first"].startswith(uri)


def test_active_directorys_own_partitions_hold_no_people(start_slapd: StartSlapd) -> None:
    uris = [
        f"ldap://ForestDnsZones.example.test/DC=ForestDnsZones,{SUFFIX}",
        f"ldap://DomainDnsZones.example.test/DC=DomainDnsZones,{SUFFIX}",
        f"ldap://example.test/CN=Configuration,{SUFFIX}",
    ]
    references = [referral(f"ou=r{number}", uri) for number, uri in enumerate(uris)]
    server = start_slapd([ad_user("a", GUID), *references], active_directory=True)
    source = ldap_source(server)
    assert [Checkpoint(cursor=None, full=True)] == drain(source).checkpoints
    assert [] == lines(source)
    server.add(referral("ou=child", f"ldap://child.example.test/DC=child,{SUFFIX}"))
    assert [Checkpoint(cursor=None, full=False)] == drain(source).checkpoints


@pytest.mark.parametrize(
    ("uri", "full"),
    [
        ("ldap://x/DC=ForestDnsZones,DC=x", True),
        ("ldaps://x:3269/CN%3DConfiguration%2CDC=x??base", True),
        ("ldap:///dc=domaindnszones,dc=x", True),
        ("ldap://x/DC=child,DC=x", False),
        ("ldap://x/OU=CN=Configuration,DC=x", False),
        ("ldap://[x/DC=x", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_a_reference_is_judged_by_the_name_in_it(uri: str, full: bool) -> None:
    """Any text may come as a reference: a scripted server sends it."""
    root = {"supportedCapabilities": ["1.2.840.113556.1.4.800"]}
    with Liar(lambda number, page: [message(number, element(0x73, text(uri))), done(number)], root) as server:
        assert [Checkpoint(cursor=None, full=full)] == drain(ldap_source(server.url)).checkpoints


def test_elsewhere_the_same_names_are_references_like_any_other(start_slapd: StartSlapd) -> None:
    uri = f"ldap://ForestDnsZones.example.test/DC=ForestDnsZones,{SUFFIX}"
    server = start_slapd([person("a"), referral("ou=r", uri)])
    assert [Checkpoint(cursor=None, full=False)] == drain(ldap_source(server)).checkpoints


# --- check


def test_check_says_what_it_found(crowd: Slapd) -> None:
    source = ldap_source(
        crowd, bind=BIND, base=[PEOPLE, f"ou=empty,{SUFFIX}"], select=["uid", "surname", "l"]
    )
    assert [
        f"{crowd.ldaps_url}: OpenLDAP; the anchor is entryUUID",
        "bound as cn=reader,dc=example,dc=test, whom the server calls dn:cn=reader,dc=example,dc=test",
        'every read is full: incremental = "off"',
        f"{PEOPLE}: {CROWD} entries in 2 pages",
        f"{PEOPLE}: none of them has surname, l",
        "the server writes sn for names that were asked; use these",
        f"ou=empty,{SUFFIX}: 0 entries",
    ] == list(source.check())


def test_check_says_what_of_the_filter_nobody_has(crowd: Slapd) -> None:
    """A server without ``memberOf``, or a slip, finds nobody, and that is no error."""
    text = f"(&(uid=u1)(|(memberOf=cn=x,{SUFFIX})(!(emploeeType=x))(l:caseExactMatch:=x)))"
    told = list(ldap_source(crowd, filter=text).check())
    assert [
        f"{PEOPLE}: 0 entries",
        f"{PEOPLE}: no entry has emploeeType, l, memberOf, which the filter asks for",
        "a server that does not keep memberOf (OpenLDAP without the overlay) needs the option groups",
    ] == [line for line in told if line.startswith(PEOPLE) or "memberOf" in line]
    (line,) = (line for line in ldap_source(crowd, filter="(uid=nobody)").check() if line.startswith(PEOPLE))
    assert f"{PEOPLE}: 0 entries" == line


def test_check_warns_that_skipped_people_look_like_leavers(start_slapd: StartSlapd) -> None:
    server = start_slapd([ad_user("a", GUID)], active_directory=True)
    found = list(ldap_source(server, disabled="skip").check())
    assert f"{server.url}: Active Directory; the anchor is objectGUID" == found[0]
    assert 'disabled = "skip": disabled people are not read, so they look like leavers' in found
