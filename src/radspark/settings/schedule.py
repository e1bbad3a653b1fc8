"""Choices of the learning rate over a run: phases, one after another."""

from __future__ import annotations

from dataclasses import dataclass

from radspark.settings.checks import require


def _require_length(kind: str, epochs: float | None) -> None:
    require(epochs is None or epochs > 0, f"{kind}.epochs must be above 0, got {epochs}.")


def _require_not_negative(kind: str, **values: float) -> None:
    for name, value in values.items():
        require(value >= 0, f"{kind}.{name} must be at least 0, got {value}.")


@dataclass(frozen=True)
class Constant:
    """The peak rate throughout."""

    epochs: float | None = None
    """Length of the phase; None lasts to the end of training (only the last phase may)."""

    def __post_init__(self) -> None:
        _require_length("constant", self.epochs)


@dataclass(frozen=True)
class Warmup:
    """Linear from `start_factor` times the peak rate up to the peak rate."""

    epochs: float = 1.0
    start_factor: float = 0.01

    def __post_init__(self) -> None:
        require(self.epochs > 0, f"warmup.epochs must be above 0, got {self.epochs}.")
        require(0 <= self.start_factor <= 1, f"warmup.start_factor must be between 0 and 1, got {self.start_factor}.")


@dataclass(frozen=True)
class StepDecay:
    """Times `factor` after every `every_epochs`."""

    every_epochs: float = 5.0
    factor: float = 0.1
    epochs: float | None = None

    def __post_init__(self) -> None:
        require(self.every_epochs > 0, f"step.every_epochs must be above 0, got {self.every_epochs}.")
        require(0 < self.factor <= 1, f"step.factor must be above 0 and at most 1, got {self.factor}.")
        _require_length("step", self.epochs)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the peak rate down to `min_learning_rate` (Loshchilov and Hutter 2017)."""

    epochs: float | None = None
    min_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _require_length("cosine", self.epochs)
        _require_not_negative("cosine", min_learning_rate=self.min_learning_rate)


@dataclass(frozen=True)
class Polynomial:
    """(1 - progress) ** power from the peak rate down to `min_learning_rate`."""

    power: float = 1.0
    epochs: float | None = None
    min_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        require(self.power > 0, f"polynomial.power must be above 0, got {self.power}.")
        _require_length("polynomial", self.epochs)
        _require_not_negative("polynomial", min_learning_rate=self.min_learning_rate)


@dataclass(frozen=True)
class Plateau:
    """Times `factor` when a named validation metric has not improved for more than `patience` epochs."""

    metric: str = "mean_auroc"
    factor: float = 0.1
    patience: int = 1
    min_delta: float = 0.0
    """An improvement smaller than this does not count."""
    cooldown: int = 0
    """Epochs after a reduction during which nothing is counted."""
    min_learning_rate: float = 0.0
    epochs: float | None = None

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, f"plateau.factor must be above 0 and below 1, got {self.factor}.")
        _require_length("plateau", self.epochs)
        _require_not_negative(
            "plateau",
            patience=self.patience,
            min_delta=self.min_delta,
            cooldown=self.cooldown,
            min_learning_rate=self.min_learning_rate,
        )


Phase = Constant | Warmup | StepDecay | Cosine | Polynomial | Plateau

PHASES: dict[str, type[Phase]] = {
    "constant": Constant,
    "warmup": Warmup,
    "step": StepDecay,
    "cosine": Cosine,
    "polynomial": Polynomial,
    "plateau": Plateau,
}
"""The `kind` of each [[schedule]] table in a recipe."""
