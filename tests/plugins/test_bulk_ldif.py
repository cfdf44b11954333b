"""The LDIF reader and writer."""

from __future__ import annotations

import base64
import io
import time
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd_bulk import ldifwriter
from syncd_bulk.ldif import LdifFile
from syncd_bulk.rows import BadFile, Caps


def entries(data, wanted=None, caps=Caps()):  # noqa: B008
    return list(LdifFile(io.BytesIO(data), wanted, caps))


def only(data, **options):
    (entry,) = entries(data, **options)
    return entry


def messages(data, **options):
    return [fault.at("f.ldif") for entry in entries(data, **options) for fault in entry.faults]


GOOD = [
    ("plain", b"dn: uid=a,dc=x\nuid: a\n", {"dn": ["uid=a,dc=x"], "uid": ["a"]}),
    ("version, empty line", b"version: 1\n\ndn: cn=a\ncn: a\n", {"dn": ["cn=a"], "cn": ["a"]}),
    ("version, no empty line", b"version: 1\ndn: cn=a\ncn: a\n", {"dn": ["cn=a"], "cn": ["a"]}),
    (
        "comments everywhere",
        b"# x\n#y\n z\n\n# w\ndn: cn=a\n# in\n between\ncn: a\n# end\n",
        {"dn": ["cn=a"], "cn": ["a"]},
    ),
    ("CR LF", b"dn: cn=a\r\ncn: a\r\n b\r\n\r\n", {"dn": ["cn=a"], "cn": ["ab"]}),
    ("no last line end", b"dn: cn=a\ncn: a", {"dn": ["cn=a"], "cn": ["a"]}),
    ("byte order mark", b"\xef\xbb\xbfdn: cn=a\ncn: a\n", {"dn": ["cn=a"], "cn": ["a"]}),
    ("many empty lines", b"\n\n\ndn: cn=a\ncn: a\n\n\n\n", {"dn": ["cn=a"], "cn": ["a"]}),
    ("folded", b"dn: cn=a\n  b,\n dc=x\ncn: a \n  b\n", {"dn": ["cn=a b,dc=x"], "cn": ["a  b"]}),
    ("folded to nothing", b"dn: cn=a\ncn: a\n \n", {"dn": ["cn=a"], "cn": ["a"]}),
    ("no blank behind the colon", b"dn:cn=a\ncn:a: b\n", {"dn": ["cn=a"], "cn": ["a: b"]}),
    ("many blanks behind it", b"dn:   cn=a\ncn:    a\n", {"dn": ["cn=a"], "cn": ["a"]}),
    ("values with colons", b"dn: cn=a\ncn: b: c:  d\n", {"dn": ["cn=a"], "cn": ["b: c:  d"]}),
    ("empty values are none", b"dn: cn=a\ncn:\nsn: \nmail::\n", {"dn": ["cn=a"]}),
    (
        "several values",
        b"dn: cn=a\nMail: 1\nmail: 2\nMAIL:: Mw==\n",
        {"dn": ["cn=a"], "mail": ["1", "2", "3"]},
    ),
    (
        "options are kept",
        b"dn: cn=a\ncn;lang-de: a\ncn: b\n",
        {"dn": ["cn=a"], "cn;lang-de": ["a"], "cn": ["b"]},
    ),
    ("numeric names", b"dn: cn=a\n2.5.4.3: a\n", {"dn": ["cn=a"], "2.5.4.3": ["a"]}),
    ("base64 name", b"dn:: Y249w6Q=\ncn:: w6Q=\n", {"dn": ["cn=ä"], "cn": ["ä"]}),
    ("base64, folded", b"dn: cn=a\ncn:: aGVsbG8g\n d29ybGQ=\n", {"dn": ["cn=a"], "cn": ["hello world"]}),
    ("raw UTF-8", "dn: cn=ä\ncn: ä\n".encode(), {"dn": ["cn=ä"], "cn": ["ä"]}),
    (
        "escapes in names stay",
        rb"dn: cn=a\, b\+c\=d\#,dc=x" + b"\ncn: a\n",
        {"dn": [r"cn=a\, b\+c\=d\#,dc=x"], "cn": ["a"]},
    ),
    ("less-than in a value", b"dn: cn=a\ncn: <b>\n", {"dn": ["cn=a"], "cn": ["<b>"]}),
]


