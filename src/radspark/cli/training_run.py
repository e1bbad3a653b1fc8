"""One training run and its folder: what is checked before, what is written after, and what is said if it is stopped."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from radspark.cli.console import command_name, say, working, working_on
from radspark.cli.data_choice import DataChoice
from radspark.cli.options import make_output_folder, spark_words
from radspark.cli.unreadable import FILE_NAME, write_unreadable
from radspark.errors import SetupError, TrainingError
from radspark.samples.prepared_set import PreparedSet
from radspark.settings import Recipe, to_dict

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from radspark.engine.observer import Observer
    from radspark.ml import XRayModel
    from radspark.samples.combine import MatchedLabels

logger = logging.getLogger(__name__)

STOPPED = 130
REPORT_FILE = "report.html"


def train_to_folder(
    recipe: Recipe,
    data: DataChoice,
    out: Path,
    *,
    resume: bool = False,
    master: str | None = None,
    conf: dict[str, str] | None = None,
) -> XRayModel:
    """Train and write the run folder; what to do next is for the caller to say."""
    make_output_folder(out)
    _check_recipe(recipe)
    _check_folder(out, recipe, resume=resume)

    from radspark.cli.recipe_writer import RecipeWriter
    from radspark.cli.screen import TrainingScreen
    from radspark.engine.observer import TensorBoardObserver
    from radspark.engine.slots import choose_num_workers
    from radspark.frames.session import get_session
    from radspark.samples.join import match_labels

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=conf)
    choose_num_workers(spark, recipe.training)
    with working("matching labels and radiographs ..."):
        matched = match_labels(spark, data.sources, split=data.split, findings=data.findings)
    say(matched.counts.summary())
    if not matched.counts.by_split["validation"]:
        logger.warning(
            "no image is left for validation: the last weights are kept, and no report is written; "
            "raise --validation-share"
        )
    writer = RecipeWriter(recipe, data.to_dict(), out / "recipe.toml")
    events = TensorBoardObserver(out / "tensorboard")
    try:
        with TrainingScreen() as screen:
            model = _fit(recipe, matched, out, resume=resume, observers=(writer, screen, events))
    except KeyboardInterrupt:
        say(_how_to_resume(out, data, master=master, conf=conf), style="yellow")
        raise typer.Exit(STOPPED) from None
    finally:
        events.close()
    with working_on(spark, "writing the report"):
        _write_results(spark, model, recipe, data, matched, out)
    return model


def _check_recipe(recipe: Recipe) -> None:
    """What is wrong with a recipe whatever the data, found before Spark starts."""
    from radspark.metrics import METRICS
    from radspark.nn.backbones import check_backbone
    from radspark.nn.schedules import Schedule
    from radspark.nn.watch import check_metric

    check_backbone(recipe.model.backbone)
    check_metric(recipe.training.metric, METRICS, setting="training.metric")
    Schedule(recipe.schedule, recipe.optimizer.learning_rate, recipe.training.epochs).check(METRICS)


def _check_folder(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """A run folder holds one run: it is resumed with its own choices, or it is left alone.

    Raises:
        SetupError: it holds an earlier run, and this one is to be new.
        TrainingError: there is nothing to resume, or other choices were made.
    """
    from radspark.engine.checkpoint import CheckpointFolder, check_choices

    if not resume:
        if any((out / "checkpoints").glob("step-*")) or (out / "bundle").exists():
            raise SetupError(
                f"--out {out} holds an earlier run; add --resume to go on with it, or choose another --out."
            )
        for leftover in ("checkpoints", "tensorboard"):
            shutil.rmtree(out / leftover, ignore_errors=True)
        return
    checkpoint = CheckpointFolder(out / "checkpoints").load_newest()
    if checkpoint is None:
        raise TrainingError(f"--out {out} holds no checkpoint to resume from; leave --resume out to start anew.")
    try:
        check_choices(recipe, checkpoint)
    except TrainingError as error:
        raise TrainingError(f"{error} That recipe is --recipe {out / 'recipe.toml'}") from error


def _fit(
    recipe: Recipe, matched: MatchedLabels, out: Path, *, resume: bool, observers: Sequence[Observer]
) -> XRayModel:
    from radspark.ml import XRayClassifier
    from radspark.samples.join import decode_matched

    estimator = XRayClassifier(
        recipe=recipe,
        findings=list(matched.labels),
        observers=observers,
        checkpointDir=str(out / "checkpoints"),
        resume=resume,
    )
    splits = tuple(split for split in ("train", "validation") if matched.counts.by_split[split]) or ("train",)
    return estimator.fit(decode_matched(matched, preparation=recipe.preparation, splits=splits))


def _how_to_resume(out: Path, data: DataChoice, *, master: str | None, conf: dict[str, str] | None) -> str:
    if not any((out / "checkpoints").glob("step-*")):
        return "\nstopped before the first checkpoint; start again with the same command."
    words = [*data.words(), "--out", str(out), "--recipe", str(out / "recipe.toml")]
    words += spark_words(master, conf)
    return (
        f"\nstopped; the last checkpoint is whole. To go on:\n"
        f"  {command_name()} {shlex.join(['train', *words, '--resume'])}"
    )


def what_next(out: Path, data: DataChoice, *, master: str | None, conf: dict[str, str] | None) -> str:
    """Where a run's results are, and the command that tests them."""
    first = dataclasses.replace(
        data, sources=data.sources if isinstance(data.sources, PreparedSet) else data.sources[:1]
    )
    words = ["evaluate", "--bundle", str(out / "bundle"), *first.source_words()]
    words += first.split_file_words()
    words += ["--out", str(out / "test"), *spark_words(master, conf)]
    report = out / REPORT_FILE
    return (
        f"\nbundle   {out / 'bundle'}\n"
        + (f"report   {report}\n" if report.exists() else "")
        + f"history  {out / 'history.json'}\n\nnext, open the test set:\n  {command_name()} {shlex.join(words)}"
    )


def _write_results(
    spark: SparkSession, model: XRayModel, recipe: Recipe, data: DataChoice, matched: MatchedLabels, out: Path
) -> None:
    from radspark.cli.examples import pick_examples
    from radspark.cli.facts import data_summary, package_versions
    from radspark.metrics import evaluate_scores, roc_curves
    from radspark.report import TrainingReport, write_training_report

    summary = model.summary
    assert summary is not None, "a fitted model has a summary"
    title, synthetic = data.describe(spark, matched)
    facts = {"synthetic": synthetic, **model.bundle.training}
    model.bundle = dataclasses.replace(model.bundle, training=facts)
    model.saveBundle(str(out / "bundle"))
    (out / "history.json").write_text(json.dumps(summary.record.to_dict(), indent=2) + "\n", encoding="utf-8")
    left_out = out / FILE_NAME
    if summary.unreadable:
        write_unreadable(summary.unreadable, left_out)
        say(f"\n{len(summary.unreadable):,} images could not be read and were left out: {left_out}", style="yellow")
    else:
        left_out.unlink(missing_ok=True)
    kept = summary.kept
    if not len(kept.labels_NC):
        (out / REPORT_FILE).unlink(missing_ok=True)
        return
    write_training_report(
        out / REPORT_FILE,
        TrainingReport(
            title="Training report",
            data=data_summary(
                {split: (counts.readable, counts.unreadable) for split, counts in summary.counts.items()},
                matched,
                title,
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
