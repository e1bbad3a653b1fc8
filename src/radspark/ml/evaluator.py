"""XRayEvaluator: one number of an evaluation, for Spark ML's CrossValidator and TrainValidationSplit."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import TypeConverters
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from radspark.labels import LabelSet
from radspark.metrics import METRICS, evaluate_scores, metric_value
from radspark.ml.params import SampleParams, param


class XRayEvaluator(Evaluator, SampleParams):
    """Exact metrics of scored radiographs, gathered on the driver."""

    metricName = param("metricName", f"one of {', '.join(METRICS)}", TypeConverters.toString)

    def __init__(self, *, metricName: str = "mean_auroc", **params: Any) -> None:
        super().__init__()
        if metricName not in METRICS:
            raise ValueError(f"metricName must be one of {', '.join(METRICS)}, got {metricName!r}.")
        self._set(metricName=metricName, **params)

    def _evaluate(self, dataset: DataFrame) -> float:
        labels, probability = self.getOrDefault(self.labelCol), self.getOrDefault(self.probabilityCol)
        rows = dataset.select(labels, probability).where(F.col(probability).isNotNull()).collect()
        labels_NC = np.array([[np.nan if v is None else v for v in row[0]] for row in rows], np.float32)
        findings = LabelSet(tuple(f"finding {i + 1}" for i in range(labels_NC.shape[1])))
        evaluation = evaluate_scores(labels_NC, np.array([row[1] for row in rows], np.float32), findings)
        return metric_value(evaluation, self.getOrDefault(self.metricName))

    def isLargerBetter(self) -> bool:
        """False for `loss`."""
        return METRICS[self.getOrDefault(self.metricName)].larger_is_better
