"""`radspark evaluate --bundle`: a bundle on one split of a data set, as metrics, predictions and a report."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radspark.cli.console import working
from radspark.cli.data_choice import DataChoice, choose_data
from radspark.cli.options import check_split, make_output_folder
from radspark.cli.results import ATTRIBUTES, EvaluationChoices, Judged, judge, report_figures, show_table, write_results
from radspark.cli.scored_table import ScoredTable
from radspark.datasets.splits import get_split_policy
from radspark.errors import SplitError
from radspark.samples.origin import find_origin, leaking_differences
from radspark.settings import DataSettings, SplitSettings, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.bundle import Bundle
    from radspark.labels import LabelSet
    from radspark.metrics import Evaluation
    from radspark.ml import XRayModel
    from radspark.ml.scores import GatheredScores
    from radspark.report import EvaluationReport
    from radspark.samples.combine import MatchedLabels

logger = logging.getLogger(__name__)

FLAGS = {"policy": "split_policy", "seed": "split_seed"}
"""Fields of SplitSettings whose flag has another name."""


def evaluate_to_folder(
    bundle: str,
    dataset: str,
    data_dir: str,
    out: Path,
    *,
    split: str,
    split_policy: str | None = None,
    validation_share: float | None = None,
    split_seed: int | None = None,
    master: str | None = None,
    conf: dict[str, str] | None = None,
    label_rules: Sequence[str] = (),
    choices: EvaluationChoices | None = None,
) -> Evaluation:
    """Apply a bundle to one split; write metrics, predictions and report, and show the table."""
    if split_policy is not None:
        get_split_policy(split_policy)
    data = choose_data([dataset], [data_dir], label_rules=label_rules)
    check_split(split)
    make_output_folder(out)

    from radspark.frames.session import get_session
    from radspark.ml import XRayModel
    from radspark.report import write_evaluation_report
    from radspark.samples.combine import relabel
    from radspark.samples.join import decode_matched, match_labels

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=conf)
    model = XRayModel.loadBundle(bundle)
    choices = choices or EvaluationChoices()
    point = choices.operating_point if model.decision.thresholds else None
    thresholds = None if point is None else model.decision.thresholds_at(point)
    flags = {"policy": split_policy, "validation_share": validation_share, "seed": split_seed}
    with working("matching labels and radiographs ..."):
        settings = choose_split(model.bundle.data, dataset, split=split, flags=flags)
        matched = relabel(match_labels(spark, data.sources, split=settings), model.labels)
        check_origin(model.bundle.data, matched, split=split)
    samples = decode_matched(matched, preparation=model.bundle.preparation, splits=(split,))
    with working(f"scoring the {split} split ..."):
        scores = score(model, samples)
    with working("evaluating ..."):
        judged = judge(to_table(scores, model.labels), choices, thresholds=thresholds)
    unreadable = scores.num_unreadable
    write_results(
        judged,
        out,
        identifiers=choices.identifiers,
        split=split,
        unreadable=unreadable,
        group_column="patient_id",
        operating_point=point,
        calibration=model.decision.calibration_method,
    )
    with working("writing the report ..."):
        report = build_report(model, matched, judged, unreadable, data=data, split=split, operating_point=point)
        write_evaluation_report(out / "report.html", report)
    show_table(judged, title=f"{'synthetic ' if report.data.synthetic else ''}{split} split")
    return judged.evaluation


def choose_split(trained: DataSettings | None, dataset: str, *, split: str, flags: Mapping[str, Any]) -> SplitSettings:
    """How the data are split: as in training, but for flags that are given; by the defaults for another data set.

    Args:
        trained: what the bundle says.
        flags: field of SplitSettings to value, None where a flag was not given.

    Raises:
        SplitError: a flag would put patients into the split that the bundle was trained on.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if trained is None or dataset not in trained.datasets:
        return SplitSettings(**given)
    chosen = dataclasses.replace(trained.split, **given)
    if differing := leaking_differences(trained, DataSettings(dataset, chosen), split=split):
        shown = " and ".join(
            f"{_flag(name)} {getattr(chosen, name)} (in training {getattr(trained.split, name)})" for name in differing
        )
        raise SplitError(
            f"{shown} can put patients that the bundle was trained on into the {split} split; leave it out."
        )
    return chosen


