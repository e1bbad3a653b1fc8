"""Evaluation on Spark without collecting scores, against the exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from radspark.errors import DataError
from radspark.labels import LabelSet
from radspark.metrics import evaluate_scores
from radspark.ml import XRayEvaluator, large_evaluation
from radspark.ml.large_evaluation import evaluate_at_scale, in_few_tasks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

LABELS = LabelSet(("Effusion", "Mass"))
SCHEMA = "labels array<float>, probability array<float>"


def scores(size: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.choice([0.0, 1.0, np.nan], (size, 2), p=[0.7, 0.2, 0.1]).astype(np.float32)
    return labels, np.clip(0.2 * np.nan_to_num(labels) + 0.8 * generator.random((size, 2)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """Those scores, a row without a probability, and one without labels."""
    rows = [
        ([None if np.isnan(value) else float(value) for value in known], [float(value) for value in probability])
        for known, probability in zip(*scores(), strict=True)
    ]
    return spark.createDataFrame([*rows, ([1.0, 0.0], None), (None, [0.5, 1.0])], SCHEMA).repartition(5)


def test_it_agrees_with_the_exact_evaluation(frame: DataFrame) -> None:
    labels, probabilities = scores()
    exact = evaluate_scores(labels, probabilities, LABELS)
    tallied = evaluate_at_scale(frame, LABELS)
    assert tallied.evaluation.num_samples == 3001
    assert tallied.evaluation.loss == pytest.approx(exact.loss)
    for name, finding in exact.findings.items():
        found = tallied.evaluation.findings[name]
        assert (found.positives, found.negatives) == (finding.positives, finding.negatives)
        assert found.values["calibration_error"] == pytest.approx(finding.values["calibration_error"])
        for measure, bounds in tallied.bounds[name].items():
            assert bounds.low <= finding.values[measure] <= bounds.high < bounds.low + 3e-3, measure


def test_thresholds_are_those_given(frame: DataFrame) -> None:
    exact = evaluate_scores(*scores(), LABELS, thresholds={"Mass": 0.3})
    tallied = evaluate_at_scale(frame, LABELS, thresholds={"Mass": 0.3}).evaluation
    expected = exact.findings["Mass"].values["youden"]
    assert tallied.findings["Mass"].values["youden"] == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["mean_auroc", "mean_average_precision", "loss"])
def test_the_evaluator_tallies_above_a_size(frame: DataFrame, metric: str) -> None:
    exact = XRayEvaluator(metricName=metric).evaluate(frame)
    tallied = XRayEvaluator(metricName=metric, maxExactRows=3000).evaluate(frame)
    assert tallied == pytest.approx(exact, abs=1e-3)
    assert (tallied == exact) <= (metric == "loss"), "the bins leave a trace"


def test_no_row_with_a_probability_is_an_error(frame: DataFrame) -> None:
    with pytest.raises(DataError, match="none of the radiographs to evaluate on has a probability"):
        evaluate_at_scale(frame.where("probability is null"), LABELS)


@pytest.mark.parametrize(
    ("slots", "elastic", "tasks"), [(2, False, 8), (None, False, 20), (0, False, 20), (2, True, 20)]
)
def test_scoring_is_not_bound_to_the_executors_of_the_moment(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, slots: int | None, elastic: bool, tasks: int
) -> None:
    conf = spark.sparkContext.getConf().set("spark.dynamicAllocation.enabled", str(elastic).lower())
    monkeypatch.setattr(spark.sparkContext, "_conf", conf)
    monkeypatch.setattr(large_evaluation, "count_slots", lambda _: slots)
    assert in_few_tasks(spark.range(0, 20, 1, 20)).rdd.getNumPartitions() == tasks
