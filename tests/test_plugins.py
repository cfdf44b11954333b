"""Plugins are found, loaded and blamed; the distributions here are real ones, made on the disk."""

from __future__ import annotations

import ast
import inspect
import itertools
import logging
import re
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import click
import pytest

from syncd import Event, Objection, PluginError, hookspecs
from syncd.plugins import load
from syncd.plugins.loading import HOMES

ROOT = Path(__file__).parents[1]

CONNECTORS = """\
    from collections.abc import Iterator
    from pydantic import BaseModel
    from syncd import Attribute, Checkpoint, Objection, Platform, Source, hookimpl

    class People(Source):
        class Options(BaseModel, extra="forbid"):
            pass
        def read(self, cursor):
            yield Checkpoint(None, True)

    class Files(Platform):
        class Options(BaseModel, extra="forbid"):
            pass
        fields = {}
        def add(self, account): ...
        def update(self, remote_id, account, changed): ...
        def disable(self, remote_id, account): ...
        def enable(self, remote_id, account): ...
        def delete(self, remote_id): ...
        def find(self, account): ...
"""


def plugin(*lines: str, connectors: bool = False) -> str:
    """Return the text of a plugin's module."""
    head = dedent(CONNECTORS) if connectors else "from syncd import Objection, hookimpl\n"
    return "\n".join([head, *lines, ""])


def source_plugin(word: str) -> str:
    """Return the text of a plugin that registers a source type."""
    return plugin(
        "@hookimpl", "def register_connectors(register):", f"    register({word!r}, People)", connectors=True
    )


