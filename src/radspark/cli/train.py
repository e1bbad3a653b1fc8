"""`radspark train`: from a data set to a run folder with bundle, history, resolved recipe and report."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radspark.cli.options import (
    Conf,
    DataDir,
    DatasetName,
    Master,
    SplitPolicyName,
    check_dataset_name,
    make_output_folder,
    parse_conf,
)
from radspark.cli.recipe_options import resolve_recipe, write_recipe
from radspark.settings import PRESETS, Recipe, to_dict

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from radspark.ml import XRayModel
    from radspark.samples.join import MatchedLabels

logger = logging.getLogger(__name__)

MODEL = "Model"
TRAINING = "Training"


def train(
    dataset: DatasetName,
    data_dir: DataDir,
    out: Annotated[Path, typer.Option(help="Folder of the run: bundle/, history.json, recipe.toml, report.html.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file with choices; flags win over it.")] = None,
    preset: Annotated[str, typer.Option(help=f"Where all choices start: {', '.join(PRESETS)}.")] = "default",
    split_policy: SplitPolicyName = "official",
    validation_share: Annotated[float, typer.Option(help="Share of training patients kept for validation.")] = 0.1,
    backbone: Annotated[str | None, typer.Option(help="timm architecture.", rich_help_panel=MODEL)] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="none, imagenet (downloaded by timm), or a .safetensors or state-dict file on any file system of "
            "Spark.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    truncate_at: Annotated[
        str | None, typer.Option(help="Last layer of the backbone that is kept.", rich_help_panel=MODEL)
    ] = None,
    freeze_up_to: Annotated[
        str | None,
        typer.Option(help="Layer up to which weights stay; trunk trains the head alone.", rich_help_panel=MODEL),
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Before the linear layer.", rich_help_panel=MODEL)] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the prepared images; the network sees all of it unless --crop-size is given.  "
            "[default: 256, cropped to 224]",
            rich_help_panel=MODEL,
        ),
    ] = None,
    crop_size: Annotated[
        int | None, typer.Option(help="Side of the network's input, cut from the image.", rich_help_panel=MODEL)
    ] = None,
    epochs: Annotated[int | None, typer.Option(rich_help_panel=TRAINING)] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples per step over all workers.", rich_help_panel=TRAINING)
    ] = None,
    micro_batch_size: Annotated[
        int | None, typer.Option(help="Most samples in one forward pass: less memory.", rich_help_panel=TRAINING)
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adam, adamw, lars.", rich_help_panel=TRAINING)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate.", rich_help_panel=TRAINING)] = None,
    weight_decay: Annotated[float | None, typer.Option(rich_help_panel=TRAINING)] = None,
    head_l2: Annotated[float | None, typer.Option("--head-l2", rich_help_panel=TRAINING)] = None,
    clip_norm: Annotated[float | None, typer.Option(rich_help_panel=TRAINING)] = None,
    workers: Annotated[
        int | None, typer.Option(help="Spark tasks that train.  [default: every free slot]", rich_help_panel=TRAINING)
    ] = None,
    cores_per_worker: Annotated[int | None, typer.Option(rich_help_panel=TRAINING)] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.", rich_help_panel=TRAINING)] = None,
    keep: Annotated[str | None, typer.Option(help="best (by --metric) or last.", rich_help_panel=TRAINING)] = None,
    metric: Annotated[
        str | None, typer.Option(help="mean_auroc, mean_average_precision or loss.", rich_help_panel=TRAINING)
    ] = None,
    early_stopping_patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before the end.", rich_help_panel=TRAINING)
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=TRAINING)] = None,
    max_unreadable: Annotated[
        float | None, typer.Option(help="Share of unreadable training images allowed.", rich_help_panel=TRAINING)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint in --out.")] = False,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Train a classifier; the report shows validation only, `radspark evaluate` opens the test set."""
    flags = {
        ("model", "backbone"): backbone,
        ("model", "weights"): weights,
        ("model", "truncate_at"): truncate_at,
        ("model", "freeze_up_to"): freeze_up_to,
        ("model", "dropout"): dropout,
        ("training", "epochs"): epochs,
        ("training", "batch_size"): batch_size,
        ("training", "micro_batch_size"): micro_batch_size,
        ("optimizer", "name"): optimizer,
        ("optimizer", "learning_rate"): learning_rate,
        ("optimizer", "weight_decay"): weight_decay,
        ("optimizer", "head_l2"): head_l2,
        ("optimizer", "clip_norm"): clip_norm,
        ("training", "num_workers"): workers,
        ("training", "cores_per_worker"): cores_per_worker,
        ("training", "precision"): precision,
        ("training", "keep"): keep,
        ("training", "metric"): metric,
        ("training", "early_stopping_patience"): early_stopping_patience,
        ("training", "seed"): seed,
        ("training", "max_unreadable"): max_unreadable,
    }
    resolved = resolve_recipe(file=recipe, preset=preset, flags=flags, image_size=image_size, crop_size=crop_size)
    train_to_folder(
        resolved,
        TrainingData(dataset, data_dir, split_policy, validation_share),
        out,
        resume=resume,
        master=master,
        conf=parse_conf(conf),
    )


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a run is trained on."""

    dataset: str
    data_dir: str
    split_policy: str = "official"
    validation_share: float = 0.1


def train_to_folder(
    recipe: Recipe,
    data: TrainingData,
    out: Path,
    *,
    resume: bool = False,
    master: str | None = None,
    conf: dict[str, str] | None = None,
) -> XRayModel:
    """Train and write the run folder."""
    check_dataset_name(data.dataset)
    make_output_folder(out)

    from radspark.cli.screen import TrainingScreen, console
    from radspark.engine.observer import TensorBoardObserver
    from radspark.frames.session import get_session
    from radspark.ml import XRayClassifier
    from radspark.nn.backbones import check_backbone
    from radspark.samples.join import decode_matched, match_labels

    check_backbone(recipe.model.backbone)
    spark = get_session(master=master, conf=conf)
    matched = match_labels(
        spark,
        data.dataset,
        data.data_dir,
        split_policy=data.split_policy,
        validation_share=data.validation_share,
        seed=recipe.training.seed,
    )
    console.print(matched.counts.summary())
    write_recipe(recipe, dataclasses.asdict(data), out / "recipe.toml")
    events = TensorBoardObserver(out / "tensorboard")
    try:
        with TrainingScreen() as screen:
            estimator = XRayClassifier(
                recipe=recipe,
                findings=list(matched.labels),
                observers=(screen, events),
                checkpointDir=str(out / "checkpoints"),
                resume=resume,
            )
            splits = tuple(split for split in ("train", "validation") if matched.counts.by_split[split]) or ("train",)
            model = estimator.fit(decode_matched(matched, preparation=recipe.preparation, splits=splits))
    except KeyboardInterrupt:
        console.print(_how_to_resume(out), style="yellow")
        raise typer.Exit(130) from None
    finally:
        events.close()
    _write_results(spark, model, recipe, data, matched, out)
    console.print(f"\nbundle   {out / 'bundle'}\nreport   {out / 'report.html'}\nhistory  {out / 'history.json'}")
    console.print(
        f"next     radspark evaluate --bundle {out / 'bundle'} --dataset {data.dataset} --data-dir {data.data_dir} "
        f"--split test --out {out / 'test'}"
    )
    return model


def _how_to_resume(out: Path) -> str:
    if any((out / "checkpoints").glob("step-*")):
        return f"\nstopped; the last checkpoint is whole. Go on with the same command and --resume (--out {out})."
    return "\nstopped before the first checkpoint; start again with the same command."


def _write_results(
    spark: SparkSession, model: XRayModel, recipe: Recipe, data: TrainingData, matched: MatchedLabels, out: Path
) -> None:
    from radspark.cli.examples import pick_examples
    from radspark.cli.facts import data_summary, is_synthetic, package_versions
    from radspark.metrics import evaluate_scores, roc_curves
    from radspark.report import TrainingReport, write_training_report

    summary = model.summary
    assert summary is not None, "a fitted model has a summary"
    synthetic = is_synthetic(spark, data.data_dir)
    facts = {"dataset": data.dataset, "synthetic": synthetic, **model.bundle.training}
    model.bundle = dataclasses.replace(model.bundle, training=facts)
    model.saveBundle(str(out / "bundle"))
    (out / "history.json").write_text(json.dumps(summary.record.to_dict(), indent=2) + "\n", encoding="utf-8")
    write_unreadable(summary.unreadable, out / "unreadable.csv")
    kept = summary.kept
    if not len(kept.labels_NC):
        logger.warning("no validation samples: no report was written")
        return
    write_training_report(
        out / "report.html",
        TrainingReport(
            title="Training report",
            data=data_summary(
                {split: (counts.readable, counts.unreadable) for split, counts in summary.counts.items()},
                matched,
                data.dataset,
                synthetic=synthetic,
            ),
            evaluation=evaluate_scores(kept.labels_NC, kept.probabilities_NC, model.labels),
            curves=roc_curves(kept.labels_NC, kept.probabilities_NC, model.labels),
            examples=pick_examples(matched.frame, model.bundle, split="validation"),
            recipe=to_dict(recipe),
            versions=package_versions(),
            created=datetime.date.today().isoformat(),
            history=[dataclasses.asdict(epoch) for epoch in summary.record.epochs],
            kept_epoch=kept.epoch,
            keep=recipe.training.keep,
            metric=recipe.training.metric,
        ),
    )


def write_unreadable(unreadable: Sequence[tuple[str, str]], file: Path) -> None:
    """A table of the images that were left out; none is written if all were read."""
    if not unreadable:
        return
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "error"])
        writer.writerows(unreadable)
    logger.warning("%d images could not be read and were left out; %s names them", len(unreadable), file.name)
