"""The configuration: what a good one becomes, where its values come from, and what is never read."""

import enum
import os
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePath

import pytest
from catalogs import CATALOG, HEAD, MAP, SMALL, SOURCE, problems_in, source, write_to
from pydantic import BaseModel, SecretStr

from syncd import Attribute, ConfigError, Source
from syncd.config import Catalog, load, places_of, show, wanted_plugins
from syncd.config.presets import PRESETS
from syncd.guard import Limit, Limits
from syncd.model import VOCABULARY, Numbers, Range
from syncd.planning import Leavers
from syncd.schedules import Timetable, parse

SECRET = "is secret: only generate in a template can fill it, and nothing can be compared with it"


@pytest.fixture
def write(tmp_path):
    """Write a file of the configuration and return its path."""
    return partial(write_to, tmp_path)


@pytest.fixture
def settings(write):
    """Load one file's text."""

    def settings(text, environ=None, catalog=CATALOG):
        return load([write(text)], catalog, environ or {})

    return settings


@pytest.fixture
def problems(tmp_path):
    """Return the problems of one file's text, without its folder."""
    return lambda text, *more, **named: problems_in(tmp_path, write_to(tmp_path, text), *more, **named)


# --- what a good one becomes --------------------------------------------------------------------------


def test_a_small_configuration_gets_every_default(settings):
    found = settings(SMALL)
    hq = found.sources["hq"]

    assert Path("/var/lib/syncd") == found.state_directory
    assert "UTC" == found.timezone.key
    assert timedelta(days=400) == found.keep_values
    assert timedelta(days=90) == found.purge_after
    assert ("acme", 0, "ldap") == (hq.enterprise, hq.precedence, hq.type)
    assert ("first-run", False, True, "user") == (
        hq.terms.detain,
        hq.terms.adopt,
        hq.terms.owns,
        hq.terms.kind,
    )
    assert frozenset({"add", "update", "remove"}) == hq.terms.operations
    assert Leavers() == hq.terms.leavers
    assert Limits() == hq.limits
    assert Timetable() == hq.schedule
    assert ["ldaps://dc1.acme.example"] == hq.options.url


