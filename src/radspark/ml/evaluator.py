"""XRayEvaluator: one number of an evaluation, for Spark ML's CrossValidator and TrainValidationSplit."""

from __future__ import annotations

from typing import Any

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics import METRICS, evaluate_scores, metric_value
from radspark.ml.params import SampleParams, param
from radspark.ml.scores import gather_scores


class XRayEvaluator(Evaluator, SampleParams, DefaultParamsWritable, DefaultParamsReadable["XRayEvaluator"]):
    """Exact metrics of scored radiographs, gathered on the driver."""

    metricName = param("metricName", f"one of {', '.join(METRICS)}", TypeConverters.toString)

    def __init__(self, *, metricName: str = "mean_auroc", **params: Any) -> None:
        super().__init__()
        if metricName not in METRICS:
            raise ArgumentError(f"metricName must be one of {', '.join(METRICS)}, got {metricName!r}.")
        self._set(metricName=metricName, **params)

    def _evaluate(self, dataset: DataFrame) -> float:
        scores = gather_scores(
            dataset, label_col=self.getOrDefault(self.labelCol), probability_col=self.getOrDefault(self.probabilityCol)
        )
        findings = LabelSet(tuple(f"finding {i + 1}" for i in range(scores.labels_NC.shape[1])))
        evaluation = evaluate_scores(scores.labels_NC, scores.probabilities_NC, findings)
        return metric_value(evaluation, self.getOrDefault(self.metricName))

    def isLargerBetter(self) -> bool:
        """False for `loss`."""
        return METRICS[self.getOrDefault(self.metricName)].larger_is_better
