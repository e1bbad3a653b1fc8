"""`radspark demo`: the whole pipeline on synthetic radiographs, in a few minutes on a laptop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from radspark.cli.console import command_name, say
from radspark.cli.data import make_phantom
from radspark.cli.data_choice import choose_data
from radspark.cli.evaluate_bundle import evaluate_to_folder
from radspark.cli.options import Conf, Master, make_output_folder, parse_conf
from radspark.cli.training_run import train_to_folder
from radspark.settings import (
    AugmentationSettings,
    Cosine,
    ModelSettings,
    OptimizerSettings,
    PreparationSettings,
    Recipe,
    TrainingSettings,
    Warmup,
)

NUM_IMAGES = 1700
IMAGE_SIZE = 256
RECIPE = Recipe(
    preparation=PreparationSettings(size=144),
    augmentation=AugmentationSettings(flip=0.5, crop="random"),
    model=ModelSettings(backbone="test_resnet", input_size=128, mean=127.5, std=63.75, dropout=0.2),
    optimizer=OptimizerSettings(name="adamw", learning_rate=4e-3, weight_decay=0.01),
    schedule=(Warmup(epochs=1.0, start_factor=0.05), Cosine()),
    training=TrainingSettings(epochs=24, batch_size=32, micro_batch_size=32),
)
"""A network small enough to be trained from random weights in minutes."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-out"),
    images: Annotated[int, typer.Option(help="Synthetic radiographs to draw.")] = NUM_IMAGES,
    seed: Annotated[int, typer.Option(help="Of drawing and training.")] = 0,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Draw synthetic radiographs, train on embedded Spark, and test: see what radspark does without any data."""
    settings = parse_conf(conf)
    make_output_folder(out)
    say("This is synthetic data: the figures show that the pipeline works, not what it does on patients.\n")
    data_dir = out / "data"
    make_phantom(data_dir, num_images=images, seed=seed, size=IMAGE_SIZE)
    run = out / "run"
    shutil.rmtree(run, ignore_errors=True)
    train_to_folder(RECIPE, choose_data(["nih"], [str(data_dir)]), run, master=master, conf=settings)
    evaluate_to_folder(str(run / "bundle"), "nih", str(data_dir), out, split="test", master=master, conf=settings)
    shutil.rmtree(out / "bundle", ignore_errors=True)
    shutil.copytree(run / "bundle", out / "bundle")
    say(
        f"\nreport       {out / 'report.html'}   (open it in a browser)\n"
        f"training     {run / 'report.html'}\n"
        f"metrics      {out / 'metrics.json'}\n"
        f"predictions  {out / 'predictions.parquet'}\n"
        f"bundle       {out / 'bundle'}\n\n"
        f"next: score any PNG, JPEG or DICOM file\n"
        f"  {command_name()} predict --bundle {out / 'bundle'} {data_dir / 'dicom'} --out {out / 'scores.csv'}\n"
        f"or train on real radiographs\n"
        f"  {command_name()} train --dataset nih --data-dir ChestX-ray14 --out runs/first --backbone densenet121"
    )
