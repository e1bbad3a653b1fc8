"""Scores beside their labels, patients and thresholds, checked once; what they are worth is computed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics.ranking import check_scores

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class Scored:
    """N samples and C findings; made by `Scored.of`, which checks."""

    labels_NC: npt.NDArray[Any]
    """1, 0, or NaN for unknown."""
    scores_NC: npt.NDArray[Any]
    """Probabilities in [0, 1]."""
    label_set: LabelSet
    thresholds_C: tuple[float, ...]
    """A score at or above its finding's threshold calls the finding present; NaN where none was chosen."""
    patients_N: npt.NDArray[np.int64]
    """Number of each sample's patient, from 0; every sample its own where patients are not known."""
    num_patients: int
    """More than there are here, in a subset: it keeps the numbers of the whole."""
    patients_known: bool
    """Whether `patients_N` says more than the order of the samples."""

    @classmethod
    def of(
        cls,
        labels_NC: npt.ArrayLike,
        scores_NC: npt.ArrayLike,
        label_set: LabelSet,
        *,
        patients: Sequence[Any] | npt.NDArray[Any] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> Scored:
        """Check and number.

        Args:
            patients: any values, the same for the samples of one patient; None takes every sample as its own.
            thresholds: by finding, None where none was chosen; 0.5 for those that it does not name.

        Raises:
            ArgumentError: shapes differ from each other or from the label set, a label is none of 1, 0, NaN, a score is
                no probability, or a threshold is for no finding.
        """
        labels, scores = check_scores(labels_NC, scores_NC, num_dims=2)
        if labels.shape[1] != len(label_set):
            raise ArgumentError(f"labels must have one column per finding ({len(label_set)}), got {labels.shape[1]}.")
        if scores.size and (scores.min() < 0 or scores.max() > 1):
            raise ArgumentError(
                f"scores must be probabilities between 0 and 1, got {scores.min():.4g} to {scores.max():.4g}; "
                "apply a sigmoid to logits first."
            )
        numbers, count = number_patients(patients, len(labels))
        chosen = _check_thresholds(thresholds or {}, label_set)
        return cls(labels, scores, label_set, chosen, numbers, count, patients is not None)

    def __len__(self) -> int:
        return len(self.labels_NC)

    def where(self, kept_N: npt.NDArray[np.bool_]) -> Scored:
        """Some of the samples; the patients keep their numbers, so that resamples of both are of the same patients."""
        return replace(
            self,
            labels_NC=self.labels_NC[kept_N],
            scores_NC=self.scores_NC[kept_N],
            patients_N=self.patients_N[kept_N],
        )


def number_patients(
    patients: Sequence[Any] | npt.NDArray[Any] | None, num_samples: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Each sample's patient as a number from 0, and how many there are; None takes every sample as its own."""
    if patients is None:
        return np.arange(num_samples), num_samples
    if len(patients) != num_samples:
        raise ArgumentError(f"patients must be one per sample ({num_samples}), got {len(patients)}.")
    values = np.asarray(patients)
    # NaN would make one patient of all that are unknown.
    if missing := sum(value is None or (isinstance(value, float) and math.isnan(value)) for value in values.tolist()):
        raise ArgumentError(
            f"patients must name the patient of every sample, but {missing} have none; give none at all to take every "
            "sample as a patient's only one."
        )
    names, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), len(names)


def _check_thresholds(thresholds: Mapping[str, float | None], label_set: LabelSet) -> tuple[float, ...]:
    if unknown := sorted(set(thresholds) - set(label_set)):
        raise ArgumentError(f"thresholds must be for findings of the label set, got one for {unknown[0]!r}.")
    chosen = (thresholds.get(name, DEFAULT_THRESHOLD) for name in label_set)
    return tuple(math.nan if value is None else float(value) for value in chosen)
