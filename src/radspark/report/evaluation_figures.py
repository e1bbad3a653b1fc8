"""Which drawings an evaluation's report has beside those that every report has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from radspark.metrics.subgroups import MEAN, MIN_PATIENTS, Subgroup, count_gaps
from radspark.report.content import EvaluationReport
from radspark.report.figures import draw_precision_recall, draw_reliability
from radspark.report.forest import ForestRow, draw_forest

NOTEWORTHY = 0.05
"""Adjusted p-values below it are told."""


def draw_evaluation(report: EvaluationReport) -> dict[str, Any]:
    """Drawings by the names that the template uses."""
    findings = report.evaluation.findings
    return {
        "precision_recalls": {
            name: draw_precision_recall(
                name,
                curve,
                average_precision=findings[name].average_precision or 0.0,
                share=findings[name].positives / (findings[name].positives + findings[name].negatives),
            )
            for name, curve in report.precision_recall.items()
        },
        "reliabilities": {
            name: draw_reliability(name, diagram, calibration_error=findings[name].values["calibration_error"] or 0.0)
            for name, diagram in report.reliability.items()
        },
        "subgroup_forest": _draw_subgroups(report.subgroups),
        "noteworthy_gaps": [
            (subgroup, name, gap)
            for subgroup in report.subgroups
            if not subgroup.is_mirror
            for name, gap in subgroup.gaps.items()
            if name != MEAN and gap.adjusted_p_value < NOTEWORTHY
        ],
        "num_gaps": count_gaps(report.subgroups),
        "min_patients": MIN_PATIENTS,
    }


def _draw_subgroups(subgroups: Sequence[Subgroup]) -> Markup | None:
    """The gap of mean AUROC of each part to all others; None where no part can be compared."""
    rows: list[ForestRow] = []
    for column, parts in groupby(subgroups, key=lambda subgroup: subgroup.column):
        compared = [(part.value, part.gaps[MEAN]) for part in parts if MEAN in part.gaps]
        if compared:
            rows.append(ForestRow(column.capitalize()))
            rows += [ForestRow(value, gap.difference, gap.interval.low, gap.interval.high) for value, gap in compared]
    if not rows:
        return None
    spoken = ", ".join(f"{row.label} {row.value:+.3f}" for row in rows if row.value is not None)
    return draw_forest(rows, name="subgroups", description=f"Gaps of mean AUROC: {spoken}", reference=0.0, signed=True)