def test_the_configuration_of_the_design_is_compiled(settings):
    found = settings(
        """
state_directory = "/srv/syncd"
timezone = "Europe/Berlin"
plugins = ["acme_hr"]
departments = ["Sales"]
keep = { values = "never" }
purge_after = "2w"
location = { north = ["Hamburg", "Bremen"], south = ["Munich"] }
template = { desk = { services = ["pbx-north"], defaults = { groups = "all", title = "Clerk" }, wins = ["title"], allocate = { extension = "0200-0299" }, feature_profile = "Standard" } }
role = { sales = { template = "desk" } }
[enterprise.acme]
synchronizer = "directory"
sources = ["branch", "hq"]
protected = ["login:svc-*"]
[source.branch]
type = "csv"
path = "/srv/people.csv"
map = { login = "Login" }
[source.hq]
type = "ldap"
url = ["ldaps://dc1.acme.example"]
bind = { dn = "CN=syncd", password = "credential:hq" }
match = ["login", "email"]
role = "sales"
operations = ["update"]
schedule = { incremental = "every 15m", full = "daily at 02:30" }
leavers = { removed = "delete", missing = "keep", reads = 3, after = "90m", delete_after = "30d" }
limits = { remove = { percent = "2.5%", per_day = "off" }, container = 40, shrink = "off", add = "off", update = "10%" }
[source.hq.map]
login = "sAMAccountName"
email = { from = "mail", via = ["first", "trim", "lower"] }
groups = { from = ["memberOf", "team"], default = "none" }
mobile = { from = "mobile", policy = "create-only", illegal = "strip" }
company = { constant = "Acme" }
[source.hq.rules]
login = { required = true, pattern = "[a-z]+", length = [2, 113], one_of = ["anna"], also = ["ascii"] }
[platform.pbx-north]
type = "exchange"
dsn = "mysql://"
enterprises = ["acme"]
accept = { location = "north", department = ["Sales"] }
limits = { remove = "1%" }
formerly = "pbx"
[platform.pbx-north.map]
groups = "groups"
number = "extension"
"""
    )
    hq, pbx, desk = found.sources["hq"], found.platforms["pbx-north"], found.templates["desk"]

    assert found.keep_values is None
    assert timedelta(days=14) == found.purge_after
    assert ("acme_hr",) == found.plugins
    assert {"north": ("Hamburg", "Bremen"), "south": ("Munich",)} == found.locations
    assert {"groups": ("all",), "title": "Clerk", "feature_profile": "Standard"} == desk.defaults
    assert {"extension": Numbers((Range(200, 299, 4),), "desk")} == desk.allocate
    assert (frozenset({"title"}), ("pbx-north",)) == (desk.wins, desk.services)
    assert desk == found.roles["sales"].template
    assert (("login", "svc-*"),) == found.enterprises["acme"].protected
    assert (0, 1) == (found.sources["branch"].precedence, hq.precedence)
    assert frozenset({"update"}) == hq.terms.operations
    assert ("login", "email") == hq.match
    assert "sales" == hq.default_role
    assert Timetable(incremental=parse("every 15m"), full=parse("daily at 02:30")) == hq.schedule
    assert (
        Leavers(
            removed="delete",
            missing="keep",
            reads=3,
            after=timedelta(minutes=90),
            delete_after=timedelta(days=30),
        )
        == hq.terms.leavers
    )
    assert (
        Limits(
            remove=Limit(percent=2.5, count=50, per_day=None),
            add=Limit(),
            update=Limit(percent=10.0),
            container=40.0,
            shrink=None,
        )
        == hq.limits
    )
    company, email, groups, login, mobile = hq.mapping.rules
    assert ("Acme", ()) == (company.constant, company.sources)
    assert (("mail",), 3) == (email.sources, len(email.transforms))
    assert (True, ("memberOf", "team"), ("none",)) == (groups.many, groups.sources, groups.default)
    assert ("login", ("sAMAccountName",), 113) == (login.attribute, login.sources, login.limit)
    assert ("create-only", "strip") == (mobile.policy, mobile.illegal)
    (check,) = hq.checks
    assert (True, 4) == (check.required, len(check.tests))
    assert [None] * 4 == [test("anna") for test in check.tests]
    assert all(test("É") for test in check.tests)
    assert frozenset({"acme"}) == pbx.enterprises
    assert "pbx" == pbx.formerly
    assert Limits(remove=Limit(percent=1.0, count=50, per_day=100)) == pbx.limits
    assert [("groups", True), ("number", False)] == [
        (rule.attribute, rule.many) for rule in pbx.mapping.rules
    ]


def test_an_accepted_location_lets_in_every_word_for_it(settings):
    found = settings(
        'location = { north = ["Hamburg", "Bremen"] }\n'
        + SMALL
        + '[platform.p]\ntype = "csv"\npath = "/x"\naccept = { location = "north", title = "north" }\n'
    )

    assert {
        "location": frozenset({"north", "Hamburg", "Bremen"}),
        "title": frozenset({"north"}),
    } == found.platforms["p"].accept


def test_files_only_add_unless_told_otherwise(settings):
    text = (
        '[enterprise.acme]\nsources = ["hq"]\n[source.hq]\ntype = "csv"\npath = "/x"\nmap = { login = "a" }\n'
    )

    assert frozenset({"add"}) == settings(text).sources["hq"].terms.operations
    assert ["add"] == settings(text).plain["source.hq.operations"]
    assert "default" == str(settings(text).origins["source.hq.operations"])
    told = settings(text.replace("map =", 'operations = ["update"]\nmap ='))
    assert frozenset({"update"}) == told.sources["hq"].terms.operations


