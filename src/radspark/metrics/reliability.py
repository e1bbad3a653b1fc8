"""Reliability diagrams: how often a finding is there where its probability says so, in bins of equal numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NUM_GROUPS = 10
_Z = 1.959964


@dataclass(frozen=True, eq=False)
class ReliabilityDiagram:
    """Groups of samples from the lowest probabilities up: all (B,)."""

    predicted: Floats
    """Mean probability."""
    observed: Floats
    """Share with the finding."""
    low: Floats
    """Of Wilson's 95% interval of that share, which takes the images as independent; so `high`."""
    high: Floats


def reliability_diagram(labels_N: npt.NDArray[Any], scores_N: npt.NDArray[Any]) -> ReliabilityDiagram | None:
    """Up to `NUM_GROUPS` groups of equal numbers; tied scores stay together. None without a known label."""
    known = ~np.isnan(labels_N)
    order = np.argsort(scores_N[known], kind="stable")
    scores, labels = scores_N[known][order].astype(np.float64), labels_N[known][order].astype(np.float64)
    if not len(scores):
        return None
    cuts = scores[np.arange(1, NUM_GROUPS) * len(scores) // NUM_GROUPS]
    starts = np.unique(np.append(0, np.searchsorted(scores, cuts)))
    counts = np.diff(np.append(starts, len(scores)))
    predicted, observed = (np.add.reduceat(values, starts) / counts for values in (scores, labels))
    # Wilson 1927: the shares from which the one observed is not farther than z standard errors.
    middle = (observed + _Z**2 / (2 * counts)) / (1 + _Z**2 / counts)
    reach = _Z / (1 + _Z**2 / counts) * np.sqrt(observed * (1 - observed) / counts + _Z**2 / (4 * counts**2))
    return ReliabilityDiagram(predicted, observed, middle - reach, middle + reach)
