"""`radspark predict`: probabilities for any files, one line each, whether they can be read or not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from radspark.cli.console import say, working, working_on
from radspark.cli.options import Conf, Master, make_output_folder, parse_conf
from radspark.errors import ArgumentError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from radspark.cli.inputs import Inputs
    from radspark.labels import LabelSet
    from radspark.ml import XRayModel

SOME_UNREADABLE = 3
PRESENT = "_present"
"""Ends the column of a finding that says yes or no."""
SCORE = "_score"
"""Ends the column of a finding that holds the network's own probability, where the bundle's are calibrated."""
ENDINGS = (".csv", ".parquet", ".json")

EXAMPLES = """Examples:

  radspark predict --bundle runs/first/bundle scan.dcm --out scan.csv

  radspark predict --bundle runs/first/bundle inbox/ extra/*.png --out scores.parquet

Exit code: 0 if all inputs were scored, 3 if some were not; each of these has a line that says why."""


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders (with all below them) or globs, on any file system of Spark: PNG, JPEG or DICOM. "
            "In folders, names that begin with _ or a dot are passed over.",
            show_default=False,
        ),
    ],
    bundle: Annotated[str, typer.Option(help="Folder of the bundle, on any file system of Spark.", metavar="DIR")],
    out: Annotated[
        Path,
        typer.Option(help=f"File to write; its ending chooses the format: {', '.join(ENDINGS)}.", metavar="FILE"),
    ],
    operating_point: Annotated[
        str | None,
        typer.Option(
            help="Of the bundle, by which findings are called present: youden, sensitivity or specificity. Adds a "
            "column FINDING_present for each.",
            show_default="probabilities alone",
        ),
    ] = None,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Score radiographs: a line for each input with its path, its error, and a probability per finding.

    Lines are in the order of their paths. Of a calibrated bundle each finding has FINDING_score too, the uncalibrated.
    """
    if out.suffix not in WRITERS:
        raise ArgumentError(f"--out must end in {', '.join(ENDINGS)}, got {out.name!r}.")
    settings = parse_conf(conf)
    make_output_folder(out.parent)

    from radspark.cli.inputs import find_inputs
    from radspark.frames import get_session
    from radspark.ml import XRayModel

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=settings)
    model = XRayModel.loadBundle(bundle)
    thresholds = None if operating_point is None else model.decision.thresholds_at(operating_point)
    with working_on(spark, "scoring the given radiographs"):
        inputs = find_inputs(spark, paths)
        lines = score_inputs(spark, model, inputs)
    if thresholds is not None:
        lines = [{**line, **call_present(line, model.labels, thresholds)} for line in lines]
    WRITERS[out.suffix](lines, model.labels, out)
    unreadable = sum(line["error"] is not None for line in lines)
    say(f"{len(lines) - unreadable:,} scored, {unreadable:,} not, each with its error: {out}")
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)


def score_inputs(spark: SparkSession, model: XRayModel, inputs: Inputs) -> list[dict[str, Any]]:
    """A line for each file, and for each input without one, in the order of their paths."""
    from radspark.cli.inputs import shown_path
    from radspark.frames import read_images

    images = read_images(spark, inputs.present, settings=model.bundle.preparation)
    endings = {"probability": "", **({"score": SCORE} if model.decision.calibration else {})}
    rows = model.transform(images).select("path", "error", *endings).collect()
    lines = {
        shown_path(row["path"]): _line(row["error"], {end: row[name] for name, end in endings.items()}, model.labels)
        for row in rows
    }
    for path, error in (*inputs.absent, *inputs.without_row(tuple(lines))):
        lines[path] = _line(error, dict.fromkeys(endings.values()), model.labels)
    return [{"path": path, **lines[path]} for path in sorted(lines)]


def call_present(line: Mapping[str, Any], labels: LabelSet, thresholds: Mapping[str, float]) -> dict[str, bool | None]:
    """`FINDING_present` by the thresholds; None where there is no probability, or no threshold was found."""
    return {
        f"{name}{PRESENT}": None
        if line[name] is None or name not in thresholds
        else bool(np.float32(line[name]) >= np.float32(thresholds[name]))
        for name in labels
    }


def _line(error: str | None, figures: Mapping[str, Sequence[float] | None], labels: LabelSet) -> dict[str, Any]:
    """Figures by the ending of their columns' names."""
    line: dict[str, Any] = {"error": error}
    for ending, values in figures.items():
        # The shortest decimals that give the same float32: 0.1234, not 0.12340000271797180.
        shown = [None] * len(labels) if values is None else [float(str(np.float32(value))) for value in values]
        line |= {f"{name}{ending}": value for name, value in zip(labels, shown, strict=True)}
    return line


def _write_csv(lines: Sequence[Mapping[str, Any]], _labels: LabelSet, file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def _write_json(lines: Sequence[Mapping[str, Any]], _labels: LabelSet, file: Path) -> None:
    file.write_text(json.dumps(list(lines), indent=1) + "\n", encoding="utf-8")


def _write_parquet(lines: Sequence[Mapping[str, Any]], labels: LabelSet, file: Path) -> None:
    fields = [("path", pa.string()), ("error", pa.string()), *((name, pa.float32()) for name in labels)]
    for ending, kind in ((SCORE, pa.float32()), (PRESENT, pa.bool_())):
        fields += [(f"{name}{ending}", kind) for name in labels if f"{name}{ending}" in lines[0]]
    pq.write_table(pa.Table.from_pylist(list(lines), schema=pa.schema(fields)), file)


WRITERS: dict[str, Callable[[Sequence[Mapping[str, Any]], Any, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".json": _write_json,
}
