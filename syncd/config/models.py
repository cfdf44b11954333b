"""The tables of the configuration as pydantic models: what is written, checked one table at a time.

What one table says of another (a role of its template) is for ``compiling`` to judge.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..guard import Limits
from ..planning import Leavers
from ..schedules import OFF
from .kinds import (
    AnyValue,
    Count,
    Description,
    Duration,
    DurationOrNever,
    Fate,
    Percent,
    Pool,
    ProfileName,
    Recipe,
    Text,
    TextOrTexts,
    Texts,
    When,
    Whole,
)


class Table(BaseModel):
    """Unknown keys are errors, nothing is converted, and no error repeats what was written.

    The validator of a table is made when one is first read: most configurations have few kinds of them.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True
    )


def _limit(value: object) -> object:
    """Read the short forms of a limit: a percentage alone, or ``off``."""
    if value == "off":
        return {"percent": "off", "count": "off", "per_day": "off"}
    if isinstance(value, dict):
        return value
    return {"percent": value}


_LEAVERS = Leavers()
_LIMITS = Limits()


class KeepTable(Table):
    """``keep``: for how long the journal holds what stood in accounts."""

    values: DurationOrNever = timedelta(days=400)


class ControlTable(Table):
    """``control``: the groups whose members may ask the running service, to change something or to look."""

    operators: Texts = ("syncd-admin",)
    readers: Texts = ()


class MetricsTable(Table):
    """``metrics``: where the numbers about syncd itself go."""

    textfile: Text | None = None
    listen: Text | None = None


class TopTable(Table):
    """The keys that stand before the first table, ``keep``, ``control`` and ``metrics``."""

    state_directory: Text = "/var/lib/syncd"
    timezone: Text = "UTC"
    plugins: Texts = ()
    departments: Texts = ()
    secrets_key: Text | None = None
    keep: KeepTable = Field(default={}, validate_default=True)
    socket: Text | None = None
    control: ControlTable = Field(default={}, validate_default=True)
    metrics: MetricsTable = Field(default={}, validate_default=True)
    purge_after: DurationOrNever = timedelta(days=90)


class AttributeTable(Table):
    """``[attribute.NAME]``: a word for the vocabulary."""

    description: Text = ""
    many: bool = False
    key: bool = False
    secret: bool = False
    limit: Count = 256


class LicenceTable(Table):
    """``[licence.FEATURE]``: how many users may have a feature."""

    count: Whole | None = None


class ProfileTable(Table):
    """``[feature_profile.NAME]``: the licensed features that its users have."""

    description: Description = ""
    licences: Texts = ()


class TemplateTable(Table):
    """``[template.NAME]``: what a new account gets."""

    services: Texts | None = None
    feature_profile: ProfileName | None = None
    defaults: dict[str, AnyValue] = Field(default={})
    wins: Texts = ()
    allocate: dict[str, Pool] = Field(default={})
    generate: dict[str, Recipe] = Field(default={})


class RoleTable(Table):
    """``[role.NAME]``: a kind of person, by the word that the sources use for it."""

    template: Text | None = None


class EnterpriseTable(Table):
    """``[enterprise.NAME]``: a tenant."""

    synchronizer: Literal["none", "directory", "pbx"] = "directory"
    sources: Texts = ()
    protected: Texts = ()


class RowTable(Table):
    """One row of a map that is more than a copy."""

    from_: Annotated[TextOrTexts, Field(alias="from")] = ()
    via: list[Text] = Field(default=[])
    policy: Literal["always", "create-only", "detain"] = "always"
    default: AnyValue | None = None
    constant: AnyValue | None = None
    illegal: Literal["reject", "strip"] = "reject"


class RuleTable(Table):
    """One row of ``[source.NAME.rules]``."""

    required: bool = False
    pattern: Text | None = None
    length: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    one_of: Texts | None = None
    also: Texts = ()


class ScheduleTable(Table):
    """``schedule``: when a source is read by itself."""

    incremental: When = OFF
    full: When = OFF
    jitter: Duration = timedelta(0)
    catch_up: Literal["once", "skip"] = "once"


class LeaversTable(Table):
    """``leavers``: what becomes of people who left, by the way they left."""

    disabled: Fate = "disable"
    removed: Fate = "disable"
    missing: Fate = "disable"
    reads: Annotated[int, Field(ge=1, le=1000)] = _LEAVERS.reads
    after: Duration = _LEAVERS.after
    delete_after: DurationOrNever = _LEAVERS.delete_after


class RemoveLimitTable(Table):
    """A limit of removals; a key that is not written keeps its default."""

    percent: Percent = _LIMITS.remove.percent
    count: Count = _LIMITS.remove.count
    per_day: Count = _LIMITS.remove.per_day


class AddLimitTable(Table):
    """A limit of additions."""

    percent: Percent = _LIMITS.add.percent
    count: Count = _LIMITS.add.count
    per_day: Count = _LIMITS.add.per_day


class UpdateLimitTable(Table):
    """A limit of updates."""

    percent: Percent = _LIMITS.update.percent
    count: Count = _LIMITS.update.count
    per_day: Count = _LIMITS.update.per_day


class PlatformLimitsTable(Table):
    """``limits`` of a platform."""

    remove: Annotated[RemoveLimitTable, BeforeValidator(_limit)] = Field(default={}, validate_default=True)
    add: Annotated[AddLimitTable, BeforeValidator(_limit)] = Field(default={}, validate_default=True)
    update: Annotated[UpdateLimitTable, BeforeValidator(_limit)] = Field(default={}, validate_default=True)


class LimitsTable(PlatformLimitsTable):
    """``limits`` of a source."""

    container: Percent = _LIMITS.container
    shrink: Percent = _LIMITS.shrink


class SourceTable(Table):
    """The engine's keys of ``[source.NAME]``; all others are options of the plugin."""

    type: Text | None = None
    preset: Text | None = None
    match: Texts = ()
    operations: list[Literal["add", "update", "remove"]] | None = None
    detain: Literal["never", "first-run", "always"] = "first-run"
    adopt: bool = False
    owns: bool = True
    kind: Literal["user", "contact"] = "user"
    role: Text | None = None
    schedule: ScheduleTable = Field(default={}, validate_default=True)
    leavers: LeaversTable = Field(default={}, validate_default=True)
    limits: LimitsTable = Field(default={}, validate_default=True)
    rules: dict[str, RuleTable] = Field(default={})
    map: dict[str, Any] = Field(default={})
    formerly: Text | None = None


class PlatformTable(Table):
    """The engine's keys of ``[platform.NAME]``; all others are options of the plugin."""

    type: Text | None = None
    enterprises: Texts | None = None
    accept: dict[str, TextOrTexts] = Field(default={})
    limits: PlatformLimitsTable = Field(default={}, validate_default=True)
    map: dict[str, Any] = Field(default={})
    formerly: Text | None = None


class ObserverTable(Table):
    """The engine's key of ``[observer.NAME]``; all others are options of the plugin."""

    type: Text | None = None