@pytest.mark.parametrize(("data", "values"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_good_content_is_read(data, values):
    entry = only(data)

    assert (values, ()) == (entry.values, entry.faults)


NAMED = "the value is not base64 (RFC 4648); export the file anew"
BAD = [
    (b"dn: cn=a\njpegPhoto:< file:///etc/passwd\n", "f.ldif:2: jpegPhoto: a value by URL (:<) is never fetched; write the value itself, or its base64 (::)"),
    (b"dn: cn=a\ncn:: a\n", f"f.ldif:2: cn: {NAMED}"),
    (b"dn: cn=a\ncn:: YQ==YQ==\n", f"f.ldif:2: cn: {NAMED}"),
    (b"dn: cn=a\ncn:: YQ =\n", f"f.ldif:2: cn: {NAMED}"),
    (b"dn: cn=a\ncn:: YQ==\t\n", f"f.ldif:2: cn: {NAMED}"),
    (b"dn:: !\ncn: a\n", f"f.ldif:1: dn: {NAMED}"),
    (b"dn: cn=a\ncn:: /w==\n", "f.ldif:2: cn: the value is binary, not UTF-8 text; do not map this attribute"),
    (b"dn: cn=a\ncn:: AA==\n", "f.ldif:2: cn: the value holds a NUL; correct it in the directory"),
    (b"dn: cn=a\ncn: \xe4\n", "f.ldif:2: the line is not UTF-8; save the file as UTF-8"),
    (b"dn: cn=a\nno colon\n", "f.ldif:2: not 'name: value', nor the folded end of one; export the file anew"),
    (b"dn: cn=a\nb\xc3\xa4: a\n", "f.ldif:2: not 'name: value', nor the folded end of one; export the file anew"),
    (b"dn: cn=a\n: a\n", "f.ldif:2: not 'name: value', nor the folded end of one; export the file anew"),
    (b"dn: cn=a\ncn: a\rb\n", "f.ldif:2: cn: a carriage return inside of the value; write it as base64 (::)"),
    (b"dn:\ncn: a\n", "f.ldif:1: dn: the name is empty; leave the root entry out of the export"),
    (b"cn: a\nsn: b\n", "f.ldif:1: an entry begins with 'dn:'; export the file anew (ldapsearch: with -LLL)"),
    (b"dn: cn=a\n", "f.ldif:1: the entry has no attributes; may the export read them?"),
    (b"dn: cn=a\ncn: a\ndn: cn=b\n", "f.ldif:3: a second 'dn:' in one entry; put an empty line before it"),
    (b"dn: cn=a\ncn: " + b"x" * 101, "f.ldif:2: cn: the value is longer than 100 bytes; see max_value_kib"),
    (b"dn: cn=a\ncn: 1\n" + b"x" * 401, "f.ldif:3: the line is longer than 400 bytes; export the file folded"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD, ids=[case[1][:60] for case in BAD])
def test_a_bad_entry_names_file_line_attribute_and_cure(data, message):
    assert message == messages(data, caps=Caps(value=100, line=400))[0]


CHANGES = (
    "this is a file of changes, and a source reads content: export the entries themselves (ldapsearch, "
    "slapcat), one whole entry per person; of an ldifde export, take the lines 'changetype: add' out"
)
REFUSED = [
    (b"dn: cn=a\nchangetype: delete\n", 2, CHANGES),
    (b"dn: cn=a\ncontrol: 1.2.3\nchangetype: add\ncn: a\n", 2, CHANGES),
    (b"version: 2\n\ndn: cn=a\ncn: a\n", 1, "LDIF version '2' is not known; write version 1"),
    (
        b"dn: cn=a\ncn: a\n\ndn: cn=b\ncn: x\0y\n",
        5,
        "the line holds a NUL; write such a value as base64 (::)",
    ),
    ("\ufeffdn: cn=a\ncn: a\n".encode("utf-16-le"), 1, "the file is UTF-16; save it as UTF-8"),
    (b"dn: cn=a\ncn: a\n\n" * 4, 10, "more than 3 entries; raise max_entries if that is right"),
    (b"dn: cn=a\n" + b"cn: a\n" * 1000, 1, "an entry is longer than 5000 bytes; export less of it"),
]


@pytest.mark.parametrize(("data", "line", "message"), REFUSED, ids=[case[2][:40] for case in REFUSED])
def test_a_file_that_is_no_content_is_refused_as_a_whole(data, line, message):
    with pytest.raises(BadFile) as caught:
        entries(data, caps=Caps(entries=3, entry=5000))

    assert (line, message) == (caught.value.fault.line, caught.value.fault.message)


def test_a_folded_line_that_continues_nothing_is_a_fault():
    found = messages(b"dn: cn=a\ncn: a\n\n folded\ndn: cn=b\ncn: b\n")

    assert "f.ldif:4: a folded line that continues nothing; take the space away" == found[0]


def test_every_fault_of_an_entry_is_told_and_the_rest_of_it_is_read():
    entry = only(b"# first\n\n\ndn: cn=a\ncn:: !\nuid: a\nsn:< x\n")

    assert [5, 7] == [fault.line for fault in entry.faults]
    assert {"dn": ["cn=a"], "uid": ["a"]} == entry.values


def test_only_wanted_attributes_are_decoded_and_their_case_does_not_matter():
    data = b"dn: cn=a\nObjectClass: top\nMAIL: m\njpegPhoto:: /9j/\n"

    entry = only(data, wanted=["Mail", "objectclass"])

    assert ({"dn": ["cn=a"], "objectclass": ["top"], "mail": ["m"]}, ()) == (entry.values, entry.faults)


def test_a_directory_guid_is_read_in_its_usual_spelling():
    guid = UUID("00112233-4455-6677-8899-aabbccddeeff")
    data = b"dn: cn=a\nobjectGUID:: " + base64.b64encode(guid.bytes_le) + b"\n"

    assert [str(guid)] == only(data).values["objectguid"]


def test_names_seen_are_known_afterwards():
    file = LdifFile(io.BytesIO(b"dn: cn=a\ncn: a\nMail: b\n"), ["cn"])
    list(file)

    assert {"cn": "cn", "mail": "Mail"} == file.names


def test_the_reader_needs_no_more_than_a_piece_of_the_file():
    """The first entry is there before the second mebibyte is read."""

    class Counting(io.BytesIO):
        def read(self, size=-1):
            assert size >= 0
            return super().read(size)

    data = Counting(b"dn: cn=a\ncn: a\n\n" * 500_000)

    next(iter(LdifFile(data)))

    assert data.tell() <= 2 << 20


@pytest.mark.parametrize("chunk", range(1, 40))
def test_where_the_file_is_cut_into_reads_does_not_matter(chunk):
    data = b"version: 1\r\n\r\ndn: cn=a\r\ncn: a\r\n b\r\n\r\n\r\n# c\r\n\r\ndn: cn=b\r\ncn:: YQ==\r\n"

    class Short(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, chunk))

    found = list(LdifFile(Short(data)))

    assert [(3, ["ab"]), (10, ["a"])] == [(entry.line, entry.values["cn"]) for entry in found]


def test_a_folded_value_of_16_mib_is_joined_in_linear_time():
    value = b"x" * (16 << 20)
    folded = b"\n ".join(value[at : at + 76] for at in range(0, len(value), 76))
    data = b"dn: cn=a\ncn: " + folded + b"\n"
    started = time.process_time()

    entry = only(data, caps=Caps(value=32 << 20))

    assert value.decode() == entry.values["cn"][0]
    assert time.process_time() - started < 2
    assert "longer than" in messages(data)[0]
    assert time.process_time() - started < 4


def test_four_times_the_entries_take_about_four_times_as_long():
    def cost(count):
        data = b"".join(b"dn: cn=%d\ncn: %d\nsn:: w6Q=\nmail: a\n b\n\n" % (n, n) for n in range(count))
        started = time.process_time()
        assert count == sum(1 for _ in LdifFile(io.BytesIO(data)))
        return time.process_time() - started

    cost(1000)
    assert cost(40_000) < 10 * max(cost(10_000), 0.01)


def test_an_entry_of_nothing_but_faults_costs_little():
    entry = only(b"a\n" * 500_000)

    assert 25 > len(entry.faults)


lumps = st.sampled_from(
    [b"dn: cn=a", b"dn:: Y249YQ==", b"cn: a", b"cn:  a", b"cn:", b"cn:: YQ==", b"cn:: Y", b"sn:< x", b"# c", b" f", b"", b"",
     b"version: 1", b"x", b"\r", b"\xff", b"CN;x: \xc3\xa4", b"changetype: add", b":", b"\0", b"dn: "]
)  # fmt: skip
noise = st.one_of(st.lists(lumps, max_size=12).map(b"\n".join), st.binary(max_size=60))


@settings(max_examples=400, deadline=None)
@given(noise, st.sampled_from([None, ("cn",), ("sn", "dn")]))
def test_any_bytes_give_entries_or_the_one_documented_error(data, wanted):
    lines = range(1, data.count(b"\n") + 2)
    refused, found = 1, []
    try:
        found = entries(data, wanted)
    except BadFile as error:
        refused = error.fault.line
    assert refused in lines
    for entry in found:
        assert all(fault.line in lines for fault in entry.faults)
        assert entry.faults or entry.values["dn"]


@settings(max_examples=400, deadline=None)
@given(st.lists(lumps, max_size=8).map(b"\n".join), st.sampled_from([None, ("cn",)]))
def test_the_short_path_and_the_careful_path_agree(data, wanted):
    quick, careful = LdifFile(io.BytesIO(data), wanted), LdifFile(io.BytesIO(data), wanted)
    careful._quick = lambda _block: None  # type: ignore[method-assign]

    def outcome(file):
        try:
            return [(e.line, e.raw, e.values, e.faults) for e in [*file, *file]]
        except BadFile as error:
            return error.fault

    # Read once to learn the names, so that the short path is taken at all.
    warm = LdifFile(io.BytesIO(b"dn: cn=a\ncn: a\nCN;x: b\nsn: c\n"), wanted)
    list(warm)
    quick._plain, quick._encoded = warm._plain, warm._encoded

    assert outcome(careful) == outcome(quick)


names = st.sampled_from(["cn", "sn", "description", "mail;lang-de", "o"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)
attributes = st.dictionaries(names, st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(texts, attributes), min_size=1, max_size=3))
def test_what_is_written_is_read_back_and_no_line_is_longer_than_76(people):
    data = b"\n".join(ldifwriter.entry(name, values) for name, values in people)

    found = entries(data)

    assert [{"dn": [name], **values} for name, values in people] == [entry.values for entry in found]
    assert all(not entry.faults for entry in found)
    assert max(map(len, data.split(b"\n"))) <= 76
    assert data.isascii()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", b"cn: a\n"),
        ("a b", b"cn: a b\n"),
        (" a", b"cn:: IGE=\n"),
        ("a ", b"cn:: YSA=\n"),
        (":a", b"cn:: OmE=\n"),
        ("<a", b"cn:: PGE=\n"),
        ("a<:", b"cn: a<:\n"),
        ("ä", b"cn:: w6Q=\n"),
        ("a\nb", b"cn:: YQpi\n"),
        ("#a", b"cn: #a\n"),
        ("", b"cn:\n"),
        ("x" * 80, b"cn: " + b"x" * 72 + b"\n " + b"x" * 8 + b"\n"),
    ],
)
def test_base64_is_used_where_the_rfc_wants_it(value, written):
    assert written == ldifwriter.line("cn", value)


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Müller", "Müller"),
        ("a, b", r"a\, b"),
        ('a+"b"', r"a\+\"b\""),
        (r"a\b", r"a\\b"),
        ("<a>;=#", r"\<a\>\;\=\#"),
        (" a ", r"\ a\ "),
        (" ", r"\ "),
        ("  ", r"\ \ "),
        ("a\nb\0", r"a\0ab\00"),
    ],
)
def test_names_are_escaped_as_rfc_4514_wants_it(value, escaped):
    assert escaped == ldifwriter.escape(value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("uid=a,dc=x,dc=y", ("uid=a", "dc=x,dc=y")),
        (r"cn=a\, b, dc=x", (r"cn=a\, b", "dc=x")),
        (r"cn=a\\,dc=x", (r"cn=a\\", "dc=x")),
        ("cn=a", ("cn=a", "")),
    ],
)
def test_a_name_is_divided_at_its_first_unescaped_comma(name, parts):
    assert parts == ldifwriter.split(name)
