"""What this worker's shards add to a step: forward and backward over micro-batches, summed along the tree.

Gradients, batch-norm statistics, loss and sample count lie in one flat vector, so that a step is one exchange.
N samples of a micro-batch, C findings, H = W side of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.modules.batchnorm import _NormBase

from radspark.nn.losses import masked_bce
from radspark.nn.network import XRayNetwork
from radspark.nn.transfer import CPU
from radspark.nn.user_module import UserNetwork
from radspark.training.features import HeadNetwork
from radspark.training.tree import Block, TreeSum

Trainable = XRayNetwork | UserNetwork | HeadNetwork

MEASURES = 3
"""Floats behind gradients and statistics in the vector: loss, samples, workers that want to stop."""


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward pass."""

    inputs: torch.Tensor
    """Images, uint8 (N, 1, H, W); or features (N, F) for a head alone."""
    labels_NC: torch.Tensor
    """float32, NaN where unknown."""
    dropout_seed: int
    is_last: bool = False
    """Of its shard's in a step."""


def _do_nothing() -> None:
    pass


class ShardGradients:
    """Computes on one network, whose gradients and running statistics become views of flat vectors."""

    def __init__(
        self,
        network: Trainable,
        *,
        positive_weights_C: torch.Tensor | None,
        precision: torch.dtype,
        multiple_of: int = 1,
        device: torch.device = CPU,
    ) -> None:
        """Lay the vector out.

        Args:
            precision: arithmetic of forward and backward passes; weights and sums are float32.
            multiple_of: the gradients, and what follows them in the vector, are padded to it each.
            device: where the network lies.
        """
        self._network = network.train()
        self._positive_weights_C = positive_weights_C
        self._precision = precision
        self._device = device
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        norms = [m for m in network.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
        self.statistics = _flatten(norms, ("running_mean", "running_var"), torch.float32, device)
        """The network's running means and variances: the present ones."""
        self.counters = _flatten(norms, ("num_batches_tracked",), torch.int64, device)
        """How many batches each batch-norm has seen."""
        num_gradients, num_statistics = sum(p.numel() for p in self.parameters), self.statistics.numel()
        padding = [-num_gradients % multiple_of, -(num_statistics + MEASURES) % multiple_of]
        sizes = [num_gradients, padding[0], num_statistics, MEASURES, padding[1]]
        self.vector = torch.zeros(sum(sizes), device=device)
        self.gradients, _, self.statistics_sum, self.measures, _ = torch.split(self.vector, sizes)
        self.end_of_gradients = sum(sizes[:2])
        """In the vector; statistics and measures follow."""
        self._point_gradients_into_vector()

    def _point_gradients_into_vector(self) -> None:
        offset = 0
        for parameter in self.parameters:
            parameter.grad = self.gradients.as_strided(parameter.size(), parameter.stride(), offset)
            offset += parameter.numel()

    def of_shards(
        self,
        shards: Mapping[int, Iterable[MicroBatch]],
        *,
        stop: bool = False,
        before_last: Callable[[], None] = _do_nothing,
    ) -> TreeSum:
        """The sums of this worker's blocks of shards, in the layout of `vector`, whose memory a single one shares.

        Counters are one further afterwards; running statistics are those of some micro-batch.

        Args:
            shards: what each shard takes part with, in their order.
            stop: whether this worker asks to end the round.
            before_last: called before the last backward pass, if what that leaves in `vector` is the sum of all.
        """
        statistics_before = self.statistics.clone()
        counters_before = self.counters.clone()
        tree = TreeSum()
        for number, (shard, micro_batches) in enumerate(shards.items()):
            self.vector.zero_()
            for micro_batch in micro_batches:
                if micro_batch.is_last and len(shards) == 1:
                    before_last()
                self.statistics.copy_(statistics_before)
                self.counters.copy_(counters_before)
                self._accumulate(micro_batch)
            self.measures[2] += float(stop and number == 0)
            tree.add(Block(shard, 1), self.vector.clone() if len(shards) > 1 else self.vector)
        return tree

    def _accumulate(self, batch: MicroBatch) -> None:
        num_samples = len(batch.labels_NC)
        is_exact = self._precision == torch.float32
        rounded = nullcontext() if is_exact else torch.autocast(self._device.type, self._precision)
        with seeded(batch.dropout_seed, self._device), rounded:
            logits_NC = self._network(batch.inputs)
        loss = masked_bce(logits_NC.float(), batch.labels_NC, self._positive_weights_C)
        loss.backward()  # type: ignore[no-untyped-call]
        self.statistics_sum.add_(self.statistics, alpha=num_samples)
        self.measures[0] += loss.detach()
        self.measures[1] += num_samples


def _flatten(norms: list[_NormBase], names: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Move some buffers of all batch-norms into one vector, of which they become views."""
    buffers = [(norm, name) for norm in norms for name in names if getattr(norm, name) is not None]
    flat = torch.cat([torch.zeros(0, dtype=dtype, device=device), *(getattr(n, name).flatten() for n, name in buffers)])
    offset = 0
    for norm, name in buffers:
        buffer = getattr(norm, name)
        setattr(norm, name, flat[offset : offset + buffer.numel()].view(buffer.shape))
        offset += buffer.numel()
    return flat


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Run a block with the generators of processor and device at a seed of their own; on exit they are as before."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    before = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def dropout_seed(seed: int, step: int, shard: int, piece: int) -> int:
    """Seed of one forward pass, the same whatever worker runs it."""
    return int(np.random.SeedSequence((seed, step, shard, piece)).generate_state(1, np.uint64)[0] >> np.uint64(1))
