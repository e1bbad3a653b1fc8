"""Bootstrap over patients: every measure of every finding, and their means, in each resample.

All images of a patient are drawn together, since they resemble each other. Two models that are resampled with one
seed see the same patients, so their values pair up. Legend: N samples, C findings, G patients, B resamples; a column
F is a finding, then the mean, then the weighted mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.metrics.additive import ADDITIVE_MEASURES, influence_on_sums, measure_sums, sample_terms
from radspark.metrics.intervals import Interval, IntervalKind, bootstrap_interval, is_constant, why_no_interval
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
        if self.seed < 0:
            raise ArgumentError(f"seed must be 0 or more, got {self.seed}.")

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
        """The paired difference of the measures that both have; they come from the same patients and seed."""
        shared = [name for name in self.estimates if name in other.estimates]
        return Resampled(
            {name: self.estimates[name] - other.estimates[name] for name in shared},
            {name: self.values[name] - other.values[name] for name in shared},
            {name: self.influences[name] - other.influences[name] for name in shared},
            np.minimum(self.patients_in_class_C, other.patients_in_class_C),
        )

    def why_no_support(self, measure: str, column: int) -> str | None:
        """Why too few patients are in a class for an interval to mean something, of a mean in all findings; or None."""
        if measure in NEED_NO_CLASS:
            return None
        if column < len(self.patients_in_class_C):
            few = self.patients_in_class_C[column] < MIN_PATIENTS
            return f"fewer than {MIN_PATIENTS} patients with a positive, or with a negative" if few else None
        few = self.patients_in_class_C.max() < MIN_PATIENTS
        return (
            f"no finding has {MIN_PATIENTS} patients with a positive and {MIN_PATIENTS} with a negative"
            if few
            else None
        )

    def interval(self, measure: str, column: int, bootstrap: Bootstrap) -> Interval | str:
        """Of one figure; or why there is none that tells something of chance."""
        if reason := self.why_no_support(measure, column):
            return reason
        values_B = self.values[measure][:, column]
        found = bootstrap_interval(
            values_B,
            estimate=float(self.estimates[measure][column]),
            influence_G=self.influences[measure][:, column],
            level=bootstrap.level,
            kind=bootstrap.kind,
        )
        return why_no_interval(values_B, found) if found is None or is_constant(found) else found


def resample(scored: Scored, bootstrap: Bootstrap) -> Resampled:
    """Every measure in every resample of the patients."""
    return resample_together([Part(scored)], bootstrap)[0]


@dataclass(frozen=True, eq=False)
class Part:
    """Samples to be resampled, and what is wanted of them."""

    scored: Scored
    measures: tuple[str, ...] = MEASURES
    """All, or those of `RANK_MEASURES` alone, which leaves the sums over samples out."""


def resample_together(parts: Sequence[Part], bootstrap: Bootstrap) -> list[Resampled]:
    """`resample` for parts of the samples of the same patients, who are drawn once for all."""
    num_patients = parts[0].scored.num_patients
    measured = [_Measured.of(part) for part in parts]
    chunk = int(np.clip(_CHUNK_BYTES // (8 * max(num_patients, 1)), 1, 128))
    values: list[list[dict[str, Floats]]] = [[] for _ in parts]
    for start in range(0, bootstrap.resamples, chunk):
        weights_GB = _draw(bootstrap.seed, start, min(start + chunk, bootstrap.resamples), num_patients)
        for part, collected in zip(measured, values, strict=True):
            collected.append(part.measure(weights_GB))
    return [part.resampled(collected) for part, collected in zip(measured, values, strict=True)]


@dataclass(frozen=True, eq=False)
class _Measured:
    """What the resamples of one part are made of."""

    measures: tuple[str, ...]
    blocks_C: list[RankBlocks]
    sums_GCL: Floats | None
    """Sums of each patient's terms; None where ranks alone are wanted."""
    positives_GC: Floats
    present: npt.NDArray[np.int64]
    """Patients who are in the part."""
    num_patients: int

    @classmethod
    def of(cls, part: Part) -> _Measured:
        scored = part.scored
        columns = [(scored.labels_NC[:, c], scored.scores_NC[:, c]) for c in range(len(scored.label_set))]
        sums_GCL = None
        if not set(part.measures) <= set(RANK_MEASURES):
            terms = (
                sample_terms(*column, threshold=threshold)
                for column, threshold in zip(columns, scored.thresholds_C, strict=True)
            )
            sums = [
                [np.bincount(scored.patients_N, terms_N, scored.num_patients) for terms_N in terms_NL.T]
                for terms_NL in terms
            ]
            sums_GCL = np.ascontiguousarray(np.moveaxis(np.array(sums), 2, 0))
        blocks_C = [RankBlocks.of(*column, scored.patients_N, scored.num_patients) for column in columns]
        positives_GC = np.stack([blocks.class_sizes()[0] for blocks in blocks_C], axis=1)
        present = np.unique(scored.patients_N)
        return cls(part.measures, blocks_C, sums_GCL, positives_GC, present, scored.num_patients)

    def measure(self, weights_GB: Floats) -> dict[str, Floats]:
        """By measure: findings, mean and weighted mean (B, F)."""
        counts_GB = weights_GB.astype(self.blocks_C[0].dtype)
        ranks = [
            dict(zip(self.measures, blocks.measure(counts_GB, precision=len(self.measures) > 1), strict=False))
            for blocks in self.blocks_C
        ]
        values_BC = {name: np.stack([rank[name] for rank in ranks], axis=1) for name in ranks[0]}
        if self.sums_GCL is not None:
            flat = weights_GB[self.present].T @ self.sums_GCL[self.present].reshape(len(self.present), -1)
            values_BC |= measure_sums(flat.reshape(len(flat), *self.sums_GCL.shape[1:]))
        positives_BC = weights_GB.T @ self.positives_GC
        return {name: _with_means(values, positives_BC) for name, values in values_BC.items()}

    def resampled(self, collected: list[dict[str, Floats]]) -> Resampled:
        """All chunks put together."""
        estimates = {name: values[0] for name, values in self.measure(np.ones((self.num_patients, 1))).items()}
        return Resampled(
            estimates,
            {name: np.concatenate([values[name] for values in collected]) for name in estimates},
            self._influences(estimates),
            np.array([min(blocks.patients_with()) for blocks in self.blocks_C], np.int64),
        )

    def _influences(self, estimates: Mapping[str, Floats]) -> dict[str, Floats]:
        columns: dict[str, list[Floats]] = {name: [] for name in estimates}
        for column, blocks in enumerate(self.blocks_C):
            found = dict(zip(RANK_MEASURES, blocks.influence(), strict=True))
            if self.sums_GCL is not None:
                found |= influence_on_sums(self.sums_GCL[:, column])
            for name, values in columns.items():
                values.append(found[name])
        return {
            name: _with_mean_influences(np.stack(values, axis=1), self.positives_GC, estimates[name])
            for name, values in columns.items()
        }


def _draw(seed: int, start: int, stop: int, num_patients: int) -> Floats:
    """How often each patient is in each resample (G, B); a resample depends on the seed and its own number alone."""
    columns = [
        np.bincount(
            np.random.default_rng((seed, number)).integers(0, num_patients, num_patients), minlength=num_patients
        )
        for number in range(start, stop)
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _with_means(values_BC: Floats, positives_BC: Floats) -> Floats:
    """Over the findings that are defined in each resample; weighted by their positives."""
    defined = ~np.isnan(values_BC)
    weights = np.where(defined, positives_BC, 0)
    filled = np.where(defined, values_BC, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=1) / defined.sum(axis=1)
        weighted = (filled * weights).sum(axis=1) / weights.sum(axis=1)
    return np.column_stack((values_BC, mean, weighted))


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
