"""`radspark evaluate --bundle`: a bundle on one split of a data set, as metrics, predictions and a report."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from radspark.bundle import hash_weights
from radspark.cli.console import working, working_on
from radspark.cli.data_choice import DataChoice, choose_data
from radspark.cli.options import check_split, make_output_folder
from radspark.cli.results import ATTRIBUTES, EvaluationChoices, Judged, judge, report_figures, show_table, write_results
from radspark.cli.scored_table import ScoredTable
from radspark.cli.split_choice import check_origin, choose_split
from radspark.datasets.splits import get_split_policy
from radspark.errors import ArgumentError, DataError
from radspark.identifiers import Identifiers
from radspark.metrics.decision import DEFAULT_POINT
from radspark.settings import SplitSettings, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from radspark.bundle import Bundle
    from radspark.labels import LabelSet
    from radspark.metrics import Evaluation
    from radspark.ml import XRayModel
    from radspark.ml.scores import GatheredScores
    from radspark.report import DataSummary, EvaluationReport
    from radspark.samples.combine import MatchedLabels

logger = logging.getLogger(__name__)


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
    split_file: str | None = None,
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
    from radspark.samples.join import decode_matched

    with working("starting Spark ..."):
        spark = get_session(master=master, conf=conf)
    model = XRayModel.loadBundle(bundle)
    choices = choices or EvaluationChoices()
    check_combination(choices)
    point = choices.operating_point or (DEFAULT_POINT if model.decision.thresholds else None)
    thresholds = None if point is None else model.decision.thresholds_of(model.labels, point)
    flags = {
        "policy": split_policy,
        "validation_share": validation_share,
        "seed": split_seed,
        "split_file": split_file,
    }
    with working_on(spark, "matching labels and radiographs"):
        settings = choose_split(model.bundle.data, dataset, split=split, flags=flags)
        matched = match_tested(spark, model, data, settings, split=split, combine=choices.combine)
    if matched.hashed and choices.identifiers.policy == "hash":
        choices = dataclasses.replace(choices, identifiers=Identifiers("keep"))
    samples = decode_matched(matched, preparation=model.bundle.preparation, splits=(split,))
    with working_on(spark, f"scoring the {split} split"):
        scores = score(model, samples, combine=choices.combine)
    with working("evaluating ..."):
        judged = judge(to_table(scores, model.labels, choices), choices, thresholds=thresholds)
    unreadable = count_unreadable(scores, matched.counts.by_split[split])
    write_results(
        judged,
        out,
        identifiers=choices.identifiers,
        split=split,
        unreadable=unreadable,
        group_column="patient_id",
        operating_point=point,
        calibration=model.decision.calibration_method,
        combined=choices.combine,
        weights_sha256=hash_weights(model.bundle),
    )
    with working_on(spark, "writing the report"):
        report = build_report(model, matched, judged, unreadable, data=data, split=split, operating_point=point)
        report = dataclasses.replace(report, data=with_studies(report.data, len(judged.table), choices.combine))
        write_evaluation_report(out / "report.html", report)
    title = f"{'synthetic ' if report.data.synthetic else ''}{split} split"
    show_table(judged, title=title, counted="radiographs" if choices.combine is None else "studies")
    return judged.evaluation


def match_tested(
    spark: SparkSession,
    model: XRayModel,
    data: DataChoice,
    settings: SplitSettings,
    *,
    split: str,
    combine: str | None,
) -> MatchedLabels:
    """Labels and radiographs, with the model's findings, whose split was seen to be a test of the model.

    Raises:
        SplitError: patients that it was trained on can be in the split.
        DataError: views are to be combined, and a radiograph has no study.
    """
    from radspark.samples.combine import relabel
    from radspark.samples.join import match_labels

    matched = relabel(match_labels(spark, data.sources, split=settings), model.labels)
    check_origin(model.bundle.data, matched, split=split)
    if combine is not None:
        check_studies(matched, split=split)
    return matched


def check_combination(choices: EvaluationChoices) -> None:
    """Raise ArgumentError if views are to be combined in no known way, or studies to have no name."""
    from radspark.ml.studies import COMBINATIONS

    if choices.combine is None:
        return
    if choices.combine not in COMBINATIONS:
        raise ArgumentError(f"--combine-by must be one of {', '.join(COMBINATIONS)}, got {choices.combine!r}.")
    if choices.identifiers.policy == "drop":
        raise ArgumentError("--combine names rows by study, which --identifiers drop leaves out; use hash, or keep.")


def check_studies(matched: MatchedLabels, *, split: str) -> None:
    """Check that every radiograph of a split belongs to a study.

    Raises:
        DataError: counts those that do not.
    """
    missing = matched.frame.where((F.col("split") == split) & F.col("study_id").isNull()).count()
    if missing:
        raise DataError(
            f"--combine study needs the study of each radiograph, and {missing} of the {split} split have none "
            "(study_id is null; not every data set names studies); evaluate single radiographs, without --combine."
        )


def score(model: XRayModel, samples: DataFrame, *, combine: str | None = None) -> GatheredScores:
    """Apply a model to samples; rows are `image_id` (`study_id`, combined), patient, attributes, labels, probability.

    Raises:
        DataError: none can be read.
    """
    from radspark.ml.scores import gather_scores
    from radspark.ml.studies import combine_studies

    scored = model.transform(samples)
    raw = ("score",) if model.decision.calibration else ()
    others = ("patient_id", *ATTRIBUTES)
    if combine is None:
        return gather_scores(
            scored, label_col="labels", probability_col="probability", other_cols=("image_id", *others, *raw)
        )
    studies = combine_studies(
        scored, model.labels, how=combine, probability_cols=("probability", *raw), other_cols=others
    )
    columns = ("study_id", "num_views", *others, *raw)
    return gather_scores(studies, label_col="labels", probability_col="probability", other_cols=columns)


def count_unreadable(scores: GatheredScores, total: int) -> int:
    """Radiographs of all that are in no row, neither by themselves nor in a study; warns, by logging, of them."""
    in_studies = "num_views" in scores.rows[0]
    unreadable = total - (sum(row["num_views"] for row in scores.rows) if in_studies else len(scores.rows))
    if unreadable:
        logger.warning("%d of %d radiographs cannot be read and are left out", unreadable, total)
    return unreadable


def to_table(scores: GatheredScores, labels: LabelSet, choices: EvaluationChoices) -> ScoredTable:
    """Gathered rows in the order of their ids. A study is named as identifiers are: its number can be a patient's."""
    first = scores.rows[0]
    calibrated = "score" in first
    if choices.combine is None:
        ids = [row["image_id"] for row in scores.rows]
    else:
        ids = [str(choices.identifiers(row["study_id"])) for row in scores.rows]
    known = [name for name in ATTRIBUTES if name != "site" or any(row["site"] is not None for row in scores.rows)]
    return ScoredTable.sorted(
        labels=labels,
        image_ids=ids,
        patients=[row["patient_id"] for row in scores.rows],
        labels_NC=scores.labels_NC,
        probabilities_NC=scores.probabilities_NC,
        scores_NC=np.array([row["score"] for row in scores.rows], np.float32) if calibrated else None,
        attributes={name: [row[name] for row in scores.rows] for name in known},
    )


def with_studies(data: DataSummary, num_studies: int, how: str | None) -> DataSummary:
    """What a report says of combined views, if they were."""
    if how is None:
        return data
    note = f"The views of a study are taken together by the {how} of their probabilities."
    return dataclasses.replace(data, flow=(*data.flow, ("Studies of them", num_studies)), notes=(*data.notes, note))


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
    read = matched.counts.by_split[split] - unreadable
    return EvaluationReport(
        title="Evaluation report",
        split=split,
        data=data_summary({split: (read, unreadable)}, matched, title, synthetic=synthetic),
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
