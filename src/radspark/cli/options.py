"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from radspark.datasets.registry import DATASETS, get_dataset
from radspark.datasets.splits import SPLIT_POLICIES

SPARK = "Spark"
DATA = "Data"

Master = Annotated[
    str | None,
    typer.Option(
        help="Spark's master URL: local[4], spark://host:7077, yarn, ... Default: embedded local[*].",
        rich_help_panel=SPARK,
    ),
]
Conf = Annotated[
    list[str] | None,
    typer.Option("--conf", metavar="KEY=VALUE", help="A Spark setting; may be repeated.", rich_help_panel=SPARK),
]
DatasetName = Annotated[
    str, typer.Option("--dataset", help=f"Layout of the data: {', '.join(DATASETS)}.", rich_help_panel=DATA)
]
DataDir = Annotated[
    str,
    typer.Option(
        "--data-dir",
        help="Folder with label table, lists and images, on any file system of Spark.",
        rich_help_panel=DATA,
    ),
]
SplitPolicyName = Annotated[
    str,
    typer.Option(
        "--split-policy",
        help=f"How patients are split: {', '.join(SPLIT_POLICIES)}.",
        rich_help_panel=DATA,
    ),
]


def parse_conf(settings: Sequence[str] | None) -> dict[str, str]:
    """KEY=VALUE pairs.

    Raises:
        typer.BadParameter: one has no `=`.
    """
    pairs = [item.partition("=") for item in settings or ()]
    for item, (_, equals, _) in zip(settings or (), pairs, strict=True):
        if not equals:
            raise typer.BadParameter(f"--conf must be KEY=VALUE, got {item!r}.")
    return {key: value for key, _, value in pairs}


def check_dataset_name(name: str) -> None:
    """Raise ValueError for an unknown data set, before Spark starts."""
    get_dataset(name)


def make_output_folder(folder: Path) -> None:
    """Make the folder and see that it can be written, before hours of work end in it.

    Raises:
        OSError: it cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".radspark-write-test"
    probe.write_bytes(b"")
    probe.unlink()
