"""Spark ML's TrainValidationSplit by whole patients; folds for its CrossValidator are in `samples.folds`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.ml import Estimator
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, TypeConverters
from pyspark.ml.tuning import TrainValidationSplit, TrainValidationSplitModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from radspark.datasets.splits import draw_uniform
from radspark.errors import ArgumentError
from radspark.ml.params import param


class PatientTrainValidationSplit(TrainValidationSplit):
    """Chooses among settings by one split of the patients, where Spark's own draws single radiographs.

    A patient's side is drawn by hash. The settings are tried one after another, since a training takes all of Spark;
    the best is trained again on all samples. What `fit` returns is Spark's `TrainValidationSplitModel`.

    Example:
        >>> tuned = PatientTrainValidationSplit(
        ...     estimator=classifier, estimatorParamMaps=grid, evaluator=XRayEvaluator(), trainRatio=0.8
        ... ).fit(samples.where("split != 'test'").drop("split"))
    """

    patientCol = param("patientCol", "column whose equal values are one patient", TypeConverters.toString)

    def __init__(
        self,
        *,
        estimator: Estimator[Any],
        estimatorParamMaps: Sequence[dict[Param[Any], Any]],
        evaluator: Evaluator,
        trainRatio: float = 0.75,
        seed: int = 0,
        patientCol: str = "patient_id",
    ) -> None:
        super().__init__(
            estimator=estimator,
            estimatorParamMaps=list(estimatorParamMaps),
            evaluator=evaluator,
            trainRatio=trainRatio,
            seed=seed,
        )
        self._set(patientCol=patientCol)

    def _fit(self, dataset: DataFrame) -> TrainValidationSplitModel:
        """Raise ArgumentError if there is no column of patients."""
        patient_col = self.getOrDefault(self.patientCol)
        if patient_col not in dataset.columns:
            shown = ", ".join(dataset.columns)
            raise ArgumentError(f"patientCol must be a column of the samples ({shown}), got {patient_col!r}.")
        estimator, evaluator, settings = self.getEstimator(), self.getEvaluator(), self.getEstimatorParamMaps()
        # Rows without a patient share one side.
        is_train = draw_uniform(patient_col, self.getSeed()) < F.lit(self.getTrainRatio())
        train, validation = dataset.where(is_train).persist(), dataset.where(~is_train).persist()
        try:
            metrics = [
                evaluator.evaluate(estimator.fit(train, chosen).transform(validation, chosen), chosen)
                for chosen in settings
            ]
        finally:
            train.unpersist()
            validation.unpersist()
        best = int(np.argmax(metrics) if evaluator.isLargerBetter() else np.argmin(metrics))
        return self._copyValues(TrainValidationSplitModel(estimator.fit(dataset, settings[best]), metrics, []))
