"""What a set of probabilities is worth: ranking per finding, means over findings, log loss, and the metrics by name.

Holds the record behind `metrics.json`, format 1. Sorting and curves are in `ranking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.errors import DataError
from radspark.labels import LabelSet
from radspark.metrics.ranking import check_scores, rank_checked

FORMAT_VERSION = 1


@dataclass(frozen=True)
class FindingEvaluation:
    """One finding: how well it is ranked, and on how many labels that rests."""

    auroc: float | None
    average_precision: float | None
    positives: int
    negatives: int
    unknown: int
    reason: str | None = None
    """Why the metrics are undefined, or None where they are defined."""


@dataclass(frozen=True)
class Evaluation:
    """All findings in label order, and what is computed over them together."""

    num_samples: int
    findings: Mapping[str, FindingEvaluation]
    mean_auroc: float | None
    """Unweighted mean over the findings for which it is defined, None if there are none."""
    mean_average_precision: float | None
    """As `mean_auroc`."""
    loss: float | None
    """Binary cross-entropy in nats, mean over every known label of every finding; None if no label is known."""

    def to_dict(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain values, None where undefined, and never NaN."""
        return {
            "format_version": FORMAT_VERSION,
            "mean_auroc": self.mean_auroc,
            "mean_average_precision": self.mean_average_precision,
            "num_samples": self.num_samples,
            "findings": {
                name: {
                    "auroc": finding.auroc,
                    "average_precision": finding.average_precision,
                    "positives": finding.positives,
                    "negatives": finding.negatives,
                    "unknown": finding.unknown,
                    "reason": finding.reason,
                }
                for name, finding in self.findings.items()
            },
        }


@dataclass(frozen=True)
class Metric:
    """A number of an `Evaluation` that schedules, early stopping and `keep` can watch."""

    value: Callable[[Evaluation], float | None]
    larger_is_better: bool


METRICS: dict[str, Metric] = {
    "mean_auroc": Metric(lambda evaluation: evaluation.mean_auroc, larger_is_better=True),
    "mean_average_precision": Metric(lambda evaluation: evaluation.mean_average_precision, larger_is_better=True),
    "loss": Metric(lambda evaluation: evaluation.loss, larger_is_better=False),
}
"""By the names that `training.metric` and `Plateau.metric` take."""


def evaluate_scores(labels_NC: npt.ArrayLike, scores_NC: npt.ArrayLike, label_set: LabelSet) -> Evaluation:
    """Evaluate probabilities against labels, one column per finding.

    Args:
        labels_NC: 1, 0, or NaN for unknown, in the order of `label_set`; unknown labels are left out, one by one.
        scores_NC: probabilities in [0, 1].

    Raises:
        ValueError: shapes differ from each other or from the label set, a label is none of 1, 0, NaN, or a score is
            no probability.
    """
    labels, scores = check_scores(labels_NC, scores_NC, num_dims=2)
    if labels.shape[1] != len(label_set):
        raise ValueError(f"labels must have one column per finding ({len(label_set)}), got {labels.shape[1]}.")
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(
            f"scores must be probabilities between 0 and 1, got {scores.min():.4g} to {scores.max():.4g}; "
            "apply a sigmoid to logits first."
        )
    findings = {name: _evaluate_finding(labels[:, column], scores[:, column]) for column, name in enumerate(label_set)}
    return Evaluation(
        num_samples=len(labels),
        findings=findings,
        mean_auroc=_mean_of_defined(finding.auroc for finding in findings.values()),
        mean_average_precision=_mean_of_defined(finding.average_precision for finding in findings.values()),
        loss=_log_loss(labels, scores),
    )


def metric_value(evaluation: Evaluation, name: str) -> float:
    """The value of a metric that something depends on.

    Raises:
        ValueError: no metric of that name.
        DataError: the metric is undefined on these samples; the message says why.
    """
    if name not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {name!r}.")
    value = METRICS[name].value(evaluation)
    if value is None:
        raise DataError(
            f"{name} is undefined on these {evaluation.num_samples} samples: "
            "no finding has both a positive and a negative label; evaluate on more samples, or watch `loss`."
        )
    return value


def _evaluate_finding(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> FindingEvaluation:
    ranking = rank_checked(labels_N, scores_N)
    return FindingEvaluation(
        auroc=ranking.auroc(),
        average_precision=ranking.average_precision(),
        positives=ranking.positives,
        negatives=ranking.negatives,
        unknown=len(labels_N) - ranking.positives - ranking.negatives,
        reason=ranking.undefined_reason,
    )


def _mean_of_defined(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _log_loss(labels_NC: npt.NDArray[Any], scores_NC: npt.NDArray[Any]) -> float | None:
    """As scikit-learn: probabilities stay one rounding step of their own type away from 0 and 1, so it is finite."""
    known = ~np.isnan(labels_NC)
    if not known.any():
        return None
    step = np.finfo(scores_NC.dtype).eps if scores_NC.dtype.kind == "f" else np.finfo(np.float64).eps
    probability = np.clip(scores_NC[known].astype(np.float64), step, 1 - step)
    positive = labels_NC[known] == 1
    return float(-np.log(np.where(positive, probability, 1 - probability)).mean())
