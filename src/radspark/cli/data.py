"""`radspark data`: make a synthetic data set, check a real one before it is used, and prepare it for many uses."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radspark.cli.console import console, say, working
from radspark.cli.data_choice import choose_data
from radspark.cli.options import (
    DATA,
    Conf,
    DataDirs,
    DatasetNames,
    FindingNames,
    LabelRules,
    Master,
    PreparationRecipe,
    SplitFile,
    SplitPolicyName,
    TestFrom,
    TestShare,
    TestSites,
    ValidationShare,
    make_output_folder,
    parse_conf,
)
from radspark.cli.recipe_options import resolve_preparation
from radspark.cli.unreadable import FILE_NAME, write_unreadable
from radspark.errors import ArgumentError
from radspark.identifiers import get_identifiers
from radspark.samples.duplicates import Twins
from radspark.samples.prepared_set import PreparedSet
from radspark.settings import SplitSettings

if TYPE_CHECKING:
    from rich.table import Table

    from radspark.datasets.phantom import PhantomSummary
    from radspark.samples.check import DatasetCheck
    from radspark.samples.check_counts import SplitCheck

app = typer.Typer(help="Make a synthetic data set; check or prepare one.", no_args_is_help=True)

FAULTY = 3
STOPPED = 130


PHANTOM_EXAMPLES = """Example:

  radspark data phantom --out phantom --images 2000

  radspark train --dataset nih --data-dir phantom --out runs/phantom --backbone resnet18 --image-size 128"""

CHECK_EXAMPLES = """Example:

  radspark data check --dataset nih --data-dir ChestX-ray14 --out check

Exit code: 0 if all is well, 3 if some files cannot be read, or patients or pixels stand in two splits."""

PREPARE_EXAMPLES = """Examples:

  radspark data prepare --dataset nih --data-dir ChestX-ray14 --out prepared

  radspark train --dataset prepared --data-dir prepared --out runs/first"""


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
    dataset: DatasetNames,
    data_dir: DataDirs,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for check.json, splits.csv, unreadable.csv, flagged.csv and duplicates.csv (which name files)."
        ),
    ] = None,
    split_policy: SplitPolicyName = "official",
    validation_share: ValidationShare = 0.1,
    test_share: TestShare = 0.2,
    test_site: TestSites = None,
    test_from: TestFrom = None,
    split_file: SplitFile = None,
    label_rule: LabelRules = None,
    findings: FindingNames = "common",
    seed: Annotated[int, typer.Option(help="Of the split.", rich_help_panel=DATA)] = 0,
    recipe: PreparationRecipe = None,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Count what is there, decode every radiograph, and look for patients and pixels in two splits."""
    split = SplitSettings(
        split_policy, validation_share, test_share, seed, tuple(test_site or ()), test_from, split_file
    )
    data = choose_data(dataset, data_dir, label_rules=label_rule or (), findings=findings, split=split)
    if isinstance(data.sources, PreparedSet):
        raise ArgumentError("--dataset must be a data set's layout: check the files that a prepared set is made of.")
    preparation = resolve_preparation(file=recipe, flags={}, datasets=dataset)
    settings = parse_conf(conf)
    if out is not None:
        make_output_folder(out)

    from radspark.frames import get_session
    from radspark.samples.check import check_dataset

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=settings)
    with ExitStack() as lasting:
        with working("decoding every radiograph ..."):
            checked = check_dataset(
                spark, data.sources, preparation=preparation, split=data.split, findings=data.findings
            )
            found = lasting.enter_context(checked)
        _say_check(found)
        if out is not None:
            _write_check(found, out)
    if not found.is_clean:
        raise typer.Exit(FAULTY)


