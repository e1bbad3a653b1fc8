"""`radspark train`: its flags. What a run does and writes is training_run's business."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from radspark.cli.console import say
from radspark.cli.data_choice import choose_data
from radspark.cli.options import (
    Conf,
    DataDirs,
    DatasetNames,
    FindingNames,
    LabelRules,
    Master,
    SplitFile,
    SplitPolicyName,
    TestFrom,
    TestShare,
    TestSites,
    ValidationShare,
    parse_conf,
)
from radspark.cli.recipe_options import resolve_recipe, shown_default
from radspark.cli.training_run import train_to_folder, what_next
from radspark.settings import PRESETS, SplitSettings

RUN = "Run"
MODEL = "Model"
TRAINING = "Training"

EXAMPLES = """Examples:

  radspark train --dataset nih --data-dir ChestX-ray14 --out runs/first

  radspark train --dataset nih --data-dir ChestX-ray14 --out runs/r50 --preset deck-adam --batch-size 64

  radspark train --dataset nih --data-dir ChestX-ray14 --dataset chexpert --data-dir CheXpert-v1.0-small --out runs/both

  radspark train --dataset nih --data-dir ChestX-ray14 --out runs/again --recipe runs/first/recipe.toml --epochs 30

Every other choice (schedule, augmentation, ...) is set in a recipe; RUN/recipe.toml of any run shows all of them."""


def choice(section: str, name: str, text: str, *, panel: str, default: str | None = None, **more: Any) -> Any:
    """An option that changes one field of the recipe; its help shows the default of the default preset."""
    shown = shown_default(section, name) if default is None else default
    return typer.Option(help=text, show_default=shown, rich_help_panel=panel, **more)


def train(
    dataset: DatasetNames,
    data_dir: DataDirs,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the run, for bundle/, history.json, recipe.toml, report.html, checkpoints/ and "
            "tensorboard/.",
            metavar="RUN",
            rich_help_panel=RUN,
        ),
    ],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file with choices; flags win over it.", rich_help_panel=RUN)
    ] = None,
    preset: Annotated[
        str, typer.Option(help=f"Where all choices start: {', '.join(PRESETS)}.", rich_help_panel=RUN)
    ] = "default",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint in --out.", rich_help_panel=RUN)
    ] = False,
    split_policy: SplitPolicyName = "official",
    validation_share: ValidationShare = 0.1,
    test_share: TestShare = 0.2,
    test_site: TestSites = None,
    test_from: TestFrom = None,
    split_file: SplitFile = None,
    label_rule: LabelRules = None,
    findings: FindingNames = "common",
    backbone: Annotated[str | None, choice("model", "backbone", "Architecture, by timm's name.", panel=MODEL)] = None,
    weights: Annotated[
        str | None,
        choice(
            "model",
            "weights",
            "none, imagenet (downloaded by timm), or a .safetensors or state-dict file on any file system of Spark.",
            panel=MODEL,
        ),
    ] = None,
    truncate_at: Annotated[
        str | None,
        choice(
            "model",
            "truncate_at",
            "Last layer of the backbone that is kept.",
            panel=MODEL,
            default="all are kept",
            metavar="LAYER",
        ),
    ] = None,
    freeze_up_to: Annotated[
        str | None,
        choice(
            "model",
            "freeze_up_to",
            "Last layer whose weights stay as they are; `trunk` trains the head alone.",
            panel=MODEL,
            default="all are trained",
            metavar="LAYER",
        ),
    ] = None,
    dropout: Annotated[
        float | None, choice("model", "dropout", "Probability before the last, linear layer.", panel=MODEL)
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the prepared images in pixels; the network sees all of it unless --crop-size is given.",
            show_default="256, cropped to 224",
            rich_help_panel=MODEL,
        ),
    ] = None,
    crop_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the network's input, cut from the prepared image.",
            show_default="as --image-size; 224 if that is not given",
            rich_help_panel=MODEL,
        ),
    ] = None,
    epochs: Annotated[
        int | None, choice("training", "epochs", "Passes over the training images.", panel=TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, choice("training", "batch_size", "Images in a step, over all workers.", panel=TRAINING)
    ] = None,
    micro_batch_size: Annotated[
        int | None,
        choice("training", "micro_batch_size", "Most images in one forward pass: fewer, less memory.", panel=TRAINING),
    ] = None,
    optimizer: Annotated[str | None, choice("optimizer", "name", "sgd, adam, adamw or lars.", panel=TRAINING)] = None,
    learning_rate: Annotated[
        float | None,
        choice("optimizer", "learning_rate", "The peak, which the schedule multiplies.", panel=TRAINING),
    ] = None,
    weight_decay: Annotated[
        float | None,
        choice("optimizer", "weight_decay", "On kernels and matrices, not on biases and norms.", panel=TRAINING),
    ] = None,
    head_l2: Annotated[
        float | None,
        choice("optimizer", "head_l2", "L2 on the head alone.", panel=TRAINING),
    ] = None,
    clip_norm: Annotated[
        float | None,
        choice("optimizer", "clip_norm", "Largest norm of the gradient.", panel=TRAINING, default="no limit"),
    ] = None,
    workers: Annotated[
        int | None,
        choice("training", "num_workers", "Spark tasks that train.", panel=TRAINING, default="every free slot"),
    ] = None,
    shards: Annotated[
        int | None,
        choice(
            "training",
            "num_shards",
            "Fixed parts of the samples, which decide the result: the same number on any number of workers repeats it.",
            panel=TRAINING,
            default="as many as workers",
        ),
    ] = None,
    cores_per_worker: Annotated[
        int | None, choice("training", "cores_per_worker", "Threads of a worker.", panel=TRAINING)
    ] = None,
    device: Annotated[
        str | None,
        choice("training", "device", "What a worker trains on: cpu, or cuda, a GPU of its own.", panel=TRAINING),
    ] = None,
    synchronizer: Annotated[
        str | None,
        choice(
            "training",
            "synchronizer",
            "How gradients are summed: collective, by the workers among themselves, or sliced, by Spark's shuffle, a "
            "job a step: also where executors come and go by themselves.",
            panel=TRAINING,
        ),
    ] = None,
    exchange: Annotated[
        str | None,
        choice("training", "exchange", "In what gradients travel: float32 or bfloat16.", panel=TRAINING),
    ] = None,
    cache_level: Annotated[
        str | None,
        choice("training", "cache_level", "Where executors keep samples: disk, memory or none.", panel=TRAINING),
    ] = None,
    cache_gb: Annotated[
        float | None,
        choice(
            "training",
            "cache_gb",
            "Most GB of samples that an executor keeps.",
            panel=TRAINING,
            default="what is free there, but for 1 GB",
        ),
    ] = None,
    precision: Annotated[str | None, choice("training", "precision", "float32 or bfloat16.", panel=TRAINING)] = None,
    calibration: Annotated[
        str | None,
        choice(
            "decision",
            "calibration",
            "Fitted on validation at the end: none, platt, isotonic or temperature.",
            panel=TRAINING,
        ),
    ] = None,
    keep: Annotated[
        str | None, choice("training", "keep", "Weights of the best epoch (by --metric) or last.", panel=TRAINING)
    ] = None,
    metric: Annotated[
        str | None,
        choice(
            "training",
            "metric",
            "mean_auroc, mean_average_precision or loss, on the validation images.",
            panel=TRAINING,
        ),
    ] = None,
    early_stopping_patience: Annotated[
        int | None,
        choice(
            "training",
            "early_stopping_patience",
            "Training ends when --metric has not improved for more epochs than this.",
            panel=TRAINING,
            default="never",
        ),
    ] = None,
    max_unreadable: Annotated[
        float | None,
        choice("training", "max_unreadable", "Share of training images that may be unreadable.", panel=TRAINING),
    ] = None,
    seed: Annotated[
        int | None,
        choice("training", "seed", "Of splits, weights, order, augmentation and dropout.", panel=TRAINING),
    ] = None,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Train a classifier, and report how it does on the validation images.

    The test images are not touched: `radspark evaluate` opens them.
    """
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
        ("training", "num_shards"): shards,
        ("training", "cores_per_worker"): cores_per_worker,
        ("training", "device"): device,
        ("training", "synchronizer"): synchronizer,
        ("training", "exchange"): exchange,
        ("training", "cache_level"): cache_level,
        ("training", "cache_gb"): cache_gb,
        ("training", "precision"): precision,
        ("training", "keep"): keep,
        ("training", "metric"): metric,
        ("training", "early_stopping_patience"): early_stopping_patience,
        ("training", "max_unreadable"): max_unreadable,
        ("training", "seed"): seed,
        ("decision", "calibration"): calibration,
    }
    resolved = resolve_recipe(
        file=recipe, preset=preset, flags=flags, image_size=image_size, crop_size=crop_size, datasets=dataset
    )
    split = SplitSettings(
        split_policy,
        validation_share,
        test_share,
        resolved.training.seed,
        tuple(test_site or ()),
        test_from,
        split_file,
    )
    data = choose_data(dataset, data_dir, label_rules=label_rule or (), findings=findings, split=split)
    settings = parse_conf(conf)
    train_to_folder(resolved, data, out, resume=resume, master=master, conf=settings)
    say(what_next(out, data, master=master, conf=settings))