def test_words_for_the_vocabulary_come_from_plugins_and_from_the_file(settings):
    catalog = CATALOG._replace(attributes=(Attribute("desk_number", "number of the desk"),))
    found = settings(
        SMALL + 'badge = "badge"\ndesk_number = "desk"\n'
        '[attribute.badge]\ndescription = "number of the badge"\nmany = true\nkey = true\nlimit = "off"\n',
        catalog=catalog,
    )

    assert (
        Attribute("badge", "number of the badge", many=True, key=True, limit=None)
        == (found.vocabulary["badge"])
    )
    assert "desk_number" in found.vocabulary
    assert "badge" not in VOCABULARY


def test_the_text_of_a_mapping_does_not_depend_on_the_order_or_the_form_of_its_rows(settings):
    one = settings(SMALL + 'email = "mail"\n').sources["hq"].mapping
    other = settings(
        HEAD + SOURCE + '[source.hq.map]\nemail = { policy = "always", from = ["mail"] }\nlogin = "uid"\n'
    )
    third = settings(SMALL + 'email = { from = "mail", via = ["lower"] }\n').sources["hq"].mapping

    assert one.text == other.sources["hq"].mapping.text
    assert one.rules == other.sources["hq"].mapping.rules
    assert one.text != third.text


def test_the_text_of_a_mapping_depends_on_what_its_attributes_hold(settings):
    text = SMALL + 'badge = "badge"\n[attribute.badge]\n'

    assert 2 == len({settings(text + more).sources["hq"].mapping.text for more in ("", "limit = 5\n")})


def test_the_state_directory_is_systemds_unless_it_is_written(settings):
    environ = {"STATE_DIRECTORY": "/var/lib/private/syncd:/other"}
    found = settings(SMALL, environ)

    assert Path("/var/lib/private/syncd") == found.state_directory
    assert "environment STATE_DIRECTORY" == str(found.origins["state_directory"])
    assert Path("/srv") == settings('state_directory = "/srv"\n' + SMALL, environ).state_directory


