"""Calibration: maps from scores to probabilities, one per finding, fitted on validation samples and kept as numbers.

Platt's and temperature scaling keep the ranking; isotonic regression ties scores. A finding that lacks a class, or
whose scores rank backwards, is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import expit, log_expit, logit

from radspark.errors import ArgumentError
from radspark.labels import LabelSet

Floats = npt.NDArray[np.float64]
Map = dict[str, Any]
"""Parameters of one finding's map; empty for the identity."""

_SMALLEST = float(np.finfo(np.float32).eps)
"""A score of 0 or 1 has no logit: it is taken one step inside."""


@dataclass(frozen=True)
class CalibrationMethod:
    """A way to fit one finding's map and to apply it."""

    fit: Callable[[Floats, Floats], Map]
    apply: Callable[[Floats, Map], Floats]


@dataclass(frozen=True)
class Calibration:
    """A fitted map for each finding."""

    method: str
    maps: Mapping[str, Map]

    def apply(self, scores_NC: npt.NDArray[Any], label_set: LabelSet) -> npt.NDArray[Any]:
        """Calibrated probabilities of the same shape and type.

        Raises:
            ArgumentError: the label set has a finding that was not fitted.
        """
        if missing := [name for name in label_set if name not in self.maps]:
            raise ArgumentError(
                f"the calibration was not fitted for {', '.join(missing)}; it has {', '.join(self.maps)}."
            )
        calibrated = scores_NC.copy()
        for column, name in enumerate(label_set):
            if parameters := self.maps[name]:
                scores = scores_NC[:, column].astype(np.float64)
                calibrated[:, column] = METHODS[self.method].apply(scores, parameters)
        return calibrated

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"method": self.method, "findings": {name: dict(values) for name, values in self.maps.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Inverse of `to_dict`.

        Raises:
            ArgumentError: no such method.
        """
        _check_method(values["method"])
        return cls(values["method"], {name: dict(parameters) for name, parameters in values["findings"].items()})


def fit_calibration(
    method: str, labels_NC: npt.NDArray[Any], scores_NC: npt.NDArray[Any], label_set: LabelSet
) -> Calibration:
    """Fit each finding's map on samples that the model was not trained on; unknown labels are left out.

    Raises:
        ArgumentError: no such method.
    """
    _check_method(method)
    maps = {}
    for column, name in enumerate(label_set):
        labels = labels_NC[:, column].astype(np.float64)
        known = ~np.isnan(labels)
        has_both = {0.0, 1.0} <= set(labels[known])
        scores = scores_NC[known, column].astype(np.float64)
        maps[name] = METHODS[method].fit(labels[known], scores) if has_both else {}
    return Calibration(method, maps)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ArgumentError(f"calibration must be one of {', '.join(METHODS)}, got {method!r}.")


def _logits(scores_N: Floats) -> Floats:
    values: Floats = logit(np.clip(scores_N, _SMALLEST, 1 - _SMALLEST))
    return values


def _fit_platt(labels_N: Floats, scores_N: Floats) -> Map:
    """Slope and intercept of the logit, with Platt's softened targets, so that separable classes have an end (1999)."""
    logits_N = _logits(scores_N)
    positives, negatives = labels_N.sum(), (1 - labels_N).sum()
    targets_N = np.where(labels_N == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        moved = parameters[0] * logits_N + parameters[1]
        residual = expit(moved) - targets_N
        losses = -targets_N * log_expit(moved) - (1 - targets_N) * log_expit(-moved)
        return float(losses.mean()), np.array([(residual * logits_N).mean(), residual.mean()])

    slope, intercept = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return {"slope": float(slope), "intercept": float(intercept)} if slope > 0 else {}


def _apply_platt(scores_N: Floats, parameters: Map) -> Floats:
    values: Floats = expit(parameters["slope"] * _logits(scores_N) + parameters["intercept"])
    return values


def _fit_temperature(labels_N: Floats, scores_N: Floats) -> Map:
    """One divisor of the logit (Guo et al. 2017), between 1/20 and 20."""
    signed_N = _logits(scores_N) * np.where(labels_N == 1, 1, -1)
    found = optimize.minimize_scalar(
        lambda log_temperature: -log_expit(signed_N / np.exp(log_temperature)).mean(),
        bounds=(-np.log(20), np.log(20)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return {"temperature": float(np.exp(found.x))}


def _apply_temperature(scores_N: Floats, parameters: Map) -> Floats:
    values: Floats = expit(_logits(scores_N) / parameters["temperature"])
    return values


def _fit_isotonic(labels_N: Floats, scores_N: Floats) -> Map:
    """Corners of the best rising step function, joined by lines as scikit-learn does."""
    distinct, place = np.unique(scores_N, return_inverse=True)
    counts = np.bincount(place)
    fitted = optimize.isotonic_regression(np.bincount(place, labels_N) / counts, weights=counts).x
    ends = np.concatenate(([True], fitted[1:] != fitted[:-1])) | np.concatenate((fitted[1:] != fitted[:-1], [True]))
    return {"scores": distinct[ends].tolist(), "probabilities": fitted[ends].tolist()}


def _apply_isotonic(scores_N: Floats, parameters: Map) -> Floats:
    return np.interp(scores_N, parameters["scores"], parameters["probabilities"])


METHODS: dict[str, CalibrationMethod] = {
    "platt": CalibrationMethod(_fit_platt, _apply_platt),
    "isotonic": CalibrationMethod(_fit_isotonic, _apply_isotonic),
    "temperature": CalibrationMethod(_fit_temperature, _apply_temperature),
}
"""By the names that the recipe's `decision.calibration` takes."""
