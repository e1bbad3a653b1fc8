"""Choices of the run itself, and of how scores become decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from radspark.settings.checks import require

CacheLevel = Literal["disk", "memory", "none"]
Synchronizer = Literal["collective", "sliced"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class TrainingSettings:
    """Epochs, batches, workers, and which weights are kept."""

    epochs: int = 15
    batch_size: int = 64
    """Samples per step over all workers; steps of an epoch differ by at most one sample a shard."""
    micro_batch_size: int = 16
    """Most samples in one forward pass; a larger share of a step is run in several, and their gradients are summed."""
    num_workers: int | None = None
    """Spark tasks that train; None takes every free slot."""
    num_shards: int | None = None
    """Fixed parts of the training samples, which decide the result; None takes the workers of the first round."""
    cores_per_worker: int = 1
    """Threads of torch in a worker."""
    device: Device = "cpu"
    """What a worker trains on: processors, or with `cuda` a GPU of its own, which Spark grants; `collective` alone."""
    synchronizer: Synchronizer = "collective"
    """How gradients are summed: `collective`, by the workers among themselves, many steps a Spark job; or `sliced`,
    through Spark's shuffle, each step a job of its own, which also runs where executors come and go by themselves."""
    exchange: Literal["float32", "bfloat16"] = "float32"
    """In what gradients travel between workers; they are added up in float32. With bfloat16 they are rounded before,
    so the result depends on the number of workers and hosts, too."""
    cache_level: CacheLevel = "disk"
    """Where executors keep samples between rounds: in Spark's local directories, in shared memory, or not at all; then
    they are sent again for each round."""
    cache_gb: float | None = None
    """Most that the workers of an executor may keep of the samples, in 10^9 bytes, but for shards that they hand to
    others and for features of a frozen trunk; None: what is free where they lie, but for 1 GB. Samples that do not fit
    end the run before they are written."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of forward and backward passes; weights and sums are always float32."""
    metric: str = "mean_auroc"
    """Validation metric that early stopping and `keep` watch: mean_auroc, mean_average_precision or loss."""
    keep: Literal["best", "last"] = "best"
    early_stopping_patience: int | None = None
    """Training ends when `metric` has not improved for more epochs than this; None never ends early."""
    positive_weights: tuple[float, ...] | Literal["balanced"] | None = None
    """Weight of positives in the loss, per finding; `balanced` takes negatives / positives of the training samples."""
    round_minutes: float = 10.0
    """Longest time between two states that the driver holds: what a lost executor can cost."""
    max_round_failures: int = 3
    """Failed rounds in a row, without progress, that are run again; one more ends training."""
    max_unreadable: float = 0.05
    """Share of training images that may be unreadable; they are left out and listed."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch_size", "cores_per_worker", "max_round_failures"):
            value = getattr(self, name)
            require(value >= 1, f"training.{name} must be at least 1, got {value}.")
        for name in ("num_workers", "num_shards", "early_stopping_patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"training.{name} must be at least 1, got {value}.")
        require(self.cache_gb is None or self.cache_gb > 0, f"training.cache_gb must be above 0, got {self.cache_gb}.")
        weights = self.positive_weights
        require(
            not isinstance(weights, tuple) or (bool(weights) and min(weights) > 0),
            f"training.positive_weights must all be above 0, one for each finding, got {weights}.",
        )
        require(
            self.device == "cpu" or self.synchronizer == "collective",
            f"training.device {self.device} needs training.synchronizer collective, got {self.synchronizer}.",
        )
        require(self.round_minutes > 0, f"training.round_minutes must be above 0, got {self.round_minutes}.")
        require(
            0 <= self.max_unreadable <= 1,
            f"training.max_unreadable must be between 0 and 1, got {self.max_unreadable}.",
        )


@dataclass(frozen=True)
class DecisionSettings:
    """How scores become probabilities, and yes or no; fitted on the validation samples when training has ended."""

    calibration: Literal["none", "platt", "isotonic", "temperature"] = "none"
    """Per finding: a line through the logits, a rising step function, or one divisor of the logit."""
    sensitivity: float = 0.9
    """That the operating point of this name reaches on the validation samples."""
    specificity: float = 0.9

    def __post_init__(self) -> None:
        for name in ("sensitivity", "specificity"):
            value = getattr(self, name)
            require(0 < value <= 1, f"decision.{name} must be above 0 and at most 1, got {value}.")