def check_origin(trained: DataSettings | None, matched: MatchedLabels, *, split: str) -> None:
    """Check that a prepared set, whose split was chosen before, leaves the bundle's patients aside.

    Raises:
        SplitError: it was split otherwise than in training.
    """
    tested = find_origin(matched.frame)
    if trained is None or tested is None:
        return
    if differing := leaking_differences(trained, tested, split=split):
        raise SplitError(
            f"the prepared set was split otherwise than in training ({', '.join(differing)}), so that patients the "
            f"bundle was trained on can be in the {split} split; prepare the data with the training's split."
        )


def _flag(name: str) -> str:
    return f"--{FLAGS.get(name, name).replace('_', '-')}"


def score(model: XRayModel, samples: DataFrame) -> GatheredScores:
    """Apply a model to samples; rows are `image_id, patient_id, age, sex, view, labels, probability`.

    Raises:
        DataError: none can be read.
    """
    from radspark.ml.scores import gather_scores

    scores = gather_scores(
        model.transform(samples),
        label_col="labels",
        probability_col="probability",
        other_cols=("image_id", "patient_id", *ATTRIBUTES, *(("score",) if model.decision.calibration else ())),
    )
    if scores.num_unreadable:
        total = len(scores.rows) + scores.num_unreadable
        logger.warning("%d of %d radiographs cannot be read and are left out", scores.num_unreadable, total)
    return scores


def to_table(scores: GatheredScores, labels: LabelSet) -> ScoredTable:
    """Gathered rows in the order of image ids."""
    calibrated = "score" in scores.rows[0]
    return ScoredTable.sorted(
        labels=labels,
        image_ids=[row["image_id"] for row in scores.rows],
        patients=[row["patient_id"] for row in scores.rows],
        labels_NC=scores.labels_NC,
        probabilities_NC=scores.probabilities_NC,
        scores_NC=np.array([row["score"] for row in scores.rows], np.float32) if calibrated else None,
        attributes={name: [row[name] for row in scores.rows] for name in ATTRIBUTES},
    )


def build_report(
    model: XRayModel,
    matched: MatchedLabels,
    judged: Judged,
    unreadable: int,
    *,
    data: DataChoice,
    split: str,
    operating_point: str | None,
) -> EvaluationReport:
    """What the report of one split says; it names no radiograph and no patient."""
    from radspark.cli.examples import pick_examples
    from radspark.cli.facts import data_summary, package_versions
    from radspark.cli.mistakes import pick_mistakes
    from radspark.report import EvaluationReport

    title, synthetic = data.describe(matched.frame.sparkSession, matched)
    return EvaluationReport(
        title="Evaluation report",
        split=split,
        data=dataclasses.replace(
            data_summary({split: (len(judged.table), unreadable)}, matched, title, synthetic=synthetic),
            flow=(
                ("Rows of the label table", matched.counts.labeled),
                ("With a radiograph here", matched.counts.matched),
                (f"In the {split} split", len(judged.table) + unreadable),
                ("Refused as unreadable", unreadable),
                ("Evaluated", len(judged.table)),
            ),
        ),
        evaluation=judged.evaluation,
        **report_figures(judged),
        examples=pick_examples(matched.frame, model.bundle, split=split),
        mistakes=pick_mistakes(matched.frame, model.bundle, judged.table),
        operating_point=operating_point,
        calibration=model.decision.calibration_method,
        card=model_card(model.bundle),
        recipe={"model": to_dict(model.bundle.model), "preparation": to_dict(model.bundle.preparation)},
        versions=package_versions(),
        created=datetime.date.today().isoformat(),
    )


def model_card(bundle: Bundle) -> dict[str, str]:
    """Facts of the model for its card; names no file."""
    facts = {
        "network": bundle.user_module or bundle.model.backbone,
        "input": f"{bundle.model.input_size} x {bundle.model.input_size} grey",
        **({} if bundle.data is None else {"trained on": ", ".join(bundle.data.datasets)}),
    }
    shown = ("synthetic", "training_images", "validation_images", "epochs", "kept_epoch", "validation_mean_auroc")
    told = {name.replace("_", " "): bundle.training[name] for name in shown if name in bundle.training}
    return facts | {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in told.items()}
