"""From a network's scores to probabilities and to yes or no: a calibration and operating points, fitted together.

They are fitted on validation samples, never on those that are reported, and travel in the bundle as plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics.calibration import Calibration, fit_calibration
from radspark.metrics.thresholds import RULES, choose_thresholds

DEFAULT_POINT = "youden"


@dataclass(frozen=True)
class Decision:
    """What a bundle's `decision` holds."""

    calibration: Calibration | None = None
    """None leaves scores as they are."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By operating point and finding, of calibrated probabilities; a finding that lacked a class has none."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """Sensitivity and specificity that the points of these names were to reach."""
    num_samples: int = 0
    """On which it was fitted."""

    @property
    def calibration_method(self) -> str | None:
        """None without calibration."""
        return None if self.calibration is None else self.calibration.method

    def calibrate(self, scores_NC: npt.NDArray[Any], label_set: LabelSet) -> npt.NDArray[Any]:
        """Probabilities of the same shape and type."""
        return scores_NC if self.calibration is None else self.calibration.apply(scores_NC, label_set)

    def thresholds_at(self, point: str) -> Mapping[str, float]:
        """Of one operating point.

        Raises:
            ArgumentError: there is none of this name.
        """
        if point not in self.thresholds:
            known = ", ".join(self.thresholds) or "none, since it was trained without validation samples"
            raise ArgumentError(f"operating point must be one of the bundle's ({known}), got {point!r}.")
        return self.thresholds[point]

    def thresholds_of(self, label_set: LabelSet, point: str) -> dict[str, float | None]:
        """Of each finding at one operating point, None where validation lacked a class. Raises as `thresholds_at`."""
        chosen = self.thresholds_at(point)
        return {name: chosen.get(name) for name in label_set}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "thresholds": {point: dict(values) for point, values in self.thresholds.items()},
            "targets": dict(self.targets),
            "num_samples": self.num_samples,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Inverse of `to_dict`."""
        calibration = values["calibration"]
        return cls(
            calibration=None if calibration is None else Calibration.from_dict(calibration),
            thresholds=values["thresholds"],
            targets=values["targets"],
            num_samples=values["num_samples"],
        )


def fit_decision(
    labels_NC: npt.NDArray[Any],
    scores_NC: npt.NDArray[Any],
    label_set: LabelSet,
    *,
    calibration: str = "none",
    sensitivity: float = 0.9,
    specificity: float = 0.9,
) -> Decision:
    """Calibrate, then choose a threshold per finding and rule.

    Args:
        labels_NC: 1, 0, or NaN for unknown, of validation samples.
        calibration: `none`, or a name of `calibration.METHODS`.
        sensitivity: that the operating point of this name reaches on these samples; so for specificity.
    """
    fitted = None if calibration == "none" else fit_calibration(calibration, labels_NC, scores_NC, label_set)
    probabilities_NC = scores_NC if fitted is None else fitted.apply(scores_NC, label_set)
    targets = {"sensitivity": sensitivity, "specificity": specificity}
    thresholds = {
        rule: choose_thresholds(labels_NC, probabilities_NC, label_set, rule=rule, target=targets.get(rule, 1.0))
        for rule in RULES
    }
    return Decision(fitted, thresholds, targets, len(labels_NC))
