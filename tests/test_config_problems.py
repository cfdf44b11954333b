"""Every problem of a configuration is told, all at once, with its place and its cure."""

import tomllib
from typing import ClassVar

import pytest
from catalogs import CATALOG, HEAD, MAP, SMALL, SOURCE, File, problems_in, source, write_to
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from syncd import ConfigError, Field, Platform
from syncd.config import load, wanted_plugins

SECRET = "is secret: a source's map or a template's generate fills it, and nothing can be compared with it"


@pytest.fixture
def problems(tmp_path):
    """Return the problems of one file's text, without its folder."""
    return lambda text, *more, **named: problems_in(tmp_path, write_to(tmp_path, text), *more, **named)


# --- single problems ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOURCE + MAP, "2: source.hq: belongs to no enterprise; name it in the sources of [enterprise.NAME]"),
        (HEAD + SOURCE, "5: source.hq: maps nothing; write [source.hq.map], or name a preset"),
        (HEAD + "[source.hq]\ntype = 5\n" + MAP, "5: source.hq.type: must be a text that is not empty"),
        (HEAD + "[source.hq]\n" + MAP, "4: source.hq.type: is missing"),
        ("source = 5\n", "1: source: must be a table of tables, such as [source.NAME]"),
        (HEAD.replace("acme", "ac me", 1).replace("ac me", '"ac me"') + SOURCE + MAP,
         '2: enterprise."ac me": must be named with 4 to 32 letters, digits and dashes'),
        (HEAD + 'synchronizer = "none"\n' + SOURCE + MAP,
         '3: enterprise.acme.sources: has no place where synchronizer = "none"'),
        (HEAD + 'synchronizer = "pbx"\n' + SOURCE + MAP,
         ("3: enterprise.acme.sources[0]: 'hq' is a directory source, and the synchronizer of this "
         "enterprise is 'pbx': give it to another enterprise, write synchronizer = "
         '"directory" and name sources of that kind alone, or let it only add to accounts (owns = false)')),
        ('state_directory = "here"\n' + SMALL, "1: state_directory: 'here' must begin with /"),
        ('timezone = ""\n' + SMALL, "1: timezone: must be a text that is not empty"),
        ('timezone = "Nowhere"\n' + SMALL,
         "1: timezone: there is no time zone 'Nowhere', such as \"Europe/Berlin\""),
        ('plugins = ["a", "a"]\n' + SMALL, "1: plugins: names 'a' twice"),
        (SMALL + "[attribute.login]\n", "11: attribute.login: the attribute 'login' is in the vocabulary already"),
        (SMALL + "[attribute.kind]\n",
         "11: attribute.kind: cannot be the name of an attribute; use letters, digits and _"),
        (HEAD + 'protected = ["pin:1"]\n' + SOURCE + MAP, "4: enterprise.acme.protected[0]: pin SECRET"),
        (source('leavers = { delete_after = "5300w" }\n'),
         '8: source.hq.leavers.delete_after: must be a hundred years at most, or "never"'),
        (source('match = ["login", ""]\n'), "8: source.hq.match: must be a list of texts, none of them empty"),
        ('location = { north = "Hamburg" }\n' + SMALL,
         "1: location.north: must be a list of the texts that the sources use for it"),
        (SMALL + "[role.sales]\n", "11: role.sales.template: is missing"),
        (SMALL + '[template.t]\nfeature_profile = "a|b"\n',
         "12: template.t.feature_profile: must be a text of 1 to 64 characters without |"),
        (SMALL + '[template.t]\nfeature_profile = "a"\ndefaults = { feature_profile = "b" }\n',
         "12: template.t.feature_profile: stands in the defaults as well; write it once"),
        (SMALL + '[template.t]\ndefaults = { pin = "1" }\n',
         "12: template.t.defaults.pin: SECRET"),
        (SMALL + '[template.t]\ndefaults = { title = ["1"] }\n',
         "12: template.t.defaults.title: must be one text, as only one is held"),
        (SMALL + "[template.t]\ndefaults = { extension = 200 }\n",
         "12: template.t.defaults.extension: must be a text or a list of texts; put numbers in quotes"),
        (SMALL + '[template.t]\nallocate = { extension = "0100-200" }\n',
         "12: template.t.allocate.extension: begins with a zero, so both ends need the same number of digits"),
        (source('formerly = "hq"\n'), "8: source.hq.formerly: 'hq' is still the name of a source"),
        (source('role = "sales"\n'), "8: source.hq.role: there is no role 'sales'; there are none"),
        (source("limits = 5\n"), "8: source.hq.limits: must be a table"),
        (source("map = 5\n").replace(MAP, ""), "8: source.hq.map: must be a table"),
        (source("rules = { logn = { required = true } }\n"),
         "8: source.hq.rules.logn: there is no attribute 'logn'; did you mean 'login'?"),
        (source('rules = { login = { also = ["length:x"] } }\n'),
         ("8: source.hq.rules.login.also[0]: length needs a number or a range behind the colon, such as "
          "length:2-113")),
        (source("limits = { remove = { count = -1 } }\n"),
         '8: source.hq.limits.remove.count: must be a whole number, 0 or more, or "off"'),
        (source("limits = { add = true }\n"),
         '8: source.hq.limits.add: must be a percentage from 0 to 100, such as 5 or "5%", or "off"'),
        (source('schedule = { ful = "off" }\n'), "8: source.hq.schedule.ful: unknown key; did you mean 'full'?"),
        (SMALL + '[platform."p q"]\ntype = "csv"\npath = "/x"\n',
         '11: platform."p q": must be named with 1 to 64 letters, digits, - and _, and no - or _ first'),
        (SMALL + '[platform.p]\ntype = "csv"\npath = "/x"\naccept = { pin = "1" }\n',
         "14: platform.p.accept.pin: SECRET"),
        (SMALL + '[platform.p]\ntype = "csv"\npath = "/x"\nlimits = { shrink = 5 }\n',
         "14: platform.p.limits.shrink: unknown key"),
    ],
)  # fmt: skip
def test_a_problem_names_the_place_the_thing_and_the_cure(problems, text, expected):
    (problem,) = problems(text)

    assert f"syncd.toml:{expected.replace('SECRET', SECRET)}" == problem


