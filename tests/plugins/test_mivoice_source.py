"""The source ``mivoice``: people made of the devices that a MiVoice exports."""

from __future__ import annotations

import pytest

from syncd import Checkpoint, Denied, Entry, Problem, Unavailable
from syncd.config import load
from syncd.config.catalog import Catalog
from syncd.errors import ConfigError
from syncd.testing import context
from syncd_pbx.misource import MivoiceSource

HEADER = "First Name,Last Name,Login ID,Email Address,Device Type,Primary Phone Directory Number,Dynamic Extension,Status"
ROWS = [
    "Ada,Lovelace,ada,ada@acme.example,5330 IP Phone,4711,,on",
    "Bob,Hopper,bob,,5330 IP Phone,4720,,off",
    "Ada,Lovelace,ADA,ada@acme.example,MiCollab Client Endpoint,4712,47*1,on",
    ",,,,5330 IP Phone,4999,,on",
    "ADA,Lovelace,ada,,5340 IP Phone,4713,,off",
]


def source(tmp_path, *rows, header=HEADER, data=None, selected=(), **given):
    path = tmp_path / "users.csv"
    path.write_bytes(data if data is not None else "\r\n".join([header, *rows, ""]).encode())
    made = MivoiceSource(MivoiceSource.Options(path=str(path), stable_for=0, **given), context())
    made.select(selected)
    return made


def people(made):
    *found, end = made.read(None)
    assert Checkpoint(None, full=True) == end
    return {one.anchor: one for one in found if isinstance(one, Entry)}


def test_the_devices_of_one_person_are_one_entry_and_a_telephone_of_nobody_is_none(tmp_path):
    found = people(source(tmp_path, *ROWS))

    assert ["ada", "bob"] == list(found)
    assert {
        "First Name": ("Ada", "ADA"),
        "Login ID": ("ada", "ADA"),
        "Email Address": ("ada@acme.example",),
        "Primary Phone Directory Number": ("4711", "4712", "4713"),
        "Further Numbers": ("4713",),
        "Desk Phone": ("4711", "4713"),
        "Soft Phone": ("4712",),
    }.items() <= found["ada"].attributes.items()


def test_the_columns_may_stand_in_any_order_and_be_called_otherwise(tmp_path):
    header = "DN;Kind;User"
    rows = ["1;hard;x", "2;Soft;x"]
    given = {"anchor": "User", "number": "DN", "device": "Kind", "softphones": ["SOFT"]}

    found = people(source(tmp_path, *rows, header=header, **given))

    assert {"Desk Phone": ("1",), "Soft Phone": ("2",)}.items() <= found["x"].attributes.items()


def test_what_the_file_does_not_have_is_unknown_and_not_empty(tmp_path):
    wanted = ["Login ID", "Desk Phone", "Soft Phone", "Department"]
    bare = source(tmp_path, "a,1", header="Login ID,Primary Phone Directory Number", selected=wanted)
    assert {"Soft Phone", "Department"} == people(bare)["a"].unknown
    assert {"Login ID": ("a",), "Desk Phone": ("1",)} == people(bare)["a"].attributes

    none = source(tmp_path, "a,1", header="Login ID,x", selected=wanted)
    assert {"Desk Phone", "Soft Phone", "Department"} == people(none)["a"].unknown


def test_only_those_with_a_dynamic_extension_are_read_if_that_is_asked_for(tmp_path):
    made = source(tmp_path, *ROWS, dynamic_extensions_only=True, complete="stable")

    assert ["ada"] == list(people(made))
    assert ("4711", "4713") == people(made)["ada"].attributes["Desk Phone"]
    assert made.scope() != source(tmp_path, *ROWS).scope(), "nobody is missing because of another setting"
    with pytest.raises(
        Denied, match="Dynamic Extension: there is no such column, though the configuration asks"
    ):
        people(source(tmp_path, "a", header="Login ID", dynamic_extensions_only=True))


def test_a_person_is_disabled_when_all_of_their_devices_are(tmp_path):
    assert {"ada": True, "bob": False} == {
        anchor: one.enabled for anchor, one in people(source(tmp_path, *ROWS, enabled="Status")).items()
    }


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", "\ufeffLogin ID,Last Name\r\na,Köhler\r\n".encode()),
        ("utf-8", "Login ID,Last Name\na,Köhler\n".encode()),
        ("latin-1", "Login ID,Last Name\r\na,Köhler\r\n".encode("latin-1")),
    ],
)
def test_the_encoding_may_be_utf_8_with_a_mark_or_without_and_latin_1(tmp_path, encoding, data):
    assert ("Köhler",) == people(source(tmp_path, data=data, encoding=encoding))["a"].attributes["Last Name"]


