"""Checkpoints: training state and run record as a folder that is whole or absent, and the best weights so far."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from safetensors import SafetensorError

from radspark.engine.history import RunRecord
from radspark.errors import TrainingError
from radspark.frames.filesystem import Mirror, local_path
from radspark.nn.schedules import Schedule
from radspark.settings import Recipe, from_dict, to_dict
from radspark.training.state import PackedState

logger = logging.getLogger(__name__)

MAY_CHANGE = {
    "training": frozenset(
        {
            "epochs",
            "num_workers",
            "cores_per_worker",
            "device",
            "cache_level",
            "cache_gb",
            "keep",
            "early_stopping_patience",
            "round_minutes",
            "max_round_failures",
            "max_unreadable",
            "synchronizer",
        }
    ),
    "decision": frozenset({"calibration", "sensitivity", "specificity"}),
}
"""Choices that a resumed run may make anew: what it runs on, and how long it goes on, if its rates do not depend on
that. All others make another model."""
SCORES_FILE = "validation.safetensors"
KEPT = 2
"""Checkpoints that stay: the newest, and the one before it in case the newest is damaged."""


@dataclass(frozen=True)
class KeptWeights:
    """A network's weights with the validation scores they made (N samples, C findings)."""

    network: dict[str, NDArray[Any]]
    labels_NC: NDArray[np.float32]
    probabilities_NC: NDArray[np.float32]
    epoch: int


@dataclass(frozen=True, eq=False)
class ValidationScores:
    """What the weights of an epoch's end made of the validation samples (N samples, C findings)."""

    labels_NC: NDArray[np.float32]
    probabilities_NC: NDArray[np.float32]


@dataclass(frozen=True)
class Checkpoint:
    """A run as it stood after some step."""

    state: PackedState
    record: RunRecord
    recipe: Recipe
    best: KeptWeights | None
    scores: ValidationScores | None
    """Of this state, if an epoch ended with it."""


