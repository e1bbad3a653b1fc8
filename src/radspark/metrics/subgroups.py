"""Evaluation of parts of the samples, such as women or AP views, and the gaps between each part and all others.

A gap is tested on resamples of all patients, since one patient can have images in both. With many gaps some look large
by chance: p-values are adjusted over all of them by Holm's method (1979). Findings seen in few patients are compared
with nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.metrics.bootstrap import Bootstrap, Part, Resampled, resample_together
from radspark.metrics.evaluate import evaluate_scored, with_intervals
from radspark.metrics.evaluation import Evaluation
from radspark.metrics.intervals import Interval, bootstrap_interval, is_constant
from radspark.metrics.multiplicity import holm
from radspark.metrics.scored import Scored

MIN_PATIENTS = 10
"""With a positive, and with a negative: below this a finding's figures in a part are marked as resting on few."""
MAX_PARTS = 12
"""A column with more values divides the samples into none."""
MEAN = "mean"
"""Stands for the mean over findings where a finding's name is expected."""
_AGE_BANDS = (18, 40, 60, 80)
_FEW_HERE = f"fewer than {MIN_PATIENTS} patients of the part with a positive, or with a negative"
_FEW_ELSEWHERE = f"fewer than {MIN_PATIENTS} patients of all others with a positive, or with a negative"
_NO_INTERVAL = "its resamples give no interval"
_NOTHING = "no finding is compared"


@dataclass(frozen=True)
class Gap:
    """AUROC in a part less AUROC in all other samples."""

    inside: float
    """AUROC in the part; of the mean, over the findings that are compared."""
    outside: float
    """In all other samples, of the same findings."""
    inside_interval: Interval | None
    interval: Interval
    """Of the difference."""
    p_value: float
    """Of no gap, two-sided, by the normal distribution with the resamples' standard error."""
    adjusted_p_value: float = 1.0
    """Over all gaps that were tested together."""

    @property
    def difference(self) -> float:
        return self.inside - self.outside


@dataclass(frozen=True)
class Subgroup:
    """One part of the samples."""

    column: str
    value: str
    evaluation: Evaluation
    few: frozenset[str]
    """Findings that fewer than `MIN_PATIENTS` patients of the part have, or lack."""
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    """By finding, and `mean`: over the findings that are compared."""
    not_compared: Mapping[str, str] = field(default_factory=dict)
    """Why the others have no gap."""
    is_mirror: bool = False
    """Whether it is all that the part before it is not: its gaps are those with their signs turned, and count once."""


def evaluate_subgroups(scored: Scored, columns: Mapping[str, Sequence[Any]], *, bootstrap: Bootstrap) -> list[Subgroup]:
    """Evaluate every part that the columns make.

    Args:
        columns: by name, one value per sample, None where unknown; `age` in years makes bands.

    Raises:
        ArgumentError: a column's length differs, or it has more than `MAX_PARTS` values.
    """
    parts = [(name, value, inside) for name, values in columns.items() for value, inside in divide(name, values)]
    drawn = _resample(scored, [inside for _, _, inside in parts], bootstrap)
    found: list[Subgroup] = []
    before = np.zeros(len(scored), np.bool_)
    for name, value, inside in parts:
        part, rest = scored.where(inside), scored.where(~inside)
        in_part, in_rest = drawn[inside.tobytes()], drawn[(~inside).tobytes()]
        few, few_in_rest = frozenset(_few(part)), frozenset(_few(rest))
        reasons = {
            finding: _FEW_HERE if finding in few else _FEW_ELSEWHERE
            for finding in scored.label_set
            if finding in few | few_in_rest
        }
        gaps = _find_gaps(in_part, in_rest, scored.label_set, reasons, bootstrap)
        is_mirror = bool(found) and np.array_equal(inside, ~before)
        evaluation = with_intervals(evaluate_scored(part), in_part, bootstrap)
        found.append(Subgroup(name, value, evaluation, few, *gaps, is_mirror))
        before = inside
    return _adjust(found)


def _resample(scored: Scored, masks: Sequence[npt.NDArray[np.bool_]], bootstrap: Bootstrap) -> dict[bytes, Resampled]:
    """Resamples by mask, of each part and of all that it is not: each once, and a rest that is no part by its AUROC."""
    wanted = {inside.tobytes(): Part(scored.where(inside)) for inside in masks}
    for inside in masks:
        wanted.setdefault((~inside).tobytes(), Part(scored.where(~inside), ("auroc",)))
    return dict(zip(wanted, resample_together(list(wanted.values()), bootstrap), strict=True)) if wanted else {}


