"""XRayEvaluator: one number of an evaluation, for Spark ML's CrossValidator and TrainValidationSplit."""

from __future__ import annotations

from typing import Any

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from radspark.errors import ArgumentError, DataError
from radspark.frames.described import described
from radspark.labels import LabelSet
from radspark.metrics import METRICS, Evaluation, evaluate_scores, metric_value
from radspark.ml.large_evaluation import evaluate_at_scale
from radspark.ml.params import SampleParams, param
from radspark.ml.scores import gather_scores

MAX_EXACT_ROWS = 1_000_000
"""With 14 findings they take the driver about 1 GiB."""


class XRayEvaluator(Evaluator, SampleParams, DefaultParamsWritable, DefaultParamsReadable["XRayEvaluator"]):
    """Metrics of scored radiographs: exact ones on the driver, or tallied ones on Spark where there are many.

    Up to `maxExactRows` radiographs are gathered. Of more, `loss` is exact still; AUROC and average precision come from
    bins (`radspark.metrics.tally` has their bounds).
    """

    metricName = param("metricName", f"one of {', '.join(METRICS)}", TypeConverters.toString)

    maxExactRows = param("maxExactRows", "most radiographs that the driver gathers", TypeConverters.toInt)

    def __init__(self, *, metricName: str = "mean_auroc", **params: Any) -> None:
        super().__init__()
        self._setDefault(maxExactRows=MAX_EXACT_ROWS)
        if metricName not in METRICS:
            raise ArgumentError(f"metricName must be one of {', '.join(METRICS)}, got {metricName!r}.")
        self._set(metricName=metricName, **params)

    def _evaluate(self, dataset: DataFrame) -> float:
        columns = {
            "label_col": self.getOrDefault(self.labelCol),
            "probability_col": self.getOrDefault(self.probabilityCol),
        }
        # Scoring is what costs: what it gave is kept for the second look, which the count decides on.
        scored = dataset.select(*columns.values()).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            with described(dataset.sparkSession, "radspark: scoring radiographs to evaluate the model"):
                is_large = scored.count() > self.getOrDefault(self.maxExactRows)
                evaluation = (_evaluate_tallied if is_large else _evaluate_exactly)(scored, **columns)
            return metric_value(evaluation, self.getOrDefault(self.metricName))
        finally:
            scored.unpersist()

    def isLargerBetter(self) -> bool:
        """False for `loss`."""
        return METRICS[self.getOrDefault(self.metricName)].larger_is_better


def _evaluate_exactly(scored: DataFrame, *, label_col: str, probability_col: str) -> Evaluation:
    scores = gather_scores(scored, label_col=label_col, probability_col=probability_col)
    return evaluate_scores(scores.labels_NC, scores.probabilities_NC, _unnamed(scores.labels_NC.shape[1]))


def _evaluate_tallied(scored: DataFrame, *, label_col: str, probability_col: str) -> Evaluation:
    row = scored.select(F.size(probability_col)).where(F.col(probability_col).isNotNull()).first()
    if row is None:
        raise DataError("none of the radiographs to evaluate on has a probability; check the images.")
    return evaluate_at_scale(scored, _unnamed(row[0]), label_col=label_col, probability_col=probability_col).evaluation


def _unnamed(num_findings: int) -> LabelSet:
    return LabelSet(tuple(f"finding {number}" for number in range(1, num_findings + 1)))
