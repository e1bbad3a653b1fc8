"""`radspark compare`: two evaluated models on the radiographs that both scored."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from radspark.cli.console import console, say, working
from radspark.cli.options import make_output_folder

if TYPE_CHECKING:
    from radspark.cli.scored_table import ScoredTable
    from radspark.labels import LabelSet
    from radspark.metrics import Scored
    from radspark.metrics.comparison import Comparison, Difference

logger = logging.getLogger(__name__)
PREDICTIONS = "predictions.parquet"
EXAMPLES = """Example:

  radspark compare runs/first/test runs/second/test --out first-and-second"""


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder that `radspark evaluate` wrote, or a run with `test/` in it.")],
    run_b: Annotated[Path, typer.Argument(help="Another, on the same radiographs.")],
    out: Annotated[Path, typer.Option(help="Folder for compare.json and compare.html.", metavar="DIR")],
    bootstrap: Annotated[int, typer.Option(help="Resamples of the patients.")] = 2000,
    interval: Annotated[str, typer.Option(help="Kind of interval: bca or percentile.")] = "bca",
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
) -> None:
    """Compare two models: RUN_B less RUN_A, patient by patient, with intervals."""
    from radspark.cli.evaluate import check_interval
    from radspark.cli.scored_table import ScoredTable
    from radspark.metrics import Bootstrap
    from radspark.metrics.comparison import compare_scored
    from radspark.report.comparison import ComparisonReport, write_comparison_report

    settings = Bootstrap(bootstrap, check_interval(interval), seed=seed)
    make_output_folder(out)
    files = [find_predictions(run) for run in (run_a, run_b)]
    tables = [ScoredTable.read(file) for file in files]
    thresholds = [read_thresholds(file.parent) for file in files]
    first, second = match_tables(*tables, thresholds=thresholds, names=(str(run_a), str(run_b)))
    with working("comparing ..."):
        comparison = compare_scored(first, second, bootstrap=settings)
    (out / "compare.json").write_text(json.dumps(comparison.to_dict(), indent=2) + "\n", encoding="utf-8")
    names = short_names(run_a, run_b)
    write_comparison_report(
        out / "compare.html",
        ComparisonReport(
            title=f"{names[1]} against {names[0]}",
            first=names[0],
            second=names[1],
            comparison=comparison,
            created=datetime.date.today().isoformat(),
        ),
    )
    _show(comparison, names)
    say(f"\ncomparison  {out / 'compare.json'}\nreport      {out / 'compare.html'}")


def find_predictions(run: Path) -> Path:
    """The predictions of an evaluation, or of the test in a training run's folder."""
    here, below = run / PREDICTIONS, run / "test" / PREDICTIONS
    return below if below.exists() and not here.exists() else here


def read_thresholds(folder: Path) -> dict[str, float | None]:
    """At which an evaluation called each finding present, so that a comparison repeats its figures.

    Raises:
        DataError: the folder does not tell.
    """
    from radspark.cli.results import read_metrics
    from radspark.errors import DataError

    try:
        return {name: finding["threshold"] for name, finding in read_metrics(folder)["findings"].items()}
    except KeyError as error:
        raise DataError(f"{folder}/metrics.json names no threshold of a finding; evaluate again.") from error


def match_tables(
    first: ScoredTable, second: ScoredTable, *, thresholds: Sequence[Mapping[str, float | None]], names: Sequence[str]
) -> tuple[Scored, Scored]:
    """The radiographs and findings that both have, in one order; each side with thresholds of its own.

    Raises:
        DataError: nothing is common, or the two disagree on a label.
    """
    from radspark.errors import DataError
    from radspark.labels import LabelSet
    from radspark.metrics import Scored

    places = {image: row for row, image in enumerate(second.image_ids)}
    common = [(row, places[image]) for row, image in enumerate(first.image_ids) if image in places]
    findings = tuple(name for name in first.labels if name in second.labels)
    if not common or not findings:
        what = "finding" if common else "radiograph"
        raise DataError(f"{names[0]} and {names[1]} have no {what} in common; evaluate both on the same data set.")
    if left_out := len(first) + len(second) - 2 * len(common):
        logger.warning("%d radiographs were scored by one of the two only and are left out", left_out)
    labels = LabelSet(findings)
    rows = np.array(common, np.int64).T
    sides = [_columns(table.take(part), labels) for table, part in zip((first, second), rows, strict=True)]
    if not np.array_equal(sides[0][0], sides[1][0], equal_nan=True):
        different = int((~np.isclose(sides[0][0], sides[1][0], equal_nan=True)).any(axis=1).sum())
        raise DataError(
            f"{names[0]} and {names[1]} give {different} radiographs different labels; use one label table."
        )
    patients = first.take(rows[0]).patients or second.take(rows[1]).patients
    if patients is None:
        logger.warning("neither run names its patients: every radiograph counts as a patient's only one")
    one, other = (
        Scored.of(
            *side, labels, patients=patients, thresholds={name: chosen[name] for name in labels if name in chosen}
        )
        for side, chosen in zip(sides, thresholds, strict=True)
    )
    return one, other


def _columns(table: ScoredTable, labels: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    columns = [table.labels.index(name) for name in labels]
    return table.labels_NC[:, columns], table.probabilities_NC[:, columns]


def short_names(run_a: Path, run_b: Path) -> tuple[str, str]:
    """The shortest ends of the two paths that differ; A and B where they are the same."""
    parts = [run.resolve().parts for run in (run_a, run_b)]
    while len(parts[0]) > 1 and len(parts[1]) > 1 and parts[0][-1] == parts[1][-1]:
        parts = [path[:-1] for path in parts]
    first, second = parts[0][-1], parts[1][-1]
    return (first, second) if first != second else ("A", "B")


def _show(comparison: Comparison, names: tuple[str, str]) -> None:
    from rich.table import Table

    patients = "" if comparison.num_patients is None else f" of {comparison.num_patients:,} patients"
    table = Table(
        title=f"AUROC, {names[1]} less {names[0]}, {comparison.num_samples:,} radiographs{patients}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("finding", no_wrap=True)
    for heading in (names[0], names[1], "difference", "adjusted p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, finding in comparison.findings.items():
        table.add_row(name, *_cells(finding.differences["auroc"]), _p_value(finding.adjusted_p_value))
    table.add_section()
    table.add_row("mean", *_cells(comparison.means["auroc"]), "", style="bold")
    console.print()
    console.print(table)
    console.print(f"in brackets: {comparison.method}", style="dim")


def _cells(figure: Difference) -> tuple[str, str, str]:
    difference = "–" if figure.difference is None else f"{figure.difference:+.3f}"
    if figure.interval is not None:
        difference += f" \\[{figure.interval.low:+.3f}, {figure.interval.high:+.3f}]"
    return _shown(figure.first), _shown(figure.second), difference


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _p_value(value: float | None) -> str:
    return "< 0.001" if value is not None and value < 0.001 else _shown(value)
