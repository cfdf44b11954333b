"""What options of several plugins have in common: how strict they are, and what fills a column. Imports little."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

import syncd
from syncd import VOCABULARY


class Strict(BaseModel):
    """How options behave: unknown names are errors, and errors do not repeat what was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Column(Strict):
    """One column, or one attribute of an entry. A text alone is the account attribute."""

    attribute: str = Field(
        description="the account attribute that fills it, unless the platform's map says otherwise"
    )
    required: bool = Field(default=False, description="an account without it cannot be delivered")
    limit: int | None = Field(default=None, ge=1, description="characters at most")
    pattern: str | None = Field(
        default=None, description="a regular expression that the whole value must match"
    )

    def declared(
        self, description: str, *, required: bool = False, key: bool = False, many: bool = False
    ) -> syncd.Field:
        """Return the field that the platform declares; what is ``required`` is so, whatever the column says."""
        return syncd.Field(
            attribute=self.attribute,
            description=description,
            required=self.required or required,
            limit=self.limit,
            pattern=self.pattern,
            key=key,
            many=many,
            secret=self.attribute in VOCABULARY.secrets,
        )


def columns_of(value: object) -> object:
    """Return ``columns`` (or ``attributes``) as a table of tables, from a list or a table of texts."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"names {', '.join(map(repr, twice))} twice; every name stands once")
        return {name: {"attribute": name} for name in value}
    if isinstance(value, Mapping):
        return {name: {"attribute": one} if isinstance(one, str) else one for name, one in value.items()}
    return value
