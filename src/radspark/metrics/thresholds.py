"""Operating points: a threshold per finding by a rule, chosen on validation samples; what it does is in `additive`.

A score at or above its threshold calls the finding present.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics.ranking import Ranking, check_scores, rank_checked

Floats = npt.NDArray[np.float64]


def choose_thresholds(
    labels_NC: npt.ArrayLike, scores_NC: npt.ArrayLike, label_set: LabelSet, *, rule: str, target: float = 0.9
) -> dict[str, float]:
    """A threshold for each finding that has both classes.

    Args:
        rule: `youden`: the largest sum of sensitivity and specificity (Youden 1950). `sensitivity`: the highest
            threshold that finds at least `target` of the positives. `specificity`: the lowest that passes at least
            `target` of the negatives.

    Raises:
        ArgumentError: no such rule, or a target outside (0, 1].
    """
    if rule not in RULES:
        raise ArgumentError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
    if not 0 < target <= 1:
        raise ArgumentError(f"target must be above 0 and at most 1, got {target}.")
    labels, scores = check_scores(labels_NC, scores_NC, num_dims=2)
    rankings = {name: rank_checked(labels[:, column], scores[:, column]) for column, name in enumerate(label_set)}
    return {name: RULES[rule](ranking, target) for name, ranking in rankings.items() if not ranking.undefined_reason}


def _rates(ranking: Ranking) -> tuple[Floats, Floats]:
    """Sensitivity and specificity at each distinct score, from the highest down."""
    return ranking.true_positives / ranking.positives, 1 - ranking.false_positives / ranking.negatives


def _youden(ranking: Ranking, _: float) -> float:
    sensitivity, specificity = _rates(ranking)
    return float(ranking.thresholds[np.argmax(sensitivity + specificity)])


def _at_sensitivity(ranking: Ranking, target: float) -> float:
    sensitivity, _ = _rates(ranking)
    return float(ranking.thresholds[np.argmax(sensitivity >= target)])


def _at_specificity(ranking: Ranking, target: float) -> float:
    _, specificity = _rates(ranking)
    reached = np.flatnonzero(specificity >= target)
    highest: Any = ranking.thresholds[0]
    return float(ranking.thresholds[reached[-1]]) if len(reached) else float(np.nextafter(highest, np.inf))


RULES: dict[str, Callable[[Ranking, float], float]] = {
    "youden": _youden,
    "sensitivity": _at_sensitivity,
    "specificity": _at_specificity,
}
