"""A network's trained weights, running statistics and optimizer state in slices, each of which is updated by itself.

Elements are counted through the trained parameters in their order, each as it lies in memory (a gradient's kernel may
be channels last). Slice n of N holds about those from P n / N to P (n + 1) / N of P, and as much of the statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import safetensors.torch
import torch
from torch import nn

from radspark.nn.optimizers import (
    add_head_l2,
    build_optimizer,
    load_optimizer_state,
    optimizer_state,
    set_learning_rate,
)
from radspark.settings import OptimizerSettings
from radspark.training.gradients import MEASURES, ShardGradients
from radspark.training.tree import Block, TreeSum

LANES = 64
"""A multiple of what vector instructions take at once. An optimizer's kernel rounds what is left over at the end of a
parameter in its own way: a piece that begins at a multiple has its end where the whole has it."""


@dataclass(frozen=True)
class Piece:
    """A run of elements of one parameter."""

    name: str
    start: int
    stop: int
    is_kernel: bool
    """Two dimensions or more: weight decay acts on it."""
    is_head: bool


@dataclass(frozen=True)
class SlicePlan:
    """Which elements belong to which slice."""

    parameters: tuple[Piece, ...]
    """All that are trained, whole, in their order."""
    num_statistics: int
    num_slices: int

    @classmethod
    def of(cls, sums: ShardGradients, network: nn.Module, head: Iterable[nn.Parameter], num_slices: int) -> SlicePlan:
        """The plan for a network whose gradients `sums` computes."""
        head_ids = {id(parameter) for parameter in head}
        pieces = (
            Piece(name, 0, p.numel(), p.ndim > 1, id(p) in head_ids)
            for name, p in network.named_parameters()
            if p.requires_grad
        )
        return cls(tuple(pieces), sums.statistics.numel(), num_slices)

    @property
    def num_elements(self) -> int:
        """P: of all trained parameters."""
        return sum(piece.stop for piece in self.parameters)

    def elements(self, number: int) -> slice:
        """Of the trained parameters that a slice holds."""
        return slice(self._cut(number), self._cut(number + 1))

    def _cut(self, number: int) -> int:
        """Where a slice begins: within a parameter, at a multiple of LANES from its start."""
        wanted = self.num_elements * number // self.num_slices
        offset = 0
        for whole in self.parameters:
            if wanted < offset + whole.stop:
                return offset + (wanted - offset) // LANES * LANES
            offset += whole.stop
        return offset

    def statistics(self, number: int) -> slice:
        """Of the running statistics that a slice holds."""
        size = self.num_statistics
        return slice(size * number // self.num_slices, size * (number + 1) // self.num_slices)

    def pieces(self, number: int) -> Iterator[Piece]:
        """The pieces of parameters that make up a slice, in order."""
        wanted = self.elements(number)
        offset = 0
        for whole in self.parameters:
            start, stop = max(wanted.start - offset, 0), min(wanted.stop - offset, whole.stop)
            if start < stop:
                yield Piece(whole.name, start, stop, whole.is_kernel, whole.is_head)
            offset += whole.stop


@dataclass(frozen=True)
class StateSlice:
    """One slice of a run's state."""

    weights: torch.Tensor
    statistics: torch.Tensor
    moments: Mapping[str, torch.Tensor]
    """As `optimizer_state` names them; moments are flat."""

    def pack_weights(self) -> bytes:
        """What workers need."""
        return safetensors.torch.save({"weights": self.weights, "statistics": self.statistics})

    def pack_moments(self) -> bytes:
        """What the next update needs besides."""
        return safetensors.torch.save({name: tensor.contiguous() for name, tensor in self.moments.items()})

    @classmethod
    def read(cls, weights: bytes, moments: bytes = b"") -> StateSlice:
        """From what `pack_weights` and `pack_moments` gave."""
        both = safetensors.torch.load(weights)
        return cls(both["weights"], both["statistics"], safetensors.torch.load(moments) if moments else {})


def pack_gradients(vector: torch.Tensor, plan: SlicePlan, *, travel: torch.dtype) -> Iterator[bytes]:
    """A vector of `ShardGradients` as one message for each slice: measures for all, statistics, gradients.

    Args:
        travel: what gradients are rounded to, to the nearest; the rest stays float32.
    """
    sizes = [plan.num_elements, plan.num_statistics, MEASURES]
    gradients, statistics, measures, _ = torch.split(vector, [*sizes, len(vector) - sum(sizes)])
    peak = vector.abs().max().reshape(1)
    for number in range(plan.num_slices):
        part = gradients[plan.elements(number)]
        head = torch.cat([measures, peak, statistics[plan.statistics(number)]])
        yield _bytes(head) + _bytes(part.to(travel))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@dataclass(frozen=True)
class SliceSum:
    """The sums over all shards that concern one slice."""

    measures: torch.Tensor
    """Those of ShardGradients, and of the largest absolute values: where these add up finite, all sums are."""
    statistics: torch.Tensor
    gradients: torch.Tensor

    @property
    def is_finite(self) -> bool:
        """The same on all slices, which do not see each other."""
        return bool(torch.isfinite(self.measures).all())