@pytest.mark.parametrize("variable", ["STATE_DIRECTORY", "SYNCD_STATE_DIRECTORY"])
def test_a_state_directory_that_a_variable_names_wrongly_is_the_variables_fault(problems, variable):
    assert [f"environment {variable}: state_directory: 'here' must begin with /"] == problems(
        SMALL, {variable: "here"}
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations_are_a_number_and_a_unit(settings, written, expected):
    found = settings(source(f'leavers = {{ after = "{written}" }}\n'))

    assert expected == found.sources["hq"].terms.leavers.after


@pytest.mark.parametrize(
    "written", ['"24"', '"h"', "24", '"-1h"', '"1.5h"', '"24 h"', '"٣h"', '"99999w"', '"1h30m"']
)
def test_what_is_no_duration_is_refused(problems, written):
    (problem,) = problems(source(f"leavers = {{ after = {written} }}\n"))

    assert problem.startswith("syncd.toml:8: source.hq.leavers.after: ")


# --- presets --------------------------------------------------------------------------------------------


def test_a_preset_gives_rows_match_keys_and_options_and_what_is_written_beats_it(settings):
    text = source(
        'preset = "ad-user"\n', 'fax = { from = [] }\nemail = { from = "proxy", via = ["first"] }\n'
    )
    found = settings(text)
    hq = found.sources["hq"]
    rules = {rule.attribute: rule.sources for rule in hq.mapping.rules}

    assert ("login", "email") == hq.match
    assert ("objectGUID", "(&(objectCategory=person)(objectClass=user))") == (
        hq.options.anchor,
        hq.options.filter,
    )
    assert (("uid",), ("proxy",), ("givenName",)) == (rules["login"], rules["email"], rules["first_name"])
    assert "fax" not in rules
    assert "preset ad-user" == str(found.origins["source.hq.map.first_name"])
    assert "preset ad-user" == str(found.origins["source.hq.filter"])
    assert "preset ad-user" == str(found.origins["source.hq.match"])
    assert found.origins["source.hq.map.login"].line == found.origins["source.hq.map.fax.from"].line - 1


def test_a_preset_gives_keys_of_a_source_and_what_is_written_beats_them(settings):
    lent = settings(source('preset = "ids"\n'))
    own = settings(
        source('preset = "ids"\ndetain = "never"\n[source.hq.rules]\nemail = { required = true }\n')
    )
    checks = {
        name: {c.attribute: c for c in found.sources["hq"].checks}
        for name, found in [("lent", lent), ("own", own)]
    }

    assert ("always", "never") == (lent.sources["hq"].terms.detain, own.sources["hq"].terms.detain)
    assert {"email", "department", "location"} == checks["lent"].keys() == checks["own"].keys()
    assert (False, True) == (checks["lent"]["email"].required, checks["own"]["email"].required)
    assert (1, 0, 1) == tuple(
        len(checks[name][attribute].tests)
        for name, attribute in [("lent", "email"), ("own", "email"), ("own", "department")]
    )
    assert "preset ids" == str(own.origins["source.hq.rules.department.also"])
    assert "preset ids" == str(lent.origins["source.hq.detain"])
    assert own.origins["source.hq.detain"].line


def test_a_preset_does_not_match_by_a_key_whose_row_was_dropped(settings):
    found = settings(source('preset = "openldap-inetorgperson"\n', "email = { from = [] }\n"))

    assert ("login",) == found.sources["hq"].match


def test_a_preset_gives_options_only_to_plugins_that_have_them(settings):
    text = '[enterprise.acme]\nsources = ["hq"]\n[source.hq]\ntype = "csv"\npath = "/x"\npreset = "ad-user"\n'
    found = settings(text)

    assert "objectGUID" == found.sources["hq"].options.anchor
    assert "source.hq.filter" not in found.plain


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_only_what_the_vocabulary_knows(settings, name):
    settings(HEAD + SOURCE + f'preset = "{name}"\n')

    assert set(PRESETS[name].match) <= set(VOCABULARY.keys_) & set(PRESETS[name].map)


# --- origins and the environment ------------------------------------------------------------------------


def test_every_effective_value_is_shown_with_its_origin(settings, tmp_path):
    found = settings(source('detain = "always"\nbind = { dn = "CN=syncd", password = "credential:hq" }\n'))
    shown = {path: (value, str(origin)) for path, value, origin in show(found)}

    file = tmp_path / "syncd.toml"
    assert ("always", f"{file}:8") == shown["source.hq.detain"]
    assert ("credential:hq", f"{file}:9") == shown["source.hq.bind.password"]
    assert (1000, "default") == shown["source.hq.page_size"]
    assert (5.0, "default") == shown["source.hq.limits.remove.percent"]
    assert ("24h", "default") == shown["source.hq.leavers.after"]
    assert (None, "default") == shown["source.hq.leavers.delete_after"]
    assert ("400d", "default") == shown["keep.values"]
    assert sorted(shown) == [path for path, _, _ in show(found)]
    assert found.plain.keys() == found.origins.keys()


class Colour(enum.Enum):
    RED = "red"


class Peer(BaseModel, extra="forbid"):
    host: str = "peer"
    token: SecretStr = SecretStr("env:PEER")


class Everything(Source):
    """Its options have defaults of every kind, and secrets in every place."""

    class Options(BaseModel, extra="forbid"):
        colour: Colour = Colour.RED
        folder: PurePath = PurePath("/srv")
        wait: timedelta = timedelta(minutes=5)
        days: frozenset[str] = frozenset({"b", "a"})
        table: dict[str, tuple[int, ...]] = {"x": (1, 2)}
        peer: Peer = Peer()
        peers: list[Peer] = []
        keys: list[SecretStr] = []
        code: SecretStr | None = None
        more: list[Peer] = [Peer()]


def test_defaults_are_shown_as_they_would_be_written(settings):
    catalog = Catalog(sources={"ldap": Everything}, transforms=CATALOG.transforms)
    found = settings(
        HEAD + '[source.hq]\ntype = "ldap"\ncode = "file:/hq"\nkeys = ["env:A", "vault:b"]\n'
        '[[source.hq.peers]]\nhost = "a"\n[[source.hq.peers]]\ntoken = "credential:b"\n' + MAP,
        catalog=catalog,
    )

    assert {
        "colour": "red",
        "folder": "/srv",
        "wait": "5m",
        "days": ["a", "b"],
        "table": {"x": [1, 2]},
        "peer.host": "peer",
        "peer.token": "env:PEER",
        "peers[0].host": "a",
        "peers[0].token": "env:PEER",
        "peers[1].host": "peer",
        "peers[1].token": "credential:b",
        "keys": ["env:A", "***"],
        "code": "file:/hq",
        "more": [{"host": "peer", "token": "env:PEER"}],
    }.items() <= {
        path.removeprefix("source.hq."): value
        for path, value in found.plain.items()
        if path.startswith("source.hq.")
    }.items()
    assert found.origins["source.hq.peers[1].token"].line == 11
    assert "default" == str(found.origins["source.hq.peers[0].token"])


def test_a_reference_of_a_kind_that_only_a_plugin_knows_is_not_shown(settings):
    """It cannot be told from a secret with a colon in it."""
    found = settings(source('bind = { dn = "x", password = "vault:team/hq" }\n'))

    assert "***" == found.plain["source.hq.bind.password"]
    assert "vault:team/hq" == found.sources["hq"].options.bind.password.get_secret_value()


def test_the_place_of_a_reference_can_be_told(settings, tmp_path):
    found = settings(source('bind = { dn = "x", password = "credential:hq" }\n'))

    assert f"source.hq.bind.password ({tmp_path}/syncd.toml:8)" == places_of(found, "credential:hq")
    assert "" == places_of(found, "credential:other")


def test_variables_override_the_files(settings):
    environ = {
        "SYNCD_SOURCE__HQ__PAGE_SIZE": "500",
        "SYNCD_SOURCE__HQ__LEAVERS__REMOVED": "keep",
        "SYNCD_SOURCE__HQ__MATCH": '["login"]',
        "SYNCD_TIMEZONE": "Europe/Berlin",
        "SYNCD_CONFIG": "/nowhere",
        "SYNCD_MOON": "belongs to somebody else",
        "HOME": "/root",
    }
    found = settings(source("page_size = 9999999\n"), environ)
    hq = found.sources["hq"]

    assert (500, "keep", ("login",)) == (hq.options.page_size, hq.terms.leavers.removed, hq.match)
    assert "Europe/Berlin" == found.timezone.key
    assert "environment SYNCD_SOURCE__HQ__PAGE_SIZE" == str(found.origins["source.hq.page_size"])
    assert 500 == found.plain["source.hq.page_size"]


def test_variables_match_names_without_case_and_with_dashes(settings):
    text = SMALL + '[platform.Pbx-North]\ntype = "exchange"\ndsn = "a"\n'
    found = settings(text, {"SYNCD_PLATFORM__PBX_NORTH__DSN": "b"})

    assert "b" == found.platforms["Pbx-North"].options.dsn


def test_problems_with_variables_name_the_variable(problems):
    environ = {
        "SYNCD_SOURCE__HG__PAGE_SIZE": "500",
        "SYNCD_SOUCE__HQ__PAGE_SIZE": "500",
        "SYNCD_SOURCE__HQ__PAGE_SIZE": "many",
        "SYNCD_SOURCE__HQ__PAGE_SISE": "500",
        "SYNCD_SOURCE__HQ__BIND__PASSWORD": "credential:other",
        "SYNCD_SOURCE__HQ__BIND": "{}",
        "SYNCD_SOURCE__HQ__TYPE__X": "1",
        "SYNCD_PLATFORM__PBX": "1",
    }
    only = "write that in syncd.toml:8 only"

    assert {
        "environment SYNCD_PLATFORM__PBX: platform.pbx: must be a table",
        "environment SYNCD_SOUCE__HQ__PAGE_SIZE: there is no table 'souce'; did you mean 'source'?",
        "environment SYNCD_SOURCE__HG__PAGE_SIZE: there is no source 'hg'; there is hq",
        "environment SYNCD_SOURCE__HQ__BIND: source.hq.bind is a table; override its values one by one",
        "environment SYNCD_SOURCE__HQ__BIND__PASSWORD: source.hq.bind.password refers to a secret; " + only,
        "environment SYNCD_SOURCE__HQ__PAGE_SISE: source.hq.page_sise: unknown key; did you mean 'page_size'?",
        "environment SYNCD_SOURCE__HQ__PAGE_SIZE: source.hq.page_size: must be a whole number",
        "environment SYNCD_SOURCE__HQ__TYPE__X: source.hq.type is no table",
    } == set(problems(source('bind = { dn = "x", password = "credential:hq" }\n'), environ))


def test_a_secret_cannot_come_into_being_by_a_variable(problems):
    environ = {"SYNCD_SOURCE__HQ__BIND__PASSWORD": "credential:hq"}
    (problem,) = problems(source('bind = { dn = "x" }\n'), environ)

    assert problem.endswith("source.hq.bind.password: is a secret; write into a file of the configuration "
        'where it is to be found: "credential:NAME" or "file:/PATH"')  # fmt: skip


def test_a_table_that_only_a_variable_makes_is_the_variables(problems):
    environ = {"SYNCD_SOURCE__HQ__BINT__DN": "x", "SYNCD_SOURCE__HQ__LIMITS__ADD__PRCENT": "5"}

    bind, limit = environ

    assert [
        f"environment {bind}: source.hq.bint: unknown key; did you mean 'bind'?",
        f"environment {limit}: source.hq.limits.add.prcent: unknown key; did you mean 'percent'?",
    ] == problems(SMALL, environ)


# --- secrets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        source('bind = { dn = "CN=syncd", password = "hunter2" }\n'),
        source('bind = { password = "hunter2", dm = "CN=syncd" }\n'),
        HEAD + '[source.hq]\ntype = "pbx-node"\nhost = "x"\ntoken = "hunter2"\n' + MAP,
        HEAD + '[source.hq]\ntype = "pdx-node"\nhost = "x"\nclient_secret = "hunter2"\n' + MAP,
        HEAD
        + '[source.hq]\ntype = "pbx-node"\nhost = "x"\n[[source.hq.peers]]\npassword = "hunter2"\n'
        + MAP,
    ],
    ids=["option", "option-of-a-broken-table", "by-its-name", "of-an-unknown-type", "in-an-array"],
)
def test_a_secret_in_the_file_is_refused_with_the_cure_and_never_repeated(problems, text):
    found = problems(text)

    assert any('is a secret, and this file is no place for one; write where it is to be found: "credential:NAME"'
        in problem for problem in found)  # fmt: skip
    assert "hunter2" not in "\n".join(found)


