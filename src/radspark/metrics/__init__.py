"""Numbers that say how good scores are, in numpy alone: ranking, and the evaluation of all findings together."""

from radspark.metrics.evaluation import METRICS, Evaluation, FindingEvaluation, Metric, evaluate_scores, metric_value
from radspark.metrics.ranking import (
    PrecisionRecallCurve,
    Ranking,
    RocCurve,
    auroc,
    average_precision,
    rank,
    roc_curves,
)

__all__ = [
    "METRICS",
    "Evaluation",
    "FindingEvaluation",
    "Metric",
    "PrecisionRecallCurve",
    "Ranking",
    "RocCurve",
    "auroc",
    "average_precision",
    "evaluate_scores",
    "metric_value",
    "rank",
    "roc_curves",
]