def test_a_former_name_belongs_to_one_platform_only(problems):
    platform = '[platform.{0}]\ntype = "csv"\npath = "/{0}"\nformerly = "old"\n'

    assert ["syncd.toml:18: platform.q.formerly: 'old' is claimed by the platform 'p' already"] == problems(
        SMALL + platform.format("p") + platform.format("q")
    )


PLATFORM = '[platform.{}]\ntype = "csv"\npath = "{}"\n'


def test_two_platforms_do_not_write_the_same_file(problems, tmp_path):
    """However it is written, and whatever links lead there."""
    (tmp_path / "link").symlink_to(tmp_path)
    text = (
        SMALL + PLATFORM.format("p", f"{tmp_path}/out.csv") + PLATFORM.format("q", f"{tmp_path}/link/out.csv")
    )

    assert [
        "syncd.toml:16: platform.q.path: 'out.csv' is the path of the platform 'p' as well; give each its own"
    ] == problems(text)


def test_a_platform_does_not_write_what_a_source_reads(problems):
    text = HEAD + '[source.hq]\ntype = "csv"\npath = "/x"\n' + MAP + PLATFORM.format("p", "/y/../x")

    assert [
        "syncd.toml:12: platform.p.path: '/x' is the path of the source 'hq' as well; give each its own"
    ] == problems(text)


def test_a_field_of_a_platform_takes_an_attribute_that_there_is(tmp_path):
    """Also where the fields depend on the options; what the platform's map fills is left alone."""

    class Sheet(File):
        def __init__(self, options, context):
            super().__init__(options, context)
            self.fields = {name: Field(name) for name in options.columns}

    class Fixed(Platform):
        fields: ClassVar = {"number": Field("extention")}

        class Options(BaseModel):
            pass

    catalog = CATALOG._replace(platforms={"sheet": Sheet, "fixed": Fixed})
    sheet = '[platform.p]\ntype = "sheet"\npath = "/x"\ncolumns = ["login", "emial", "Name"]\nmap = { Name = "login" }\n'

    assert [
        "syncd.toml:11: platform.p: field 'emial': there is no attribute 'emial'; did you mean 'email'?",
        "syncd.toml:16: platform.q: field 'number': there is no attribute 'extention'; did you mean 'extension'?",
    ] == problems_in(
        tmp_path, write_to(tmp_path, SMALL + sheet + '[platform.q]\ntype = "fixed"\n'), catalog=catalog
    )


