"""A user's own module: the contract is checked before anything is trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from radspark.errors import UserCodeError
from radspark.nn.user_module import wrap_user_module


class Tiny(nn.Module):
    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.head = nn.Linear(16, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1).float() / 255)


class Broken(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise KeyError("my own bug")


def test_the_users_module_gives_the_logits() -> None:
    network = wrap_user_module(Tiny, 3, input_size=4, seed=0)
    images = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8)

    assert torch.equal(network(images), network.module(images)) and network.training


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    weights = [wrap_user_module(Tiny, 3, input_size=4, seed=seed).module.head.weight for seed in (1, 1, 2)]

    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_head_is_the_modules_own_part_of_that_name() -> None:
    assert len(wrap_user_module(Tiny, 3, input_size=4, seed=0).head_parameters()) == 2
    assert wrap_user_module(lambda: nn.Sequential(Tiny()), 3, input_size=4, seed=0).head_parameters() == []


def test_a_wrong_number_of_outputs_is_named() -> None:
    with pytest.raises(UserCodeError, match=r"float logits \(2, 14\), one per finding; got \(2, 3\)"):
        wrap_user_module(Tiny, 14, input_size=4, seed=0)


def test_the_users_traceback_goes_on() -> None:
    with pytest.raises(UserCodeError, match=r"(?s)failed on two black images:.*in forward.*my own bug"):
        wrap_user_module(Broken, 3, input_size=4, seed=0)
