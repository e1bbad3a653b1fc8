"""Intervals of one figure from its values in resamples: percentile and BCa. Drawing resamples is in `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
IntervalKind = Literal["percentile", "bca"]
PERCENTILE_INSTEAD = "percentile: bias correction reaches beyond the outermost resamples"
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """Low and high end of a confidence interval, and on how many resamples it does not rest."""

    low: float
    high: float
    dropped: int = 0
    """Resamples in which the figure is undefined, such as those without a positive."""
    note: str | None = None
    """Why it is of another kind than was asked for; None where it is not."""


def bootstrap_interval(
    resampled_B: Floats, *, estimate: float, influence_G: Floats, level: float, kind: IntervalKind
) -> Interval | None:
    """The interval of a figure, or None where the resamples give none: `why_no_interval` says why.

    BCa (bias-corrected and accelerated, Efron 1987, doi:10.1080/01621459.1987.10478410) moves the two percentiles by
    the share of resamples below the estimate (ties half) and by the skewness of the patients' influences. Where that
    asks for a percentile beyond the outermost resample, its end would be that one resample ("extreme order statistics
    used as endpoints", as R's package boot warns): the interval is then the percentile one, and says so.

    Args:
        resampled_B: the figure in each resample, NaN where undefined.
        influence_G: derivative of the figure by each patient's weight; used by BCa alone.
        level: such as 0.95.
    """
    values = resampled_B[~np.isnan(resampled_B)]
    dropped = len(resampled_B) - len(values)
    if np.isnan(estimate) or dropped * 2 >= len(resampled_B):
        return None
    shares = np.array([(1 - level) / 2, (1 + level) / 2])
    note = None
    if kind == "bca":
        moved = _bca_shares(shares, values, estimate, influence_G)
        if moved.min() * (len(values) + 1) >= 1 and (1 - moved.max()) * (len(values) + 1) >= 1:
            shares = moved
        else:
            note = PERCENTILE_INSTEAD
    low, high = (float(end) for end in np.quantile(values, shares))
    # A quantile of equal values can be a rounding error off them.
    if not low - _ROUNDING <= estimate <= high + _ROUNDING:
        return None
    return Interval(low, high, dropped, note)


def is_constant(interval: Interval) -> bool:
    """Whether its ends meet, as for the sensitivity of a threshold that nothing, or hardly ever anything, reaches."""
    return interval.high - interval.low <= _ROUNDING


def why_no_interval(resampled_B: Floats, interval: Interval | None) -> str:
    """The reason of a figure that is defined and has no interval, or one that is constant."""
    if interval is not None:
        return "all or nearly all resamples give the same value, which tells nothing of chance"
    if np.isnan(resampled_B).sum() * 2 >= len(resampled_B):
        return "undefined in half of the resamples or more"
    return "nearly all resamples lie on one side of it"


def _bca_shares(shares: Floats, values: Floats, estimate: float, influence_G: Floats) -> Floats:
    below = (np.sum(values < estimate) + np.sum(values == estimate) / 2) / len(values)
    # An estimate outside all resamples would shift the percentiles without end.
    bias = ndtri(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))
    spread = np.sum(influence_G**2) ** 1.5
    acceleration = np.sum(influence_G**3) / (6 * spread) if spread > 0 else 0.0
    moved = bias + ndtri(shares)
    result: Floats = ndtr(bias + moved / (1 - acceleration * moved))
    return result