# --- everything at once ---------------------------------------------------------------------------------------

BAD = {
    "syncd.toml": """\
timezon = "Europe/Berlin"
timezone = "Europe/Berlim"
purge_after = "90 days"
departments = ["Sales"]
location = { north = ["Hamburg"], south = ["Munich", "Hamburg"] }

[template.desk]
services = ["pbx-nort"]
wins = ["title"]
allocate = { company = "1-9", extension = "300-200" }

[keep]
values = 400

[role.sales]
template = "desc"

[enterprise.acm]
synchronizer = "directry"
sources = ["hq", "hg"]
protected = ["svc-*", "logon:svc-*"]

[enterprise.other]
sources = [
    "branch",
    "hq",
]

[source.hq]
type = "ldap"
url = "ldaps://dc1.acme.example"
bind = { dn = "CN=syncd", password = "hunter2", pasword = "hunter2" }
page_sise = 500
detain = "first_run"
operations = ["add", "delete"]
match = ["login", "title", "did"]
role = "sale"
schedule = { full = "daily", incremental = "every 0m" }
leavers = { after = "1 day", reads = 0 }
limits = { remove = "5 percent", container = 120, add = { percentage = 3 } }

[source.hq.map]
logn = "sAMAccountName"
login = { form = "sAMAccountName" }
email = { from = "mail", via = ["lowr", "extension-of"] }
title = 5
pin = "employeeNumber"
fax = { constant = ["1", "2"] }
pager = { constant = "1", from = "pager" }

[source.hq.rules.login]
pattern = "[a-z"
length = [9, 2]
also = ["asci"]
""",
    "conf.d/10-branch.toml": """\
# the branch office
[source.branch]
type = "pbx-node"
preset = "ad-users"

[source.hq]
type = "csv"

[source.left]
type = "ldpa"
formerly = "hq"
map = { login = "uid" }
""",
    "conf.d/20-platforms.toml": """\
[platform.pbx-north]
type = "exchange"
enterprises = ["acme"]
accept = { location = "nord", colour = "red" }

[platform.pbx-north.map]
number = { from = "extention", policy = "create-only" }
nam = "display_name"
name = "pin"
""",
}

