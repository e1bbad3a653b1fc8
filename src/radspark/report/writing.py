"""Writes a report as one HTML file that needs nothing else: no script, no font, no picture from outside."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from radspark import __version__
from radspark.labels import NIH_FINDINGS
from radspark.report.content import EvaluationReport, Report, TrainingReport
from radspark.report.figures import Series, draw_epochs, draw_label_counts, draw_roc
from radspark.report.published import PUBLISHED_RESULTS

_LARGEST_EXAMPLE = 320
"""Side in pixels; a card of the sheet is never wider."""


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
    Path(path).write_text(_render("evaluation.html.j2", report, split=report.split), encoding="utf-8")


def _render(template: str, report: Report, *, split: str, **more: Any) -> str:
    environment = Environment(
        loader=PackageLoader("radspark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "score": _format_score,
        "count": lambda number: f"{number:,}",
        "words": lambda name: name.replace("_", " "),
        "rate": lambda number: f"{number:.2e}" if number < 1e-3 else f"{number:.4g}",
        "duration": _format_duration,
        "png": _encode_png,
    }
    environment.filters |= filters
    findings = report.evaluation.findings
    return environment.get_template(template).render(
        report=report,
        split=split,
        version=__version__,
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


def _format_score(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _encode_png(pixels_HW: npt.NDArray[np.uint8]) -> str:
    """As a data URL, reduced to what the page shows."""
    image = Image.fromarray(pixels_HW)
    image.thumbnail((_LARGEST_EXAMPLE, _LARGEST_EXAMPLE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
