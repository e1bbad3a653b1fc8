"""XRayClassifier on two workers: against plain PyTorch, repeated, resumed, failing, and as a part of Spark ML."""

from __future__ import annotations

import gc
import os
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import torch
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from radspark.engine.observer import Observer
from radspark.errors import DataError, SetupError, TrainingError, UserCodeError
from radspark.metrics import evaluate_scores
from radspark.ml import XRayClassifier, XRayEvaluator, XRayModel
from radspark.nn.losses import masked_bce
from radspark.samples.folds import with_patient_folds
from radspark.settings import AugmentationSettings, Constant, ModelSettings, OptimizerSettings, Recipe, TrainingSettings
from radspark.training.shards import ShardPlan, shard_sizes

pytestmark = pytest.mark.spark

RECIPE = Recipe(
    augmentation=AugmentationSettings(flip=0.5, brightness=0.1, rotation_degrees=5, crop="random"),
    model=ModelSettings(input_size=28),
    optimizer=OptimizerSettings(name="adam", learning_rate=3e-3, head_l2=0.01, clip_norm=5.0),
    schedule=(Constant(),),
    training=TrainingSettings(epochs=2, batch_size=16, micro_batch_size=5, seed=11, keep="last"),
)


def classifier(**params: Any) -> XRayClassifier:
    defaults = {"recipe": RECIPE, "findings": ["upper", "lower"], "moduleFactory": networks.Small}
    return XRayClassifier(**{**defaults, **params})


def weights(model: XRayModel) -> dict[str, np.ndarray]:
    return dict(model.bundle.weights)


def assert_same_bits(first: XRayModel, second: XRayModel) -> None:
    assert weights(first).keys() == weights(second).keys()
    for name, array in weights(first).items():
        np.testing.assert_array_equal(array, weights(second)[name], err_msg=name)


@pytest.fixture(scope="module")
def model(samples: DataFrame) -> XRayModel:
    return classifier(epochs=6).fit(samples)


def test_two_workers_train_as_plain_pytorch_does(samples: DataFrame, spark: SparkSession) -> None:
    plain = Recipe(
        augmentation=AugmentationSettings(flip=0.0),
        model=ModelSettings(input_size=32),
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.05, momentum=0.9),
        schedule=(Constant(),),
        training=TrainingSettings(epochs=2, batch_size=20, micro_batch_size=64, seed=4, keep="last"),
    )
    trained = classifier(recipe=plain, moduleFactory=networks.NoDropout).fit(samples)
    for name, tensor in train_plainly(samples, plain).items():
        np.testing.assert_allclose(
            weights(trained)[f"module.{name}"], tensor.numpy(), rtol=2e-4, atol=2e-5, err_msg=name
        )


