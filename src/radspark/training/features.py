"""A linear probe's shortcut: where the whole trunk is frozen and nothing is augmented, it runs once per sample.

Its pooled features are kept beside the shard in the local cache; steps and validation then run the head alone.
N samples, F features, C findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radspark.nn.augmentation import center_crop
from radspark.nn.network import XRayNetwork
from radspark.nn.transfer import to_device
from radspark.settings import Recipe
from radspark.training.cache import CachedShard

SCORING_BATCH = {"cpu": 16, "cuda": 256}
"""Samples of a forward pass without gradients, by kind of device."""
FILE = "features.f32"


class HeadNetwork(nn.Module):
    """The head of a network, sharing its parameters; takes features in the place of images."""

    def __init__(self, network: XRayNetwork) -> None:
        super().__init__()
        self.dropout = network.dropout
        self.head = network.head

    def forward(self, features_NF: torch.Tensor) -> torch.Tensor:
        """Logits (N, C)."""
        logits_NC: torch.Tensor = self.head(self.dropout(features_NF))
        return logits_NC

    def head_parameters(self) -> list[nn.Parameter]:
        """Weight and bias of the linear layer."""
        return list(self.head.parameters())


def has_fixed_features(network: nn.Module, recipe: Recipe) -> bool:
    """Whether a sample's features are the same at every step."""
    frozen = isinstance(network, XRayNetwork) and not any(p.requires_grad for p in network.trunk.parameters())
    return frozen and recipe.augmentation.is_off


@torch.inference_mode()
def shard_features(
    network: XRayNetwork, shard: CachedShard, *, input_size: int, device: torch.device
) -> NDArray[np.float32]:
    """Features (N, F) of a shard by the evaluation chain, computed once and then read from its folder."""
    assert shard.folder is not None, "a shard in the cache has a folder"
    file = shard.folder / FILE
    if not file.is_file():
        _write(file, (network.features(batch).cpu().numpy() for batch in image_batches(shard, input_size, device)))
    return np.fromfile(file, np.float32).reshape(len(shard), -1)


def image_batches(shard: CachedShard, input_size: int, device: torch.device) -> Iterator[torch.Tensor]:
    """The shard's images in order, cut to the network's input: uint8 (N, 1, H, W) on the device."""
    size = SCORING_BATCH[device.type]
    for start in range(0, len(shard), size):
        images_N1SS = np.array(shard.images_NSS[start : start + size])[:, np.newaxis]
        yield center_crop(to_device(images_N1SS, device), input_size)


def _write(file: Path, parts: Iterator[NDArray[np.float32]]) -> None:
    """Write the file under another name first: a round that is cut off leaves no short one."""
    staging = file.with_suffix(".partial")
    with staging.open("wb") as handle:
        for part in parts:
            handle.write(part.tobytes())
    staging.rename(file)
