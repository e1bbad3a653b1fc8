"""Variance of AUROCs without resampling: DeLong's, for clustered data in Obuchowski's form, and the test of two.

DeLong, DeLong and Clarke-Pearson 1988 (doi:10.2307/2531595); Obuchowski 1997 (doi:10.2307/2533958). Where every
patient has one image the second is the first. Legend: R readings (models) of the same samples, G patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from radspark.errors import ArgumentError
from radspark.metrics.intervals import Interval
from radspark.metrics.rank_blocks import RankBlocks
from radspark.metrics.ranking import check_scores
from radspark.metrics.scored import number_patients

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-12


@dataclass(frozen=True)
class AurocDifference:
    """Two AUROCs on the same samples."""

    first: float
    second: float
    difference: float
    """Second less first."""
    standard_error: float
    interval: Interval
    p_value: float | None
    """Of no difference, two-sided, by the normal distribution; 1 where the two rank alike, None where they differ and
    neither has any variance, as of scores that part the classes without an error and scores that are all the same."""


def auroc_variance(
    labels_N: npt.ArrayLike,
    *scores_N: npt.ArrayLike,
    patients: Sequence[Any] | npt.NDArray[Any] | None = None,
) -> tuple[Floats, Floats]:
    """AUROCs (R,) of one or several scores of the same samples, and their covariance (R, R).

    Args:
        labels_N: 1, 0, or NaN for unknown; unknown samples are left out.
        patients: the same value for the images of one patient; None takes every image as its own.

    Raises:
        ArgumentError: a class is seen in fewer than two patients; otherwise as `rank`.
    """
    checked = [check_scores(labels_N, scores, num_dims=1) for scores in scores_N]
    labels = checked[0][0]
    numbers, num_patients = number_patients(patients, len(labels))
    return variance_of_blocks([RankBlocks.of(labels, scores, numbers, num_patients) for _, scores in checked])


def variance_of_blocks(blocks: Sequence[RankBlocks]) -> tuple[Floats, Floats]:
    """`auroc_variance` for readings that are sorted already.

    Raises:
        ArgumentError: a class is seen in fewer than two patients.
    """
    with_positive, with_negative = blocks[0].patients_with()
    if min(with_positive, with_negative) < 2:
        raise ArgumentError(
            f"the variance of AUROC needs two patients of each class, got {with_positive} with a positive and "
            f"{with_negative} with a negative."
        )
    positives_G, negatives_G = blocks[0].class_sizes()
    num_positives, num_negatives = positives_G.sum(), negatives_G.sum()
    num_patients = np.count_nonzero(positives_G + negatives_G)
    aurocs, first_RG, second_RG = [], [], []
    for block in blocks:
        below_K, beaten_by_G = block.placements()
        sums_of_positives = block.positives_KG.T @ below_K
        auroc = sums_of_positives.sum() / num_positives
        aurocs.append(auroc)
        first_RG.append(sums_of_positives - positives_G * auroc)
        second_RG.append(beaten_by_G - negatives_G * auroc)
    v10, v01 = np.stack(first_RG) / num_positives, np.stack(second_RG) / num_negatives
    covariance = (
        with_positive / (with_positive - 1) * v10 @ v10.T
        + with_negative / (with_negative - 1) * v01 @ v01.T
        + num_patients / (num_patients - 1) * (v10 @ v01.T + v01 @ v10.T)
    )
    return np.array(aurocs), covariance


def delong_interval(auroc: float, variance: float, *, level: float = 0.95) -> Interval:
    """Normal interval of one AUROC, within [0, 1]."""
    reach = ndtri((1 + level) / 2) * np.sqrt(variance)
    return Interval(float(max(auroc - reach, 0)), float(min(auroc + reach, 1)))


def compare_aurocs(
    labels_N: npt.ArrayLike,
    first_N: npt.ArrayLike,
    second_N: npt.ArrayLike,
    *,
    patients: Sequence[Any] | npt.NDArray[Any] | None = None,
    level: float = 0.95,
) -> AurocDifference:
    """Test two correlated AUROCs. Raises as `auroc_variance`."""
    aurocs, covariance = auroc_variance(labels_N, first_N, second_N, patients=patients)
    return difference_of(aurocs, covariance, level=level)


def difference_of(aurocs: Floats, covariance: Floats, *, level: float = 0.95) -> AurocDifference:
    """The second of two AUROCs less the first, from what `auroc_variance` gives."""
    difference = float(aurocs[1] - aurocs[0])
    # Rounding can leave a variance of 0 just below it.
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0)))
    reach = float(ndtri((1 + level) / 2)) * error
    return AurocDifference(
        first=float(aurocs[0]),
        second=float(aurocs[1]),
        difference=difference,
        standard_error=error,
        interval=Interval(difference - reach, difference + reach),
        p_value=p_value_of(difference, error),
    )


def p_value_of(difference: float, error: float) -> float | None:
    """Two-sided, by the normal distribution, of a difference with this standard error; None where it has none."""
    if error > 0:
        return float(2 * ndtr(-abs(difference) / error))
    return None if abs(difference) > _ROUNDING else 1.0
