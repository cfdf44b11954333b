"""``etc/syncd.toml`` is the reference: it says every key, and what it says is true."""

import re
import shutil
from pathlib import Path

import pytest
from catalogs import CATALOG

from syncd.config import load
from syncd.config.models import (
    AddLimitTable,
    AttributeTable,
    EnterpriseTable,
    KeepTable,
    LeaversTable,
    LimitsTable,
    MetricsTable,
    ObserverTable,
    PlatformTable,
    RemoveLimitTable,
    RoleTable,
    RowTable,
    RuleTable,
    ScheduleTable,
    SourceTable,
    TemplateTable,
    TopTable,
)
from syncd.config.presets import PRESETS
from syncd.model import VOCABULARY
from syncd.pipeline.opening import catalog_of, plugins_for

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "etc" / "syncd.toml"
REFERENCE = ROOT / "docs" / "configuration.md"
TABLES = (
    *(AttributeTable, EnterpriseTable, KeepTable, LeaversTable, LimitsTable, AddLimitTable, PlatformTable),
    *(MetricsTable, ObserverTable),
    *(RemoveLimitTable, RoleTable, RowTable, RuleTable, ScheduleTable, SourceTable, TemplateTable, TopTable),
)
KEYS = sorted({field.alias or name for table in TABLES for name, field in table.model_fields.items()})


@pytest.fixture
def small(tmp_path):
    """The configuration with which the reference page begins."""
    path = tmp_path / "small.toml"
    path.write_text(re.search(r"```toml\n(.+?)```", REFERENCE.read_text("utf-8"), re.DOTALL)[1], "utf-8")
    return path


@pytest.fixture
def example(tmp_path):
    """A copy that only its owner can change, wherever the original came from."""
    path = tmp_path / "syncd.toml"
    shutil.copyfile(EXAMPLE, path)
    return path


def with_everything(path):
    """Turn every setting on that stands there as a comment."""
    text = re.sub(r"^#(?=\S)", "", path.read_text("utf-8"), flags=re.MULTILINE)
    path.write_text(text.replace('sources = ["hq"]', 'sources = ["hq", "phones"]'), "utf-8")
    return path


def test_the_example_can_be_loaded(example):
    found = load([example], CATALOG, {})

    assert ["hq"] == [*found.sources]
    assert ["phonebook"] == [*found.platforms]


def test_every_setting_of_the_example_can_be_used_at_once(example):
    found = load([with_everything(example)], CATALOG, {})

    assert ["ops"] == [*found.observers]
    assert ("127.0.0.1", 9464) == found.metrics.listen
    assert "employee" == found.sources["hq"].default_role
    assert "badge" in found.vocabulary
    assert "phone-list" == found.platforms["phonebook"].formerly
    assert {"hq": (0, True), "phones": (1, False), "north": (0, True)} == {
        name: (one.precedence, one.terms.owns) for name, one in found.sources.items()
    }


def test_the_documented_sources_for_one_person_can_be_loaded(tmp_path):
    section = REFERENCE.read_text("utf-8").partition("## Several sources for one person")[2]
    path = tmp_path / "syncd.toml"
    path.write_text(section.partition("```toml")[2].partition("```")[0], "utf-8")
    path.chmod(0o600)
    found = load([path], CATALOG, {}).sources

    assert [("hr", True), ("phones", False)] == [(name, one.terms.owns) for name, one in found.items()]
    rows = {name: {rule.attribute for rule in one.mapping.rules} for name, one in found.items()}
    assert {"login", "email", "phone"} == rows["phones"]
    assert {"login", "last_name", "company"} <= rows["hr"]
    assert "phone" not in rows["hr"]


def test_what_the_example_calls_a_default_is_one(example):
    """Where it is said in a table that is commented out, turning that on changes nothing."""
    plain = load([example], CATALOG, {})
    told = load([with_everything(example)], CATALOG, {})

    assert plain.state_directory == told.state_directory
    assert (plain.keep_values, plain.purge_after) == (told.keep_values, told.purge_after)
    assert plain.sources["hq"].limits == told.sources["hq"].limits
    assert plain.platforms["phonebook"].limits == told.platforms["phonebook"].limits
    for terms in ("adopt", "owns", "kind", "detain", "operations"):
        assert getattr(plain.sources["hq"].terms, terms) == getattr(told.sources["hq"].terms, terms)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_stands_in_the_example_and_in_the_documentation(key):
    assert re.search(rf"(^|[\s{{#,.\[]){key}( =|\])", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert f"`{key}`" in REFERENCE.read_text("utf-8")


def vocabulary_table():
    """Return the rows of the table of attributes, cell by cell."""
    lines = REFERENCE.read_text("utf-8").partition("## Attributes and presets")[2].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]


def test_every_attribute_is_documented_with_what_it_can_hold():
    expected = [
        [
            f"`{word.name}`",
            ", ".join(kind for kind in ("key", "many", "secret") if getattr(word, kind)),
            str(word.limit),
            word.description,
        ]
        for word in VOCABULARY.values()
    ]

    assert expected == [[row[0], *row[5:]] for row in vocabulary_table()]


@pytest.mark.parametrize(
    ("preset", "column"), [("ad-user", 1), ("openldap-inetorgperson", 2), ("ids", 3), ("mivoice", 4)]
)
def test_every_preset_is_documented_row_by_row(preset, column):
    cells = {row[0].strip("`"): row[column] for row in vocabulary_table()}
    documented = {name: re.findall("`([^`]+)`", cell) for name, cell in cells.items()}
    rows = {
        name: row if isinstance(row, dict) else {"from": row} for name, row in PRESETS[preset].map.items()
    }

    assert {
        name: [row["from"]] if isinstance(row["from"], str) else row["from"] for name, row in rows.items()
    } == {name: sources for name, sources in documented.items() if sources}
    assert {name for name, row in rows.items() if row.get("policy") == "create-only"} == {
        name for name, cell in cells.items() if cell.endswith(", once")
    }
    assert [*PRESETS] == ["ad-user", "openldap-inetorgperson", "ids", "asterisk", "kamailio", "mivoice"]


def test_what_the_presets_of_nodes_map_is_offered_and_documented():
    from syncd_pbx.asterisksource import AsteriskSource
    from syncd_pbx.kamailiosource import KamailioSource

    (line,) = [one for one in REFERENCE.read_text("utf-8").splitlines() if one.startswith("- **`asterisk`**")]
    for name, kind in (("asterisk", AsteriskSource), ("kamailio", KamailioSource)):
        assert set(PRESETS[name].map.values()) <= kind.offered
        assert [] == [word for word in PRESETS[name].map if f"`{word}`" not in line]


def test_the_documented_switch_to_nodes_fits_the_shipped_plugin(tmp_path):
    section = REFERENCE.read_text("utf-8").partition("## One kind of source")[2]
    path = tmp_path / "syncd.toml"
    text = section.partition("```toml")[2].partition("```")[0].replace('["north", "south"]', '["north"]')
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    found = load([path], shipped([path]), {}).sources["north"]

    assert (("extension", "email"), True) == (found.match, found.terms.adopt)


def test_the_examples_fit_the_shipped_plugins(small, example):
    """The very options of the shipped plugins take them, the long one with every setting turned on as well."""
    for path in (small, example, with_everything(example)):
        load([path], shipped([path]), {})


def shipped(paths):
    """Return the catalog of the shipped plugins that files need, each of which has to load."""
    plugins = plugins_for(paths, {})
    assert () == plugins.failures
    return catalog_of(plugins)