def test_a_secret_attribute_is_mapped_where_there_is_a_key_and_never_a_constant(problems):
    row = 'password = { constant = "hunter2" }'
    found = problems(SMALL + row)

    assert "this file is no place for one" in found[0]
    assert found[1].endswith('needs secrets_key, such as secrets_key = "credential:syncd-key"')
    assert "hunter2" not in "\n".join(found)


# --- files ----------------------------------------------------------------------------------------------


def test_files_of_conf_d_are_read_in_the_order_of_their_names(write):
    main = write(HEAD)
    write(SOURCE + MAP, "conf.d/20-hq.toml")
    write('[platform.p]\ntype = "csv"\npath = "/x"\n', "conf.d/10-p.toml")
    write("this is no TOML", "conf.d/.#10-p.toml")
    write("this is no TOML", "conf.d/10-p.toml~")
    found = load([main], CATALOG, {})

    assert (["hq"], ["p"]) == ([*found.sources], [*found.platforms])
    assert main.parent / "conf.d/20-hq.toml" == Path(found.origins["source.hq.type"].file)
    assert 3 == found.origins["source.hq.type"].line


def test_without_files_it_is_the_variable_or_the_usual_place(write):
    file = write(SMALL)

    assert ["hq"] == [*load(None, CATALOG, {"SYNCD_CONFIG": str(file)}).sources]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere.toml", "there is no such file (SYNCD_CONFIG names it); name the right one with --config or SYNCD_CONFIG"),
        (".", "is not a regular file (SYNCD_CONFIG names it)"),
        ("x" * 300, "cannot be read (SYNCD_CONFIG names it): File name too long"),
    ],
)  # fmt: skip
def test_a_file_that_a_variable_names_wrongly_is_the_variables_fault(tmp_path, name, expected):
    place = tmp_path / name
    with pytest.raises(ConfigError) as error:
        load(None, CATALOG, {"SYNCD_CONFIG": str(place)})

    assert (f"{place}: {expected}",) == error.value.problems


