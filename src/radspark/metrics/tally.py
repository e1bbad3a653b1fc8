"""Evaluation from counts that add up, for more scores than fit in memory: parts are tallied once, tallies are summed.

What is a ratio of sums is exact. AUROC and average precision come from counts in bins of the score, with bounds that
hold whatever the order inside them: pairs in different bins are counted exactly, pairs in one bin can only be right or
wrong. The bins are the score's leading float32 bits: 2,048 for each halving of the score, so that small probabilities
of rare findings are told apart too.
Legend: N samples, C findings, K bins from the lowest score up, S slots of a finding: 2 K counts, then L sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics.additive import NUM_TERMS, measure_sums, sum_terms, why_undefined
from radspark.metrics.bootstrap import RANK_MEASURES
from radspark.metrics.evaluate import summarize
from radspark.metrics.evaluation import Evaluation, FindingEvaluation
from radspark.metrics.scored import DEFAULT_THRESHOLD

Floats = npt.NDArray[np.float64]

_DROPPED_BITS = 12
NUM_BINS = int(np.float32(1).view(np.uint32) >> _DROPPED_BITS) + 1
NUM_SLOTS = 2 * NUM_BINS + NUM_TERMS


@dataclass(frozen=True)
class Bounds:
    """Between these lies the exact figure."""

    low: float
    high: float


@dataclass(frozen=True)
class TalliedEvaluation:
    """An evaluation whose AUROCs and average precisions are bounded."""

    evaluation: Evaluation
    """With them as if the scores of a bin were tied."""
    bounds: Mapping[str, Mapping[str, Bounds]]
    """By finding that has both classes, and by `auroc` or `average_precision`."""


@dataclass(eq=False)
class Tally:
    """Counts and sums of some samples."""

    slots_CS: Floats
    """Of each finding: negatives and positives of each bin in turn, then the additive terms."""
    thresholds_C: Sequence[float] = field(default=())
    num_samples: int = 0

    @classmethod
    def empty(cls, num_findings: int, *, thresholds: Sequence[float] | None = None) -> Tally:
        """Of no samples; thresholds are 0.5 unless given."""
        return cls(np.zeros((num_findings, NUM_SLOTS)), thresholds or (DEFAULT_THRESHOLD,) * num_findings)

    def add(self, labels_NC: npt.NDArray[Any], scores_NC: npt.NDArray[Any]) -> None:
        """Count some more samples.

        Args:
            labels_NC: 1, 0, or NaN for unknown.
            scores_NC: probabilities.

        Raises:
            ArgumentError: a score is no probability.
        """
        if not ((scores_NC >= 0) & (scores_NC <= 1)).all():
            raise ArgumentError("scores must be probabilities between 0 and 1; apply a sigmoid to logits first.")
        self.num_samples += len(labels_NC)
        for column, threshold in enumerate(self.thresholds_C):
            labels, scores = labels_NC[:, column], scores_NC[:, column]
            known = ~np.isnan(labels)
            np.add.at(self.slots_CS[column], 2 * bin_of(scores[known]) + (labels[known] == 1), 1)
            self.slots_CS[column, 2 * NUM_BINS :] += sum_terms(labels, scores, threshold=threshold)

    def evaluate(self, label_set: LabelSet) -> TalliedEvaluation:
        """What `evaluate_scores` says of the same samples."""
        findings, bounds = {}, {}
        for name, slots_S, threshold in zip(label_set, self.slots_CS, self.thresholds_C, strict=True):
            findings[name], found = _evaluate_finding(slots_S, threshold, self.num_samples)
            if found:
                bounds[name] = found
        known = sum(finding.positives + finding.negatives for finding in findings.values())
        losses = [
            finding.values["log_loss"] * (finding.positives + finding.negatives)
            for finding in findings.values()
            if finding.values["log_loss"] is not None
        ]
        evaluation = summarize(
            findings, num_samples=self.num_samples, num_patients=None, loss=sum(losses) / known if known else None
        )
        return TalliedEvaluation(evaluation, bounds)


def bin_of(scores_N: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Bin of each probability; rising with it."""
    # Adding 0 turns -0.0, whose bits sort above all others, into 0.0.
    bits = (scores_N.astype(np.float32) + np.float32(0)).view(np.uint32)
    return (bits >> _DROPPED_BITS).astype(np.int64)


def bound_auroc(positives_K: Floats, negatives_K: Floats) -> tuple[float, Bounds]:
    """AUROC with the scores of each bin tied, and its bounds.

    A pair inside a bin counts 1/2 here and 0 to 1 in truth, so the truth is at most half their share away.
    """
    pairs = positives_K.sum() * negatives_K.sum()
    below_K = np.cumsum(negatives_K) - negatives_K
    inside = float(positives_K @ negatives_K / (2 * pairs))
    value = float(positives_K @ below_K / pairs) + inside
    return value, Bounds(value - inside, value + inside)


def bound_average_precision(positives_K: Floats, negatives_K: Floats) -> tuple[float, Bounds]:
    """Average precision with the scores of each bin tied, and its bounds.

    With T positives and F negatives in higher bins, p and n in this one: no positive of the bin has a precision above
    (T + p) / (T + p + F), which they share if they are tied above all n; and the i-th has at least
    (T + i) / (T + i + F + n), which it has below all n. The latter's sum over i is
    p - (F + n) (digamma(T + p + F + n + 1) - digamma(T + F + n + 1)).
    """
    held = np.flatnonzero(positives_K)[::-1]
    p, n = positives_K[held], negatives_K[held]
    upto = np.cumsum(positives_K[::-1])[::-1][held]
    all_above = np.cumsum(negatives_K[::-1])[::-1][held]
    total = positives_K.sum()
    tied = p * upto / (upto + all_above)
    best = p * upto / (upto + all_above - n)
    worst = p - all_above * (digamma(upto + all_above + 1) - digamma(upto - p + all_above + 1))
    value, low, high = (float(part.sum() / total) for part in (tied, worst, best))
    return value, Bounds(low, high)


def _evaluate_finding(
    slots_S: Floats, threshold: float, num_samples: int
) -> tuple[FindingEvaluation, dict[str, Bounds]]:
    negatives_K, positives_K = slots_S[: 2 * NUM_BINS].reshape(NUM_BINS, 2).T
    sums_L = slots_S[2 * NUM_BINS :]
    positives, negatives = int(positives_K.sum()), int(negatives_K.sum())
    values: dict[str, float | None] = dict.fromkeys(RANK_MEASURES)
    undefined = why_undefined(sums_L)
    bounds = {}
    if positives and negatives:
        values["auroc"], bounds["auroc"] = bound_auroc(positives_K, negatives_K)
        values["average_precision"], bounds["average_precision"] = bound_average_precision(positives_K, negatives_K)
    else:
        reason = "no positive" if negatives else "no negative" if positives else "no known label"
        undefined = {**dict.fromkeys(RANK_MEASURES, reason), **undefined}
    added = {name: None if np.isnan(value) else float(value) for name, value in measure_sums(sums_L).items()}
    finding = FindingEvaluation(
        positives=positives,
        negatives=negatives,
        unknown=num_samples - positives - negatives,
        threshold=threshold,
        values={**values, **added},
        undefined=undefined,
    )
    return finding, bounds
