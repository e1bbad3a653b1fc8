"""A round as a worker sees it: from a state and its shards, through some steps, to a new state and measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radspark.nn.augmentation import augment, center_crop
from radspark.nn.network import XRayNetwork
from radspark.nn.optimizers import build_optimizer
from radspark.nn.user_module import UserNetwork
from radspark.settings import Recipe
from radspark.training.cache import CachedShard
from radspark.training.collective import Group
from radspark.training.shards import ShardPlan
from radspark.training.state import TrainingState, capture, restore
from radspark.training.step import MicroBatch, Stepper, StepResult, dropout_seed

SCORING_BATCH = 16


@dataclass(frozen=True)
class RoundSpec:
    """What all workers of a round are told; plain values, the same for each."""

    recipe: Recipe
    build_network: Callable[[], XRayNetwork | UserNetwork]
    """Module-level function or partial of one; the state's weights replace those it starts with."""
    plan: ShardPlan
    positive_weights: tuple[float, ...] | None
    first_step: int
    """Steps done since the start of the run."""
    learning_rates: tuple[float, ...]
    """One for each step up to the end of the epoch; the round ends there at the latest."""
    seconds: float
    """The round ends after the first step that is done later than this."""


@dataclass(frozen=True)
class StepRecord:
    """What history keeps of a step."""

    step: int
    """Counted from 1 since the start of the run."""
    loss: float
    num_samples: int
    learning_rate: float
    seconds: float
    was_applied: bool


@dataclass(frozen=True)
class ShardScores:
    """Validation samples of one shard with their scores."""

    shard: int
    labels_NC: NDArray[np.float32]
    probabilities_NC: NDArray[np.float32]


@dataclass(frozen=True)
class RoundOutcome:
    """What a worker has at the end of a round. The state is the same on every worker."""

    state: TrainingState
    steps: list[StepRecord]
    scores: list[ShardScores]
    """Empty unless the round ended an epoch."""


def run_round(
    spec: RoundSpec,
    state: TrainingState,
    *,
    train: Mapping[int, CachedShard],
    validation: Mapping[int, CachedShard],
    group: Group,
    on_step: Callable[[StepRecord], None],
) -> RoundOutcome:
    """Run the steps of a round on the shards that this worker holds.

    Args:
        train: shard number to samples; validation likewise.
        on_step: called after each step, on every worker.
    """
    network = spec.build_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(list(network.named_parameters()), spec.recipe.optimizer)
    restore(state, network, optimizer)
    stepper = Stepper(
        network,
        optimizer,
        settings=spec.recipe.optimizer,
        positive_weights_C=None if spec.positive_weights is None else torch.tensor(spec.positive_weights),
        bfloat16=spec.recipe.training.precision == "bfloat16",
        group=group,
    )
    steps: list[StepRecord] = []
    started = last = time.monotonic()
    for offset, learning_rate in enumerate(spec.learning_rates):
        step = spec.first_step + offset
        late = time.monotonic() - started > spec.seconds
        result = stepper.step(micro_batches(spec, train, step), learning_rate=learning_rate, stop=late)
        now = time.monotonic()
        steps.append(_record(step, result, learning_rate, now - last))
        on_step(steps[-1])
        last = now
        if result.stop:
            break
    done = spec.first_step + len(steps)
    scores = []
    if done % spec.plan.steps_per_epoch == 0:
        scores = [score_shard(network, spec, shard, samples) for shard, samples in validation.items()]
    return RoundOutcome(capture(network, optimizer, step=done), steps, scores)


def _record(step: int, result: StepResult, learning_rate: float, seconds: float) -> StepRecord:
    return StepRecord(step + 1, result.loss, result.num_samples, learning_rate, seconds, result.was_applied)


def micro_batches(spec: RoundSpec, shards: Mapping[int, CachedShard], step: int) -> Iterator[MicroBatch]:
    """The forward passes of one step on the given shards, augmented and cut to the network's input."""
    epoch, step_of_epoch = divmod(step, spec.plan.steps_per_epoch)
    for shard, samples in sorted(shards.items()):
        for piece, indices in enumerate(spec.plan.micro_batches(shard, epoch=epoch, step=step_of_epoch)):
            yield MicroBatch(
                images_N1HW=augment(
                    torch.from_numpy(samples.images_NSS[indices]).unsqueeze(1),
                    settings=spec.recipe.augmentation,
                    seed=spec.plan.seed,
                    epoch=epoch,
                    image_keys_N=samples.keys_N[indices],
                    output_size=spec.recipe.model.input_size,
                ),
                labels_NC=torch.from_numpy(samples.labels_NC[indices]),
                dropout_seed=dropout_seed(spec.plan.seed, step, shard, piece),
            )


@torch.inference_mode()
def score_shard(network: nn.Module, spec: RoundSpec, shard: int, samples: CachedShard) -> ShardScores:
    """Probabilities of a validation shard by the evaluation chain: centre crop, no augmentation, no dropout."""
    was_training = network.training
    network.eval()
    parts = [
        network(center_crop(torch.from_numpy(np.array(images)).unsqueeze(1), spec.recipe.model.input_size)).sigmoid()
        for images in np.split(samples.images_NSS, range(SCORING_BATCH, len(samples), SCORING_BATCH))
        if len(images)
    ]
    network.train(was_training)
    probabilities_NC = torch.cat(parts).numpy() if parts else np.empty_like(samples.labels_NC)
    return ShardScores(shard, np.array(samples.labels_NC), probabilities_NC)
