"""How well scores rank one finding: exact AUROC, average precision and their curves; means and files are elsewhere.

Everything follows from one sort. Tied scores share one threshold, so no result depends on the order of the samples.
Legend: N samples, C findings, T distinct scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.labels import LabelSet

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RocCurve:
    """Points of a receiver operating characteristic, from (0, 0) to (1, 1), to be joined by straight lines."""

    false_positive_rate: Floats
    true_positive_rate: Floats


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision at each recall that is reached, ascending; `precision[i]` holds from above recall[i-1] to recall[i]."""

    recall: Floats
    precision: Floats

    def thinned(self, max_points: int = 250) -> PrecisionRecallCurve:
        """At most so many of its points, with the first and the last; for drawing."""
        kept = np.linspace(0, len(self.recall) - 1, min(len(self.recall), max_points)).round().astype(np.int64)
        return PrecisionRecallCurve(self.recall[kept], self.precision[kept])


@dataclass(frozen=True)
class Ranking:
    """Counts of positives and negatives at or above each distinct score, from the highest score down: all (T,)."""

    thresholds: npt.NDArray[Any]
    true_positives: Counts
    false_positives: Counts

    @property
    def positives(self) -> int:
        return int(self.true_positives[-1]) if len(self.true_positives) else 0

    @property
    def negatives(self) -> int:
        return int(self.false_positives[-1]) if len(self.false_positives) else 0

    @property
    def undefined_reason(self) -> str | None:
        """Why nothing can be ranked, or None if it can."""
        if not self.positives and not self.negatives:
            return "no known label"
        if not self.positives:
            return "no positive"
        return None if self.negatives else "no negative"

    def auroc(self) -> float | None:
        """Chance that a positive scores above a negative, ties counted half (Hanley and McNeil 1982)."""
        if self.undefined_reason:
            return None
        # Twice the trapezoids' area, in integers: exact up to 2e9 positives times 2e9 negatives.
        heights = self.true_positives + np.concatenate(([0], self.true_positives[:-1]))
        doubled_area = int(np.diff(self.false_positives, prepend=0) @ heights)
        return doubled_area / (2 * self.positives * self.negatives)

    def average_precision(self) -> float | None:
        """Precision averaged over the rises of recall, without interpolation; None wherever AUROC is."""
        if self.undefined_reason:
            return None
        curve = self.precision_recall_curve()
        return float(np.diff(curve.recall, prepend=0.0) @ curve.precision)

    def precision_recall_curve(self) -> PrecisionRecallCurve:
        """Exact points. Thresholds that add no positive carry no area and are left out."""
        rises = np.diff(self.true_positives, prepend=0) > 0
        found, wrong = self.true_positives[rises], self.false_positives[rises]
        return PrecisionRecallCurve(recall=found / max(self.positives, 1), precision=found / (found + wrong))

    def roc_curve(self, *, max_area_error: float = 0.0) -> RocCurve | None:
        """Points of the curve; with `max_area_error` above 0, at most about 1 / `max_area_error` of them.

        The curve is cut into G pieces of equal length (measured as FPR + TPR, 2 in all), and of each piece its first
        and last point are kept. Between them the curve rises within a box whose sides add up to 2 / G at most, so the
        line that replaces it is off by at most half that box: 1 / (2 G * G) a piece, 1 / (2 G) in all. Points on a
        straight line between their neighbors are left out.

        Args:
            max_area_error: largest area between the full curve and the one returned; 0 returns every corner.

        Returns:
            None where AUROC is undefined.
        """
        if self.undefined_reason:
            return None
        x, y = np.append(0, self.false_positives), np.append(0, self.true_positives)
        if max_area_error > 0:
            num_pieces = math.ceil(1 / (2 * max_area_error))
            share = (x / self.negatives + y / self.positives) / 2
            piece = np.minimum(share * num_pieces, num_pieces - 1).astype(np.int64)
            starts, ends = np.diff(piece, prepend=-1) > 0, np.diff(piece, append=num_pieces) > 0
            x, y = x[starts | ends], y[starts | ends]
        dx, dy = np.diff(x), np.diff(y)
        corners = np.concatenate(([True], dx[:-1] * dy[1:] != dx[1:] * dy[:-1], [True]))
        return RocCurve(false_positive_rate=x[corners] / self.negatives, true_positive_rate=y[corners] / self.positives)


def rank(labels_N: npt.ArrayLike, scores_N: npt.ArrayLike) -> Ranking:
    """Sort one finding's scores and count what lies at or above each.

    Args:
        labels_N: 1, 0, or NaN for unknown; unknown samples are left out.
        scores_N: any finite numbers, larger meaning more likely present.

    Raises:
        ArgumentError: shapes differ, a label is none of 1, 0, NaN, or a score is not finite.
    """
    labels, scores = check_scores(labels_N, scores_N, num_dims=1)
    return rank_checked(labels, scores)


def rank_checked(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> Ranking:
    """`rank` for columns of arrays that `check_scores` has passed."""
    known = ~np.isnan(labels_N)
    scores = scores_N[known]
    order = np.argsort(scores)[::-1]
    ordered, positive = scores[order], labels_N[known][order] == 1
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
    true_positives = np.cumsum(positive, dtype=np.int64)[last_of_ties]
    return Ranking(
        thresholds=ordered[last_of_ties],
        true_positives=true_positives,
        false_positives=last_of_ties.astype(np.int64) + 1 - true_positives,
    )


def check_scores(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, num_dims: int
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[Any]]:
    """Both as arrays of one shape, labels as floats.

    Raises:
        ArgumentError: shapes differ, a label is none of 1, 0, NaN, or a score is not finite.
    """
    label_array, score_array = np.asarray(labels), np.asarray(scores)
    if label_array.dtype.kind != "f":
        label_array = label_array.astype(np.float32)
    if label_array.ndim != num_dims or label_array.shape != score_array.shape:
        raise ArgumentError(
            f"labels and scores must be arrays of the same shape with {num_dims} "
            f"dimension(s), got {label_array.shape} and {score_array.shape}."
        )
    strange = ~((label_array == 0) | (label_array == 1) | np.isnan(label_array))
    if strange.any():
        raise ArgumentError(f"labels must be 1, 0 or NaN for unknown, got {label_array[strange][0]}.")
    infinite = ~np.isfinite(score_array)
    if infinite.any():
        raise ArgumentError(f"scores must be finite, got {score_array[infinite][0]} in {int(infinite.sum())} place(s).")
    return label_array, score_array


def auroc(labels_N: npt.ArrayLike, scores_N: npt.ArrayLike) -> float | None:
    """Area under the ROC curve, exact with ties; None without a positive or without a negative. Raises as `rank`."""
    return rank(labels_N, scores_N).auroc()


def average_precision(labels_N: npt.ArrayLike, scores_N: npt.ArrayLike) -> float | None:
    """Average precision, exact with ties; None without a positive or without a negative. Raises as `rank`."""
    return rank(labels_N, scores_N).average_precision()


def roc_curves(
    labels_NC: npt.ArrayLike, scores_NC: npt.ArrayLike, label_set: LabelSet, *, max_area_error: float = 0.002
) -> dict[str, RocCurve]:
    """Curves for drawing, of the findings that have a positive and a negative. Raises as `rank`."""
    labels, scores = check_scores(labels_NC, scores_NC, num_dims=2)
    curves = {
        name: rank_checked(labels[:, column], scores[:, column]).roc_curve(max_area_error=max_area_error)
        for column, name in enumerate(label_set)
    }
    return {name: curve for name, curve in curves.items() if curve is not None}