class Site:
    """A folder on the import path into which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: set[str] = set()

    def add(
        self, distribution: str, modules: dict[str, str], *, metadata: str = "", entries: str = ""
    ) -> None:
        """Install a distribution whose every module is a plugin of the same name."""
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(text)
            self.modules.add(name)
        info = self.folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {distribution}\nVersion: 1.2\n{metadata}"
        )
        (info / "RECORD").write_text("".join(f"{name}.py,sha256=x,1\n" for name in modules))
        named = "".join(f"{name} = {name}\n" for name in modules)
        (info / "entry_points.txt").write_text(entries or f"[syncd]\n{named}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    site = Site(tmp_path)
    yield site
    for name in site.modules:
        sys.modules.pop(name, None)


def messages(plugins) -> list[str]:
    return [str(failure) for failure in plugins.failures]


def only(plugins) -> str:
    """Return the message of the one failure that there is."""
    (message,) = messages(plugins)
    return message


class TestWhatIsLoaded:
    def test_a_listed_plugin_provides_its_types(self, site):
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})
        plugins = load(["hr"], ["acme_hr"])

        assert [] == messages(plugins)
        assert "People" == plugins.sources["hr"].__name__

    def test_a_plugin_that_is_not_listed_is_not_imported(self, site):
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})
        plugins = load(["hr"])

        assert "hr" not in plugins.sources
        assert "acme_hr" not in sys.modules
        assert "not listed in `plugins`: acme_hr" in plugins.unknown_type("source", "hr")

    def test_of_the_shipped_ones_only_those_in_use_are_imported(self, site, monkeypatch):
        monkeypatch.setitem(HOMES, "real", "syncd_real")
        site.add("syncd", {"syncd_real": source_plugin("real"), "syncd_fake": source_plugin("fake")})
        load(["real"])

        assert "syncd_real" in sys.modules
        assert "syncd_fake" not in sys.modules

    def test_a_word_that_the_table_lacks_is_found_all_the_same(self, site):
        """The shipped plugins are loaded one after the other, until it is found."""
        names = ("syncd_aaa", "syncd_bbb", "syncd_ccc")
        site.add("syncd", {name: source_plugin(name[-3:]) for name in names})
        plugins = load(["bbb"])

        assert ["aaa", "bbb"] == sorted(plugins.sources)
        assert "syncd_ccc" not in sys.modules

    def test_a_shipped_plugin_may_be_listed_as_well(self, site):
        site.add("syncd", {"syncd_real": source_plugin("real")})
        plugins = load(["real"], ["syncd_real", "syncd_real"])

        assert [] == messages(plugins)
        assert ["real"] == list(plugins.sources)

    def test_the_order_of_the_list_does_not_matter(self, site):
        names = ("acme_a", "acme_b", "acme_c")
        for name in names:
            site.add(name, {name: source_plugin(name[-1])})
        for order in itertools.permutations(names):
            plugins = load([], order)

            assert ["a", "b", "c"] == sorted(plugins.sources)

    def test_what_syncd_brings_comes_through_the_same_hooks(self):
        plugins = load([])

        assert [] == messages(plugins)
        assert {"trim", "lower", "first", "e164"} <= set(plugins.transforms)
        assert ("anna",) == plugins.transforms["lower"](None)(("ANNA",))
        assert plugins.rules
        assert "syncd" == plugins.table()[0].name

    def test_every_shipped_plugin_loads_and_the_table_of_their_types_is_true(self):
        """HOMES names just the words that they register; those whose library is missing are left out."""
        shipped = {entry.name for entry in metadata.distribution("syncd").entry_points.select(group="syncd")}
        plugins = load([], sorted(shipped))
        loaded = shipped - set(plugins.unavailable)
        provided = {
            (word.partition(" ")[2], row.name)
            for row in plugins.table()
            for word in row.provides
            if row.name in loaded and word.startswith(("source ", "platform ", "observer "))
        }

        assert [] == [str(one) for one in plugins.failures if one.plugin not in plugins.unavailable]
        assert provided == {(word, home) for word, home in HOMES.items() if home in loaded}

    def test_nothing_heavy_is_imported_for_what_is_not_used(self):
        code = (
            "import sys; from syncd.plugins import load; load([]); "
            "print(*sorted({'ldap3', 'pydantic', 'rich', 'phonenumbers', 'syncd_ldap'} & set(sys.modules)))"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "\n" == answer.stdout

    def test_of_a_plugin_only_the_connectors_in_use_are_imported(self):
        code = (
            "import sys; from syncd.plugins import load; used = load(['ldap'], uses={('source', 'ldap')}); "
            "print(*used.sources, *used.platforms, 'syncd_ldap.platform' in sys.modules); "
            "every = load(['ldap']); print(*every.sources, *every.platforms)"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "ldap False\nldap ldap\n" == answer.stdout

    def test_a_plugin_may_take_fewer_arguments_than_the_hook_has(self, site):
        text = plugin("@hookimpl", "def review_plan():", "    return [Objection('c', 'run', 'm')]")
        site.add("acme-hr", {"acme_hr": text})

        assert ["c"] == [one.code for one in load([], ["acme_hr"]).hooks.review_plan(None, None)]

    def test_an_object_can_be_a_plugin(self, site):
        text = plugin(
            "class Reviewer:",
            "    @hookimpl",
            "    def review_plan(self, plan):",
            "        return [Objection('c', 'run', plan)]",
            "reviewer = Reviewer()",
        )
        site.add("acme-hr", {"acme_hr": text}, entries="[syncd]\nacme_hr = acme_hr:reviewer\n")

        assert ["m"] == [one.message for one in load([], ["acme_hr"]).hooks.review_plan("m", None)]

    def test_what_a_plugin_prints_does_not_reach_the_standard_output(self, site, capsys):
        """Or ``--json`` would not be JSON any more."""
        site.add("acme-hr", {"acme_hr": "print('hello')"})
        load([], ["acme_hr"])

        assert ("", "hello\n") == tuple(capsys.readouterr())


class TestWhatFails:
    @pytest.mark.parametrize(
        ("text", "cause"),
        [
            ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
            ("\n\nraise RuntimeError('two\\nlines')", "RuntimeError: two lines at .*acme_bad.py:3"),
            ("import sys; sys.exit(3)", "SystemExit: 3"),
            ("def (", "SyntaxError: "),
            ("class E(Exception):\n def __str__(s): raise E\nraise E", "E: .its text cannot be shown."),
            ("class E(BaseException): pass\nraise E", "E at "),
        ],
    )
    def test_a_broken_import_is_blamed_and_stops_no_other(self, site, text, cause):
        site.add("acme-bad", {"acme_bad": text})
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})
        plugins = load(["hr"], ["acme_bad", "acme_hr"])

        assert re.match(rf"plugin acme_bad: acme-bad 1\.2: importing it raised .*{cause}", only(plugins))
        assert "acme_bad" == plugins.failures[0].plugin
        assert ["hr"] == list(plugins.sources)

    def test_an_entry_point_that_names_nothing_is_blamed(self, site):
        site.add("acme-hr", {"acme_hr": ""}, entries="[syncd]\nacme_hr = acme_hr:nothing\n")

        assert "has no attribute 'nothing'" in only(load([], ["acme_hr"]))

    def test_a_persons_interrupt_is_not_the_plugins_fault(self, site):
        site.add("acme-hr", {"acme_hr": "raise KeyboardInterrupt"})

        with pytest.raises(KeyboardInterrupt):
            load([], ["acme_hr"])

    def test_another_version_of_the_contract_is_refused(self, site):
        site.add("acme-hr", {"acme_hr": "SYNCD_API = 2"})

        assert "plugin acme_hr: acme-hr 1.2: it is written for SYNCD_API 2, and this syncd speaks 1" in only(
            load([], ["acme_hr"])
        )

    def test_a_module_that_cannot_be_looked_at_is_blamed(self, site):
        site.add("acme-hr", {"acme_hr": "def __getattr__(name): raise OSError(name)"})

        assert "looking at it raised OSError: " in only(load([], ["acme_hr"]))

    def test_two_distributions_with_one_plugin_name_are_both_named(self, site):
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})
        site.add("other-hr", {"acme_hr": source_plugin("hr")})
        plugins = load(["hr"], ["acme_hr"])

        assert "plugin acme_hr: acme-hr 1.2 and other-hr 1.2 both offer a plugin of this name" in only(
            plugins
        )
        assert "hr" not in plugins.sources
        assert {"failed"} == {row.state for row in plugins.table() if row.name == "acme_hr"}

    def test_a_stranger_cannot_take_the_place_of_a_shipped_plugin(self, site):
        """As long as nobody lists it, a second ``syncd_real`` is not even looked at."""
        site.add("syncd", {"syncd_real": source_plugin("real")})
        site.add("mallory", {"mallory": ""}, entries="[syncd]\nsyncd_real = mallory\nsyncd = mallory\n")
        plugins = load(["real"])

        assert ([], ["real"]) == (messages(plugins), list(plugins.sources))
        assert "mallory" not in sys.modules
        assert "the name is taken by syncd" in only(load([], ["syncd"]))

    def test_two_plugins_with_one_source_type_are_both_named(self, site):
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})
        site.add("other-hr", {"other_hr": source_plugin("hr")})

        assert (
            "plugin other_hr: other-hr 1.2 registers the source 'hr', and so does the plugin acme_hr of "
            "acme-hr 1.2; use only one of the two"
        ) == only(load(["hr"], ["acme_hr", "other_hr"]))

    def test_a_source_and_a_platform_may_share_a_word(self, site):
        text = plugin(
            "@hookimpl",
            "def register_connectors(register):",
            "    register('hr', People)",
            "    register('hr', Files)",
            connectors=True,
        )
        site.add("acme-hr", {"acme_hr": text})
        plugins = load(["hr"], ["acme_hr"])

        assert ([], ["hr"], ["hr"]) == (messages(plugins), list(plugins.sources), list(plugins.platforms))

    def test_one_module_cannot_be_two_plugins(self, site):
        site.add("acme-hr", {"acme_hr": ""}, entries="[syncd]\nacme_hr = acme_hr\nacme_again = acme_hr\n")

        assert "plugin acme_again: acme-hr 1.2: registering it raised ValueError" in only(
            load([], ["acme_hr", "acme_again"])
        )

    def test_a_misspelt_hook_is_refused_with_the_right_word(self, site):
        site.add("acme-hr", {"acme_hr": plugin("@hookimpl", "def reveiw_plan(plan): ...")})

        assert "there is no hook 'reveiw_plan'; did you mean 'review_plan'?" in only(load([], ["acme_hr"]))

    def test_a_hook_of_a_later_version_may_be_marked_optional(self, site):
        text = plugin("@hookimpl(optionalhook=True)", "def hook_of_tomorrow(x): ...")
        site.add("acme-hr", {"acme_hr": text})

        assert [] == messages(load([], ["acme_hr"]))

    def test_a_wrong_argument_is_named(self, site):
        site.add("acme-hr", {"acme_hr": plugin("@hookimpl", "def review_plan(plam, limits): ...")})

        assert "review_plan takes 'plam', which that hook does not have (it has plan, limits)" in only(
            load([], ["acme_hr"])
        )

    def test_hooks_cannot_be_wrapped(self, site):
        """A wrapper could drop the objections of others."""
        text = plugin("@hookimpl(wrapper=True)", "def review_plan(plan):", "    yield")
        site.add("acme-hr", {"acme_hr": text})

        assert "review_plan is a wrapper" in only(load([], ["acme_hr"]))

    def test_a_plugin_is_taken_whole_or_not_at_all(self, site):
        text = plugin(
            "@hookimpl",
            "def register_connectors(register):",
            "    register('hr', People)",
            "    raise OSError('half-way')",
            "@hookimpl",
            "def review_plan():",
            "    return [Objection('c', 'run', 'm')]",
            connectors=True,
        )
        site.add("acme-hr", {"acme_hr": text})
        plugins = load([], ["acme_hr"])

        assert "acme-hr 1.2: register_connectors raised OSError: half-way at " in only(plugins)
        assert ({}, []) == (plugins.sources, plugins.hooks.review_plan(None, None))

    @pytest.mark.parametrize(
        ("hook", "call", "cause"),
        [
            ("connectors", "'hr', 'People'", "has to be a subclass of either Source, Platform or Observer"),
            ("connectors", "'hr', type('Both', (People, Files), {})", "either Source, Platform or Observer"),
            ("connectors", "'hr', type('Bare', (Source,), {})", "Bare needs a `class Options"),
            (
                "connectors",
                "'hr', type('Lax', (People,), {'Options': BaseModel})",
                "Lax needs a `class Options",
            ),
            (
                "connectors",
                "'hr', type('Mute', (Source,), {'Options': People.Options})",
                "does not define read",
            ),
            (
                "connectors",
                "'hr', type('Lame', (Platform,), {'Options': People.Options})",
                "does not define add, update, disable, enable, delete, find",
            ),
            (
                "connectors",
                "'hr', type('Bulk', (Platform,), {'Options': People.Options, 'deliver': print})",
                "does not define find",
            ),
            ("connectors", "'H R', People", "'H R' cannot name a source"),
            ("connectors", "'hr', People); register('hr', People", "the source 'hr' is registered twice"),
            ("transforms", "'rot13', 'code'", "the transform 'rot13' needs a function"),
            ("rules", "'luhn', None", "the rule 'luhn' needs a function"),
            ("attributes", "'badge'", "'badge' is not a syncd.Attribute"),
            ("attributes", "Attribute('login', 'x')", "'login' is in the vocabulary already"),
            ("attributes", "Attribute('id', 'x')", "'id' cannot be the name of an attribute"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, site, hook, call, cause):
        text = plugin(
            "@hookimpl", f"def register_{hook}(register):", f"    register({call})", connectors=True
        )
        site.add("acme-hr", {"acme_hr": text})
        message = only(load([], ["acme_hr"]))

        assert message.startswith(f"plugin acme_hr: acme-hr 1.2: register_{hook} raised ")
        assert cause in message

    def test_a_listed_plugin_that_is_not_installed_is_a_failure(self, site):
        site.add("acme-hr", {"acme_hr": ""})

        assert "no installed distribution offers a plugin of this name; did you mean 'acme_hr'?" in only(
            load([], ["acme_rh"])
        )
        assert "the plugin of the distribution acme-hr is called 'acme_hr'" in only(load([], ["acme-hr"]))

    def test_a_damaged_distribution_hides_no_other(self, site):
        site.add("aaa-damaged", {}, entries="[syncd]\nnot an entry point\n")
        site.add("acme-hr", {"acme_hr": source_plugin("hr")})

        assert [] == messages(load(["hr"], ["acme_hr"]))
        assert re.search("could not be read: .*aaa_damaged", only(load([], ["aaa_damaged"])))

    def test_one_that_was_only_tried_holds_nobody(self, site):
        """Shipped plugins are tried for a word that nobody knows; their failures are told with it."""
        site.add("syncd", {"syncd_fake": "raise OSError('broken')"})
        plugins = load(["of-nobody"])

        assert [] == messages(plugins)
        assert "importing it raised OSError: broken" in plugins.unknown_type("source", "of-nobody")


class TestMissingLibraries:
    EXTRA = (
        "Provides-Extra: fake\nRequires-Dist: pydantic\nRequires-Dist: nothing-like-it>=2; extra == 'fake'\n"
    )

    def test_a_shipped_plugin_says_which_extra_to_install(self, site):
        """In use, it holds every run."""
        site.add("syncd", {"syncd_fake": "never imported"}, metadata=self.EXTRA)
        plugins = load([], ["syncd_fake"])

        assert "needs the library nothing-like-it; install it with: pip install 'syncd[fake]'" in only(
            plugins
        )
        assert ["syncd_fake"] == list(plugins.unavailable)

    def test_it_is_only_told_while_nobody_uses_it(self, site):
        site.add("syncd", {"syncd_fake": "never imported"}, metadata=self.EXTRA)
        plugins = load(["of-nobody"])

        assert [] == messages(plugins)
        assert "syncd_fake: it needs the library" in plugins.unknown_type("source", "of-nobody")

    def test_a_failed_import_of_a_library_counts_as_well(self, site):
        extra = "Provides-Extra: fake\n"
        site.add("syncd", {"syncd_fake": "import nothing_like_it.part"}, metadata=extra)

        assert "needs the library nothing_like_it" in only(load([], ["syncd_fake"]))

    def test_so_does_one_that_is_imported_where_the_types_are_registered(self, site):
        text = plugin("@hookimpl", "def register_connectors(register):", "    import nothing_like_it")
        site.add("syncd", {"syncd_fake": text}, metadata="Provides-Extra: fake\n")

        assert "needs the library nothing_like_it" in only(load([], ["syncd_fake"]))

    def test_a_missing_part_of_the_plugin_itself_is_a_plain_failure(self, site):
        site.add("syncd", {"syncd_fake": "import syncd.nothing"}, metadata="Provides-Extra: fake\n")
        plugins = load([], ["syncd_fake"])

        assert "importing it raised ModuleNotFoundError: No module named 'syncd.nothing'" in only(plugins)
        assert {} == plugins.unavailable

    def test_a_known_type_names_its_plugin(self, site, monkeypatch):
        monkeypatch.setitem(HOMES, "fake", "syncd_fake")
        site.add("syncd", {"syncd_fake": ""}, metadata=self.EXTRA)
        plugins = load(["fake"])

        assert "the source type 'fake' needs syncd_fake: it needs the library" in plugins.unknown_type(
            "source", "fake"
        )
        assert 1 == len(plugins.failures)


class TestWhatIsTold:
    def test_the_table_has_a_row_for_every_plugin(self, site):
        site.add("acme-hr", {"acme_hr": source_plugin("hr"), "acme_idle": "", "acme_bad": "raise OSError"})
        plugins = load([], ["acme_hr", "acme_bad", "acme_gone"])
        rows = {row.name: row for row in plugins.table()}

        assert {
            "acme_hr": "loaded",
            "acme_idle": "installed",
            "acme_bad": "failed",
            "acme_gone": "failed",
        } == {name: row.state for name, row in rows.items() if name.startswith("acme")}
        assert ("acme-hr", "1.2", ("source hr",)) == (
            rows["acme_hr"].distribution,
            rows["acme_hr"].version,
            rows["acme_hr"].provides,
        )
        assert "raised OSError" in rows["acme_bad"].cause
        assert 64 == len(rows["acme_hr"].digest)

    def test_a_type_whose_plugin_is_not_loaded_is_not_its_own_nearest_word(self):
        assert "there is no platform type 'csv'" == load([]).unknown_type("platform", "csv").partition(";")[0]
        assert "did you mean 'csv'" not in load([]).unknown_type("platform", "csv")

    def test_an_unknown_type_is_told_with_the_nearest_word(self):
        assert "there is no source type 'ldpa'; did you mean 'ldap'?" in load([]).unknown_type(
            "source", "ldpa"
        )

    def test_code_that_anybody_may_change_is_warned_about(self, site):
        site.add("acme-hr", {"acme_hr": ""})

        assert () == load([], ["acme_hr"]).warnings

        (site.folder / "acme_hr.py").chmod(0o666)

        assert "acme_hr.py is writable by everybody" in load([], ["acme_hr"]).warnings[0]


def hooks_of(site, *texts: str):
    """Return the hooks of plugins with these texts, named acme_0, acme_1 ..."""
    names = [f"acme_{number}" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        site.add(name.replace("_", "-"), {name: plugin(text)})
    plugins = load([], names)
    assert [] == messages(plugins)
    return plugins.hooks


def reviewer(body: str) -> str:
    return f"@hookimpl\ndef review_plan(plan, limits):\n    {body}"


def observer(body: str) -> str:
    return f"@hookimpl\ndef observe(event):\n    {body}"


EVENT = Event("run_planned", "2026-11-21T08:00:00Z", {})


def test_hook_register_connectors(site):
    site.add("acme-hr", {"acme_hr": source_plugin("hr")})

    assert ["hr"] == list(load([], ["acme_hr"]).sources)


def test_hook_register_transforms(site):
    text = plugin(
        "@hookimpl",
        "def register_transforms(register):",
        "    register('add', lambda argument: lambda texts: (*texts, argument))",
    )
    site.add("acme-hr", {"acme_hr": text})

    assert ("a", "b") == load([], ["acme_hr"]).transforms["add"]("b")(("a",))


def test_hook_register_rules(site):
    text = plugin(
        "@hookimpl",
        "def register_rules(register):",
        "    register('no', lambda argument: lambda value: f'not {argument}' if value == argument else None)",
    )
    site.add("acme-hr", {"acme_hr": text})

    assert "not x" == load([], ["acme_hr"]).rules["no"]("x")("x")


def test_hook_register_attributes(site):
    text = plugin(
        "@hookimpl",
        "def register_attributes(register):",
        "    register(Attribute('badge', 'its number'))",
        connectors=True,
    )
    site.add("acme-hr", {"acme_hr": text})

    assert ["badge"] == [attribute.name for attribute in load([], ["acme_hr"]).attributes]


class TestReviewers:
    def test_hook_review_plan_gives_the_sorted_union_of_all(self, site):
        """Named after the plugin, whatever it says of itself."""
        hooks = hooks_of(
            site,
            reviewer("return [Objection('b', 'run', plan), Objection('a', 'removals', limits, by='syncd')]"),
            reviewer("yield Objection('a', 'operation:7', plan)"),
            reviewer("return None"),
        )

        assert [
            Objection("a", "operation:7", "the plan", "acme_1"),
            Objection("a", "removals", "the limits", "acme_0"),
            Objection("b", "run", "the plan", "acme_0"),
        ] == hooks.review_plan("the plan", "the limits")

    @pytest.mark.parametrize(
        ("body", "cause"),
        [
            ("raise OSError('no ticket system')", "OSError: no ticket system at .*acme_0.py:"),
            ("import sys; sys.exit(0)", "SystemExit: 0"),
            ("return 7", "TypeError"),
            ("return False", "TypeError"),
            ("return ['no']", "TypeError: review_plan has to give Objections"),
            ("return Objection('c', 'run', 'm')", "TypeError: review_plan has to give Objections"),
            ("return [Objection('c', 'run', 7)]", "TypeError: review_plan has to give Objections"),
            ("return [Objection('c', 'everything', 'm')]", "ValueError: scope 'everything' is none of"),
            ("yield Objection('c', 'removals', 'm'); raise OSError('then')", "OSError: then"),
            ("while True: yield Objection('c', 'run', 'm')", "ValueError: more than 10000 objections"),
        ],
    )
    def test_a_reviewer_that_fails_holds_the_run(self, site, body, cause):
        hooks = hooks_of(site, reviewer(body), reviewer("return [Objection('mine', 'run', 'm')]"))
        mine, failed = hooks.review_plan(None, None)

        assert Objection("mine", "run", "m", "acme_1") == mine
        assert ("reviewer-failed", "run", "acme_0") == (failed.code, failed.scope, failed.by)
        assert re.match(rf"plugin acme_0: acme-0 1\.2: review_plan raised .*{cause}", failed.message)

    def test_a_persons_interrupt_is_let_through(self, site):
        with pytest.raises(KeyboardInterrupt):
            hooks_of(site, reviewer("raise KeyboardInterrupt")).review_plan(None, None)


class TestSecrets:
    def resolver(self, body):
        return f"@hookimpl\ndef resolve_secret(reference):\n    {body}"

    def test_hook_resolve_secret_gives_the_first_answer(self, site):
        own = self.resolver("return 'geheim' if reference == 'vault:hq' else None")
        hooks = hooks_of(site, own, self.resolver("return None"))

        assert ("geheim", None) == (hooks.resolve_secret("vault:hq"), hooks.resolve_secret("other:hq"))

    def test_a_resolver_that_fails_is_blamed_and_its_text_is_kept_back(self, site):
        hooks = hooks_of(site, self.resolver("raise OSError('https://token-s3cret@vault')"))
        with pytest.raises(PluginError, match=r"acme-0 1\.2: resolve_secret raised OSError at ") as caught:
            hooks.resolve_secret("vault:hq")

        assert "s3cret" not in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)

    def test_an_answer_that_is_no_text_is_blamed(self, site):
        hooks = hooks_of(site, self.resolver("return b'geheim'"))
        with pytest.raises(PluginError, match="resolve_secret returned a bytes, not a text"):
            hooks.resolve_secret("vault:hq")


class TestObservers:
    def test_hook_observe_is_told_every_event(self, site):
        hooks = hooks_of(site, "seen = []\n" + observer("seen.append(event.name)"))
        hooks.observe(EVENT)
        hooks.observe(EVENT)

        assert 0 == hooks.close()
        assert ["run_planned"] * 2 == sys.modules["acme_0"].seen

    @pytest.mark.parametrize(
        "body", ["raise OSError('mail is down')", "import sys; sys.exit('mail is down')"]
    )
    def test_one_that_fails_is_reported_once_and_stops_no_other(self, site, body):
        hooks = hooks_of(site, observer(body), "seen = []\n" + observer("seen.append(event.name)"))
        reported = []
        hooks.report = reported.append
        for _ in range(3):
            hooks.observe(EVENT)
        hooks.close()

        assert 3 == len(sys.modules["acme_1"].seen)
        assert ["acme_0"] == [failure.plugin for failure in reported]
        assert "mail is down" in str(reported[0])

    def test_one_that_blocks_holds_up_nobody(self, site):
        """Events pile up to the bound, then they are lost, and the one in the way is named, once."""
        blocking = "import threading\ngo = threading.Event()\nat = threading.Event()\n"
        hooks = hooks_of(site, blocking + observer("at.set(); go.wait(20)"))
        hooks._observers._queue.maxsize = 3
        reported = []
        hooks.report = reported.append
        hooks.observe(EVENT)
        sys.modules["acme_0"].at.wait(20)
        for _ in range(5):
            hooks.observe(EVENT)

        (failure,) = reported

        assert "observe raised TimeoutError: it is too slow, and events are being lost" in str(failure)
        assert 6 == hooks.close(within=0.05)

        sys.modules["acme_0"].go.set()

    def test_closing_waits_for_what_is_queued_until_the_deadline(self, site):
        blocking = "import threading\ngo = threading.Event()\nat = threading.Event()\n"
        hooks = hooks_of(site, blocking + observer("at.set(); go.wait(20)"))
        for _ in range(4):
            hooks.observe(EVENT)
        sys.modules["acme_0"].at.wait(20)

        assert 4 == hooks.close(within=0.05)

        sys.modules["acme_0"].go.set()

    def test_one_that_prints_breaks_nothing(self, site):
        hooks = hooks_of(site, observer("print(event)"))
        hooks.observe(EVENT)

        assert 0 == hooks.close()

    def test_after_the_end_nothing_is_told(self, site):
        hooks = hooks_of(site, "seen = []\n" + observer("seen.append(event)"))
        hooks.close()
        hooks.observe(EVENT)

        assert (0, []) == (hooks.close(), sys.modules["acme_0"].seen)

    def test_without_observers_there_is_no_thread(self):
        hooks = load([]).hooks
        before = threading.active_count()
        hooks.observe(EVENT)

        assert (before, 0) == (threading.active_count(), hooks.close())

    def test_without_anybody_to_report_to_it_is_logged(self, site, monkeypatch):
        told = []
        listener = logging.Handler()
        monkeypatch.setattr(listener, "emit", told.append)
        monkeypatch.setattr(logging.getLogger("syncd"), "handlers", [listener])
        hooks = hooks_of(site, observer("raise OSError('mail is down')"))
        hooks.observe(EVENT)
        hooks.close()

        assert ["syncd"] == [record.name for record in told]
        assert "mail is down" in told[0].getMessage()


class TestCommands:
    def adding(self, name, *, then="pass"):
        return (
            "import click\n@hookimpl\ndef register_commands(group):\n"
            f"    group.add_command(click.Command({name!r}))\n    {then}"
        )

    def test_hook_register_commands_adds_to_the_command_line(self, site):
        group = click.Group()

        assert [] == hooks_of(site, self.adding("badges")).register_commands(group)
        assert ["badges"] == list(group.commands)

    @pytest.mark.parametrize(
        ("name", "then", "cause"),
        [
            ("mine", "raise OSError('no')", "register_commands raised OSError: no"),
            ("apply", "pass", "the command 'apply' exists already"),
            ("mine", "del group.commands['apply']", "the command 'apply' exists already"),
        ],
    )
    def test_what_fails_is_undone_and_reported(self, site, name, then, cause):
        own = click.Command("apply")
        group = click.Group(commands=[own])
        hooks = hooks_of(site, self.adding(name, then=then), self.adding("other"))
        reported = []
        hooks.report = reported.append
        failures = hooks.register_commands(group)

        assert {"apply", "other"} == set(group.commands)
        assert own is group.commands["apply"]
        assert failures == reported
        assert cause in str(failures[0])


def hooks() -> dict[str, str]:
    """Return each hook and its argument list, as hookspecs defines them."""
    return {
        name: ", ".join(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if hasattr(function, "syncd_spec")
    }


class TestLaws:
    def test_every_hook_is_documented_with_its_exact_arguments(self):
        documented = dict(
            re.findall(r"^## `(\w+)\((.*)\)`$", (ROOT / "docs/plugin_hooks.md").read_text(), re.MULTILINE)
        )

        assert hooks() == documented

    def test_every_hook_has_a_test_here(self):
        tests = [
            node.name
            for node in ast.walk(ast.parse(Path(__file__).read_text()))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_hook_")
        ]

        assert [] == [hook for hook in hooks() if not any(f"test_hook_{hook}" in test for test in tests)]
