"""What both ways of `radspark evaluate` do with scored radiographs: evaluate, write the files, show the table."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radspark.cli.console import console
from radspark.cli.evaluation_table import evaluation_table
from radspark.cli.scored_table import ScoredTable
from radspark.errors import DataError
from radspark.identifiers import Identifiers, get_identifiers
from radspark.metrics import Bootstrap, Evaluation, Scored, evaluate_scored, rank, roc_curves
from radspark.metrics.reliability import reliability_diagram
from radspark.metrics.subgroups import MAX_PARTS, Subgroup, evaluate_subgroups, subgroups_to_dict

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
ATTRIBUTES = ("age", "sex", "view", "site")
"""Columns that label tables share; the subgroups unless others are named."""


@dataclass(frozen=True)
class EvaluationChoices:
    """How scores are judged."""

    bootstrap: Bootstrap | None = field(default_factory=Bootstrap)
    """None leaves intervals and subgroups out."""
    operating_point: str | None = None
    """Of the bundle, for sensitivity and its kin; None takes `DEFAULT_POINT`, or 0.5 of a bundle that has no points."""
    subgroups: tuple[str, ...] | None = None
    """Columns; None takes those of `ATTRIBUTES` that are there."""
    identifiers: Identifiers = field(default_factory=lambda: get_identifiers("hash"))
    """How patients stand in `predictions.parquet`."""
    combine: str | None = None
    """How the views of a study are taken together: a name of `ml.studies.COMBINATIONS`; None judges single views."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Scored radiographs and what the scores are worth."""

    table: ScoredTable
    evaluation: Evaluation
    subgroups: Sequence[Subgroup]


def judge(
    table: ScoredTable, choices: EvaluationChoices, *, thresholds: Mapping[str, float | None] | None = None
) -> Judged:
    """Evaluate, as a whole and in parts.

    Raises:
        DataError: a column of subgroups is missing.
    """
    scored = Scored.of(
        table.labels_NC, table.probabilities_NC, table.labels, patients=table.patients, thresholds=thresholds
    )
    columns = _subgroup_columns(table, choices)
    evaluation = evaluate_scored(scored, bootstrap=choices.bootstrap)
    if choices.bootstrap is None:
        return Judged(table, evaluation, ())
    return Judged(table, evaluation, evaluate_subgroups(scored, columns, bootstrap=choices.bootstrap))


def report_figures(judged: Judged) -> dict[str, Any]:
    """Curves, diagrams and subgroups, as fields of an `EvaluationReport`."""
    table, evaluation = judged.table, judged.evaluation
    columns = {name: (table.labels_NC[:, i], table.probabilities_NC[:, i]) for i, name in enumerate(table.labels)}
    defined = [name for name, finding in evaluation.findings.items() if finding.reason is None]
    diagrams = {name: reliability_diagram(*column) for name, column in columns.items()}
    return {
        "curves": roc_curves(table.labels_NC, table.probabilities_NC, table.labels),
        "precision_recall": {name: rank(*columns[name]).precision_recall_curve().thinned() for name in defined},
        "reliability": {name: diagram for name, diagram in diagrams.items() if diagram is not None},
        "subgroups": judged.subgroups,
    }


def write_results(
    judged: Judged,
    out: Path,
    *,
    identifiers: Identifiers,
    split: str | None,
    unreadable: int,
    group_column: str | None,
    **more: Any,
) -> None:
    """`metrics.json` and `predictions.parquet`, as docs/formats.md has them."""
    judged.table.pass_identifiers(identifiers).write(out / "predictions.parquet")
    metrics = {
        "split": split,
        "unreadable": unreadable,
        "group_column": group_column,
        **more,
        **judged.evaluation.to_dict(),
        **({"subgroups": subgroups_to_dict(judged.subgroups)} if judged.subgroups else {}),
    }
    (out / METRICS_FILE).write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_metrics(folder: Path) -> dict[str, Any]:
    """The `metrics.json` of an evaluation.

    Raises:
        DataError: there is none, or it is something else.
    """
    try:
        metrics: dict[str, Any] = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        if not isinstance(metrics["findings"], dict):
            raise ValueError("findings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no {METRICS_FILE} of `radspark evaluate --out`; give such a folder."
        ) from error
    return metrics


def show_table(judged: Judged, *, title: str, counted: str = "radiographs") -> None:
    """On the screen."""
    patients = judged.evaluation.num_patients
    of_patients = "" if patients is None else f" of {patients:,} patients"
    console.print()
    console.print(evaluation_table(judged.evaluation, title=f"{title}, {len(judged.table):,} {counted}{of_patients}"))
    if judged.evaluation.method:
        console.print(f"in brackets: {judged.evaluation.method}", style="dim")


def _subgroup_columns(table: ScoredTable, choices: EvaluationChoices) -> dict[str, Sequence[Any]]:
    if choices.subgroups is None:
        known = {name: table.attributes[name] for name in ATTRIBUTES if name in table.attributes}
        wide = [name for name, values in known.items() if name != "age" and len(set(values) - {None}) > MAX_PARTS]
        for name in wide:
            logger.warning("column %r has more than %d values and makes no subgroups", name, MAX_PARTS)
        return {name: values for name, values in known.items() if name not in wide}
    for name in choices.subgroups:
        if name not in table.attributes:
            raise DataError(
                f"there is no column {name!r} to make subgroups of; there are {', '.join(table.attributes) or 'none'}."
            )
    return {name: table.attributes[name] for name in choices.subgroups}