def train_plainly(samples: DataFrame, recipe: Recipe) -> dict[str, torch.Tensor]:
    """The same training in one process: no Spark, no exchange, torch's own optimizer and loss."""
    order = F.xxhash64(F.lit(recipe.training.seed), "image_id")
    rows = samples.where("split = 'train' and image is not null").orderBy(order).collect()
    images = torch.stack([torch.frombuffer(bytearray(r.image.data), dtype=torch.uint8).view(1, 32, 32) for r in rows])
    labels = torch.tensor([r.labels for r in rows])
    plan = ShardPlan(shard_sizes(len(rows), 2), recipe.training.batch_size, 64, recipe.training.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        network = networks.NoDropout().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for epoch in range(recipe.training.epochs):
        for step in range(plan.steps_per_epoch):
            parts = [plan.micro_batches(shard, epoch=epoch, step=step)[0] * 2 + shard for shard in range(2)]
            statistics, total = [], torch.tensor(0.0)
            before = {name: buffer.clone() for name, buffer in network.named_buffers()}
            for part in parts:
                for name, buffer in network.named_buffers():
                    buffer.data = before[name].clone()
                total = total + masked_bce(network(images[part]), labels[part])
                statistics.append({n: b.clone() * len(part) for n, b in network.named_buffers()})
            optimizer.zero_grad()
            (total / sum(map(len, parts))).backward()
            optimizer.step()
            for name, buffer in network.named_buffers():
                if buffer.is_floating_point():
                    buffer.data = sum(s[name] for s in statistics) / sum(map(len, parts))
    return {n: t for n, t in network.state_dict().items() if t.is_floating_point()}


@pytest.mark.parametrize("num_partitions", [1, 100], ids=["one giant partition", "partitions without rows"])
def test_the_same_run_gives_the_same_bits_wherever_the_rows_lie(
    samples: DataFrame, model: XRayModel, num_partitions: int
) -> None:
    assert_same_bits(model, classifier(epochs=6).fit(samples.repartition(num_partitions)))


def test_fewer_samples_than_workers_train(samples: DataFrame) -> None:
    few = samples.where("image_id in ('image-0', 'image-4')")
    (record,) = classifier(epochs=1, numWorkers=2).fit(few).summary.record.rounds
    assert (record.num_steps, record.num_workers) == (1, 1)


@pytest.mark.parametrize("num_shards", [2, 3, 5])
def test_one_worker_and_two_give_the_same_bits(samples: DataFrame, num_shards: int) -> None:
    recipe = replace(RECIPE, training=replace(RECIPE.training, num_shards=num_shards))
    one, two = (classifier(recipe=recipe, numWorkers=workers).fit(samples) for workers in (1, 2))
    assert [epoch.num_workers for epoch in (one.summary.record.epochs[0], two.summary.record.epochs[0])] == [1, 2]
    assert_same_bits(one, two)
    assert [e.train_loss for e in one.summary.record.epochs] == [e.train_loss for e in two.summary.record.epochs]


def test_another_seed_gives_other_weights(samples: DataFrame) -> None:
    first, second = (classifier(epochs=1, seed=seed).fit(samples) for seed in (1, 2))
    assert (weights(first)["module.head.weight"] != weights(second)["module.head.weight"]).any()


def test_rounds_of_one_step_give_the_same_bits_as_long_ones(samples: DataFrame) -> None:
    short = {**to_plain(RECIPE)}
    short["training"]["round_minutes"] = 1e-6
    many = classifier(recipe=short, epochs=1).fit(samples)
    assert len(many.summary.record.rounds) > 1
    assert_same_bits(many, classifier(epochs=1).fit(samples))


@pytest.mark.parametrize("synchronizer", ["collective", "sliced"])
def test_samples_that_do_not_fit_end_the_run_with_a_sentence(samples: DataFrame, synchronizer: str) -> None:
    with pytest.raises(TrainingError, match=r"^no room for the samples of a worker: .* training.cache_gb is 0.000"):
        classifier(synchronizer=synchronizer, cacheGb=1e-5, recipe="default", inputSize=28).fit(samples)


def to_plain(recipe: Recipe) -> dict[str, Any]:
    from radspark.settings import to_dict

    return to_dict(recipe)


def test_a_resumed_run_gives_the_bits_of_an_undisturbed_one(
    samples: DataFrame, model: XRayModel, tmp_path: Path
) -> None:
    class Stop(Observer):
        def epoch_ended(self, record: Any) -> None:
            if record.epoch == 4:
                raise KeyboardInterrupt

    params = {"epochs": 6, "checkpointDir": str(tmp_path / "checkpoints")}
    with pytest.raises(KeyboardInterrupt):
        classifier(**params, observers=[Stop()]).fit(samples)
    resumed = classifier(**params, resume=True).fit(samples)
    assert_same_bits(resumed, model)
    assert [epoch.epoch for epoch in resumed.summary.record.epochs] == [1, 2, 3, 4, 5, 6]


def test_it_learns(samples: DataFrame) -> None:
    plain = replace(RECIPE, augmentation=AugmentationSettings(flip=0.0), model=ModelSettings(input_size=32))
    record = classifier(recipe=plain, epochs=12, learningRate=0.02, headL2=0.0).fit(samples).summary.record
    assert record.epochs[-1].train_loss < 0.5 * record.epochs[0].train_loss
    assert record.epochs[-1].validation["mean_auroc"] > 0.9


def test_validation_in_training_is_what_evaluate_gives(model: XRayModel, samples: DataFrame) -> None:
    evaluation = model.evaluate(samples.where("split = 'validation'"))
    validation = model.summary.record.epochs[-1].validation
    assert evaluation.mean_auroc == pytest.approx(validation["mean_auroc"], abs=1e-9)
    assert evaluation.loss == pytest.approx(validation["loss"], rel=1e-5)


def test_calibration_is_fitted_on_validation_and_the_raw_score_stays(samples: DataFrame, model: XRayModel) -> None:
    calibrated = classifier(epochs=6, calibration="platt").fit(samples)
    assert_same_bits(calibrated, model)
    assert model.decision.calibration is None
    assert calibrated.decision.num_samples == 15
    rows = calibrated.transform(samples).orderBy("image_id").collect()
    plain = model.transform(samples).orderBy("image_id").collect()
    assert [row["score"] for row in rows] == [row["probability"] for row in plain]
    assert (rows[0]["score"] is None) == (rows[0]["probability"] is None)
    scores_NC = np.array([row["score"] for row in rows if row["score"]], np.float32)
    expected = calibrated.decision.calibrate(scores_NC, calibrated.labels)
    probabilities_NC = np.array([row["probability"] for row in rows if row["score"]], np.float32)
    np.testing.assert_array_equal(probabilities_NC, expected)
    assert "score" not in plain[0]


def test_thresholds_come_from_the_validation_samples(model: XRayModel, samples: DataFrame) -> None:
    validation = model.evaluate(samples.where("split = 'validation'"))
    for name, finding in validation.findings.items():
        assert finding.threshold == model.decision.thresholds_at("youden")[name]
        assert finding.values["youden"] > 0


def test_keep_best_keeps_the_weights_of_the_best_epoch(samples: DataFrame) -> None:
    kept = classifier(epochs=4, learningRate=0.05, keep="best", metric="loss").fit(samples)
    losses = [epoch.validation["loss"] for epoch in kept.summary.record.epochs]
    assert kept.summary.kept.epoch == 1 + int(np.argmin(losses))
    assert kept.evaluate(samples.where("split = 'validation'")).loss == pytest.approx(min(losses), rel=1e-5)


def test_keep_last_keeps_the_validation_scores_of_the_last_epoch(model: XRayModel) -> None:
    kept, last = model.summary.kept, model.summary.record.epochs[-1]
    assert kept.epoch == last.epoch
    evaluation = evaluate_scores(kept.labels_NC, kept.probabilities_NC, model.labels)
    assert evaluation.mean_auroc == last.validation["mean_auroc"]


def test_early_stopping_ends_a_run_that_no_longer_improves(samples: DataFrame) -> None:
    stopped = classifier(epochs=30, learningRate=1e-12, earlyStoppingPatience=2, metric="loss").fit(samples)
    record = stopped.summary.record
    assert len(record.epochs) == record.best_epoch + 3 < 30


def test_gradients_are_computed_in_two_task_processes_and_never_in_the_driver(
    samples: DataFrame, tmp_path: Path
) -> None:
    classifier(moduleFactory=networks.signing(tmp_path), epochs=1).fit(samples)
    processes = {int(path.name) for path in tmp_path.iterdir()}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_users_own_error_shows_its_traceback_and_is_not_tried_again(samples: DataFrame) -> None:
    repeats: list[str] = []

    class Watch(Observer):
        def round_failed(self, reason: str, *, failures: int) -> None:
            repeats.append(reason)

    with pytest.raises(UserCodeError, match="(?s)in forward.*the user's own mistake"):
        classifier(moduleFactory=networks.Failing, observers=[Watch()]).fit(samples)
    assert repeats == []


def test_a_module_that_workers_lack_is_said_at_once(samples: DataFrame) -> None:
    class Elsewhere(networks.Small):
        pass

    Elsewhere.__module__ = "a_module_of_the_drivers_alone"
    sys.modules["a_module_of_the_drivers_alone"] = types.ModuleType("a_module_of_the_drivers_alone")
    sys.modules["a_module_of_the_drivers_alone"].Elsewhere = Elsewhere
    Elsewhere.__qualname__ = "Elsewhere"
    with pytest.raises(UserCodeError, match="No module named 'a_module_of_the_drivers_alone'"):
        classifier(moduleFactory=Elsewhere, epochs=1).fit(samples)


def test_more_workers_than_slots_is_an_error_before_the_job(samples: DataFrame) -> None:
    with pytest.raises(SetupError, match=r"num_workers must be at most 2 \(free task slots\), got 3"):
        classifier(numWorkers=3).fit(samples)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the workers would find a GPU")
def test_a_gpu_that_a_worker_does_not_find_ends_the_run_with_its_sentence(
    samples: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # on the driver
    with pytest.raises(SetupError, match=r"^training.device cuda: a worker was granted GPU 0, and torch finds 0 on"):
        classifier(device="cuda", epochs=1).fit(samples)


def test_too_many_unreadable_images_are_an_error(samples: DataFrame) -> None:
    with pytest.raises(DataError, match="1 of 60 training images cannot be read"):
        classifier(maxUnreadable=0.01).fit(samples)


def test_unreadable_images_are_left_out_and_named(model: XRayModel) -> None:
    assert model.summary.unreadable == (("image-3", "cut off"),)


def test_an_unknown_param_lists_the_known_ones() -> None:
    with pytest.raises(TypeError, match="no Param 'learning_rate'; it has .*learningRate"):
        XRayClassifier(learning_rate=1.0)


def test_live_steps_reach_the_driver(samples: DataFrame) -> None:
    seen: list[int] = []

    class Watch(Observer):
        def step_done(self, step: Any) -> None:
            seen.append(step.step)

    classifier(epochs=1, observers=[Watch()]).fit(samples)
    assert seen == [1, 2, 3, 4]


def test_a_pipeline_survives_save_and_load(samples: DataFrame, tmp_path: Path) -> None:
    timm_model = XRayClassifier(
        recipe=RECIPE, findings=["upper", "lower"], backbone="resnet10t", inputSize=32, epochs=1
    )
    fitted = Pipeline(stages=[timm_model]).fit(samples)
    fitted.write().overwrite().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    columns = ["image_id", "probability"]
    expected = {r[0]: r[1] for r in fitted.transform(samples).select(*columns).collect()}
    assert {r[0]: r[1] for r in loaded.transform(samples).select(*columns).collect()} == expected
    assert expected["image-3"] is None


def test_params_given_to_fit_win(samples: DataFrame) -> None:
    estimator = classifier(epochs=3)
    model = estimator.fit(samples, {estimator.epochs: 1})
    assert len(model.summary.record.epochs) == 1
    assert estimator.getRecipe().training.epochs == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyspark leaves its thread pool open
def test_cross_validator_by_patient_chooses_the_better_setting_and_is_saved(samples: DataFrame, tmp_path: Path) -> None:
    estimator = XRayClassifier(recipe=RECIPE, findings=["upper", "lower"], backbone="resnet10t")
    grid = ParamGridBuilder().addGrid(estimator.epochs, [1, 2]).build()
    tuned = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, evaluator=XRayEvaluator(), numFolds=2, foldCol="fold"
    ).fit(with_patient_folds(samples.drop("split"), 2))
    assert tuned.avgMetrics[0] != tuned.avgMetrics[1]
    assert tuned.bestModel.bundle.training["epochs"] == 1 + np.argmax(tuned.avgMetrics)
    tuned.write().save(str(tmp_path / "tuned"))
    loaded = CrossValidatorModel.load(str(tmp_path / "tuned"))
    assert loaded.avgMetrics == tuned.avgMetrics
    assert_same_bits(loaded.bestModel, tuned.bestModel)
    assert loaded.getEstimator().getRecipe() == estimator.getRecipe()
    gc.collect()
