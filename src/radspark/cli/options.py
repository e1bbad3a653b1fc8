"""Options that several commands share, spelled and explained once, and the checks that need no Spark."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from radspark.datasets.registry import DATASETS
from radspark.datasets.schema import SPLITS
from radspark.datasets.splits import SPLIT_POLICIES
from radspark.errors import ArgumentError, SetupError

SPARK = "Spark"
DATA = "Data"
PROBE_BYTES = 4096
"""Written and removed again to see that a folder takes files: an empty file fits on a full disk."""

Master = Annotated[
    str | None,
    typer.Option(
        help="Spark's master URL: local[4], spark://host:7077, yarn, ...",
        show_default="embedded local[*]",
        metavar="URL",
        rich_help_panel=SPARK,
    ),
]
Conf = Annotated[
    list[str] | None,
    typer.Option("--conf", metavar="KEY=VALUE", help="A Spark setting; may be repeated.", rich_help_panel=SPARK),
]
DatasetNames = Annotated[
    list[str],
    typer.Option(
        "--dataset",
        help=f"Layout of the data: {', '.join(DATASETS)}, or prepared (what `radspark data prepare` wrote). May be "
        "repeated, each with its --data-dir.",
        metavar="NAME",
        rich_help_panel=DATA,
    ),
]
DataDirs = Annotated[
    list[str],
    typer.Option(
        "--data-dir",
        help="Folder with label table, lists and images, on any file system of Spark.",
        metavar="DIR",
        rich_help_panel=DATA,
    ),
]
LabelRules = Annotated[
    list[str] | None,
    typer.Option(
        "--label-rule",
        help="What becomes of labels, such as uncertain=ones; with several data sets chexpert.uncertain=ones. May be "
        "repeated; docs/data.md lists the rules.",
        show_default="each data set's own",
        metavar="RULE=VALUE",
        rich_help_panel=DATA,
    ),
]
FindingNames = Annotated[
    str,
    typer.Option(
        "--findings",
        help="Of several data sets: those common to all, all, or names with commas between.",
        metavar="WHICH",
        rich_help_panel=DATA,
    ),
]
SplitPolicyName = Annotated[
    str,
    typer.Option(
        "--split-policy",
        help=f"How the data are split: {', '.join(SPLIT_POLICIES)}. The last is only for comparison with results "
        "that were made so.",
        rich_help_panel=DATA,
    ),
]
ValidationShare = Annotated[
    float,
    typer.Option("--validation-share", help="Share of training patients kept for validation.", rich_help_panel=DATA),
]
TestShare = Annotated[
    float,
    typer.Option("--test-share", help="Share of patients who test, where they are drawn.", rich_help_panel=DATA),
]
TestSites = Annotated[
    list[str] | None,
    typer.Option(
        "--test-site",
        help="With --split-policy site: whose radiographs test. May be repeated.",
        show_default="none",
        metavar="SITE",
        rich_help_panel=DATA,
    ),
]
TestFrom = Annotated[
    str | None,
    typer.Option(
        "--test-from",
        help="With --split-policy date: patients first seen on this day or later test.",
        show_default="none",
        metavar="YYYY-MM-DD",
        rich_help_panel=DATA,
    ),
]
SplitFile = Annotated[
    str | None,
    typer.Option(
        "--split-file",
        help="With --split-policy file: CSV or Parquet with image_id and split, such as the splits.csv of `radspark "
        "data check`.",
        show_default="none",
        metavar="FILE",
        rich_help_panel=DATA,
    ),
]

PreparationRecipe = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="TOML file, such as the recipe.toml of a run, whose [preparation] is taken: windows, 16-bit PNGs, "
        "secondary captures, what is refused; docs/data.md.",
        show_default="what suits the data sets",
        metavar="FILE",
        rich_help_panel=DATA,
    ),
]


def parse_conf(settings: Sequence[str] | None) -> dict[str, str]:
    """KEY=VALUE pairs.

    Raises:
        ArgumentError: one has no `=`.
    """
    pairs = [item.partition("=") for item in settings or ()]
    for item, (_, equals, _) in zip(settings or (), pairs, strict=True):
        if not equals:
            raise ArgumentError(f"--conf must be KEY=VALUE, got {item!r}.")
    return {key: value for key, _, value in pairs}


def spark_words(master: str | None, conf: Mapping[str, str] | None) -> list[str]:
    """The options of a command that start the same Spark again."""
    words = ["--master", master] if master else []
    return words + [word for key, value in (conf or {}).items() for word in ("--conf", f"{key}={value}")]


def check_split(name: str) -> None:
    """Raise ArgumentError unless a split has this name; the message names the nearest."""
    if name not in SPLITS:
        near = difflib.get_close_matches(name, SPLITS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"--split must be one of {', '.join(SPLITS)}, got {name!r}.{hint}")


def make_output_folder(folder: Path) -> None:
    """Make a folder of this machine and see that it takes files, before hours of work end in it.

    Raises:
        ArgumentError: a URI, which would become a folder of that name here.
        SetupError: it cannot be made or written.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(folder)):
        raise ArgumentError(f"--out must be a path of this machine, got {str(folder)!r}; copy the results there later.")
    probe = folder / ".radspark-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"--out {folder} cannot be written ({error.strerror}); choose another place.") from error
