"""Folds for cross-validation by whole patients; what is trained on them is Spark ML's CrossValidator's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.splits import draw_uniform
from radspark.settings import require

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def with_patient_folds(
    samples: DataFrame, num_folds: int, *, seed: int = 0, patient_col: str = "patient_id", fold_col: str = "fold"
) -> DataFrame:
    """Add a fold, 0 to `num_folds` - 1, that is one for all radiographs of a patient, drawn by hash.

    For `CrossValidator(foldCol="fold", numFolds=num_folds)`, which without a `foldCol` draws single radiographs, so
    that patients are trained on and tested on. Rows without a patient share one fold.

    Example:
        >>> tuning = with_patient_folds(samples.where("split != 'test'").drop("split"), 5)
        >>> CrossValidator(estimator=classifier, estimatorParamMaps=grid, evaluator=XRayEvaluator(), numFolds=5,
        ...                foldCol="fold").fit(tuning)

    Raises:
        ArgumentError: fewer than two folds, no such column, or a column of the fold's name.
    """
    require(num_folds >= 2, f"num_folds must be at least 2, got {num_folds}.")
    shown = ", ".join(samples.columns)
    require(
        patient_col in samples.columns, f"patient_col must be a column of the samples ({shown}), got {patient_col!r}."
    )
    require(
        fold_col not in samples.columns, f"the samples have a column {fold_col!r} already; choose another fold_col."
    )
    return samples.withColumn(fold_col, F.floor(draw_uniform(patient_col, seed) * num_folds).cast("int"))