def test_another_encoding_than_was_said_is_refused(tmp_path):
    with pytest.raises(Denied, match="the text is not UTF-8"):
        people(source(tmp_path, data="Login ID,Last Name\na,Köhler\n".encode("latin-1")))


def test_two_people_with_one_anchor_are_not_taken_for_one(tmp_path):
    rows = [*ROWS, "Eve,Lovelace,ada,,5330 IP Phone,4800,,on"]
    message = "7: First Name: is another than in line 2, though Login ID is the same"
    with pytest.raises(Denied, match=message):
        people(source(tmp_path, *rows))

    *found, _ = source(tmp_path, *rows, partial=True).read(None)

    assert ["ada", "bob"] == [one.anchor for one in found]
    assert [Problem, Entry] == [type(one) for one in found]


def test_a_person_without_an_anchor_is_a_fault_and_not_passed_over(tmp_path):
    rows = [*ROWS, "Eve,King,,,5330 IP Phone,4800,,on"]
    with pytest.raises(Denied, match="7: Login ID: it is empty, so it cannot be known who this is"):
        people(source(tmp_path, *rows))

    *found, _ = source(tmp_path, *rows, partial=True).read(None)

    assert [None] == [one.anchor for one in found if isinstance(one, Problem)]


@pytest.mark.parametrize("rows", [3, 5, 6])
def test_all_rows_are_counted_those_of_nobody_and_of_who_is_not_wanted_too(tmp_path, rows):
    made = source(tmp_path, *ROWS, f"# end {rows}", complete="trailer", dynamic_extensions_only=True)
    if rows == len(ROWS):
        assert ["ada"] == list(people(made))
    else:
        with pytest.raises(Unavailable, match=f"its writer states {rows} rows, and it has 5"):
            people(made)


@pytest.mark.parametrize(
    "column",
    [
        "Password",
        "User PIN",
        "Voicemail Passcode",
        "Login Code",
        "SIP password",
        "TUI",
        "Voice Mail Code",
        "Pass phrase",
    ],
)
def test_codes_and_passwords_are_never_read(tmp_path, column):
    header = f"Login ID,{column},Postal Code,Ping"
    found = people(source(tmp_path, "a,1234,20095,x", header=header))["a"].attributes

    assert {"Login ID": ("a",), "Postal Code": ("20095",), "Ping": ("x",)} == found
    with pytest.raises(Denied, match="passwords and codes are never read from an export"):
        people(source(tmp_path, "a,1234,20095,x", header=header, selected=["Login ID", column]))


def test_a_code_that_is_not_read_is_in_no_fingerprint_either(tmp_path):
    header = "Login ID,First Name,Login Code"
    one, other = (
        people(source(tmp_path, f"a,Ada,{code}", header=header, selected=["First Name"]))["a"]
        for code in ("1234", "4321")
    )

    assert one.fingerprint == other.fingerprint


def test_check_says_what_was_found_in_the_file(tmp_path):
    assert [
        f"{tmp_path}/users.csv: 2 good rows, 0 bad ones",
        f"delimiter ','; columns: {HEADER.replace(',', ', ')}",
        "rows of nobody, or of nobody who is wanted: 1",
        "mapped columns that the file lacks: Mobile",
    ] == list(source(tmp_path, *ROWS, selected=["Login ID", "Mobile", "Soft Phone"]).check())


@pytest.mark.parametrize(("product", "words"), [("mx-one", "an MX-ONE"), ("5000", "a MiVoice 5000")])
def test_where_users_are_made_elsewhere_a_source_has_to_be_told_that_it_only_adds(tmp_path, product, words):
    """Make them there first; then this source adds to the accounts that others have made."""
    path = tmp_path / "syncd.toml"
    text = (
        '[enterprise.acme]\nsynchronizer = "pbx"\nsources = ["pbx"]\n[source.pbx]\ntype = "mivoice"\npath = "/srv/users.csv"\n'
        f'product = "{product}"\npreset = "mivoice"\n'
    )
    catalog = Catalog(sources={"mivoice": MivoiceSource})
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load([path], catalog, {})
    path.write_text(f"{text}owns = false\n")

    made = f"the users of {words} are made in its own manager, and are only added to here"
    assert [f"{path}:4: source.pbx.owns: {made}; write owns = false"] == list(caught.value.problems)
    assert not load([path], catalog, {}).sources["pbx"].terms.owns
    path.write_text(text.replace(product, "business"))
    assert load([path], catalog, {}).sources["pbx"].terms.owns