@app.command("prepare", epilog=PREPARE_EXAMPLES)
def prepare(
    dataset: DatasetNames,
    data_dir: DataDirs,
    out: Annotated[str, typer.Option(help="Folder of the prepared set, on any file system of Spark.", metavar="DIR")],
    image_size: Annotated[
        int | None, typer.Option(help="Side of the prepared images in pixels.", show_default="256")
    ] = None,
    aspect: Annotated[str | None, typer.Option(help="stretch, or pad with black.", show_default="stretch")] = None,
    grey_range: Annotated[
        str | None, typer.Option(help="What maps to black and white; docs/data.md.", show_default="auto")
    ] = None,
    recipe: PreparationRecipe = None,
    split_policy: SplitPolicyName = "official",
    validation_share: ValidationShare = 0.1,
    test_share: TestShare = 0.2,
    test_site: TestSites = None,
    test_from: TestFrom = None,
    split_file: SplitFile = None,
    label_rule: LabelRules = None,
    findings: FindingNames = "common",
    seed: Annotated[int, typer.Option(help="Of the split.", rich_help_panel=DATA)] = 0,
    identifiers: Annotated[
        str,
        typer.Option(
            help="Patients and studies in the set: hash, or keep. Images keep their ids, which are files' names.",
            rich_help_panel=DATA,
        ),
    ] = "hash",
    files_per_batch: Annotated[int, typer.Option(help="Files between two states that last.")] = 10_000,
    watch: Annotated[
        float | None,
        typer.Option(
            help="Look for new files so often, until Ctrl-C.", show_default="once, for what is there", metavar="SECONDS"
        ),
    ] = None,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Decode radiographs once and keep them as Parquet, for `train` and `evaluate` as --dataset prepared.

    The same command again goes on where it stopped, and adds new files.
    """
    split = SplitSettings(
        split_policy, validation_share, test_share, seed, tuple(test_site or ()), test_from, split_file
    )
    data = choose_data(dataset, data_dir, label_rules=label_rule or (), findings=findings, split=split)
    if isinstance(data.sources, PreparedSet):
        raise ArgumentError("--dataset must be a data set's layout, not a prepared set.")
    flags = {"size": image_size, "aspect": aspect, "grey_range": grey_range}
    preparation = resolve_preparation(file=recipe, flags=flags, datasets=dataset)
    settings = parse_conf(conf)
    hashed = get_identifiers(identifiers)

    from radspark.frames import get_session
    from radspark.samples.prepare import prepare_samples

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=settings)
    try:
        with working("preparing ..."):
            manifest = prepare_samples(
                spark,
                data.sources,
                out,
                preparation=preparation,
                split=data.split,
                findings=data.findings,
                identifiers=hashed,
                files_per_batch=files_per_batch,
                watch_seconds=watch,
            )
    except KeyboardInterrupt:
        say("\nstopped; the batches that were written stay. The same command goes on.", style="yellow")
        raise typer.Exit(STOPPED) from None
    splits = ", ".join(f"{count:,} {name}" for name, count in manifest.by_split.items())
    say(f"{manifest.num_samples:,} samples ({splits}) in {len(manifest.batches):,} batches: {out}")
    say(f"{manifest.num_refused:,} files refused: {out}/quarantine", style="yellow" if manifest.num_refused else "")
    say(f"fingerprint: {manifest.fingerprint}")


def _say_check(found: DatasetCheck) -> None:
    radiographs, leak = found.radiographs, found.pixel_leak
    say(found.counts.summary())
    console.print(_findings_table(radiographs.splits))
    for name, values in (("ages", radiographs.ages), ("sexes", radiographs.sexes), ("views", radiographs.views)):
        say(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in values.items()))
    say(
        f"unreadable: {radiographs.unreadable:,}   patients in more than one split: {found.leak.num_patients:,}   "
        f"same pixels in two splits: {leak.num_exact:,}   near twins: {leak.num_near:,}",
        style="" if found.is_clean else "red",
    )
    for reason, count in radiographs.unreadable_errors.items():
        say(f"  {count:,} x {reason}")
    if radiographs.flagged:
        say(f"readable, but odd: {radiographs.flagged:,}")
    for warning, count in radiographs.flagged_warnings.items():
        say(f"  {count:,} x {warning}")


def _findings_table(splits: Mapping[str, SplitCheck]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("positives")
    for name in splits:
        table.add_column(name, justify="right")
    table.add_row("radiographs", *(f"{split.radiographs:,}" for split in splits.values()))
    table.add_row("patients", *(f"{split.patients:,}" for split in splits.values()))
    table.add_section()
    for finding in next(iter(splits.values())).findings:
        table.add_row(finding, *(f"{split.findings[finding].positives:,}" for split in splits.values()))
    return table


def _write_check(found: DatasetCheck, out: Path) -> None:
    (out / "check.json").write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    write_unreadable(found.list_unreadable(), out / FILE_NAME)
    _write_csv(out / "flagged.csv", ("path", "warning"), found.list_flagged())
    _write_csv(out / "duplicates.csv", Twins._fields, found.pixel_leak.pairs)
    _write_csv(out / "splits.csv", ("image_id", "split"), found.list_placed())
    if len(found.pixel_leak.pairs) < found.pixel_leak.num_pairs:
        say(f"duplicates.csv names the nearest {len(found.pixel_leak.pairs):,} of {found.pixel_leak.num_pairs:,} pairs")


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)
