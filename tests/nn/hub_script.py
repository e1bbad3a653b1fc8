"""Builds a network with timm's ImageNet weights, and prints its features of a fixed image."""

from __future__ import annotations

import json

import torch

from radspark.nn.network import build_network
from radspark.settings import ModelSettings

network = build_network(ModelSettings(backbone="test_resnet", input_size=64), 2, seed=0, weights="imagenet").eval()
image = torch.arange(64 * 64, dtype=torch.int64).remainder(251).to(torch.uint8).view(1, 1, 64, 64)
with torch.inference_mode():
    print(json.dumps(network.features(image)[0].tolist()))
