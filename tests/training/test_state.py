"""A state packed and unpacked is the same to the bit, and training goes on from it as if never stopped."""

import pytest
import torch
from torch import nn

from radspark.nn.optimizers import build_optimizer
from radspark.settings import OptimizerSettings
from radspark.training.state import PackedState, capture, restore


def pair(
    settings: OptimizerSettings, layout: torch.memory_format = torch.contiguous_format
) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
    network = network.to(memory_format=layout)
    return network, build_optimizer(list(network.named_parameters()), settings)


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        network(torch.rand(4, 1, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
def test_training_goes_on_from_a_packed_state_to_the_bit(name: str, layout: torch.memory_format) -> None:
    settings = OptimizerSettings(name=name, learning_rate=0.01, weight_decay=0.01)
    straight = pair(settings, layout)
    train(*straight, range(6))
    first = pair(settings, layout)
    train(*first, range(3))
    packed = capture(*first, step=3).pack()
    second = pair(settings, layout)
    restore(PackedState.read(packed.data).unpack(), *second)
    train(*second, range(3, 6))
    for expected, found in zip(straight[0].state_dict().values(), second[0].state_dict().values(), strict=True):
        assert torch.equal(expected, found)


def test_a_channels_last_network_packs_its_values() -> None:
    network, optimizer = pair(OptimizerSettings())
    values = network[0].weight.detach().clone()
    packed = capture(network.to(memory_format=torch.channels_last), optimizer, step=0).pack()
    assert torch.equal(torch.from_numpy(packed.network()["0.weight"]), values)


class Tied(nn.Sequential):
    """Two layers share their weights."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16, 2))
        self[1].weight = self[0].weight


def test_layers_that_share_weights_go_on_sharing_them() -> None:
    settings = OptimizerSettings(name="adam", learning_rate=0.01)
    first, second = Tied(), Tied()
    optimizers = [build_optimizer(list(network.named_parameters()), settings) for network in (first, second)]
    train(first, optimizers[0], range(3))
    packed = capture(first, optimizers[0], step=3).pack()
    restore(PackedState.read(packed.data).unpack(), second, optimizers[1])
    for network, optimizer in zip((first, second), optimizers, strict=True):
        train(network, optimizer, range(3, 6))
    assert torch.equal(first[1].weight, second[1].weight)
    assert second[0].weight is second[1].weight


@pytest.mark.parametrize("data", [b"", b"12345678{}", b"\xff" * 64])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a training state"):
        PackedState.read(data)