def divide(column: str, values: Sequence[Any]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The parts that a column makes, in order, as masks; samples without a value are in none.

    A column with one value makes no part: there is nobody to compare with.
    """
    words = {value: _band(value) if column == "age" else None if value is None else str(value) for value in set(values)}
    names = [words[value] for value in values]
    counts = Counter(name for name in names if name is not None)
    if len(counts) > MAX_PARTS:
        raise ArgumentError(f"column {column!r} has {len(counts)} values; a column of subgroups has up to {MAX_PARTS}.")
    if len(counts) > 1:
        array = np.array(names, dtype=object)
        for name in sorted(counts, key=lambda name: int(name.split()[0]) if column == "age" else name):
            yield name, array == name


def _band(age: float | None) -> str | None:
    if age is None or np.isnan(age):
        return None
    low = max((edge for edge in _AGE_BANDS if age >= edge), default=0)
    high = min((edge for edge in _AGE_BANDS if age < edge), default=None)
    return f"{low} or older" if high is None else f"{low} to {high - 1}"


def _few(scored: Scored) -> Iterator[str]:
    for column, name in enumerate(scored.label_set):
        labels = scored.labels_NC[:, column]
        patients = (np.count_nonzero(np.bincount(scored.patients_N[labels == value], minlength=1)) for value in (0, 1))
        if min(patients) < MIN_PATIENTS:
            yield name


def _find_gaps(
    inside: Resampled, outside: Resampled, label_set: LabelSet, few: Mapping[str, str], bootstrap: Bootstrap
) -> tuple[dict[str, Gap], dict[str, str]]:
    """Gaps of the findings that are not `few`, and of their mean; and why the others have none."""
    columns = {name: [column] for column, name in enumerate(label_set) if name not in few}
    together = {MEAN: [column for (column,) in columns.values()]} if columns else {}
    sides = inside, outside, inside.minus(outside)
    found = {name: _gap(sides, places, bootstrap) for name, places in {**together, **columns}.items()}
    missing = {name: _NO_INTERVAL for name, gap in found.items() if gap is None}
    without_mean = {} if columns else {MEAN: _NOTHING}
    return (
        {name: gap for name, gap in found.items() if gap is not None},
        {**few, **missing, **without_mean},
    )


def _gap(sides: tuple[Resampled, Resampled, Resampled], columns: list[int], bootstrap: Bootstrap) -> Gap | None:
    """Of the mean over some findings, in a part, elsewhere, and their difference; None where it has no interval."""
    inside, outside, difference = (float(side.estimates["auroc"][columns].mean()) for side in sides)
    interval = _interval_of_mean(sides[2], columns, bootstrap)
    if interval is None:
        return None
    error = np.nanstd(sides[2].values["auroc"][:, columns].mean(axis=1), ddof=1)
    return Gap(
        inside=inside,
        outside=outside,
        inside_interval=_interval_of_mean(sides[0], columns, bootstrap),
        interval=interval,
        p_value=float(2 * ndtr(-abs(difference) / error)),
    )


def _interval_of_mean(side: Resampled, columns: list[int], bootstrap: Bootstrap) -> Interval | None:
    """A resample counts where all of the findings are defined."""
    interval = bootstrap_interval(
        side.values["auroc"][:, columns].mean(axis=1),
        estimate=float(side.estimates["auroc"][columns].mean()),
        influence_G=side.influences["auroc"][:, columns].mean(axis=1),
        level=bootstrap.level,
        kind=bootstrap.kind,
    )
    return None if interval is None or is_constant(interval) else interval


def count_gaps(subgroups: Sequence[Subgroup]) -> int:
    """Gaps that were tested together."""
    return sum(len(subgroup.gaps) for subgroup in subgroups if not subgroup.is_mirror)


def _adjust(subgroups: list[Subgroup]) -> list[Subgroup]:
    tested = [subgroup for subgroup in subgroups if not subgroup.is_mirror]
    adjusted = iter(holm([subgroup.gaps[name].p_value for subgroup in tested for name in subgroup.gaps]))
    done: list[Subgroup] = []
    for subgroup in subgroups:
        values = (
            {name: gap.adjusted_p_value for name, gap in done[-1].gaps.items()}
            if subgroup.is_mirror
            else {name: next(adjusted) for name in subgroup.gaps}
        )
        gaps = {
            name: replace(gap, adjusted_p_value=values[name]) for name, gap in subgroup.gaps.items() if name in values
        }
        done.append(replace(subgroup, gaps=gaps))
    return done


def subgroups_to_dict(subgroups: Sequence[Subgroup]) -> dict[str, Any]:
    """The `subgroups` of `metrics.json`."""
    return {
        "min_patients": MIN_PATIENTS,
        "num_gaps": count_gaps(subgroups),
        "groups": [
            {
                "column": subgroup.column,
                "value": subgroup.value,
                "few_patients": sorted(subgroup.few),
                "auroc_gaps": {name: _gap_to_dict(gap) for name, gap in subgroup.gaps.items()},
                "not_compared": dict(subgroup.not_compared),
                **subgroup.evaluation.to_dict(),
            }
            for subgroup in subgroups
        ],
    }


def _gap_to_dict(gap: Gap) -> dict[str, Any]:
    return {
        "inside": gap.inside,
        "inside_ci": None if gap.inside_interval is None else [gap.inside_interval.low, gap.inside_interval.high],
        "outside": gap.outside,
        "difference": gap.difference,
        "difference_ci": [gap.interval.low, gap.interval.high],
        "dropped_resamples": gap.interval.dropped,
        "p_value": gap.p_value,
        "adjusted_p_value": gap.adjusted_p_value,
    }
