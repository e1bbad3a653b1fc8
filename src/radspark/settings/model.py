"""Choices of the network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from radspark.settings.checks import require


@dataclass(frozen=True)
class ModelSettings:
    """Backbone, where it is cut, its weights, and the new head."""

    backbone: str = "densenet121"
    """A timm architecture, by timm's name."""
    weights: str = "none"
    """`none`, `imagenet` (timm downloads them), or the path of a `.safetensors` or state-dict file."""
    truncate_at: str | None = None
    """Name of the last layer of the backbone that is kept; the head follows it. None keeps the whole trunk."""
    mean: float | None = None
    """Grey value, 0 to 255, that becomes 0 in the network; None takes the mean over channels that timm names."""
    std: float | None = None
    """Grey values, of 255, that become 1 in the network; None takes the mean over channels that timm names."""
    pool_includes_padding: bool = True
    """Whether average pools inside the backbone count padded zeros. Weights that come from TensorFlow do not."""
    input_size: int = 224
    """Side of the network's input, cut from the prepared image; at most its size."""
    dropout: float = 0.2
    """Probability before the linear layer."""
    freeze_up_to: str | None = None
    """`trunk` freezes all but the head (a linear probe); a layer's name freezes that layer and all before it."""

    def __post_init__(self) -> None:
        require(bool(self.backbone), "model.backbone must be a timm architecture, got an empty name.")
        require(16 <= self.input_size <= 4096, f"model.input_size must be between 16 and 4096, got {self.input_size}.")
        require(self.std is None or self.std > 0, f"model.std must be above 0, got {self.std}.")
        require(0.0 <= self.dropout < 1.0, f"model.dropout must be at least 0 and below 1, got {self.dropout}.")

    def without_weights(self) -> ModelSettings:
        """The same network, to be filled with weights that are at hand."""
        return dataclasses.replace(self, weights="none")
