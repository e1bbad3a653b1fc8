"""`radspark evaluate`: a bundle on one split of a data set, as metrics, predictions and a report."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from radspark.cli.console import console, say, working
from radspark.cli.options import (
    DATA,
    Conf,
    DataDir,
    DatasetName,
    Master,
    check_data_choice,
    check_split,
    make_output_folder,
    parse_conf,
)
from radspark.datasets.registry import get_dataset
from radspark.datasets.splits import SPLIT_POLICIES
from radspark.errors import DataError, SplitError
from radspark.samples.origin import leaking_differences
from radspark.settings import DataSettings, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.labels import LabelSet
    from radspark.metrics import Evaluation
    from radspark.ml import XRayModel
    from radspark.ml.scores import GatheredScores
    from radspark.report import EvaluationReport
    from radspark.samples.join import MatchedLabels

logger = logging.getLogger(__name__)
EXAMPLES = """Example:

  radspark evaluate --bundle runs/first/bundle --dataset nih --data-dir ChestX-ray14 --out runs/first/test"""


def split_option(text: str) -> Any:
    """An option of the split, which is the bundle's unless it is given."""
    return typer.Option(help=text, show_default="as in training", rich_help_panel=DATA)


def evaluate(
    bundle: Annotated[str, typer.Option(help="Folder of the bundle, on any file system of Spark.", metavar="DIR")],
    dataset: DatasetName,
    data_dir: DataDir,
    out: Annotated[
        Path, typer.Option(help="Folder for metrics.json, predictions.parquet and report.html.", metavar="DIR")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.", rich_help_panel=DATA)] = "test",
    split_policy: Annotated[str | None, split_option(f"How the data are split: {', '.join(SPLIT_POLICIES)}.")] = None,
    validation_share: Annotated[float | None, split_option("Share of training patients kept for validation.")] = None,
    seed: Annotated[int | None, split_option("Of the split.")] = None,
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Test a bundle: exact AUROC and average precision per finding, on radiographs that it has not seen.

    The data set is split as it was in training. Options by which training patients could be tested on are refused.
    """
    evaluate_to_folder(
        bundle,
        dataset,
        data_dir,
        out,
        split=split,
        split_policy=split_policy,
        validation_share=validation_share,
        seed=seed,
        master=master,
        conf=parse_conf(conf),
    )
    say(
        f"\nmetrics      {out / 'metrics.json'}\npredictions  {out / 'predictions.parquet'}\n"
        f"report       {out / 'report.html'}"
    )


def evaluate_to_folder(
    bundle: str,
    dataset: str,
    data_dir: str,
    out: Path,
    *,
    split: str,
    split_policy: str | None = None,
    validation_share: float | None = None,
    seed: int | None = None,
    master: str | None = None,
    conf: dict[str, str] | None = None,
) -> Evaluation:
    """Apply a bundle to one split; write metrics, predictions and report, and show the table."""
    check_data_choice(dataset, split_policy)
    check_split(split)
    make_output_folder(out)

    from radspark.cli.screen import evaluation_table
    from radspark.frames.session import get_session
    from radspark.metrics import evaluate_scores
    from radspark.ml import XRayModel
    from radspark.report import write_evaluation_report
    from radspark.samples.join import decode_matched, match_labels

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=conf)
    model = XRayModel.loadBundle(bundle)
    check_labels(model, get_dataset(dataset).labels, dataset)
    flags = {"split_policy": split_policy, "validation_share": validation_share, "seed": seed}
    data = choose_data(model.bundle.data, dataset, split=split, flags=flags)
    with working("matching labels and radiographs ..."):
        matched = match_labels(
            spark,
            data.dataset,
            data_dir,
            split_policy=data.split_policy,
            validation_share=data.validation_share,
            test_share=data.test_share,
            seed=data.seed,
        )
    samples = decode_matched(matched, preparation=model.bundle.preparation, splits=(split,))
    with working(f"scoring the {split} split ..."):
        scores = score(model, samples)
    evaluation = evaluate_scores(scores.labels_NC, scores.probabilities_NC, model.labels)
    write_predictions(scores.rows, out / "predictions.parquet")
    write_metrics(evaluation, out / "metrics.json", split=split, num_unreadable=scores.num_unreadable)
    with working("writing the report ..."):
        report = build_report(model, matched, scores, evaluation, dataset=dataset, data_dir=data_dir, split=split)
        write_evaluation_report(out / "report.html", report)
    kind = "synthetic " if report.data.synthetic else ""
    console.print()
    console.print(evaluation_table(evaluation, title=f"{kind}{split} split, {len(scores.rows):,} radiographs"))
    return evaluation


def choose_data(trained: DataSettings | None, dataset: str, *, split: str, flags: Mapping[str, Any]) -> DataSettings:
    """How the data are split: as in training, but for flags that are given; by the defaults for another data set.

    Args:
        trained: what the bundle says.
        flags: field of DataSettings to value, None where a flag was not given.

    Raises:
        SplitError: a flag would put patients into the split that the bundle was trained on.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if trained is None or trained.dataset != dataset:
        return DataSettings(dataset, **given)
    chosen = dataclasses.replace(trained, **given)
    if differing := leaking_differences(trained, chosen, split=split):
        shown = " and ".join(
            f"--{name.replace('_', '-')} {getattr(chosen, name)} (in training {getattr(trained, name)})"
            for name in differing
        )
        raise SplitError(
            f"{shown} can put patients that the bundle was trained on into the {split} split; leave it out."
        )
    return chosen


def check_labels(model: XRayModel, labels: LabelSet, dataset: str) -> None:
    """Raise DataError unless a model's findings are those of the data set, in the same order."""
    if model.labels != labels:
        raise DataError(
            f"the bundle's findings ({', '.join(model.labels)}) are not those of dataset {dataset!r} "
            f"({', '.join(labels)}); evaluate on a data set with the same findings."
        )


def score(model: XRayModel, samples: DataFrame) -> GatheredScores:
    """Apply a model to samples; rows are `image_id, patient_id, labels, probability`.

    Raises:
        DataError: none can be read.
    """
    from radspark.ml.scores import gather_scores

    scores = gather_scores(
        model.transform(samples),
        label_col="labels",
        probability_col="probability",
        other_cols=("image_id", "patient_id"),
    )
    if scores.num_unreadable:
        total = len(scores.rows) + scores.num_unreadable
        logger.warning("%d of %d radiographs cannot be read and are left out", scores.num_unreadable, total)
    return scores


def write_predictions(rows: Sequence[Any], file: Path) -> None:
    """One Parquet file of `image_id, patient_id, labels, probability`, in the order of image ids."""
    ordered = sorted(rows, key=lambda row: str(row["image_id"]))
    floats = pa.list_(pa.float32())
    columns = {
        "image_id": pa.array([row["image_id"] for row in ordered], pa.string()),
        "patient_id": pa.array([row["patient_id"] for row in ordered], pa.string()),
        "labels": pa.array([row["labels"] for row in ordered], floats),
        "probability": pa.array([row["probability"] for row in ordered], floats),
    }
    pq.write_table(pa.table(columns), file)


def write_metrics(evaluation: Evaluation, file: Path, *, split: str, num_unreadable: int) -> None:
    """`metrics.json`, as docs/formats.md has it."""
    metrics = {"split": split, "unreadable": num_unreadable, **evaluation.to_dict()}
    file.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def build_report(
    model: XRayModel,
    matched: MatchedLabels,
    scores: GatheredScores,
    evaluation: Evaluation,
    *,
    dataset: str,
    data_dir: str,
    split: str,
) -> EvaluationReport:
    """What the report of one split says; it names no radiograph and no patient."""
    from radspark.cli.examples import pick_examples
    from radspark.cli.facts import data_summary, is_synthetic, package_versions
    from radspark.metrics import roc_curves
    from radspark.report import EvaluationReport

    synthetic = is_synthetic(matched.frame.sparkSession, data_dir)
    return EvaluationReport(
        title="Evaluation report",
        split=split,
        data=data_summary({split: (len(scores.rows), scores.num_unreadable)}, matched, dataset, synthetic=synthetic),
        evaluation=evaluation,
        curves=roc_curves(scores.labels_NC, scores.probabilities_NC, model.labels),
        examples=pick_examples(matched.frame, model.bundle, split=split),
        recipe={"model": to_dict(model.bundle.model), "preparation": to_dict(model.bundle.preparation)},
        versions=package_versions(),
        created=datetime.date.today().isoformat(),
    )
