"""The sliced synchronizer trains as the collective one does, by ordinary Spark jobs."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import networks
import pytest
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, SparkSession
from test_faults import RECIPE, At, assert_same_bits, classifier, python_workers

from radspark.engine import rounds, sliced_tasks
from radspark.errors import ArgumentError, UserCodeError
from radspark.ml import XRayModel
from radspark.settings import OptimizerSettings
from spark_jobs import spark_jobs, undescribed

pytestmark = pytest.mark.spark

SLICED = {"synchronizer": "sliced", "num_shards": 3}


@pytest.fixture(scope="module")
def collective(samples: DataFrame) -> XRayModel:
    return classifier({"num_shards": 3}).fit(samples)


def test_it_comes_to_the_bits_of_the_collective_one_and_leaves_nothing_behind(
    samples: DataFrame, spark: SparkSession, collective: XRayModel
) -> None:
    held = spark.sparkContext.parallelize(range(2), 2).mapPartitions(networks.caches)
    before, kept = set(held.collect()), len(spark.sparkContext._jsc.getPersistentRDDs())
    known = spark_jobs().keys()
    model = classifier(SLICED).fit(samples)
    assert undescribed(text for job, text in spark_jobs().items() if job not in known) == []
    assert_same_bits(model, collective)
    ours, theirs = model.summary.record.epochs, collective.summary.record.epochs
    assert [epoch.validation for epoch in ours] == [epoch.validation for epoch in theirs]
    assert [epoch.train_loss for epoch in ours] == [epoch.train_loss for epoch in theirs]
    assert set(held.collect()) == before
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == kept


@pytest.mark.parametrize("level", ["memory", "none"])
def test_wherever_the_samples_are_kept(samples: DataFrame, spark: SparkSession, level: str) -> None:
    held = spark.sparkContext.parallelize(range(2), 2).mapPartitions(networks.caches)
    before = set(held.collect())
    short = {**SLICED, "epochs": 1}
    disk = classifier(short).fit(samples)
    other = classifier({**short, "round_minutes": 1e-6, "cache_level": level}).fit(samples)
    assert_same_bits(other, disk)
    assert [r.num_steps for r in other.summary.record.rounds] == [1] * len(other.summary.record.rounds)
    assert set(held.collect()) == before


def test_samples_and_slices_ask_for_the_cores_of_a_worker_and_slices_are_kept_twice(
    samples: DataFrame, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = spark.sparkContext._jsc.sc()
    # A local Spark grants no profile but its own, which no RDD has unless it is told.
    own = ResourceProfile(context.resourceProfileManager().defaultResourceProfile())
    monkeypatch.setattr(rounds, "worker_profile", lambda *_: own)
    known, asking, copies = set(spark.sparkContext._jsc.getPersistentRDDs()), [], []

    def look() -> None:
        kept = spark.sparkContext._jsc.getPersistentRDDs()
        asking.extend(n for n in kept if n not in known and kept[n].rdd().getResourceProfile())
        copies.extend(kept[n].getStorageLevel().replication() for n in kept if n not in known)

    classifier({**SLICED, "epochs": 1}, observers=[At(2, look)]).fit(samples)
    assert len(asking) == 2
    assert sorted(copies) == [1, 1, 2, 2], "decoded samples and those of workers; all of the state and its weights"


def kill_workers() -> None:
    for process in python_workers():
        process.kill()


def test_a_killed_worker_costs_no_bit(samples: DataFrame, collective: XRayModel) -> None:
    kill = At(5, threading.Timer(0.3, kill_workers).start)
    model = classifier(SLICED, moduleFactory=networks.Slow, observers=[kill]).fit(samples)
    assert kill.failures
    assert_same_bits(model, collective)


def test_a_step_whose_measures_are_lost_costs_a_round(
    samples: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliced_tasks, "update", partial(networks.tell_nothing_once, folder=tmp_path))
    watching = At(0, lambda: None)
    classifier({**SLICED, "epochs": 1}, observers=[watching]).fit(samples)
    assert watching.failures == ["what a step measured was lost with an executor"]


def test_an_error_of_the_users_code_is_shown_and_not_tried_again(samples: DataFrame) -> None:
    failures = At(0, lambda: None)
    with pytest.raises(UserCodeError, match="the user's own mistake"):
        classifier(SLICED, moduleFactory=networks.Failing, observers=[failures]).fit(samples)
    assert not failures.failures


def test_a_round_that_cannot_start_leaves_nothing_in_sparks_storage(samples: DataFrame, spark: SparkSession) -> None:
    kept = len(spark.sparkContext._jsc.getPersistentRDDs())
    with pytest.raises(UserCodeError, match="the user's own mistake"):
        classifier(SLICED, moduleFactory=networks.FailingInTasks).fit(samples)
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == kept


@pytest.mark.parametrize("synchronizer", ["collective", "sliced"])
def test_gradients_can_travel_as_bfloat16(samples: DataFrame, collective: XRayModel, synchronizer: str) -> None:
    model = classifier({"num_shards": 3, "synchronizer": synchronizer, "exchange": "bfloat16"}).fit(samples)
    exact, rounded = collective.summary.record.epochs[-1], model.summary.record.epochs[-1]
    assert rounded.train_loss != exact.train_loss
    assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.02)


@pytest.mark.parametrize(
    ("optimizer", "name"), [(OptimizerSettings(name="lars"), "lars"), (OptimizerSettings(clip_norm=1.0), "clip_norm")]
)
def test_what_needs_the_whole_gradient_is_refused_by_name(optimizer: OptimizerSettings, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"optimizer {name} looks at the whole gradient"):
        replace(RECIPE, optimizer=optimizer, training=replace(RECIPE.training, synchronizer="sliced"))