def test_several_files_and_one_folder_are_read_once(write):
    first, second = write(HEAD), write(SOURCE + MAP, "other.toml")
    write('[platform.p]\ntype = "csv"\npath = "/x"\n', "conf.d/10-p.toml")

    assert ["p"] == [*load([first, second, first], CATALOG, {}).platforms]


def test_a_table_in_two_files_is_refused_with_both_places(write, tmp_path):
    main = write('timezone = "UTC"\nlocation = { north = ["a"] }\n' + SMALL)
    write('timezone = "UTC"\n[location]\nsouth = ["b"]\n[source.hq.limits]\nadd = 5\n', "conf.d/a.toml")
    with pytest.raises(ConfigError) as error:
        load([main], CATALOG, {})

    assert [
        "conf.d/a.toml:1: timezone: stands in syncd.toml:1 already; one table stands in one file",
        "conf.d/a.toml:2: location: stands in syncd.toml:2 already; one table stands in one file",
        "conf.d/a.toml:4: source.hq: stands in syncd.toml:7 already; one table stands in one file",
    ] == [problem.replace(f"{tmp_path}/", "") for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = = 2\n", "syncd.toml:2:5: not valid TOML: invalid value"),
        ("a = 1\na = 2\n", "syncd.toml:2:6: not valid TOML: cannot overwrite a value"),
        ('a = """\nx\n', "syncd.toml:2: not valid TOML: unterminated string, and there the file ends"),
        ("a = " + "[" * 5000, "syncd.toml: tables or arrays are nested too deeply"),
    ],
)
def test_what_is_no_toml_is_told_with_line_and_column(problems, text, expected):
    (problem,) = problems(text)

    assert problem.startswith(expected)


