"""Layer names in forward order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from radspark.nn.layers import check_layer, names_up_to, trace_forward, with_containers


class Reversed(nn.Module):
    """Runs its second layer first, and never its third."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Conv2d(2, 3, 1)
        self.early = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.late(self.early(images))


def test_layers_stand_in_the_order_of_the_forward_pass() -> None:
    forward = trace_forward(Reversed(), input_size=8)

    assert forward.layers == ("early.0", "early.1", "early", "late")
    assert forward.output_shape == (1, 3, 6, 6)


def test_tracing_changes_neither_weights_nor_mode() -> None:
    module = Reversed()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    trace_forward(module, input_size=8)

    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    assert all(child.training and not child._forward_hooks for child in module.modules())


def test_an_image_that_does_not_fit_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"cannot take a grey image of model.input_size 2"):
        trace_forward(Reversed(), input_size=2)


def test_names_up_to_a_layer_follow_the_forward_pass_and_not_the_listing() -> None:
    names = ["late", "early", "early.0", "early.1", "unused"]

    assert names_up_to("early", layers=("early.0", "early.1", "early", "late"), names=names) == names[1:4]
    assert names_up_to("early.0", layers=("early.0", "early.1", "early", "late"), names=names) == ["early.0"]


def test_a_container_that_is_never_called_completes_with_its_last_part() -> None:
    layers = ("blocks.0.conv", "blocks.1.conv", "norm")

    assert names_up_to("blocks", layers=layers, names=["blocks", "blocks.1", "norm"]) == ["blocks", "blocks.1"]
    assert with_containers(layers)[:3] == ["blocks", "blocks.0", "blocks.0.conv"]


def test_an_unknown_layer_names_the_nearest_first() -> None:
    with pytest.raises(
        ValueError, match=r"model.truncate_at must name a layer .* got 'layer5'; .* are layer4, .*conv1"
    ):
        check_layer("layer5", ["conv1", "layer3.0", "layer4.0"], setting="model.truncate_at")