class CheckpointFolder:
    """`checkpoints/` of a run: `step-00000120/` folders, and `best-00003.safetensors`."""

    def __init__(self, folder: Path, *, shown: str | None = None, push: Callable[[str], None] | None = None) -> None:
        """Checkpoints in a folder of this machine.

        Args:
            shown: its name in messages, where it stands for another.
            push: called with the name of each new entry, after older ones were removed.
        """
        self._folder = folder
        self._push = push
        self.shown = str(folder) if shown is None else shown
        """Its name in messages."""

    @classmethod
    def at(cls, spark: SparkSession, uri: str) -> CheckpointFolder:
        """Checkpoints on any file system that Spark reaches; those of another machine are written here and copied.

        Raises:
            SetupError: a file is there, or Spark Connect is in between.
        """
        local = local_path(uri)
        if local is not None:
            return cls(local)
        mirror = Mirror(spark, uri)
        return cls(mirror.folder, shown=uri, push=mirror.push)

    def check_unused(self) -> None:
        """Check that a new run may write here: checkpoints of two runs in one folder could not be told apart.

        Raises:
            TrainingError: an earlier run's checkpoints are here.
        """
        if self._complete():
            raise TrainingError(
                f"{self.shown} holds the checkpoints of an earlier run; resume that run, or use another folder."
            )

    def save(
        self, state: PackedState, record: RunRecord, recipe: Recipe, *, scores: ValidationScores | None = None
    ) -> None:
        """Write a checkpoint beside the older ones, put it in place in one move, and drop those no longer kept."""
        values = {
            "record": record.to_dict(),
            "recipe": to_dict(recipe),
            "state": {"file": "state.safetensors", "sha256": hashlib.sha256(state.data).hexdigest()},
        }
        target = self._folder / f"step-{state.step:08d}"
        staging = self._folder / f".{target.name}.partial"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        _write_synced(staging / "state.safetensors", state.data)
        if scores is not None:
            tensors = {"labels": scores.labels_NC, "probabilities": scores.probabilities_NC}
            _write_synced(staging / SCORES_FILE, _to_safetensors(tensors))
        _write_synced(staging / "run.json", json.dumps(values).encode())
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
        for old in self._complete()[:-KEPT]:
            shutil.rmtree(old)
        self._drop_old_bests(record.best_epoch)
        if self._push is not None:
            self._push(target.name)

    def save_best(self, weights: KeptWeights) -> None:
        """Write the best weights so far; a checkpoint that names this epoch follows."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": array for name, array in weights.network.items()}
        tensors |= {"validation.labels": weights.labels_NC, "validation.probabilities": weights.probabilities_NC}
        target = self._best(weights.epoch)
        staging = target.with_suffix(".partial")
        _write_synced(staging, _to_safetensors(tensors))
        staging.rename(target)
        if self._push is not None:
            self._push(target.name)

    def load_best(self, epoch: int) -> KeptWeights:
        """Read the weights of the best epoch."""
        tensors = safetensors.numpy.load(self._best(epoch).read_bytes())
        labels, probabilities = tensors.pop("validation.labels"), tensors.pop("validation.probabilities")
        network = {name.removeprefix("network."): array for name, array in tensors.items()}
        return KeptWeights(network, labels, probabilities, epoch)

    def load_newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, None where there is none; says so if a newer one is damaged."""
        for folder in reversed(self._complete()):
            try:
                return self._load(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:  # noqa: PERF203
                logger.warning("checkpoint %s is damaged (%s); using the one before it", folder.name, error)
        return None

    def _load(self, folder: Path) -> Checkpoint:
        values = json.loads((folder / "run.json").read_bytes())
        data = (folder / values["state"]["file"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != values["state"]["sha256"]:
            raise ValueError("its state has another checksum")
        record = RunRecord.from_dict(values["record"])
        best = None if record.best_epoch is None else self.load_best(record.best_epoch)
        scores = None
        if (folder / SCORES_FILE).exists():
            tensors = safetensors.numpy.load((folder / SCORES_FILE).read_bytes())
            scores = ValidationScores(tensors["labels"], tensors["probabilities"])
        return Checkpoint(PackedState.read(data), record, from_dict(Recipe, values["recipe"]), best, scores)

    def _complete(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))

    def _best(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch:05d}.safetensors"

    def _drop_old_bests(self, epoch: int | None) -> None:
        """Keep the current best; an older one may still be named by the older checkpoint, so one of these stays too."""
        old = [path for path in sorted(self._folder.glob("best-*.safetensors")) if epoch and path != self._best(epoch)]
        for path in old[:-1]:
            path.unlink()


def resume_from(folder: CheckpointFolder, *, fingerprint: str) -> Checkpoint:
    """The newest whole checkpoint of a run, refused if the samples are others.

    Raises:
        TrainingError: no checkpoint, or other samples.
    """
    checkpoint = folder.load_newest()
    if checkpoint is None:
        raise TrainingError(f"{folder.shown} holds no whole checkpoint to resume from; start the run anew.")
    if checkpoint.record.fingerprint != fingerprint:
        raise TrainingError(
            f"the samples are not those of the run in {folder.shown}: their ids, splits or labels differ "
            f"(fingerprint {fingerprint}, checkpoint {checkpoint.record.fingerprint}); resume with the same data."
        )
    return checkpoint


def check_choices(recipe: Recipe, checkpoint: Checkpoint) -> None:
    """Check that a run that goes on makes the choices that it began with, but for MAY_CHANGE.

    Raises:
        TrainingError: names each choice that differs, with both values.
    """
    now, before = to_dict(recipe), to_dict(checkpoint.recipe)
    changed = [
        f"{section}.{name} is {fields_now.get(name)!r}, was {fields_before.get(name)!r}"
        for section, fields_now, fields_before in _by_section(now, before)
        for name in sorted(fields_now.keys() | fields_before.keys())
        if fields_now.get(name) != fields_before.get(name) and name not in MAY_CHANGE.get(section, ())
    ]
    if now["schedule"] != before["schedule"]:
        changed.append("schedule differs")
    epochs, epochs_before = recipe.training.epochs, checkpoint.recipe.training.epochs
    kind = Schedule(recipe.schedule, recipe.optimizer.learning_rate, epochs).phase_by_length
    if epochs != epochs_before and kind is not None:
        changed.append(
            f"training.epochs is {epochs}, was {epochs_before}, by which the {kind} phase of the schedule would bend "
            "(only one with epochs of its own does not)"
        )
    if changed:
        raise TrainingError(
            f"a resumed run must keep its choices: {'; '.join(changed)}. Give the run's own recipe, or start a new run."
        )


def _by_section(now: dict[str, Any], before: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    return ((section, now[section], before[section]) for section in now if section != "schedule")


def _to_safetensors(arrays: dict[str, NDArray[Any]]) -> bytes:
    # safetensors writes an array's memory as it lies, also where it is a part of another.
    return bytes(safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _write_synced(path: Path, data: bytes | bytearray) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
