"""Views of one study taken together: one row per study from scored radiographs. What scores are worth is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.errors import ArgumentError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from radspark.labels import LabelSet

COMBINATIONS: Mapping[str, Callable[[Column], Column]] = {"mean": F.avg, "max": F.max}
"""Of the probabilities of a study's views."""


def combine_studies(
    scored: DataFrame,
    labels: LabelSet,
    *,
    how: str = "mean",
    study_col: str = "study_id",
    label_col: str = "labels",
    probability_cols: Sequence[str] = ("probability",),
    other_cols: Sequence[str] = (),
) -> DataFrame:
    """One row per study: `study_id`, labels, probabilities and `num_views`, those that could be read.

    A finding is present in a study if a view shows it, unknown if none does and one is unknown, else absent; where
    studies are labelled (CheXpert, MIMIC-CXR) all views say the same. A study without a readable view has no
    probability. Spark fails, naming the column, when a row without a study is met.

    Args:
        scored: what `XRayModel.transform` gives, with the columns of the label table.
        how: a name of `COMBINATIONS`: of each finding's probabilities over the views.
        probability_cols: arrays in the order of `labels`.
        other_cols: kept where all views of a study agree, null where they do not.

    Example:
        >>> studies = combine_studies(model.transform(samples), model.labels, other_cols=["patient_id"])

    Raises:
        ArgumentError: no such way to combine, or a missing column.
    """
    if how not in COMBINATIONS:
        raise ArgumentError(f"how must be one of {', '.join(COMBINATIONS)}, got {how!r}.")
    for column in (study_col, label_col, *probability_cols, *other_cols):
        if column not in scored.columns:
            known = ", ".join(scored.columns)
            raise ArgumentError(f"the scored radiographs have no column {column!r}; they have {known}.")
    study = F.coalesce(F.col(study_col), F.raise_error(F.lit(f"a radiograph has no {study_col}")))
    places = range(len(labels))
    combined = [
        F.when(
            F.count(column) > 0,
            F.array(*(COMBINATIONS[how](F.get(column, F.lit(place))).cast("float") for place in places)),
        ).alias(column)
        for column in probability_cols
    ]
    same = [F.when(F.min(column).eqNullSafe(F.max(column)), F.min(column)).alias(column) for column in other_cols]
    return scored.groupBy(study.alias(study_col)).agg(
        *same,
        F.array(*(_label_of_study(F.get(label_col, F.lit(place))) for place in places)).alias(label_col),
        *combined,
        F.count(probability_cols[0]).alias("num_views"),
    )


def _label_of_study(value: Column) -> Column:
    """Present in a view, else unknown in a view, else absent."""
    is_unknown = F.count_if(value.isNull()) > 0
    return F.when(F.max(value) == 1, F.lit(1.0)).when(~is_unknown, F.lit(0.0)).cast("float")
