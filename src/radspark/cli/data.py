"""`radspark data`: make a synthetic data set, and check a real one before it is used."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radspark.cli.console import console, say, working
from radspark.cli.options import (
    DATA,
    Conf,
    DataDir,
    DatasetName,
    Master,
    SplitPolicyName,
    ValidationShare,
    check_data_choice,
    make_output_folder,
    parse_conf,
)
from radspark.cli.unreadable import FILE_NAME, write_unreadable

if TYPE_CHECKING:
    from rich.table import Table

    from radspark.datasets.phantom import PhantomSummary
    from radspark.samples.check import DatasetCheck

app = typer.Typer(help="Make a synthetic data set, or check one.", no_args_is_help=True)

FAULTY = 3


PHANTOM_EXAMPLES = """Example:

  radspark data phantom --out phantom --images 2000

  radspark train --dataset nih --data-dir phantom --out runs/phantom --backbone resnet18 --image-size 128"""

CHECK_EXAMPLES = """Example:

  radspark data check --dataset nih --data-dir ChestX-ray14 --out check

Exit code: 0 if all is well, 3 if some files cannot be read or a patient stands in two splits."""


@app.command("phantom", epilog=PHANTOM_EXAMPLES)
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write; empty, or an earlier phantom.")],
    images: Annotated[int, typer.Option(help="Number of radiographs.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 512,
) -> None:
    """Draw synthetic chest radiographs with NIH's 14 findings, in NIH's own layout, marked as synthetic."""
    make_phantom(out, num_images=images, seed=seed, size=size)


def make_phantom(out: Path, *, num_images: int, seed: int, size: int) -> PhantomSummary:
    """Draw a data set with a progress bar."""
    from rich.progress import Progress

    from radspark.datasets.phantom import write_phantom_dataset

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("drawing", total=num_images)
        summary = write_phantom_dataset(
            out,
            num_images=num_images,
            seed=seed,
            size=size,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    say(
        f"{summary.num_images:,} synthetic radiographs of {summary.num_patients:,} patients "
        f"({summary.num_train_val:,} train and validation, {summary.num_test:,} test; {summary.num_dicom:,} as DICOM): "
        f"{out}"
    )
    return summary


@app.command("check", epilog=CHECK_EXAMPLES)
def check(
    dataset: DatasetName,
    data_dir: DataDir,
    out: Annotated[
        Path | None, typer.Option(help="Folder for check.json, unreadable.csv and flagged.csv (which name files).")
    ] = None,
    split_policy: SplitPolicyName = "official",
    validation_share: ValidationShare = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split.", rich_help_panel=DATA)] = 0,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Count what is there, decode every radiograph, and look for leaks between splits."""
    check_data_choice(dataset, split_policy)
    settings = parse_conf(conf)
    if out is not None:
        make_output_folder(out)

    from radspark.datasets.reading import Source
    from radspark.frames import get_session
    from radspark.samples.check import check_dataset
    from radspark.settings import SplitSettings

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=settings)
    with working("decoding every radiograph ..."):
        split = SplitSettings(policy=split_policy, validation_share=validation_share, seed=seed)
        found = check_dataset(spark, Source(dataset, data_dir), split=split)
    say(found.counts.summary())
    console.print(_findings_table(found))
    for name, values in (("ages", found.ages), ("sexes", found.sexes), ("views", found.views)):
        say(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in values.items()))
    say(
        f"unreadable: {len(found.unreadable):,}   patients in more than one split: {found.leak.num_patients:,}",
        style="" if found.is_clean else "red",
    )
    for reason, count in found.to_dict()["unreadable_errors"].items():
        say(f"  {count:,} x {reason}")
    if found.flagged:
        say(f"readable, but odd: {len(found.flagged):,}")
    for warning, count in found.to_dict()["flagged_warnings"].items():
        say(f"  {count:,} x {warning}")
    if out is not None:
        _write_check(found, out)
    if not found.is_clean:
        raise typer.Exit(FAULTY)


def _findings_table(found: DatasetCheck) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("positives")
    for name in found.splits:
        table.add_column(name, justify="right")
    table.add_row("radiographs", *(f"{split.radiographs:,}" for split in found.splits.values()))
    table.add_row("patients", *(f"{split.patients:,}" for split in found.splits.values()))
    table.add_section()
    for finding in next(iter(found.splits.values())).findings:
        table.add_row(finding, *(f"{split.findings[finding].positives:,}" for split in found.splits.values()))
    return table


def _write_check(found: DatasetCheck, out: Path) -> None:
    (out / "check.json").write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    write_unreadable(found.unreadable, out / FILE_NAME)
    with (out / "flagged.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "warning"])
        writer.writerows(found.flagged)