GOLDEN = """\
syncd.toml:1: timezon: unknown key; did you mean 'timezone'?
syncd.toml:2: timezone: there is no time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?
syncd.toml:3: purge_after: must be a duration such as "90m", "24h", "30d" or "2w", or "never"
syncd.toml:5: location.south: 'Hamburg' means the location 'north' already
syncd.toml:8: template.desk.services[0]: there is no platform 'pbx-nort'; did you mean 'pbx-north'?
syncd.toml:9: template.desk.wins[0]: 'title' has neither a default nor an allocation here
syncd.toml:10: template.desk.allocate.company: can be shared by accounts, so numbers cannot be used up
syncd.toml:10: template.desk.allocate.extension: ends at 200, before it begins at 300
syncd.toml:13: keep.values: must be a duration such as "90m", "24h", "30d" or "2w", or "never"
syncd.toml:16: role.sales.template: there is no template 'desc'; did you mean 'desk'?
syncd.toml:18: enterprise.acm: must be named with 4 to 32 letters, digits and dashes
syncd.toml:19: enterprise.acm.synchronizer: must be 'none', 'directory' or 'pbx'; did you mean 'directory'?
syncd.toml:20: enterprise.acm.sources[1]: there is no source 'hg'; there are branch, hq and left
syncd.toml:21: enterprise.acm.protected[0]: 'svc-*' must be an attribute and a pattern, such as "login:svc-*"
syncd.toml:21: enterprise.acm.protected[1]: there is no attribute 'logon'; did you mean 'login'?
syncd.toml:25: enterprise.other.sources[0]: 'branch' is a pbx source, and the synchronizer of this enterprise is 'directory': give it to another enterprise, write synchronizer = "pbx" and name sources of that kind alone, or let it only add to accounts (owns = false)
syncd.toml:26: enterprise.other.sources[1]: 'hq' belongs to the enterprise 'acm' already
syncd.toml:31: source.hq.url: must be a list
syncd.toml:32: source.hq.bind.password: is a secret, and this file is no place for one; write where it is to be found: "credential:NAME" or "file:/PATH"
syncd.toml:32: source.hq.bind.pasword: unknown key; did you mean 'password'?
syncd.toml:33: source.hq.page_sise: unknown key; did you mean 'page_size'?
syncd.toml:34: source.hq.detain: must be 'never', 'first-run' or 'always'; did you mean 'first-run'?
syncd.toml:35: source.hq.operations[1]: must be 'add', 'update' or 'remove'
syncd.toml:36: source.hq.match[1]: 'title' can be shared by accounts; match by one of login, email, extension, softphone_extension, did
syncd.toml:36: source.hq.match[2]: 'did' is not filled by the map, so nothing can match by it
syncd.toml:37: source.hq.role: there is no role 'sale'; did you mean 'sales'?
syncd.toml:38: source.hq.schedule.full: 'daily' has no time of day; write "daily at 02:30"
syncd.toml:38: source.hq.schedule.incremental: an interval is from 1m to 168h long; for days write "every 8 days at 02:30"
syncd.toml:39: source.hq.leavers.after: must be a duration such as "90m", "24h", "30d" or "2w"
syncd.toml:39: source.hq.leavers.reads: must be greater than or equal to 1
syncd.toml:40: source.hq.limits.add.percentage: unknown key; did you mean 'percent'?
syncd.toml:40: source.hq.limits.container: must be a percentage from 0 to 100, such as 5 or "5%", or "off"
syncd.toml:40: source.hq.limits.remove: must be a percentage from 0 to 100, such as 5 or "5%", or "off"
syncd.toml:43: source.hq.map.logn: there is no attribute 'logn'; did you mean 'login'?
syncd.toml:44: source.hq.map.login.form: unknown key; did you mean 'from'?
syncd.toml:45: source.hq.map.email.via[0]: there is no transform 'lowr'; did you mean 'lower'?
syncd.toml:45: source.hq.map.email.via[1]: extension-of needs a text behind the colon, such as extension-of:+49401234
syncd.toml:46: source.hq.map.title: must be the name to copy from, or a table with from or constant
syncd.toml:47: source.hq.map.pin: needs secrets_key, such as secrets_key = "credential:syncd-key"
syncd.toml:48: source.hq.map.fax.constant: must be one text, as only one is held
syncd.toml:49: source.hq.map.pager: has a constant, so it cannot have from as well
syncd.toml:52: source.hq.rules.login.pattern: '[a-z' is not a regular expression: unterminated character set at position 0
syncd.toml:53: source.hq.rules.login.length: a length from 9 to 2 cannot be; write the smaller number first
syncd.toml:54: source.hq.rules.login.also[0]: there is no rule 'asci'; did you mean 'ascii'?
conf.d/10-branch.toml:2: source.branch.host: is missing
conf.d/10-branch.toml:4: source.branch.preset: there is no preset 'ad-users'; did you mean 'ad-user'?
conf.d/10-branch.toml:6: source.hq: stands in syncd.toml:29 already; one table stands in one file
conf.d/10-branch.toml:9: source.left: belongs to no enterprise; name it in the sources of [enterprise.NAME]
conf.d/10-branch.toml:10: source.left.type: there is no source type 'ldpa'; did you mean 'ldap'?
conf.d/10-branch.toml:11: source.left.formerly: 'hq' is still the name of a source
conf.d/20-platforms.toml:1: platform.pbx-north.dsn: is missing
conf.d/20-platforms.toml:3: platform.pbx-north.enterprises[0]: there is no enterprise 'acme'; did you mean 'acm'?
conf.d/20-platforms.toml:4: platform.pbx-north.accept.colour: there is no attribute 'colour'
conf.d/20-platforms.toml:4: platform.pbx-north.accept.location: there is no location 'nord'; did you mean 'north'?
conf.d/20-platforms.toml:7: platform.pbx-north.map.number.from[0]: there is no attribute 'extention'; did you mean 'extension'?
conf.d/20-platforms.toml:7: platform.pbx-north.map.number.policy: belongs to the map of a source
conf.d/20-platforms.toml:8: platform.pbx-north.map.nam: there is no field 'nam'; did you mean 'name'?
conf.d/20-platforms.toml:9: platform.pbx-north.map.name.from[0]: pin is secret, and the field name is not
"""