def test_bytes_that_are_no_text_are_told_with_their_line(write, tmp_path):
    file = write("")
    file.write_bytes(b'a = 1\nb = "M\xfcller"\n')
    with pytest.raises(ConfigError) as error:
        load([file], CATALOG, {})

    assert f"{file}:2: byte 0xfc is not UTF-8; save the file as UTF-8" == str(error.value)


def test_a_file_that_is_no_configuration_by_its_size_is_not_read(write):
    file = write("")
    os.truncate(file, 17 << 20)
    with pytest.raises(ConfigError, match="is larger than 16 MiB"):
        load([file], CATALOG, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(write):
    file = write("")
    file.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load([file], CATALOG, {})


def test_line_ends_and_marks_of_windows_do_not_matter(write):
    file = write("")
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())

    assert 6 == load([file], CATALOG, {}).origins["source.hq.type"].line


def test_a_broken_file_hides_only_what_it_may_hold(write, tmp_path):
    """What another file refers to may stand in the broken one, and so is no problem."""
    main = write('[enterprise.acme]\nsources = ["hq", "branch"]\n' + SOURCE + "page_sise = 1\n" + MAP)
    write("[source.branch\n", "conf.d/a.toml")
    with pytest.raises(ConfigError) as error:
        load([main], CATALOG, {})

    assert ["page_sise", "not valid TOML"] == [
        next(word for word in ("page_sise", "not valid TOML") if word in problem)
        for problem in error.value.problems
    ]


