"""The table of an evaluation, as people see it on the screen."""

from __future__ import annotations

from rich.table import Table

from radspark.metrics import Evaluation, Interval

_SHOWN_MEASURES = ("auroc", "average_precision")


def evaluation_table(evaluation: Evaluation, *, title: str) -> Table:
    """AUROC and average precision per finding, and their means, with intervals where there are any."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 0, 0, 1))
    # A long name is folded before a figure or a heading is cut.
    table.add_column("finding", overflow="fold")
    for heading in ("AUROC", "average precision", "positives", "negatives"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, finding in evaluation.findings.items():
        table.add_row(
            name,
            *(figure(finding.values[measure], finding.intervals.get(measure)) for measure in _SHOWN_MEASURES),
            f"{finding.positives:,}",
            f"{finding.negatives:,}",
        )
    table.add_section()
    means = (figure(evaluation.means[name], evaluation.mean_intervals.get(name)) for name in _SHOWN_MEASURES)
    table.add_row("mean", *means, style="bold")
    return table


def figure(value: float | None, interval: Interval | None = None) -> str:
    """Three decimals with the interval in brackets, or a dash where undefined."""
    if value is None:
        return "–"
    if interval is None:
        return f"{value:.3f}"
    low, high = (f"{end:.3f}".removeprefix("0") for end in (interval.low, interval.high))
    return f"{value:.3f} \\[{low}, {high}]"
