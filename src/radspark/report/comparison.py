"""The page of two models on the same radiographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from radspark.metrics.comparison import Comparison, Difference
from radspark.report.forest import ForestRow, draw_forest
from radspark.report.rendering import render


@dataclass(frozen=True, kw_only=True)
class ComparisonReport:
    """What the page says; it names no radiograph and no patient."""

    title: str
    first: str
    second: str
    """Names of the two runs, as they shall be shown."""
    comparison: Comparison
    created: str = ""


def write_comparison_report(path: Path | str, report: ComparisonReport) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    means = report.comparison.means
    page = render(
        "comparison.html.j2",
        report=report,
        synthetic=False,
        comparison=report.comparison,
        method=report.comparison.method,
        numbers=[("Mean AUROC", means["auroc"]), ("Mean average precision", means["average_precision"])],
        auroc_forest=_draw(report, "auroc", "AUROC"),
        precision_forest=_draw(report, "average_precision", "average precision"),
    )
    Path(path).write_text(page, encoding="utf-8")


def _draw(report: ComparisonReport, measure: str, title: str) -> Markup:
    findings = report.comparison.findings
    rows = [_row("Mean", report.comparison.means[measure], is_main=True)]
    rows += [_row(name, finding.differences[measure]) for name, finding in findings.items()]
    shown = [row for row in rows if row.value is not None]
    spoken = ", ".join(f"{row.label} {row.value:+.3f}" for row in shown)
    return draw_forest(shown, name=measure, description=f"Differences of {title}: {spoken}", reference=0.0, signed=True)


def _row(label: str, figure: Difference, *, is_main: bool = False) -> ForestRow:
    interval = figure.interval
    return ForestRow(
        label,
        figure.difference,
        None if interval is None else interval.low,
        None if interval is None else interval.high,
        is_main=is_main,
    )
