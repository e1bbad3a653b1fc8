"""Settings that travel with a column in its Spark metadata: how images were prepared, how a split was drawn.

Spark keeps a column's metadata through select, where, join, caching and Parquet; a column made by an expression has
none. What follows from settings that differ is for those who read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from radspark.settings import from_dict, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

T = TypeVar("T")
KEY = "radspark"
"""Of our part of a column's metadata."""


def settings_metadata(settings: Any) -> dict[str, Any]:
    """Metadata of a column that was made by some settings: for `StructField`, or `Column.alias`."""
    return {KEY: to_dict(settings)}


def column_settings(frame: DataFrame, column: str, cls: type[T]) -> T | None:
    """The settings that a column was made by; None where there is no such column, or it does not say.

    Raises:
        ArgumentError: it was made by a version with other settings.
    """
    if column not in frame.columns:
        return None
    values = frame.schema[column].metadata.get(KEY)
    return None if values is None else from_dict(cls, values, where=f"metadata of column {column!r}")
