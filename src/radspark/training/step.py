"""One synchronous mini-batch update: forward and backward over micro-batches, one sum over all shards, update.

Gradients, batch-norm statistics, loss and sample count lie in one flat vector, so that a step is one exchange.
N samples of a micro-batch, C findings, H = W side of the network's input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.modules.batchnorm import _NormBase

from radspark.nn.losses import masked_bce
from radspark.nn.network import XRayNetwork
from radspark.nn.optimizers import add_head_l2, clip_gradients, set_learning_rate
from radspark.nn.user_module import UserNetwork
from radspark.settings import OptimizerSettings
from radspark.training.features import HeadNetwork
from radspark.training.tree import Block, ShardSum, TreeSum

Trainable = XRayNetwork | UserNetwork | HeadNetwork

MEASURES = 3
"""Floats behind gradients and statistics in the exchanged vector: loss, samples, workers that want to stop."""


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward pass."""

    inputs: torch.Tensor
    """Images, uint8 (N, 1, H, W); or features (N, F) for a head alone."""
    labels_NC: torch.Tensor
    """float32, NaN where unknown."""
    dropout_seed: int


@dataclass(frozen=True)
class StepResult:
    """What a step measured, over all workers."""

    loss: float
    """Mean over the samples of the step."""
    num_samples: int
    was_applied: bool
    """False if the gradient was not finite and the weights stayed as they were."""
    stop: bool
    """Whether any worker asked to end the round after this step."""


class Stepper:
    """Takes steps on one network; built once a round."""

    def __init__(
        self,
        network: Trainable,
        optimizer: torch.optim.Optimizer,
        *,
        settings: OptimizerSettings,
        positive_weights_C: torch.Tensor | None,
        bfloat16: bool,
        shard_sum: ShardSum,
    ) -> None:
        self._network = network.train()
        self._optimizer = optimizer
        self._settings = settings
        self._positive_weights_C = positive_weights_C
        self._bfloat16 = bfloat16
        self._shard_sum = shard_sum
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        norms = [m for m in network.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
        self._counters = [m.num_batches_tracked for m in norms if m.num_batches_tracked is not None]
        self._statistics = _flatten_statistics(norms)
        sizes = [sum(p.numel() for p in self._parameters), self._statistics.numel(), MEASURES]
        padding = -sum(sizes) % shard_sum.num_workers
        self._exchange = torch.zeros(sum(sizes) + padding)
        self._gradients, self._statistics_sum, self._measures, _ = torch.split(self._exchange, [*sizes, padding])
        self._point_gradients_into_exchange()

    def _point_gradients_into_exchange(self) -> None:
        offset = 0
        for parameter in self._parameters:
            parameter.grad = self._gradients.as_strided(parameter.size(), parameter.stride(), offset)
            offset += parameter.numel()

    def step(
        self, shards: Mapping[int, Iterable[MicroBatch]], *, learning_rate: float, stop: bool = False
    ) -> StepResult:
        """Take one step.

        Args:
            shards: what each of this worker's shards takes part with, in their order.
            stop: asks all workers to end the round after it.
        """
        statistics_before = self._statistics.clone()
        counters_before = [counter.clone() for counter in self._counters]
        tree = TreeSum()
        for number, (shard, micro_batches) in enumerate(shards.items()):
            self._exchange.zero_()
            for micro_batch in micro_batches:
                self._statistics.copy_(statistics_before)
                for counter, before in zip(self._counters, counters_before, strict=True):
                    counter.copy_(before)
                self._accumulate(micro_batch)
            self._measures[2] += float(stop and number == 0)
            tree.add(Block(shard, 1), self._exchange.clone() if len(shards) > 1 else self._exchange)
        self._shard_sum(tree.sums, self._exchange)
        loss_sum, num_samples, stops = self._measures.tolist()
        was_applied = math.isfinite(self._exchange.sum().item())
        if was_applied:
            self._update(num_samples, learning_rate)
        else:
            self._statistics.copy_(statistics_before)
        return StepResult(loss_sum / num_samples, int(num_samples), was_applied, stops > 0)

    def _accumulate(self, batch: MicroBatch) -> None:
        num_samples = len(batch.labels_NC)
        with seeded(batch.dropout_seed), torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            logits_NC = self._network(batch.inputs)
        loss = masked_bce(logits_NC.float(), batch.labels_NC, self._positive_weights_C)
        loss.backward()  # type: ignore[no-untyped-call]
        self._statistics_sum.add_(self._statistics, alpha=num_samples)
        self._measures[0] += loss.item()
        self._measures[1] += num_samples

    def _update(self, num_samples: float, learning_rate: float) -> None:
        self._gradients.div_(num_samples)
        if self._settings.head_l2:
            add_head_l2(self._network.head_parameters(), self._settings.head_l2)
        if self._settings.clip_norm is not None:
            clip_gradients(self._parameters, self._settings.clip_norm)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        if self._statistics.numel():
            torch.div(self._statistics_sum, num_samples, out=self._statistics)


def _flatten_statistics(norms: list[_NormBase]) -> torch.Tensor:
    """Move the running statistics of all batch-norms into one vector, of which they become views."""
    buffers = [(norm, name) for norm in norms for name in ("running_mean", "running_var")]
    flat = torch.cat([getattr(norm, name).flatten() for norm, name in buffers]) if buffers else torch.zeros(0)
    offset = 0
    for norm, name in buffers:
        size = getattr(norm, name).numel()
        setattr(norm, name, flat[offset : offset + size])
        offset += size
    return flat


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with torch's generator at a seed of its own; the generator is as before on exit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def dropout_seed(seed: int, step: int, shard: int, piece: int) -> int:
    """Seed of one forward pass, the same whatever worker runs it."""
    return int(np.random.SeedSequence((seed, step, shard, piece)).generate_state(1, np.uint64)[0] >> np.uint64(1))
