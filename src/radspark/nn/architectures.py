"""How timm's architectures look by the names and shapes of their tensors: for telling whose weights a file holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

import torch

from radspark.nn.timm_import import timm

Shapes = Mapping[str, tuple[int, ...]]

_WIDESPREAD = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *("inception_v3", "inception_v4", "vgg11", "vgg13", "vgg16", "vgg19", "vgg16_bn", "vgg19_bn"),
    *(
        "efficientnet_b0",
        "efficientnet_b4",
        "mobilenetv3_large_100",
        "convnext_tiny",
        "convnext_small",
        "convnext_base",
    ),
    *("vit_small_patch16_224", "vit_base_patch16_224", "swin_tiny_patch4_window7_224", "swin_base_patch4_window7_224"),
)
"""Backbones that files of weights are often for."""


@cache
def tensor_shapes(name: str) -> Shapes:
    """Names and shapes of all tensors of an architecture as timm has it: for color, with its classifier."""
    with torch.device("meta"):
        model = timm.create_model(name)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def is_color(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """True for a first convolution on three color channels where one on a grey channel is wanted."""
    return len(have) == 4 and have[1] == 3 and want == (have[0], 1, *have[2:])


def find_prefix(names: Iterable[str], *, wanted: Iterable[str]) -> str:
    """What stands before the wanted names (`module.`, `net.trunk.`); empty unless half of them are there with it."""
    wanted_names = set(wanted)
    prefixes: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in wanted_names:
                prefixes["".join(f"{part}." for part in parts[:i])] += 1
    best, count = max(prefixes.items(), key=lambda item: (item[1], -len(item[0])), default=("", 0))
    return best if 2 * count >= len(wanted_names) else ""


def guess_architecture(shapes: Shapes) -> str | None:
    """The widespread architecture that nine tenths of these tensors belong to, None where there is none.

    Of several (ResNet-101 has every tensor of ResNet-50) the one with the fewest others.
    """
    fitting = {}
    for name in _WIDESPREAD:
        own = tensor_shapes(name)
        num_shared = sum(own.get(key) == shape for key, shape in shapes.items())
        if num_shared >= 0.9 * len(shapes):
            fitting[name] = len(own) - num_shared
    return min(fitting, key=lambda name: fitting[name], default=None)
