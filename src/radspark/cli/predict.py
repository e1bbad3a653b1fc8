"""`radspark predict`: probabilities for any files, one line each, whether they can be read or not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from radspark.cli.options import Conf, Master, make_output_folder, parse_conf

if TYPE_CHECKING:
    from radspark.labels import LabelSet

SOME_UNREADABLE = 3


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders or globs, on any file system of Spark.")
    ],
    bundle: Annotated[str, typer.Option(help="Folder of the bundle.")],
    out: Annotated[Path, typer.Option(help="File to write; its ending chooses the format: .csv, .parquet or .json.")],
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Score radiographs: a line for each file with path, error, and a probability per finding.

    Exit code 0 if all files were read, 3 if some were not.
    """
    if out.suffix not in WRITERS:
        raise ValueError(f"--out must end in {', '.join(WRITERS)}, got {out.name!r}.")
    make_output_folder(out.parent)

    from radspark.cli.screen import console
    from radspark.frames import get_session, read_images
    from radspark.ml import XRayModel

    spark = get_session(master=master, conf=parse_conf(conf))
    model = XRayModel.loadBundle(bundle)
    images = read_images(spark, paths, settings=model.bundle.preparation)
    with console.status("scoring ..."):
        rows = model.transform(images).select("path", "error", "probability").collect()
    rows.sort(key=lambda row: row["path"])
    WRITERS[out.suffix]((_line(row, model.labels) for row in rows), model.labels, out)
    unreadable = sum(row["error"] is not None for row in rows)
    console.print(f"{len(rows) - unreadable:,} radiographs scored, {unreadable:,} not readable: {out}")
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)


def _line(row: Any, labels: LabelSet) -> dict[str, Any]:
    probabilities = row["probability"] or [None] * len(labels)
    return {"path": row["path"], "error": row["error"], **dict(zip(labels, probabilities, strict=True))}


def _write_csv(lines: Iterable[Mapping[str, Any]], labels: LabelSet, file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["path", "error", *labels])
        writer.writeheader()
        writer.writerows(lines)


def _write_json(lines: Iterable[Mapping[str, Any]], _labels: LabelSet, file: Path) -> None:
    file.write_text(json.dumps(list(lines), indent=1) + "\n", encoding="utf-8")


def _write_parquet(lines: Iterable[Mapping[str, Any]], labels: LabelSet, file: Path) -> None:
    fields = [("path", pa.string()), ("error", pa.string()), *((name, pa.float32()) for name in labels)]
    pq.write_table(pa.Table.from_pylist(list(lines), schema=pa.schema(fields)), file)


WRITERS: dict[str, Callable[[Iterable[Mapping[str, Any]], Any, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".json": _write_json,
}
