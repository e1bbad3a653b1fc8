"""What a plan is made from: the job, the cluster, and what a network asks of a machine; figures come from `machine`."""

from __future__ import annotations

from dataclasses import dataclass

from radspark.settings.checks import require

GB = 1e9


@dataclass(frozen=True)
class Cluster:
    """Machines that are alike, and what joins them."""

    nodes: int
    cores: int
    """Physical, of a node: hyperthreads share the units that training keeps busy."""
    memory_gb: float
    """Of a node."""
    network_gbits: float
    """Between nodes, each way, gigabits per second."""
    gpus: int = 0
    """Of a node; each takes one worker."""

    def __post_init__(self) -> None:
        for name in ("nodes", "cores", "memory_gb", "network_gbits"):
            value = getattr(self, name)
            require(value > 0, f"{name} must be above 0, got {value}.")
        require(self.gpus >= 0, f"gpus must be at least 0, got {self.gpus}.")


@dataclass(frozen=True)
class Job:
    """A training as the user describes it."""

    images: int
    """For training."""
    epochs: int
    prepared_size: int
    """Side of the prepared image, in pixels."""
    validation_images: int = 0
    optimizer: str = "adam"
    micro_batch_size: int = 16
    batch_size: int | None = None
    """None lets the plan choose."""
    num_shards: int | None = None
    """None takes one for each worker."""
    round_minutes: float = 10.0

    def __post_init__(self) -> None:
        for name in ("images", "epochs", "prepared_size", "micro_batch_size"):
            value = getattr(self, name)
            require(value >= 1, f"{name} must be at least 1, got {value}.")
        for name in ("batch_size", "num_shards"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} must be at least 1, got {value}.")


@dataclass(frozen=True)
class Workload:
    """What forward and backward of one image ask of a machine, counted and not measured; per image."""

    kernel_flops: float
    """Of convolutions larger than 1 x 1; a multiplication and its addition are two."""
    matrix_flops: float
    """Of 1 x 1 convolutions and matrix products."""
    grouped_flops: float
    """Of convolutions in groups, depthwise ones for instance."""
    moved_bytes: float
    """Read and written by all operators."""
    kept_bytes: float
    """Of activations that wait for the backward pass."""
    forward_share: float
    """Of the arithmetic that is in the forward pass."""
    num_weights: int
    """That are trained."""
    num_statistics: int
    """Of batch-norms; exchanged with the gradients."""

    @property
    def exchanged_bytes(self) -> float:
        """Of the vector that a step adds up over all workers, float32."""
        return 4.0 * (self.num_weights + self.num_statistics)
