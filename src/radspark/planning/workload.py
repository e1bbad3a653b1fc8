"""Counts what a network asks of a machine, by one step on torch's meta device: shapes only, nothing is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from radspark.nn.network import build_network
from radspark.planning.description import Workload
from radspark.settings import ModelSettings

aten = torch.ops.aten


def count_workload(settings: ModelSettings, *, num_findings: int = 14, micro_batch_size: int = 16) -> Workload:
    """Count forward and backward of one micro-batch, per image.

    Raises:
        ArgumentError: unknown backbone, layer or input size.
    """
    with torch.device("meta"):
        network = build_network(settings, num_findings, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(
        micro_batch_size, 1, settings.input_size, settings.input_size, dtype=torch.uint8, device="meta"
    )
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with OperatorCounter() as counts:
        with _kept_tensors(network) as kept:
            logits = network.train()(images)
        forward_flops = counts.flops()
        logits.sum().backward()
    norms = [module for module in network.modules() if isinstance(module, _NormBase) and module.training]
    return Workload(
        kernel_flops=counts.totals["kernel"] / micro_batch_size,
        matrix_flops=counts.totals["matrix"] / micro_batch_size,
        grouped_flops=counts.totals["grouped"] / micro_batch_size,
        moved_bytes=counts.totals["bytes"] / micro_batch_size,
        kept_bytes=sum(kept.values()) / micro_batch_size,
        forward_share=forward_flops / max(1, counts.flops()),
        num_weights=sum(parameter.numel() for parameter in parameters),
        num_statistics=sum(2 * norm.num_features for norm in norms if norm.track_running_stats),
    )


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up, while it is entered, floating point operations by kind, and bytes moved."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.totals: Counter[str] = Counter()

    def flops(self) -> int:
        """Of all kinds."""
        return self.totals["kernel"] + self.totals["matrix"] + self.totals["grouped"]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it; views cost nothing."""
        out = func(*args, **(kwargs or {}))
        if any(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns):
            return out
        self.totals["bytes"] += sum(_num_bytes(leaf) for leaf in tree_leaves((args, kwargs, out)))
        kind, flops = _arithmetic(func, args, kwargs, out)
        self.totals[kind] += flops
        return out


def _num_bytes(leaf: Any) -> int:
    return leaf.numel() * leaf.element_size() if isinstance(leaf, torch.Tensor) else 0


def _arithmetic(func: Any, args: Any, kwargs: Any, out: Any) -> tuple[str, int]:
    """Kind and floating point operations of an operator; none for those that only pass over memory."""
    packet = func._overloadpacket
    if packet is aten.convolution:
        return _kind(args[1], args[8]), 2 * out.numel() * args[1][0].numel()
    if packet is aten.convolution_backward:
        gradients = int(args[10][0]) + int(args[10][1])  # of the input and of the kernel, each where it is wanted
        return _kind(args[2], args[9]), 2 * args[0].numel() * args[2][0].numel() * gradients
    if packet in flop_registry:
        return "matrix", flop_registry[packet](*args, **(kwargs or {}), out_val=out)
    return "matrix", 0


def _kind(weight: torch.Tensor, groups: int) -> str:
    if groups > 1:
        return "grouped"
    return "matrix" if weight[0, 0].numel() == 1 else "kernel"


@contextmanager
def _kept_tensors(network: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes of what autograd keeps of the block for the backward pass, by storage, without the network's own."""
    own = {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(storage)  # an address of a freed one would be used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept
