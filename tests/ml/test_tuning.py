"""Settings chosen by one split of the patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.tuning import TrainValidationSplitModel
from pyspark.sql import functions as F

from radspark.ml import PatientTrainValidationSplit, XRayEvaluator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


class Guess(Estimator):
    """Remembers whom it saw; its model gives positives `skill`, and others the rest of 1."""

    skill = Param(Params._dummy(), "skill", "probability of a positive", typeConverter=TypeConverters.toFloat)
    seen: ClassVar[list[set[str]]] = []

    def _fit(self, dataset: DataFrame) -> Model:
        self.seen.append({row[0] for row in dataset.select("patient_id").distinct().collect()})
        return Guessing(self.getOrDefault(self.skill))


class Guessing(Model):
    judged: ClassVar[list[set[str]]] = []

    def __init__(self, skill: float) -> None:
        super().__init__()
        self.skill = skill

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.judged.append({row[0] for row in dataset.select("patient_id").distinct().collect()})
        label = F.get("labels", F.lit(0))
        return dataset.withColumn("probability", F.array(label * self.skill + (1 - label) * (1 - self.skill)))


@pytest.fixture
def samples(spark: SparkSession) -> DataFrame:
    """120 radiographs of 40 patients."""
    rows = [(f"i{i}", f"p{i // 3}", [float(i % 2)]) for i in range(120)]
    return spark.createDataFrame(rows, "image_id string, patient_id string, labels array<double>").coalesce(1)


def tuning(metric: str, **more: Any) -> PatientTrainValidationSplit:
    Guess.seen.clear()
    Guessing.judged.clear()
    estimator, evaluator = Guess(), XRayEvaluator(metricName=metric)
    grid = [{estimator.skill: 0.2}, {estimator.skill: 0.8}]
    return PatientTrainValidationSplit(estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, **more)


@pytest.mark.parametrize(("metric", "values"), [("mean_auroc", [0.0, 1.0]), ("loss", [1.609, 0.223])])
def test_the_better_setting_is_chosen_on_patients_that_it_was_not_trained_on(
    samples: DataFrame, metric: str, values: list[float]
) -> None:
    tuned = tuning(metric, trainRatio=0.6).fit(samples)
    assert isinstance(tuned, TrainValidationSplitModel)
    assert tuned.validationMetrics == pytest.approx(values, abs=1e-3)
    assert tuned.bestModel.skill == 0.8
    first, second, everyone = Guess.seen
    assert first == second and len(everyone) == 40
    assert Guessing.judged == [everyone - first] * 2
    assert 15 < len(first) < 33


def test_a_seed_draws_other_patients_and_a_missing_column_is_named(samples: DataFrame) -> None:
    trained_on = []
    for seed in (0, 1):
        tuning("loss", seed=seed).fit(samples)
        trained_on.append(Guess.seen[0])
    assert trained_on[0] != trained_on[1]
    with pytest.raises(ValueError, match=r"patientCol must be a column of the samples \(image_id, .*got 'who'"):
        tuning("loss", patientCol="who").fit(samples)
