"""Numbers that say how good scores are, without Spark or torch: ranking, calibration, thresholds, intervals."""

from radspark.metrics.bootstrap import MEASURES, Bootstrap, Resampled, resample
from radspark.metrics.evaluate import evaluate_scored, evaluate_scores
from radspark.metrics.evaluation import METRICS, Evaluation, FindingEvaluation, Metric, metric_value
from radspark.metrics.intervals import Interval
from radspark.metrics.ranking import (
    PrecisionRecallCurve,
    Ranking,
    RocCurve,
    auroc,
    average_precision,
    rank,
    roc_curves,
)
from radspark.metrics.scored import Scored

__all__ = [
    "MEASURES",
    "METRICS",
    "Bootstrap",
    "Evaluation",
    "FindingEvaluation",
    "Interval",
    "Metric",
    "PrecisionRecallCurve",
    "Ranking",
    "Resampled",
    "RocCurve",
    "Scored",
    "auroc",
    "average_precision",
    "evaluate_scored",
    "evaluate_scores",
    "metric_value",
    "rank",
    "resample",
    "roc_curves",
]