def add_up(messages: Mapping[Block, bytearray], plan: SlicePlan, number: int, *, travel: torch.dtype) -> SliceSum:
    """Add the messages of all workers' blocks for one slice, along the tree, in float32."""
    elements, statistics = plan.elements(number), plan.statistics(number)
    sizes = [MEASURES + 1, statistics.stop - statistics.start, elements.stop - elements.start]
    tree = TreeSum()
    for block in sorted(messages, key=lambda block: block.first):
        tree.add(block, _numbers(messages[block], sizes, travel=travel))
    return SliceSum(*torch.split(tree.total(), sizes))


def _numbers(message: bytearray, sizes: list[int], *, travel: torch.dtype) -> torch.Tensor:
    if travel == torch.float32 or not sizes[-1]:
        return torch.frombuffer(message, dtype=torch.float32)
    head = torch.frombuffer(message, dtype=torch.float32, count=sum(sizes[:-1]))
    gradients = torch.frombuffer(message, dtype=travel, offset=4 * len(head))
    return torch.cat([head, gradients.float()])


def update_slice(
    state: StateSlice, total: SliceSum, plan: SlicePlan, number: int, *, settings: OptimizerSettings, rate: float
) -> StateSlice:
    """The slice after one step; unchanged if some gradient was not finite.

    Args:
        settings: of an optimizer that looks at each element by itself.
        rate: learning rate of this step.
    """
    if not total.is_finite:
        return state
    num_samples = total.measures[1].item()
    gradients = total.gradients / num_samples
    named, head = [], []
    offset = 0
    for piece in plan.pieces(number):
        length = piece.stop - piece.start
        # Weight decay asks for two dimensions.
        shape = (1, length) if piece.is_kernel else (length,)
        parameter = nn.Parameter(state.weights[offset : offset + length].view(shape))
        parameter.grad = gradients[offset : offset + length].view(shape)
        named.append((piece.name, parameter))
        head += [parameter] * piece.is_head
        offset += length
    if settings.head_l2:
        add_head_l2(head, settings.head_l2)
    if named:
        optimizer = build_optimizer(named, settings)
        shapes = {name: parameter.shape for name, parameter in named}
        load_optimizer_state(
            optimizer, named, {key: _shaped(t, shapes[key.partition("/")[2]]) for key, t in state.moments.items()}
        )
        set_learning_rate(optimizer, rate)
        optimizer.step()
        state = replace(state, moments=_flat(optimizer_state(optimizer, named)))
    return replace(state, statistics=total.statistics / num_samples)


def _shaped(tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """A moment as its parameter lies; a counter as it is."""
    return tensor.view(shape) if tensor.ndim else tensor


def _flat(moments: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.flatten() if tensor.ndim else tensor for name, tensor in moments.items()}


def cut_state(
    plan: SlicePlan, number: int, *, network: nn.Module, optimizer: torch.optim.Optimizer, statistics: torch.Tensor
) -> StateSlice:
    """One slice of a live state.

    Args:
        statistics: all running ones, as ShardGradients lays them out.
    """
    parameters = dict(network.named_parameters())
    moments = optimizer_state(optimizer, parameters.items())
    own: dict[str, torch.Tensor] = {}
    weights = []
    for piece in plan.pieces(number):
        parameter = parameters[piece.name]
        weights.append(in_memory_order(parameter.detach())[piece.start : piece.stop])
        for key in [key for key in moments if key.partition("/")[2] == piece.name]:
            moment = moments[key]
            is_moment = moment.shape == parameter.shape and moment.ndim > 0
            own[key] = in_memory_order(moment)[piece.start : piece.stop].clone() if is_moment else moment.clone()
    return StateSlice(
        weights=torch.cat(weights) if weights else torch.zeros(0),
        statistics=statistics[plan.statistics(number)].clone(),
        moments=own,
    )


def in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """A dense tensor's elements as they lie in memory, sharing it."""
    return tensor.as_strided((tensor.numel(),), (1,))


def set_weights(slices: Sequence[StateSlice], plan: SlicePlan, *, network: nn.Module, statistics: torch.Tensor) -> None:
    """Put the weights and statistics of all slices, in order, into a network."""
    weights = torch.cat([part.weights for part in slices])
    parameters = dict(network.named_parameters())
    offset = 0
    for piece in plan.parameters:
        in_memory_order(parameters[piece.name].detach()).copy_(weights[offset : offset + piece.stop])
        offset += piece.stop
    statistics.copy_(torch.cat([part.statistics for part in slices]))


def join_moments(slices: Sequence[StateSlice], *, network: nn.Module) -> dict[str, torch.Tensor]:
    """What `optimizer_state` would give of a whole optimizer with the moments of all slices, in order."""
    parameters = dict(network.named_parameters())
    parts: dict[str, list[torch.Tensor]] = {}
    for part in slices:
        for key, tensor in part.moments.items():
            parts.setdefault(key, []).append(tensor)
    joined = {}
    for key, tensors in parts.items():
        if tensors[0].ndim:
            whole = torch.empty_like(parameters[key.partition("/")[2]])
            in_memory_order(whole).copy_(torch.cat(tensors))
            joined[key] = whole
        else:
            joined[key] = tensors[0]
    return joined
