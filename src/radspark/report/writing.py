"""Writes a report as one HTML file that needs nothing else: no script, no font, no picture from outside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from radspark.labels import NIH_FINDINGS
from radspark.report.content import EvaluationReport, Report, TrainingReport
from radspark.report.evaluation_figures import draw_evaluation
from radspark.report.figures import Series, draw_epochs, draw_label_counts, draw_roc
from radspark.report.published import PUBLISHED_RESULTS
from radspark.report.rendering import render


def write_training_report(path: Path | str, report: TrainingReport) -> None:
    """Write the report of a training run, on its validation split.

    Raises:
        OSError: the file cannot be written.
    """
    page = _render("training.html.j2", report, split="validation", charts=_draw_history(report))
    Path(path).write_text(page, encoding="utf-8")


def write_evaluation_report(path: Path | str, report: EvaluationReport) -> None:
    """Write the report of a model on one split.

    Raises:
        OSError: the file cannot be written.
    """
    page = _render("evaluation.html.j2", report, split=report.split, **draw_evaluation(report))
    Path(path).write_text(page, encoding="utf-8")


def _render(template: str, report: Report, *, split: str, **more: Any) -> str:
    findings = report.evaluation.findings
    return render(
        template,
        report=report,
        split=split,
        synthetic=report.data.synthetic,
        rocs={
            name: draw_roc(name, report.curves[name], auroc=finding.auroc)
            for name, finding in findings.items()
            if finding.auroc is not None and name in report.curves
        },
        label_counts=draw_label_counts(report.data.positives, no_finding=report.data.no_finding),
        published=PUBLISHED_RESULTS if tuple(findings) == NIH_FINDINGS.names else (),
        has_unknown=any(finding.unknown for finding in findings.values()),
        recipe=_group_recipe(report.recipe),
        **more,
    )


def _draw_history(report: TrainingReport) -> list[tuple[str, str]]:
    """Title and drawing of each training curve."""
    epochs = [record["epoch"] for record in report.history]
    validation = [record["validation"] for record in report.history]
    losses = (
        _series("training", [record["train_loss"] for record in report.history]),
        _series("validation", [values["loss"] for values in validation]),
    )
    auroc = _series("mean AUROC", [values["mean_auroc"] for values in validation])
    precision = _series("mean average precision", [values["mean_average_precision"] for values in validation])
    rate = _series("learning rate", [record["learning_rate"] for record in report.history])
    wide = min(rate.values) > 0 and max(rate.values) > 20 * min(rate.values)
    kept = report.kept_epoch
    return [
        ("Loss", draw_epochs("Loss", epochs, losses, kept_epoch=kept)),
        ("Mean AUROC, validation", draw_epochs("AUROC", epochs, [auroc], kept_epoch=kept)),
        ("Mean average precision, validation", draw_epochs("Precision", epochs, [precision], kept_epoch=kept)),
        ("Learning rate", draw_epochs("Rate", epochs, [rate], kept_epoch=kept, log_scale=wide)),
    ]


def _series(name: str, values: Sequence[float | None]) -> Series:
    return Series(name, tuple(math.nan if value is None else float(value) for value in values))


def _group_recipe(recipe: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings with their settings; a list of tables, such as the schedule, becomes one heading each."""
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    loose = [(name, _show(value)) for name, value in recipe.items() if not _is_table(value)]
    if loose:
        groups.append(("general", loose))
    for name, value in recipe.items():
        if not _is_table(value):
            continue
        tables = [(name, value)] if isinstance(value, Mapping) else [(f"{name} {i}", t) for i, t in enumerate(value, 1)]
        groups += [(heading, [(key, _show(item)) for key, item in table.items()]) for heading, table in tables]
    return groups


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _show(value: Any) -> str:
    """A setting as text. A path can hold a name of a patient or a user, so only its last part is shown."""
    if isinstance(value, str):
        return PureWindowsPath(PurePosixPath(value).name).name if re.search(r"[/\\]", value) else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_show(item) for item in value)
    return str(value)
