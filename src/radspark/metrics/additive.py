"""Measures that are ratios of sums over samples: Brier, log loss, calibration error, and the counts at a threshold.

A resample only weighs the sums of its patients again, so intervals need no second look at the samples. Ranking, which
is no ratio of sums, is in `ranking`. Legend: N samples, L terms of a sample, X any leading shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NUM_CALIBRATION_BINS = 15
"""Of equal width over [0, 1], as in Guo et al. 2017; a bin holds its upper edge."""

NO_THRESHOLD = "no threshold was chosen for the finding"
_COUNT, _POSITIVE, _BRIER, _LOG_LOSS, _CALLED, _HIT = range(6)
_FIRST_BIN = 6
NUM_TERMS = _FIRST_BIN + NUM_CALIBRATION_BINS


@dataclass(frozen=True)
class _Ratio:
    """Numerator and denominator as weights of the terms, and why the denominator can be 0."""

    over: tuple[tuple[int, float], ...]
    under: tuple[tuple[int, float], ...]
    undefined: str


_RATIOS = {
    "brier": _Ratio(((_BRIER, 1),), ((_COUNT, 1),), "no known label"),
    "log_loss": _Ratio(((_LOG_LOSS, 1),), ((_COUNT, 1),), "no known label"),
    "sensitivity": _Ratio(((_HIT, 1),), ((_POSITIVE, 1),), "no positive"),
    "specificity": _Ratio(
        ((_COUNT, 1), (_POSITIVE, -1), (_CALLED, -1), (_HIT, 1)), ((_COUNT, 1), (_POSITIVE, -1)), "no negative"
    ),
    "ppv": _Ratio(((_HIT, 1),), ((_CALLED, 1),), "nothing reaches the threshold"),
    "npv": _Ratio(
        ((_COUNT, 1), (_POSITIVE, -1), (_CALLED, -1), (_HIT, 1)),
        ((_COUNT, 1), (_CALLED, -1)),
        "nothing is below the threshold",
    ),
    "f1": _Ratio(((_HIT, 2),), ((_POSITIVE, 1), (_CALLED, 1)), "no positive, and nothing reaches the threshold"),
}
AT_A_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv", "f1", "youden")
ADDITIVE_MEASURES = ("brier", "log_loss", "calibration_error", *AT_A_THRESHOLD)


def sample_terms(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], *, threshold: float) -> Floats:
    """What each sample adds to the sums: (N, L); unknown labels add nothing.

    Args:
        labels_N: 1, 0 or NaN.
        scores_N: probabilities in [0, 1]; a score at the threshold calls the finding present.
        threshold: NaN where none was chosen; then what depends on it is NaN.
    """
    known = ~np.isnan(labels_N)
    label = np.where(known, labels_N, 0).astype(np.float64)
    score = scores_N.astype(np.float64)
    called = _call(score, threshold)
    terms_NL = np.zeros((len(labels_N), NUM_TERMS))
    terms_NL[:, _COUNT] = 1
    terms_NL[:, _POSITIVE] = label
    terms_NL[:, _BRIER] = (score - label) ** 2
    terms_NL[:, _LOG_LOSS] = log_losses(label, scores_N)
    terms_NL[:, _CALLED] = called
    terms_NL[:, _HIT] = called * label
    terms_NL[np.arange(len(label)), _FIRST_BIN + calibration_bin(score)] = score - label
    terms_NL[~known] = 0
    return terms_NL


def sum_terms(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], *, threshold: float) -> Floats:
    """`sample_terms` summed over the samples (L,), without laying them out."""
    known = ~np.isnan(labels_N)
    label, score = labels_N[known].astype(np.float64), scores_N[known].astype(np.float64)
    called = _call(score, threshold)
    sums_L = np.zeros(NUM_TERMS)
    sums_L[:_FIRST_BIN] = (
        len(label),
        label.sum(),
        ((score - label) ** 2).sum(),
        log_losses(label, scores_N[known]).sum(),
        called.sum(),
        (called * label).sum(),
    )
    sums_L[_FIRST_BIN:] = np.bincount(calibration_bin(score), score - label, NUM_CALIBRATION_BINS)
    return sums_L


def _call(scores_N: Floats, threshold: float) -> Floats:
    """1 where the finding is called present, NaN where there is no threshold to call it by."""
    return np.full(len(scores_N), np.nan) if np.isnan(threshold) else (scores_N >= threshold).astype(np.float64)


def log_losses(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> Floats:
    """Cross-entropy of each sample in nats; as scikit-learn, a score stays one step of its own type off 0 and 1."""
    step = np.finfo(scores_N.dtype).eps if scores_N.dtype.kind == "f" else np.finfo(np.float64).eps
    probability = np.clip(scores_N.astype(np.float64), step, 1 - step)
    losses: Floats = -np.log(np.where(labels_N == 1, probability, 1 - probability))
    return losses


def calibration_bin(scores_N: Floats) -> npt.NDArray[np.int64]:
    """Which bin each probability falls in, from 0."""
    edges = np.linspace(0, 1, NUM_CALIBRATION_BINS + 1)[1:-1]
    return np.searchsorted(edges, scores_N).astype(np.int64)


def measure_sums(sums_XL: Floats) -> dict[str, Floats]:
    """Every additive measure of sums of terms, each of shape X; NaN where undefined."""
    values = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, ratio in _RATIOS.items():
            over, under = _weigh(sums_XL, ratio.over), _weigh(sums_XL, ratio.under)
            values[name] = np.where(under > 0, over / under, np.nan)
        known = sums_XL[..., _COUNT]
        gaps = np.abs(sums_XL[..., _FIRST_BIN:]).sum(axis=-1)
        values["calibration_error"] = np.where(known > 0, gaps / known, np.nan)
    values["youden"] = values["sensitivity"] + values["specificity"] - 1
    return {name: values[name] for name in ADDITIVE_MEASURES}


def why_undefined(sums_L: Floats) -> dict[str, str]:
    """Measures that these sums leave undefined, each with its reason."""
    if np.isnan(sums_L[_CALLED]):
        return dict.fromkeys(AT_A_THRESHOLD, NO_THRESHOLD)
    reasons = {name: ratio.undefined for name, ratio in _RATIOS.items() if _weigh(sums_L, ratio.under) <= 0}
    if "brier" in reasons:
        reasons["calibration_error"] = reasons["brier"]
    for part in ("specificity", "sensitivity"):
        if part in reasons:
            reasons["youden"] = reasons[part]
    if "brier" in reasons:
        return dict.fromkeys(ADDITIVE_MEASURES, reasons["brier"])
    return reasons


def influence_on_sums(sums_GL: Floats) -> dict[str, Floats]:
    """Derivative of each measure by the weight of each patient, at weight 1: each of shape (G,).

    Args:
        sums_GL: sums of the terms of each of G patients.
    """
    total_L = sums_GL.sum(axis=0)
    values = measure_sums(total_L)
    influence = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, ratio in _RATIOS.items():
            under = _weigh(total_L, ratio.under)
            influence[name] = (_weigh(sums_GL, ratio.over) - values[name] * _weigh(sums_GL, ratio.under)) / under
        signs = np.sign(total_L[_FIRST_BIN:])
        gaps = sums_GL[:, _FIRST_BIN:] @ signs - values["calibration_error"] * sums_GL[:, _COUNT]
        influence["calibration_error"] = gaps / total_L[_COUNT]
    influence["youden"] = influence["sensitivity"] + influence["specificity"]
    return {name: influence[name] for name in ADDITIVE_MEASURES}


def _weigh(sums_XL: Floats, weights: tuple[tuple[int, float], ...]) -> Floats:
    total: Floats = sum((weight * sums_XL[..., term] for term, weight in weights), np.zeros(sums_XL.shape[:-1]))
    return total
