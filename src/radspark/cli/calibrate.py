"""`radspark calibrate`: calibration and operating points for a bundle that exists, from validation radiographs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from radspark.cli.console import console, say
from radspark.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from rich.table import Table

    from radspark.cli.scored_table import ScoredTable
    from radspark.labels import LabelSet
    from radspark.metrics.decision import Decision

logger = logging.getLogger(__name__)
MIN_RADIOGRAPHS = 10
"""Below it a threshold or a calibration is said to rest on few."""
EXAMPLES = """Example: thresholds for the patients of another hospital, from a part of them that is not tested on

  radspark evaluate --bundle runs/first/bundle --dataset table --data-dir hospital --split-policy patient \\
      --split validation --out runs/first/local

  radspark calibrate --bundle runs/first/bundle --run runs/first/local --calibration platt --out runs/first/local-bundle

  radspark predict --bundle runs/first/local-bundle inbox/ --operating-point sensitivity --out scores.csv"""


def calibrate(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle, on this machine.", metavar="DIR")],
    run: Annotated[
        Path, typer.Option(help="What `radspark evaluate --split validation --out` wrote with it.", metavar="DIR")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle: new, or empty.", metavar="DIR")],
    calibration: Annotated[str, typer.Option(help="none, platt, isotonic or temperature.")] = "none",
    sensitivity: Annotated[float, typer.Option(help="That the operating point of this name is to reach.")] = 0.9,
    specificity: Annotated[float, typer.Option(help="That the operating point of this name is to reach.")] = 0.9,
) -> None:
    """Choose calibration and operating points anew, on validation radiographs, and write the bundle with them.

    The network stays as it is.
    """
    from radspark.bundle import hash_weights, load_bundle, save_bundle
    from radspark.cli.results import read_metrics
    from radspark.cli.scored_table import ScoredTable
    from radspark.metrics.decision import fit_decision

    metrics = read_metrics(run)
    check_validation(metrics, run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgumentError(f"--out {out} must be a new or an empty folder.")
    loaded = load_bundle(bundle)
    if metrics.get("weights_sha256") not in (None, hash_weights(loaded)):
        raise DataError(f"{run} was evaluated with another network than that of {bundle}; give a run of this bundle.")
    table = ScoredTable.read(run / "predictions.parquet")
    if table.labels != loaded.labels:
        raise DataError(
            f"{run} was evaluated for {', '.join(table.labels)}, and the bundle gives {', '.join(loaded.labels)}; "
            "give a run of this bundle."
        )
    scores_NC = table.probabilities_NC if table.scores_NC is None else table.scores_NC
    decision = fit_decision(
        table.labels_NC,
        scores_NC,
        table.labels,
        calibration=calibration,
        sensitivity=sensitivity,
        specificity=specificity,
    )
    if few := find_few(table):
        logger.warning(
            "fewer than %d validation radiographs have, or lack, %s: what is chosen for them rests on few",
            MIN_RADIOGRAPHS,
            ", ".join(few),
        )
    save_bundle(dataclasses.replace(loaded, decision=decision.to_dict()), out)
    console.print(points_table(decision, table.labels))
    say(f"\nchosen on {decision.num_samples:,} radiographs; bundle  {out}")


def check_validation(metrics: Mapping[str, Any], run: Path) -> None:
    """Check that a run was on single validation radiographs: what is chosen on the test split is not tested there.

    Raises:
        DataError: it was on another split, or on studies, of which one probability stands for several views.
    """
    split = metrics.get("split")
    if split != "validation":
        what = f"the {split} split" if split else "given predictions"
        raise DataError(
            f"{run} is of {what}, and thresholds are chosen on validation; evaluate with --split validation."
        )
    if metrics.get("combined"):
        raise DataError(
            f"{run} has the views of a study together, and a bundle scores single radiographs; evaluate without "
            "--combine."
        )


def find_few(table: ScoredTable) -> list[str]:
    """Findings that few of the radiographs are known to have, or to lack."""
    smaller_class_C = np.minimum((table.labels_NC == 1).sum(axis=0), (table.labels_NC == 0).sum(axis=0))
    return [name for name, count in zip(table.labels, smaller_class_C, strict=True) if count < MIN_RADIOGRAPHS]


def points_table(decision: Decision, labels: LabelSet) -> Table:
    """Thresholds of each finding, a dash where one lacked a class."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("threshold", overflow="fold")
    for point in decision.thresholds:
        table.add_column(point, justify="right")
    for name in labels:
        values = (decision.thresholds[point].get(name) for point in decision.thresholds)
        table.add_row(name, *("–" if value is None else f"{value:.4f}" for value in values))
    return table
