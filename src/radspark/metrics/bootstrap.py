"""Bootstrap over patients: every measure of every finding, and their means, in each resample.

All images of a patient are drawn together, since they resemble each other. Two models that are resampled with one
seed see the same patients, so their values pair up. Legend: N samples, C findings, G patients, B resamples; a column
F is a finding, then the mean, then the weighted mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.metrics.additive import ADDITIVE_MEASURES, influence_on_sums, measure_sums, sample_terms
from radspark.metrics.intervals import Interval, IntervalKind, bootstrap_interval
from radspark.metrics.rank_blocks import RankBlocks
from radspark.metrics.scored import Scored

Floats = npt.NDArray[np.float64]

RANK_MEASURES = ("auroc", "average_precision")
MEASURES = (*RANK_MEASURES, *ADDITIVE_MEASURES)
"""Of a finding, by the names of `metrics.json`."""
NEED_NO_CLASS = frozenset({"brier", "log_loss", "calibration_error"})
"""Measures that a finding has without positives or without negatives."""
MIN_PATIENTS = 2
"""With a class: the images of one patient say nothing of how patients differ."""
_CHUNK_BYTES = 1 << 25


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made."""

    resamples: int = 2000
    kind: IntervalKind = "bca"
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ArgumentError(f"resamples must be at least 100, for the ends of an interval, got {self.resamples}.")
        if not 0.5 <= self.level < 1:
            raise ArgumentError(f"level must be at least 0.5 and below 1, got {self.level}.")

    def describe(self, *, over_patients: bool) -> str:
        """In words, for files and reports."""
        kind = {"bca": "BCa", "percentile": "percentile"}[self.kind]
        return (
            f"{kind} bootstrap over {'patients' if over_patients else 'images'}, {self.resamples} resamples, "
            f"seed {self.seed}, {self.level:.3g} level"
        )


@dataclass(frozen=True, eq=False)
class Resampled:
    """Estimates, their values in each resample, and the influence of each patient; by measure, NaN where undefined."""

    estimates: Mapping[str, Floats]
    """(F,)"""
    values: Mapping[str, Floats]
    """(B, F)"""
    influences: Mapping[str, Floats]
    """(G, F)"""
    patients_in_class_C: npt.NDArray[np.int64]
    """Patients that have a positive, or that have a negative, whichever are fewer."""

    def minus(self, other: Resampled) -> Resampled:
        """The paired difference; both come from the same patients and seed."""
        return Resampled(
            {name: self.estimates[name] - other.estimates[name] for name in MEASURES},
            {name: self.values[name] - other.values[name] for name in MEASURES},
            {name: self.influences[name] - other.influences[name] for name in MEASURES},
            np.minimum(self.patients_in_class_C, other.patients_in_class_C),
        )

    def has_support(self, measure: str, column: int) -> bool:
        """Whether enough patients are in each class for an interval to mean something; of a mean, for one finding."""
        if measure in NEED_NO_CLASS:
            return True
        is_mean = column >= len(self.patients_in_class_C)
        patients = self.patients_in_class_C.max() if is_mean else self.patients_in_class_C[column]
        return bool(patients >= MIN_PATIENTS)

    def interval(self, measure: str, column: int, bootstrap: Bootstrap) -> Interval | None:
        """Of one figure; None where it is undefined or rests on too few patients."""
        if not self.has_support(measure, column):
            return None
        return bootstrap_interval(
            self.values[measure][:, column],
            estimate=float(self.estimates[measure][column]),
            influence_G=self.influences[measure][:, column],
            level=bootstrap.level,
            kind=bootstrap.kind,
        )


