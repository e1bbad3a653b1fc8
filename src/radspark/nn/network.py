"""XRayNetwork: grey pixels in, one logit per finding out; and the factory that builds one from settings.

Normalization is the first layer, so nothing outside can forget it; sigmoid, loss and the crop to the input's size are
outside. N samples, S x S pixels, F features, C findings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from radspark.nn.backbones import Backbone, build_backbone
from radspark.nn.layers import check_layer, names_up_to
from radspark.nn.weights import load_weights
from radspark.settings import ModelSettings


class XRayNetwork(nn.Module):
    """Normalize, trunk, global pool, dropout, linear.

    The state dict holds `grey_mean`, `grey_std`, `trunk.*` by timm's names, `head.weight` and `head.bias`.
    """

    grey_mean: torch.Tensor
    grey_std: torch.Tensor

    def __init__(self, backbone: Backbone, num_findings: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("grey_mean", torch.tensor(backbone.mean, dtype=torch.float32))
        self.register_buffer("grey_std", torch.tensor(backbone.std, dtype=torch.float32))
        self.trunk = backbone.trunk
        self.pool = backbone.pool
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.num_features, num_findings)
        self.layers = backbone.layers
        self._frozen: tuple[nn.Module, ...] = ()

    def forward(self, images_N1SS: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of uint8 images (N, 1, S, S)."""
        logits_NC: torch.Tensor = self.head(self.dropout(self.features(images_N1SS)))
        return logits_NC

    def features(self, images_N1SS: torch.Tensor) -> torch.Tensor:
        """Pooled features (N, F): what the head sees, before dropout."""
        normalized = (images_N1SS.float() - self.grey_mean) / self.grey_std
        features_NF: torch.Tensor = self.pool(self.trunk(normalized))
        return features_NF

    def head_parameters(self) -> list[nn.Parameter]:
        """Weight and bias of the linear layer."""
        return list(self.head.parameters())

    def freeze_up_to(self, layer: str | None) -> None:
        """Train only what comes after a layer: `trunk` freezes all but the head, None freezes nothing.

        Frozen layers take no gradient and run as in evaluation, also in training mode: batch norm keeps its statistics,
        stochastic depth is off.

        Raises:
            ArgumentError: the trunk has no such layer; the message names the nearest.
        """
        self._frozen = self._modules_up_to(layer)
        self.requires_grad_(True)
        for module in self._frozen:
            module.requires_grad_(False)
        if self._frozen:
            # The trunk's own tensors, such as a class token, come before every layer.
            for parameter in self.trunk.parameters(recurse=False):
                parameter.requires_grad_(False)
        self.train(self.training)

    def _modules_up_to(self, layer: str | None) -> tuple[nn.Module, ...]:
        if layer is None:
            return ()
        if layer == "trunk":
            return (self.trunk,)
        check_layer(layer, self.layers, setting="model.freeze_up_to")
        modules = {name: module for name, module in self.trunk.named_modules() if name}
        return tuple(modules[name] for name in names_up_to(layer, layers=self.layers, names=modules))

    def train(self, mode: bool = True) -> XRayNetwork:
        """Set training or evaluation mode; frozen layers stay in evaluation."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


Weights = Literal["imagenet"] | Path | bytes


def build_network(
    settings: ModelSettings, num_findings: int, *, seed: int, weights: Weights | None = None
) -> XRayNetwork:
    """Build a network; the same settings and seed give the same bits, and torch's global generator is left alone.

    Args:
        settings: `settings.weights` only names the file in messages; the caller resolves it to `weights`, as reading
            a path may need Spark.
        num_findings: C.
        seed: of the random weights.
        weights: `imagenet` (timm's download), a local file or its bytes, or None for random ones.

    Raises:
        ArgumentError: unknown backbone, layer or input size.
        WeightsError: the weights do not fit, or cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = build_backbone(settings, download_weights=weights == "imagenet")
        network = XRayNetwork(backbone, num_findings, dropout=settings.dropout)
    if isinstance(weights, Path | bytes):
        name = settings.weights if isinstance(weights, bytes) else None
        load_weights(network.trunk, weights, backbone=settings.backbone, name=name)
    network.freeze_up_to(settings.freeze_up_to)
    return network
