"""Choices of the optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from radspark.settings.checks import require


@dataclass(frozen=True)
class OptimizerSettings:
    """How a summed gradient changes the weights."""

    name: Literal["sgd", "adam", "adamw", "lars"] = "adam"
    learning_rate: float = 3e-4
    """Peak rate; a schedule multiplies it."""
    momentum: float = 0.9
    """SGD and LARS."""
    nesterov: bool = True
    """SGD and LARS."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam and AdamW."""
    eps: float = 1e-8
    """Adam and AdamW."""
    weight_decay: float = 0.0
    """On every weight matrix and kernel, not on biases and normalisation: L2 for SGD and Adam, decoupled for AdamW."""
    head_l2: float = 0.0
    """L2 on weight and bias of the head alone, whatever the optimizer: adds head_l2 * w to its gradient."""
    clip_norm: float | None = None
    """Largest global norm of the gradient; longer ones are scaled down to it."""

    def __post_init__(self) -> None:
        rate = self.learning_rate
        require(0 < rate < math.inf, f"optimizer.learning_rate must be above 0 and finite, got {rate}.")
        require(0 <= self.momentum < 1, f"optimizer.momentum must be at least 0 and below 1, got {self.momentum}.")
        for name in ("weight_decay", "head_l2"):
            require(getattr(self, name) >= 0, f"optimizer.{name} must be at least 0, got {getattr(self, name)}.")
        require(
            self.clip_norm is None or self.clip_norm > 0, f"optimizer.clip_norm must be above 0, got {self.clip_norm}."
        )
        require(
            all(0 <= beta < 1 for beta in self.betas),
            f"optimizer.betas must be at least 0 and below 1, got {self.betas[0]} and {self.betas[1]}.",
        )
        require(self.eps > 0, f"optimizer.eps must be above 0, got {self.eps}.")
