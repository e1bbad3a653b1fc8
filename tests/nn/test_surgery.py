"""Cutting graphs, average pools without padding, and pooling by layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from radspark.nn.surgery import GlobalPool, cut_after, exclude_padding


class Pools(nn.Module):
    """Average pools of both kinds, and a layer behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.last = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(self.pool(images), 3, 1, padding=1)
        return self.last(pooled + F.avg_pool2d(images, kernel_size=3, stride=1, padding=1))


ONES = torch.ones(1, 1, 6, 6)


def test_pools_that_leave_padding_out_keep_a_constant_image_constant() -> None:
    cut = cut_after(Pools(), "last.0").eval()
    assert cut(ONES).min() < 1.0

    assert exclude_padding(cut) == 3
    assert torch.equal(cut(ONES), 2 * ONES)


class Halving(nn.Module):
    """An average pool that pads nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images, 2)


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2), Halving()], ids=["module", "function"])
def test_a_pool_without_padding_is_left_alone(pool: nn.Module) -> None:
    assert exclude_padding(cut_after(nn.Sequential(pool), "0")) == 0


def test_a_cut_network_keeps_names_and_drops_what_follows() -> None:
    cut = cut_after(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3)), "1")

    assert list(cut.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert cut(ONES).shape == (1, 3, 2, 2)


def test_training_mode_still_switches_dropout_in_a_cut_network() -> None:
    cut = cut_after(Pools(), "last.0")

    assert (cut.train()(ONES) == 0).any()
    assert not (cut.eval()(ONES) == 0).any()


class Branching(nn.Module):
    """Decides by a pixel, which no graph can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images) if images.sum() > 0 else images


def test_a_network_that_cannot_be_traced_is_a_value_error_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"cannot be cut after 'layer', its graph .*leave model.truncate_at"):
        cut_after(Branching(), "layer")


@pytest.mark.parametrize(
    ("pool", "shape", "kept"),
    [
        (GlobalPool(), (2, 3, 4, 5), (2, 3)),
        (GlobalPool(channels_last=True), (2, 4, 5, 3), (1, 2)),
        (GlobalPool(), (2, 7, 3), (1,)),
    ],
)
def test_the_pool_is_the_mean_over_positions(pool: GlobalPool, shape: tuple[int, ...], kept: tuple[int, ...]) -> None:
    outputs = torch.rand(shape)
    axes = kept if len(kept) == 1 or pool.channels_last else (2, 3)

    torch.testing.assert_close(pool(outputs), outputs.mean(axes))


def test_prefix_tokens_are_no_positions() -> None:
    tokens = torch.tensor([[[9.0], [1.0], [3.0]]])

    assert GlobalPool(num_prefix_tokens=1)(tokens).tolist() == [[2.0]]


def test_features_that_are_pooled_already_pass() -> None:
    assert GlobalPool()(torch.ones(2, 3)).shape == (2, 3)