def test_all_problems_of_all_files_are_told_at_once(tmp_path):
    main, *_ = [write_to(tmp_path, text, name) for name, text in BAD.items()]
    found = problems_in(tmp_path, main)

    assert GOLDEN.splitlines() == found
    assert "hunter2" not in "".join(found)


def test_a_row_with_an_unknown_key_tells_all_its_other_errors_and_those_of_other_rows(problems):
    text = (
        HEAD
        + SOURCE
        + """
[source.hq.map]
login = { from = "uid", vai = ["lower"], via = ["lowr"], policy = "never" }
email = { frm = "mail", via = ["trm"], default = ["a", "b"] }
title = { form = 5, constant = "x", via = ["trm"] }
phone = { from = ["tel"], via = ["fisrt"] }
fax = { vai = ["first"] }
did = { from = ["tel", 3], via = ["trim", 5, "lowr", ""] }
"""
    )

    assert [
        "syncd.toml:10: source.hq.map.login.policy: must be 'always', 'create-only' or 'detain'",
        "syncd.toml:10: source.hq.map.login.vai: unknown key; did you mean 'via'?",
        "syncd.toml:10: source.hq.map.login.via[0]: there is no transform 'lowr'; did you mean 'lower'?",
        "syncd.toml:11: source.hq.map.email.default: must be one text, as only one is held",
        "syncd.toml:11: source.hq.map.email.frm: unknown key; did you mean 'from'?",
        "syncd.toml:11: source.hq.map.email.via[0]: there is no transform 'trm'; did you mean 'trim'?",
        "syncd.toml:12: source.hq.map.title.form: unknown key; did you mean 'from'?",
        "syncd.toml:12: source.hq.map.title.via[0]: there is no transform 'trm'; did you mean 'trim'?",
        "syncd.toml:12: source.hq.map.title: has a constant, so it cannot have via as well",
        "syncd.toml:13: source.hq.map.phone.via[0]: there is no transform 'fisrt'; did you mean 'first'?",
        "syncd.toml:14: source.hq.map.fax.vai: unknown key; did you mean 'via'?",
        "syncd.toml:14: source.hq.map.fax: needs from or constant",
        "syncd.toml:15: source.hq.map.did.from: must be a list of texts, none of them empty",
        "syncd.toml:15: source.hq.map.did.via[1]: must be a text that is not empty",
        "syncd.toml:15: source.hq.map.did.via[2]: there is no transform 'lowr'; did you mean 'lower'?",
        "syncd.toml:15: source.hq.map.did.via[3]: must be a text that is not empty",
    ] == problems(text)


def test_a_row_of_a_platform_with_an_unknown_key_tells_all_its_other_errors(problems):
    text = (
        SMALL
        + """
[platform.p]
type = "exchange"
dsn = "x"
map = { name = { from = "emial", vai = ["lower"], policy = "never" } }
"""
    )

    assert [
        "syncd.toml:15: platform.p.map.name.from[0]: there is no attribute 'emial'; did you mean 'email'?",
        "syncd.toml:15: platform.p.map.name.policy: belongs to the map of a source",
        "syncd.toml:15: platform.p.map.name.policy: must be 'always', 'create-only' or 'detain'",
        "syncd.toml:15: platform.p.map.name.vai: unknown key; did you mean 'via'?",
    ] == problems(text)


