"""`radspark evaluate --predictions`: scores that anybody made, beside labels, without the model and without Spark."""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radspark.cli.console import say, working
from radspark.cli.foreign_tables import join_tables, read_thresholds
from radspark.cli.options import make_output_folder
from radspark.cli.results import EvaluationChoices, Judged, judge, report_figures, show_table, write_results

if TYPE_CHECKING:
    from radspark.cli.foreign_tables import JoinedTables
    from radspark.metrics import Evaluation
    from radspark.report import EvaluationReport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionFiles:
    """Which tables, and how they are read."""

    predictions: Path
    labels: Path
    prefix: str = ""
    id_column: str | None = None
    group_column: str | None = None
    thresholds: Path | None = None
    """None calls every finding at 0.5."""


def evaluate_predictions(files: PredictionFiles, out: Path, *, choices: EvaluationChoices) -> Evaluation:
    """Join, evaluate, write metrics, predictions and report, and show the table."""
    make_output_folder(out)

    from radspark.report import write_evaluation_report

    with working("reading the tables ..."):
        joined = join_tables(
            files.predictions,
            files.labels,
            prefix=files.prefix,
            id_column=files.id_column,
            group_column=files.group_column,
        )
        thresholds = None
        if files.thresholds is not None:
            thresholds = read_thresholds(files.thresholds, joined.table.labels, prefix=files.prefix)
    if joined.unreadable:
        logger.warning("%d rows of the predictions are blank and are left out", joined.unreadable)
    if joined.group_column is None:
        logger.warning("no column tells the patients apart: every image counts as a patient's only one")
    with working("evaluating ..."):
        judged = judge(joined.table, choices, thresholds=thresholds)
    write_results(
        judged,
        out,
        identifiers=choices.identifiers,
        split=None,
        unreadable=joined.unreadable,
        group_column=joined.group_column,
        without_prediction=joined.without_prediction,
    )
    with working("writing the report ..."):
        write_evaluation_report(out / "report.html", build_report(judged, joined, files))
    show_table(judged, title="given predictions")
    if joined.without_prediction:
        say(f"{joined.without_prediction:,} rows of the labels have no prediction and are ignored", style="dim")
    return judged.evaluation


def build_report(judged: Judged, joined: JoinedTables, files: PredictionFiles) -> EvaluationReport:
    """What the report says; it names no radiograph and no patient."""
    from radspark.report import DataSummary, EvaluationReport, SplitSize

    table, evaluation = judged.table, judged.evaluation
    data = DataSummary(
        name="Given predictions and labels",
        splits=(SplitSize("all", len(table), joined.unreadable, evaluation.num_patients),),
        positives={name: finding.positives for name, finding in evaluation.findings.items()},
        flow=(
            ("Rows of the labels", len(table) + joined.unreadable + joined.without_prediction),
            ("Without a prediction", joined.without_prediction),
            ("Blank predictions", joined.unreadable),
            ("Evaluated", len(table)),
        ),
        no_finding=int(np.sum((table.labels_NC == 0).all(axis=1))),
    )
    return EvaluationReport(
        title="Evaluation report",
        split="given",
        data=data,
        evaluation=evaluation,
        operating_point=None if files.thresholds is None else "given",
        **report_figures(judged),
        created=datetime.date.today().isoformat(),
    )