def resample(scored: Scored, bootstrap: Bootstrap) -> Resampled:
    """Every measure in every resample of the patients."""
    num_patients = scored.num_patients
    findings = [_Finding.of(scored, column) for column in range(len(scored.label_set))]
    every_patient_G1 = np.ones((num_patients, 1))
    chunk = int(np.clip(_CHUNK_BYTES // (8 * max(num_patients, 1)), 1, 128))
    parts = [
        _measure(findings, _draw(bootstrap.seed, start, min(start + chunk, bootstrap.resamples), num_patients))
        for start in range(0, bootstrap.resamples, chunk)
    ]
    estimates = {name: values[0] for name, values in _measure(findings, every_patient_G1).items()}
    return Resampled(
        estimates,
        {name: np.concatenate([part[name] for part in parts]) for name in MEASURES},
        _influences(findings, estimates),
        np.array([min(finding.blocks.patients_with()) for finding in findings], np.int64),
    )


@dataclass(frozen=True, eq=False)
class _Finding:
    """What one finding's resamples are made of."""

    blocks: RankBlocks
    sums_GL: Floats

    @classmethod
    def of(cls, scored: Scored, column: int) -> _Finding:
        labels, scores = scored.labels_NC[:, column], scored.scores_NC[:, column]
        terms_NL = sample_terms(labels, scores, threshold=scored.thresholds_C[column])
        sums_LG = [np.bincount(scored.patients_N, terms, scored.num_patients) for terms in terms_NL.T]
        blocks = RankBlocks.of(labels, scores, scored.patients_N, scored.num_patients)
        return cls(blocks, np.stack(sums_LG, axis=1))


def _draw(seed: int, start: int, stop: int, num_patients: int) -> Floats:
    """How often each patient is in each resample (G, B); a resample depends on the seed and its own number alone."""
    columns = [
        np.bincount(
            np.random.default_rng((seed, number)).integers(0, num_patients, num_patients), minlength=num_patients
        )
        for number in range(start, stop)
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _measure(findings: list[_Finding], weights_GB: Floats) -> dict[str, Floats]:
    """By measure: findings, mean and weighted mean (B, F)."""
    columns: dict[str, list[Floats]] = {name: [] for name in MEASURES}
    positives = []
    for finding in findings:
        sums_BL = weights_GB.T @ finding.sums_GL
        ranks = dict(zip(RANK_MEASURES, finding.blocks.measure(weights_GB), strict=True))
        for name, values in (ranks | measure_sums(sums_BL)).items():
            columns[name].append(values)
        positives.append(np.asarray(finding.blocks.positives_KG @ weights_GB).sum(axis=0))
    positives_BC = np.stack(positives, axis=1)
    return {name: _with_means(np.stack(values, axis=1), positives_BC) for name, values in columns.items()}


def _with_means(values_BC: Floats, positives_BC: Floats) -> Floats:
    """Over the findings that are defined in each resample; weighted by their positives."""
    defined = ~np.isnan(values_BC)
    weights = np.where(defined, positives_BC, 0)
    filled = np.where(defined, values_BC, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=1) / defined.sum(axis=1)
        weighted = (filled * weights).sum(axis=1) / weights.sum(axis=1)
    return np.column_stack((values_BC, mean, weighted))


def _influences(findings: list[_Finding], estimates: Mapping[str, Floats]) -> dict[str, Floats]:
    columns: dict[str, list[Floats]] = {name: [] for name in MEASURES}
    for finding in findings:
        ranks = dict(zip(RANK_MEASURES, finding.blocks.influence(), strict=True))
        for name, values in (ranks | influence_on_sums(finding.sums_GL)).items():
            columns[name].append(values)
    positives_GC = np.stack([finding.blocks.class_sizes()[0] for finding in findings], axis=1)
    return {
        name: _with_mean_influences(np.stack(values, axis=1), positives_GC, estimates[name])
        for name, values in columns.items()
    }


def _with_mean_influences(influence_GC: Floats, positives_GC: Floats, estimates_F: Floats) -> Floats:
    """The weights of the weighted mean are positives, and move with the patients too."""
    *values_C, _, weighted_mean = estimates_F
    defined = ~np.isnan(values_C)
    filled = np.where(defined, influence_GC, 0)
    total_C = np.where(defined, positives_GC.sum(axis=0), 0)
    shift_GC = np.where(defined, positives_GC * (np.asarray(values_C) - weighted_mean), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=1) / defined.sum()
        weighted = (filled * total_C + shift_GC).sum(axis=1) / total_C.sum()
    return np.column_stack((influence_GC, mean, weighted))