def test_an_unknown_option_does_not_hide_what_a_plugin_finds_wrong_with_the_whole(problems):
    text = source('page_sise = 5\nbind = { dn = "x", password = "file:/x", nd = 1 }\n').replace(
        "ldaps:", "ldap:"
    )

    assert [
        'syncd.toml:5: source.hq: ldap:// needs tls = "starttls"',
        "syncd.toml:8: source.hq.page_sise: unknown key; did you mean 'page_size'?",
        "syncd.toml:9: source.hq.bind.nd: unknown key",
    ] == problems(text)


# --- whatever is written ------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "source",
        "platform",
        "enterprise",
        "template",
        "role",
        "attribute",
        "location",
        "keep",
        "hq",
        "acme",
        "type",
        "map",
        "match",
        "rules",
        "limits",
        "leavers",
        "schedule",
        "preset",
        "from",
        "via",
        "remove",
        "login",
        "pin",
        "defaults",
        "allocate",
        "services",
        "url",
        "bind",
        "password",
        "columns",
        "timezone",
    ],
)
LEAVES = st.one_of(
    st.sampled_from(["ldap", "csv", "exchange", "hq", "login", "ad-user", "5%", "24h", "off", "lower", ""]),
    st.integers(-5, 500),
    st.booleans(),
    st.floats(allow_nan=True),
    st.just("1979-05-27"),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=30,
)


def toml(value):
    """Write a value in one line of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return value if value == "1979-05-27" else f'"{value}"' if isinstance(value, str) else repr(value)


def loaded_or_refused(folder, tree):
    """Load a tree, and return those of its problems that do not begin with the file."""
    file = write_to(folder, "".join(f"{key} = {toml(value)}\n" for key, value in tree.items()))
    wanted_plugins([file], {})
    try:
        load([file], CATALOG, {})
    except ConfigError as error:
        return [problem for problem in error.problems if not problem.startswith(str(file))]
    return []


@given(st.dictionaries(WORDS, TREES, max_size=8))
@hypothesis_settings(max_examples=60)
def test_whatever_is_written_is_loaded_or_refused_with_a_list_of_problems(tmp_path_factory, tree):
    assert [] == loaded_or_refused(tmp_path_factory.mktemp("any"), tree)


WHOLE = """
timezone = "UTC"
plugins = ["a"]
departments = ["Sales"]
keep = { values = "400d" }
purge_after = "90d"
location = { north = ["Hamburg"] }
attribute = { badge = { many = true, limit = 5 } }
template = { desk = { services = ["pbx"], defaults = { title = "x" }, wins = ["title"], allocate = { did = "1-9" } } }
role = { sales = { template = "desk" } }
enterprise = { acme = { synchronizer = "directory", sources = ["hq"], protected = ["login:svc-*"] } }
[platform.pbx]
type = "exchange"
dsn = "x"
enterprises = ["acme"]
accept = { location = "north" }
map = { number = { from = "extension", via = ["first"] } }
[source.hq]
type = "ldap"
url = ["ldaps://dc1"]
bind = { dn = "x", password = "credential:hq" }
preset = "ad-user"
match = ["login"]
operations = ["add"]
detain = "never"
schedule = { full = "daily at 02:30" }
leavers = { removed = "keep", reads = 2, after = "24h" }
limits = { remove = { percent = 5 }, add = "30%" }
map = { login = "uid", email = { from = ["mail"], via = ["lower"] }, fax = { constant = "1" } }
rules = { login = { required = true, pattern = "x", length = [1, 2], one_of = ["x"], also = ["ascii"] } }
formerly = "old"
"""


def places(tree, path=()):
    """Yield the path of every value in a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@given(st.data())
@hypothesis_settings(max_examples=200)
def test_a_good_configuration_with_anything_in_a_few_places_is_loaded_or_refused(tmp_path_factory, data):
    tree = tomllib.loads(WHOLE)
    for _ in range(data.draw(st.integers(0, 3))):
        *parents, last = data.draw(st.sampled_from(list(places(tree))))
        table = tree
        for key in parents:
            table = table[key]
        table[last] = data.draw(TREES)

    assert [] == loaded_or_refused(tmp_path_factory.mktemp("mutated"), tree)


def test_the_good_configuration_is_good(tmp_path):
    load([write_to(tmp_path, WHOLE)], CATALOG, {})