@pytest.mark.parametrize(
    "what", ["missing", "folder", "pipe", "writable", "unreadable folder", "open folder"]
)
def test_a_file_that_cannot_be_trusted_or_read_is_a_problem(write, tmp_path, what):
    file = write(SMALL)
    if what == "missing":
        file.unlink()
    elif what == "folder":
        file.unlink()
        file.mkdir()
    elif what == "pipe":
        file.unlink()
        os.mkfifo(file)
    elif what == "writable":
        file.chmod(0o602)
    elif what == "unreadable folder":
        (tmp_path / "conf.d").write_text("no folder")
    else:
        (tmp_path / "conf.d").mkdir()
        (tmp_path / "conf.d").chmod(0o777)
    with pytest.raises(ConfigError) as error:
        load([file], CATALOG, {})

    assert {
        "missing": f"{file}: there is no such file; name the right one with --config or SYNCD_CONFIG",
        "folder": f"{file}: is not a regular file",
        "pipe": f"{file}: is not a regular file",
        "writable": f"{file}: everybody may write to this file; run chmod o-w on it",
        "unreadable folder": f"{tmp_path}/conf.d: cannot be read: Not a directory",
        "open folder": f"{tmp_path}/conf.d: everybody may write into this folder; run chmod o-w on it",
    }[what] == error.value.problems[0]


# --- which plugins ----------------------------------------------------------------------------------------


def test_wanted_plugins_are_found_without_judging_anything(write):
    file = write('plugins = ["acme_hr", 5]\nsource = { a = { type = "x" }, b = 5, c = {}, d = { type = 5 } }\n'
        '[platform.p]\ntype = "y"\nnonsense = 1\n')  # fmt: skip

    assert (frozenset({("source", "x"), ("platform", "y")}), ("acme_hr",)) == wanted_plugins([file], {})
    assert (frozenset(), ()) == wanted_plugins([file.parent / "nowhere"], {})
    environ = {"SYNCD_PLUGINS": '["other"]', "SYNCD_SOURCE__A__TYPE": "z", "SYNCD_NONSENSE__A": "1"}
    assert (frozenset({("source", "z"), ("platform", "y")}), ("other",)) == wanted_plugins([file], environ)


def test_the_plugins_may_say_why_a_type_is_unknown(problems):
    catalog = CATALOG._replace(why_unknown=lambda what, word: f"{what} {word}: install it")
    (problem,) = problems(SMALL.replace('"ldap"', '"teams"'), catalog=catalog)

    assert "syncd.toml:6: source.hq.type: source teams: install it" == problem


def test_an_option_cannot_shadow_a_key_of_the_engine(problems):
    (problem,) = problems(HEAD + '[source.hq]\ntype = "greedy"\n' + MAP)

    assert (
        "syncd.toml:5: source.hq.type: the plugin of 'greedy' has options that are keys of syncd's own: "
        "match, schedule" == problem
    )


def test_a_plugins_own_judgement_of_the_whole_table_is_told(problems):
    (problem,) = problems(SMALL.replace("ldaps://", "ldap://"))

    assert 'syncd.toml:5: source.hq: ldap:// needs tls = "starttls"' == problem  # fmt: skip


def test_words_of_a_plugin_that_exist_already_are_refused(problems):
    catalog = CATALOG._replace(attributes=(Attribute("login", "again"),))
    (problem,) = problems("plugins = []\n" + SMALL, catalog=catalog)

    assert "syncd.toml:1: plugins: the attribute 'login' is in the vocabulary already" == problem
