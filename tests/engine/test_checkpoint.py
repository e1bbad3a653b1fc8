"""Checkpoints: what was saved comes back, and a damaged one gives way to the one before it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from radspark.engine.checkpoint import (
    Checkpoint,
    CheckpointFolder,
    KeptWeights,
    ValidationScores,
    check_choices,
    resume_from,
)
from radspark.engine.history import EpochRecord, OpenEpoch, RoundRecord, RunRecord
from radspark.errors import TrainingError
from radspark.nn.schedules import ScheduleState
from radspark.settings import (
    PRESETS,
    Cosine,
    Phase,
    Plateau,
    Polynomial,
    Recipe,
    StepDecay,
    TrainingSettings,
    Warmup,
)
from radspark.training.state import PackedState, TrainingState

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RECIPE = PRESETS["deck-adam"]


def state(step: int) -> PackedState:
    return TrainingState({"w": torch.full((3,), float(step))}, {"exp_avg/w": torch.ones(3)}, step).pack()


def record(*, best_epoch: int | None = None) -> RunRecord:
    epoch = EpochRecord(1, 1e-3, 0.5, 10.0, 3.0, 2, 0, {"mean_auroc": 0.7, "loss": 0.4})
    return RunRecord(
        fingerprint="f",
        num_shards=2,
        num_samples=10,
        steps_per_epoch=5,
        schedule=ScheduleState(phase=1, best=0.7),
        open_epoch=OpenEpoch(1.0, 8, 2.0, 1),
        epochs=(epoch,),
        rounds=(RoundRecord(0, 5, 2, 4.0, 3.0, 0),),
        best_epoch=best_epoch,
        best_value=0.7,
    )


def test_a_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    weights = KeptWeights({"w": np.arange(3.0)}, np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32), epoch=1)
    folder.save_best(weights)
    folder.save(state(5), record(best_epoch=1), RECIPE)
    loaded = folder.load_newest()
    assert loaded.state.data == state(5).data
    assert loaded.record == record(best_epoch=1)
    assert loaded.recipe == RECIPE
    np.testing.assert_array_equal(loaded.best.network["w"], weights.network["w"])
    np.testing.assert_array_equal(loaded.best.labels_NC, weights.labels_NC)


def test_scores_of_an_epochs_end_come_back(tmp_path: Path) -> None:
    both_NC = np.arange(12, dtype=np.float32).reshape(3, 4)
    scores = ValidationScores(both_NC[:, :2], both_NC[:, 2:])
    CheckpointFolder(tmp_path).save(state(5), record(), RECIPE, scores=scores)
    loaded = CheckpointFolder(tmp_path).load_newest().scores
    np.testing.assert_array_equal(loaded.labels_NC, scores.labels_NC)
    np.testing.assert_array_equal(loaded.probabilities_NC, scores.probabilities_NC)
    CheckpointFolder(tmp_path).save(state(6), record(), RECIPE)
    assert CheckpointFolder(tmp_path).load_newest().scores is None


def test_the_newest_two_stay(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        CheckpointFolder(tmp_path).save(state(step), record(), RECIPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000015"]


@pytest.mark.parametrize(
    ("schedule", "is_refused"),
    [
        ((Warmup(), Cosine()), True),
        ((Polynomial(),), True),
        ((Warmup(), Cosine(epochs=4)), False),
        ((Warmup(), Plateau()), False),
        ((StepDecay(),), False),
    ],
)
def test_other_epochs_are_refused_where_the_rates_depend_on_them(schedule: tuple[Phase, ...], is_refused: bool) -> None:
    before = Recipe(schedule=schedule, training=TrainingSettings(epochs=5))
    now = dataclasses.replace(before, training=TrainingSettings(epochs=9))
    checkpoint = Checkpoint(state(5), record(), before, None, None)
    check_choices(before, checkpoint)
    with (
        pytest.raises(TrainingError, match="training.epochs is 9, was 5, by which the (cosine|polynomial) phase")
        if (is_refused)
        else contextlib.nullcontext()
    ):
        check_choices(now, checkpoint)


@pytest.mark.parametrize("file", ["state.safetensors", "run.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cut_checkpoint_gives_way_to_the_one_before_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, share: float
) -> None:
    for step in (5, 10):
        CheckpointFolder(tmp_path).save(state(step), record(), RECIPE)
    path = tmp_path / "step-00000010" / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with caplog.at_level(logging.WARNING):
        assert CheckpointFolder(tmp_path).load_newest().state.step == 5
    assert "step-00000010 is damaged" in caplog.text


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path).save(state(5), record(), RECIPE)
    path = tmp_path / "step-00000005" / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert CheckpointFolder(tmp_path).load_newest() is None


def test_resuming_with_other_samples_is_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path).save(state(5), record(), RECIPE)
    assert resume_from(CheckpointFolder(tmp_path), fingerprint="f").state.step == 5
    with pytest.raises(TrainingError, match="samples are not those of the run"):
        resume_from(CheckpointFolder(tmp_path), fingerprint="other")


def test_resuming_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        resume_from(CheckpointFolder(tmp_path / "nothing"), fingerprint="f")


def test_epochs_since_best_counts_from_the_best() -> None:
    assert dataclasses.replace(record(), best_epoch=None).epochs_since_best == 1
    assert record(best_epoch=1).epochs_since_best == 0


@pytest.mark.spark
def test_checkpoints_live_on_another_file_system(spark: SparkSession, tmp_path: Path) -> None:
    """Hadoop's viewfs is remote but for its bytes."""
    table = f"t{abs(hash(tmp_path))}"
    spark.sparkContext._jsc.hadoopConfiguration().set(f"fs.viewfs.mounttable.{table}.link./data", tmp_path.as_uri())
    uri = f"viewfs://{table}/data/run/checkpoints"
    folder = CheckpointFolder.at(spark, uri)
    folder.save_best(KeptWeights({"w": np.arange(3.0)}, np.ones((4, 2)), np.zeros((4, 2)), epoch=1))
    for step in (5, 10, 15):
        folder.save(state(step), record(best_epoch=1), RECIPE)
    entries = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir() if not path.name.startswith(".")}
    assert entries == {"best-00001.safetensors", "step-00000010", "step-00000015"}
    again = CheckpointFolder.at(spark, uri)
    assert again.load_newest().state.data == state(15).data
    with pytest.raises(TrainingError, match=f"{uri} holds the checkpoints of an earlier run"):
        again.check_unused()


def test_a_damaged_best_is_a_damaged_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(state(5), record(), RECIPE)
    folder.save_best(KeptWeights({"w": np.arange(3.0)}, np.ones((4, 2)), np.zeros((4, 2)), epoch=1))
    folder.save(state(10), record(best_epoch=1), RECIPE)
    (tmp_path / "best-00001.safetensors").write_bytes(b"cut")
    assert folder.load_newest().state.step == 5
    assert "step-00000010 is damaged" in caplog.text
