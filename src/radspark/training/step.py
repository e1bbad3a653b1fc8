"""One synchronous mini-batch update: gradients of all shards, one sum, and the optimizer's step on every worker."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from radspark.nn.optimizers import add_head_l2, clip_gradients, set_learning_rate
from radspark.nn.transfer import CPU
from radspark.settings import OptimizerSettings
from radspark.training.exchange import Exchange
from radspark.training.gradients import MicroBatch, ShardGradients, Trainable
from radspark.training.tree import ShardSum


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
        precision: torch.dtype,
        shard_sum: ShardSum,
        exchange: torch.dtype = torch.float32,
        thread: ThreadPoolExecutor | None = None,
        device: torch.device = CPU,
    ) -> None:
        """Lay out the vector of gradients.

        Args:
            precision: arithmetic of forward and backward passes.
            exchange: in what gradients travel from worker to worker; statistics and measures travel in float32.
            thread: exchanges during the last backward pass; see `Exchange`.
            device: where the network lies.
        """
        self._network = network
        self._optimizer = optimizer
        self._settings = settings
        self._sums = ShardGradients(
            network,
            positive_weights_C=positive_weights_C,
            precision=precision,
            multiple_of=shard_sum.num_workers,
            device=device,
        )
        self._exchange = Exchange(self._sums, shard_sum, travel=exchange, thread=thread)

    def step(
        self, shards: Mapping[int, Iterable[MicroBatch]], *, learning_rate: float, stop: bool = False
    ) -> StepResult:
        """Take one step.

        Args:
            shards: what each of this worker's shards takes part with, in their order.
            stop: asks all workers to end the round after it.
        """
        sums = self._sums
        statistics_before = sums.statistics.clone()
        self._exchange.finish(sums.of_shards(shards, stop=stop, before_last=self._exchange.begin).sums)
        # Read at once, as each reading waits for a GPU to finish.
        loss_sum, num_samples, stops, total = torch.cat([sums.measures, sums.vector.sum(0, keepdim=True)]).tolist()
        was_applied = math.isfinite(total)
        if was_applied:
            self._update(num_samples, learning_rate)
        else:
            sums.statistics.copy_(statistics_before)
        return StepResult(loss_sum / num_samples, int(num_samples), was_applied, stops > 0)

    def _update(self, num_samples: float, learning_rate: float) -> None:
        sums = self._sums
        sums.gradients.div_(num_samples)
        if self._settings.head_l2:
            add_head_l2(self._network.head_parameters(), self._settings.head_l2)
        if self._settings.clip_norm is not None:
            clip_gradients(sums.parameters, self._settings.clip_norm)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        if sums.statistics.numel():
            torch.div(sums.statistics_sum, num_samples, out=sums.statistics)
