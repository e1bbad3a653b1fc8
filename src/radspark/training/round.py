"""A round as a worker sees it: from a state and its shards, through some steps, to a new state and measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radspark.nn.augmentation import augment
from radspark.nn.network import XRayNetwork
from radspark.nn.optimizers import build_optimizer
from radspark.nn.transfer import CPU, to_device
from radspark.nn.user_module import UserNetwork
from radspark.settings import Recipe
from radspark.training.cache import CachedShard
from radspark.training.collective import Group
from radspark.training.features import (
    SCORING_BATCH,
    HeadNetwork,
    has_fixed_features,
    image_batches,
    shard_features,
)
from radspark.training.gradients import MicroBatch, Trainable, dropout_seed
from radspark.training.shards import ShardPlan
from radspark.training.state import TrainingState, capture, restore
from radspark.training.step import Stepper, StepResult
from radspark.training.tree import ShardSum


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
    """The round ends with the first step that begins later than this; with `sliced`, that is done later."""


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
    device: torch.device = CPU,
) -> RoundOutcome:
    """Run the steps of a round on the shards that this worker holds.

    Args:
        train: shard number to samples; validation likewise.
        on_step: called after each step, on every worker.
        device: what computes; the samples come from the processor's memory, and the scores go there.
    """
    network = spec.build_network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(list(network.named_parameters()), spec.recipe.optimizer)
    restore(state, network, optimizer)
    del state  # as large as the network and its moments, and no longer needed
    learner, inputs = choose_learner(network, spec, device)
    # What a user's own module does in a backward pass is not known; a GPU would run both in turn, in one stream.
    overlaps = group.size > 1 and device.type == "cpu" and isinstance(learner, XRayNetwork)
    with ThreadPoolExecutor(1, "radspark-exchange") if overlaps else nullcontext() as thread:
        stepper = Stepper(
            learner,
            optimizer,
            settings=spec.recipe.optimizer,
            positive_weights_C=None
            if spec.positive_weights is None
            else torch.tensor(spec.positive_weights).to(device),
            precision=getattr(torch, spec.recipe.training.precision),
            shard_sum=ShardSum(group, num_shards=len(spec.plan.sizes)),
            exchange=getattr(torch, spec.recipe.training.exchange),
            thread=thread,
            device=device,
        )
        steps = list(_take_steps(spec, stepper, inputs, train, on_step))
    done = spec.first_step + len(steps)
    scores = []
    if done % spec.plan.steps_per_epoch == 0:
        scores = [score_shard(learner, inputs, shard, samples) for shard, samples in validation.items()]
    return RoundOutcome(capture(network, optimizer, step=done), steps, scores)


def choose_learner(
    network: XRayNetwork | UserNetwork, spec: RoundSpec, device: torch.device = CPU
) -> tuple[Trainable, Inputs]:
    """What is trained, and what it is given: the whole network on images, or its head on fixed features."""
    if isinstance(network, XRayNetwork) and has_fixed_features(network, spec.recipe):
        return HeadNetwork(network), Inputs(spec, network, device)
    return network, Inputs(spec, None, device)


def _take_steps(
    spec: RoundSpec,
    stepper: Stepper,
    inputs: Inputs,
    train: Mapping[int, CachedShard],
    on_step: Callable[[StepRecord], None],
) -> Iterator[StepRecord]:
    """Steps to the end of the epoch, or until the time is over on some worker."""
    started = last = time.monotonic()
    steps = range(spec.first_step, spec.first_step + len(spec.learning_rates))
    for step, learning_rate, shards in zip(steps, spec.learning_rates, inputs.of_steps(train, steps), strict=True):
        late = time.monotonic() - started > spec.seconds
        result = stepper.step(shards, learning_rate=learning_rate, stop=late)
        now = time.monotonic()
        record = _record(step, result, learning_rate, now - last)
        on_step(record)
        yield record
        last = now
        if result.stop:
            break


def _record(step: int, result: StepResult, learning_rate: float, seconds: float) -> StepRecord:
    return StepRecord(step + 1, result.loss, result.num_samples, learning_rate, seconds, result.was_applied)


class Inputs:
    """What a network is given on its device: augmented images, or the fixed features of a frozen trunk."""

    def __init__(self, spec: RoundSpec, frozen: XRayNetwork | None, device: torch.device) -> None:
        self._spec = spec
        self._frozen = frozen
        self._device = device
        self._features: dict[int, NDArray[np.float32]] = {}

    def of_step(self, shards: Mapping[int, CachedShard], step: int) -> dict[int, Iterator[MicroBatch]]:
        """The forward passes of one step on the given shards, by shard."""
        return {shard: self._micro_batches(shard, shards[shard], step) for shard in sorted(shards)}

    def of_steps(
        self, shards: Mapping[int, CachedShard], steps: Iterable[int]
    ) -> Iterator[dict[int, Iterator[MicroBatch]]]:
        """Those of several steps; each forward pass is prepared while the one before it runs."""
        plan = self._spec.plan
        steps = list(steps)
        with closing(
            _ahead(b for step in steps for own in self.of_step(shards, step).values() for b in own)
        ) as batches:
            for step in steps:
                counts = {
                    shard: plan.num_micro_batches(shard, step=step % plan.steps_per_epoch) for shard in sorted(shards)
                }
                yield {shard: islice(batches, count) for shard, count in counts.items()}

    def _micro_batches(self, shard: int, samples: CachedShard, step: int) -> Iterator[MicroBatch]:
        plan = self._spec.plan
        epoch, step_of_epoch = divmod(step, plan.steps_per_epoch)
        pieces = plan.micro_batches(shard, epoch=epoch, step=step_of_epoch)
        for piece, indices in enumerate(pieces):
            yield MicroBatch(
                inputs=self._training_inputs(samples, indices, epoch),
                labels_NC=to_device(samples.labels_NC[indices], self._device),
                dropout_seed=dropout_seed(plan.seed, step, shard, piece),
                is_last=piece == len(pieces) - 1,
            )

    def in_order(self, samples: CachedShard) -> Iterator[torch.Tensor]:
        """A shard's samples by the evaluation chain, in batches."""
        if self._frozen is not None and len(samples):
            features_NF, size = self._features_of(samples), SCORING_BATCH[self._device.type]
            return (to_device(features_NF[i : i + size], self._device) for i in range(0, len(samples), size))
        return image_batches(samples, self._spec.recipe.model.input_size, self._device)

    def _training_inputs(self, samples: CachedShard, indices: NDArray[np.int64], epoch: int) -> torch.Tensor:
        if self._frozen is not None:
            return to_device(self._features_of(samples)[indices], self._device)
        return augment(
            samples.images_NSS[indices][:, np.newaxis],
            settings=self._spec.recipe.augmentation,
            seed=self._spec.plan.seed,
            epoch=epoch,
            image_keys_N=samples.keys_N[indices],
            output_size=self._spec.recipe.model.input_size,
            device=self._device,
        )

    def _features_of(self, samples: CachedShard) -> NDArray[np.float32]:
        assert self._frozen is not None
        if id(samples) not in self._features:
            size = self._spec.recipe.model.input_size
            self._features[id(samples)] = shard_features(self._frozen, samples, input_size=size, device=self._device)
        return self._features[id(samples)]


def _ahead(items: Iterator[MicroBatch]) -> Generator[MicroBatch, None, None]:
    """The same, each made on another thread while the one before is used."""
    with ThreadPoolExecutor(1, "radspark-inputs") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


@torch.inference_mode()
def score_shard(network: nn.Module, inputs: Inputs, shard: int, samples: CachedShard) -> ShardScores:
    """Probabilities of a validation shard: no augmentation, no dropout."""
    was_training = network.training
    network.eval()
    parts = [network(batch).sigmoid() for batch in inputs.in_order(samples)]
    network.train(was_training)
    probabilities_NC = torch.cat(parts).cpu().numpy() if parts else np.empty_like(samples.labels_NC)
    return ShardScores(shard, np.array(samples.labels_NC), probabilities_NC)
