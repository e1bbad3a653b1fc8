"""Optimizers by name, told their rate before each step; L2 on the head, clipping, and state as plain tensors.

The engine sums the gradient, then calls in this order: `add_head_l2`, `clip_gradients`, `set_learning_rate`, `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from radspark.nn.timm_import import Lars
from radspark.settings import OptimizerSettings

Groups = list[dict[str, Any]]
NamedParameters = Iterable[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class OptimizerKind:
    """One entry of the registry."""

    build: Callable[[Groups, OptimizerSettings], torch.optim.Optimizer]
    summary: str


def _build_sgd(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    nesterov = settings.nesterov and settings.momentum > 0
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=nesterov, fused=True)


def _build_adam(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, fused=True)


def _build_adamw(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, fused=True)


def _build_lars(groups: Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    # timm adapts rates only where there is weight decay, unless told; kernels adapt always, biases and norms never.
    adaptive = [{**group, "always_adapt": group["is_kernel"]} for group in groups]
    nesterov = settings.nesterov and settings.momentum > 0
    optimizer: torch.optim.Optimizer = Lars(
        adaptive, lr=settings.learning_rate, momentum=settings.momentum, nesterov=nesterov
    )
    return optimizer


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind(_build_sgd, "stochastic gradient descent with momentum"),
    "adam": OptimizerKind(_build_adam, "Adam (Kingma and Ba 2015)"),
    "adamw": OptimizerKind(_build_adamw, "Adam with decoupled weight decay (Loshchilov and Hutter 2019)"),
    "lars": OptimizerKind(_build_lars, "layer-wise adaptive rates for large batches (You et al. 2017)"),
}


def build_optimizer(named_parameters: NamedParameters, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Build the optimizer that settings name over the parameters that take a gradient.

    Weight decay acts on matrices and kernels alone, not on biases and normalization.
    """
    trained = [parameter for _, parameter in named_parameters if parameter.requires_grad]
    kernels = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    groups: Groups = [
        {"params": kernels, "weight_decay": settings.weight_decay, "is_kernel": True},
        {"params": vectors, "weight_decay": 0.0, "is_kernel": False},
    ]
    return OPTIMIZERS[settings.name].build(groups, settings)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def add_head_l2(head_parameters: Iterable[nn.Parameter], head_l2: float) -> None:
    """Add `head_l2` times the weight to the gradient of each parameter of the head, biases too, as the 2019 system."""
    for parameter in head_parameters:
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach(), alpha=head_l2)


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scale all gradients down to a global norm of `max_norm` where theirs is longer; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(parameters, max_norm))


def optimizer_state(optimizer: torch.optim.Optimizer, named_parameters: NamedParameters) -> dict[str, torch.Tensor]:
    """All that an optimizer remembers, sharing its memory, as `slot/parameter name`: moments and counters, no rate."""
    return {
        f"{slot}/{name}": value.detach()
        for name, parameter in named_parameters
        for slot, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, named_parameters: NamedParameters, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_state` gave, bit for bit, on the parameters' device.

    Raises:
        ValueError: the state names a parameter that the optimizer does not have.
    """
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    parameters = {name: parameter for name, parameter in named_parameters if id(parameter) in own}
    unknown = sorted(key for key in tensors if key.partition("/")[2] not in parameters)
    if unknown:
        raise ValueError(
            f"optimizer state must be of the network's trained parameters, got {len(unknown)} others "
            f"({', '.join(unknown[:5])}); was it frozen up to another layer?"
        )
    optimizer.state.clear()
    for key, tensor in tensors.items():
        slot, _, name = key.partition("/")
        parameter = parameters[name]
        # Fused kernels walk through memory: a moment must lie there as its parameter does, channels last for instance.
        like = parameter if tensor.shape == parameter.shape else tensor
        optimizer.state[parameter][slot] = torch.empty_like(like, device=parameter.device).copy_(tensor)
