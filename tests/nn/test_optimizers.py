"""Optimizers by name against torch and timm, and their state over a save and a resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from radspark.nn.optimizers import (
    OPTIMIZERS,
    add_head_l2,
    build_optimizer,
    clip_gradients,
    load_optimizer_state,
    optimizer_state,
    set_learning_rate,
)
from radspark.nn.timm_import import Lars
from radspark.settings import OptimizerSettings


def small_network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[torch.Tensor]:
    for step in steps:
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(images).square().sum().backward()
        set_learning_rate(optimizer, 1e-3 / (step + 1))
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


ORACLES: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1.0),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1.0, weight_decay=0.0),
    "lars": lambda p: Lars(
        [{"params": [x for x in p if x.ndim > 1], "always_adapt": True}, {"params": [x for x in p if x.ndim <= 1]}],
        lr=1.0,
        momentum=0.9,
        nesterov=True,
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_the_librarys(name: str) -> None:
    ours, theirs = small_network(), small_network()
    optimizer = build_optimizer(ours.named_parameters(), OptimizerSettings(name=name))  # type: ignore[arg-type]

    got = train(ours, optimizer, range(4))

    torch.testing.assert_close(got, train(theirs, ORACLES[name](list(theirs.parameters())), range(4)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(name: str) -> None:
    settings = OptimizerSettings(name=name, weight_decay=0.01)  # type: ignore[arg-type]
    straight, broken, resumed = small_network(), small_network(), small_network()
    expected = train(straight, build_optimizer(straight.named_parameters(), settings), range(6))
    first = build_optimizer(broken.named_parameters(), settings)
    train(broken, first, range(3))

    resumed.load_state_dict(broken.state_dict())
    second = build_optimizer(resumed.named_parameters(), settings)
    load_optimizer_state(second, resumed.named_parameters(), optimizer_state(first, broken.named_parameters()))
    got = train(resumed, second, range(3, 6))

    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_adams_state_is_named_by_slot_and_parameter() -> None:
    network = small_network()
    optimizer = build_optimizer(network.named_parameters(), OptimizerSettings(name="adam"))
    train(network, optimizer, range(3))

    state = optimizer_state(optimizer, network.named_parameters())

    assert len(state) == 3 * 6 and state["exp_avg/0.weight"].shape == (4, 1, 3, 3) and state["step/4.bias"] == 3


def test_state_of_another_network_is_refused() -> None:
    network = small_network()
    optimizer = build_optimizer(network.named_parameters(), OptimizerSettings())

    with pytest.raises(ValueError, match=r"got 1 others \(exp_avg/7\.weight\)"):
        load_optimizer_state(optimizer, network.named_parameters(), {"exp_avg/7.weight": torch.zeros(1)})


def test_frozen_parameters_are_left_out() -> None:
    network = small_network()
    network[0].requires_grad_(False)

    optimizer = build_optimizer(network.named_parameters(), OptimizerSettings())

    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


def test_weight_decay_shrinks_kernels_and_not_biases() -> None:
    network = small_network()
    with torch.no_grad():
        network[0].bias.fill_(1.0)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = build_optimizer(network.named_parameters(), OptimizerSettings(name="sgd", weight_decay=0.5, momentum=0))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    set_learning_rate(optimizer, 0.1)
    optimizer.step()

    expected = {name: old * 0.95 if old.ndim > 1 else old for name, old in before.items()}
    torch.testing.assert_close({name: new.detach() for name, new in network.named_parameters()}, expected)


def test_head_l2_is_the_gradient_of_its_penalty() -> None:
    head = nn.Linear(5, 2)
    for parameter in head.parameters():
        parameter.grad = torch.zeros_like(parameter)
    expected = torch.autograd.grad(
        0.5 * 0.1 * sum(p.square().sum() for p in head.parameters()), list(head.parameters())
    )

    add_head_l2(head.parameters(), 0.1)

    torch.testing.assert_close([p.grad for p in head.parameters()], list(expected))


def test_clipping_scales_to_the_norm_and_reports_the_norm_before() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])

    assert clip_gradients([parameter], 1.0) == pytest.approx(5.0)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]), rtol=1e-5, atol=1e-5)


def test_a_state_is_put_back_on_the_parameters_device() -> None:
    network = small_network()
    optimizer = build_optimizer(network.named_parameters(), OptimizerSettings(name="adam"))
    train(network, optimizer, range(1))
    state = optimizer_state(optimizer, network.named_parameters())
    elsewhere = small_network().to("meta")
    other = build_optimizer(elsewhere.named_parameters(), OptimizerSettings(name="adam"))
    load_optimizer_state(other, elsewhere.named_parameters(), state)
    placed = optimizer_state(other, elsewhere.named_parameters())
    assert placed.keys() == state.keys()
    assert {tensor.device.type for tensor in placed.values()} == {"meta"}
