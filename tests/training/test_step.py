"""A step against plain PyTorch: the same gradient, batch-norm statistics, clipping and L2."""

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from threads import Table, Threads
from torch import nn

from radspark.nn.losses import masked_bce
from radspark.nn.optimizers import build_optimizer
from radspark.nn.user_module import UserNetwork
from radspark.settings import OptimizerSettings
from radspark.training.collective import SingleWorker
from radspark.training.exchange import Exchange
from radspark.training.gradients import MicroBatch, ShardGradients, dropout_seed
from radspark.training.step import Stepper, StepResult
from radspark.training.tree import ShardSum


class Net(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.norm(self.conv(images.float() / 255)).relu().mean((2, 3))
        return self.head(self.dropout(features))


def network(dropout: float = 0.0) -> UserNetwork:
    torch.manual_seed(1)
    return UserNetwork(Net(dropout))


def micro_batch(size: int, seed: int) -> MicroBatch:
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, 256, (size, 1, 12, 12)).astype(np.uint8))
    return MicroBatch(images, torch.from_numpy(rng.integers(0, 2, (size, 2)).astype(np.float32)), seed)


def stepper(net: UserNetwork, settings: OptimizerSettings) -> Stepper:
    optimizer = build_optimizer(list(net.named_parameters()), settings)
    return Stepper(
        net,
        optimizer,
        settings=settings,
        positive_weights_C=None,
        precision=torch.float32,
        shard_sum=ShardSum(SingleWorker(), num_shards=1),
    )


def step_of_two(exchange: torch.dtype, *, early: bool = False) -> list[tuple[UserNetwork, StepResult]]:
    """Network and result of each of two workers after a step, of 150 and 151 samples.

    Args:
        early: parts are exchanged during the backward pass.
    """
    tables: dict[Any, Table] = {}

    def work(rank: int) -> tuple[UserNetwork, StepResult]:
        with ThreadPoolExecutor(1) if early else nullcontext() as thread:
            return step_of(rank, thread)

    def step_of(rank: int, thread: ThreadPoolExecutor | None) -> tuple[UserNetwork, StepResult]:
        net = nets[rank]
        stepper = Stepper(
            net,
            build_optimizer(list(net.named_parameters()), SGD),
            settings=SGD,
            positive_weights_C=None,
            precision=torch.float32,
            shard_sum=ShardSum(Threads(rank, "ab", tables), num_shards=2),
            exchange=exchange,
            thread=thread,
        )
        batches = [micro_batch(75, rank), replace(micro_batch(75 + rank, 2 + rank), is_last=True)]
        return net, stepper.step({rank: batches}, learning_rate=0.5)

    nets = [network(), network()]
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(work, range(2)))


SGD = OptimizerSettings(name="sgd", learning_rate=0.5, momentum=0.0, nesterov=False)


def plain_gradients(net: UserNetwork, batches: list[MicroBatch]) -> list[torch.Tensor]:
    """Sum over samples divided by their number, each micro-batch normalised by itself."""
    plain = copy.deepcopy(net).train()
    total = sum(masked_bce(plain(b.inputs), b.labels_NC) for b in batches)
    (total / sum(len(b.labels_NC) for b in batches)).backward()
    return [p.grad for p in plain.parameters()]


def test_a_step_over_uneven_micro_batches_is_the_mean_gradient() -> None:
    net, batches = network(), [micro_batch(3, 0), micro_batch(5, 1)]
    before = [p.detach().clone() for p in net.parameters()]
    expected = plain_gradients(net, batches)
    result = stepper(net, SGD).step({0: batches}, learning_rate=0.5)
    for old, new, gradient in zip(before, net.parameters(), expected, strict=True):
        torch.testing.assert_close(new, old - 0.5 * gradient, rtol=1e-5, atol=1e-6)
    assert result.num_samples == 8


def test_batch_norm_statistics_are_the_sample_weighted_mean_over_micro_batches() -> None:
    net, batches = network(), [micro_batch(3, 0), micro_batch(5, 1)]
    singles = []
    for item in batches:
        alone = copy.deepcopy(net).train()
        alone(item.inputs)
        singles.append(alone.module.norm.running_var)
    stepper(net, SGD).step({0: batches}, learning_rate=0.5)
    torch.testing.assert_close(net.module.norm.running_var, (3 * singles[0] + 5 * singles[1]) / 8)
    assert int(net.module.norm.num_batches_tracked) == 1


def test_gradients_alone_travel_as_bfloat16() -> None:
    (exact, exact_result), _ = step_of_two(torch.float32)
    (rounded, result), (other, other_result) = step_of_two(torch.bfloat16)
    assert result == other_result == exact_result
    assert result.num_samples == 301  # no bfloat16
    assert torch.equal(rounded.module.norm.running_var, exact.module.norm.running_var)
    before = network().module.conv.weight
    sums = [301 * (before - net.module.conv.weight) / 0.5 for net in (exact, rounded)]
    assert not torch.equal(*sums)
    torch.testing.assert_close(sums[1], sums[0].to(torch.bfloat16).float(), rtol=2**-7, atol=1e-2)
    for one, two in zip(rounded.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("exchange", [torch.float32, torch.bfloat16], ids=str)
def test_parts_that_go_out_during_the_backward_pass_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, exchange: torch.dtype
) -> None:
    (late, late_result), _ = step_of_two(exchange)
    monkeypatch.setattr("radspark.training.exchange.PART", 6)
    sent: list[int] = []
    finish = Exchange.finish

    def count_and_finish(self: Exchange, blocks: list[torch.Tensor]) -> None:
        sent.append(len(self._sent))
        finish(self, blocks)

    monkeypatch.setattr(Exchange, "finish", count_and_finish)
    for early, result in step_of_two(exchange, early=True):
        assert result == late_result
        for name, tensor in early.state_dict().items():
            assert torch.equal(tensor, late.state_dict()[name]), name
    num_gradients = sum(parameter.numel() for parameter in late.parameters())
    assert sent == [-(-num_gradients // 6)] * 2


def test_head_l2_acts_on_the_head_alone() -> None:
    with_l2, without = network(), network()
    head = without.module.head.weight.detach().clone()
    stepper(with_l2, OptimizerSettings(**{**vars(SGD), "head_l2": 0.1})).step(
        {0: [micro_batch(4, 0)]}, learning_rate=0.5
    )
    stepper(without, SGD).step({0: [micro_batch(4, 0)]}, learning_rate=0.5)
    torch.testing.assert_close(with_l2.module.head.weight, without.module.head.weight - 0.5 * 0.1 * head)
    assert torch.equal(with_l2.module.conv.weight, without.module.conv.weight)


def test_clipping_scales_the_whole_gradient_to_the_norm() -> None:
    net, batches = network(), [micro_batch(6, 0)]
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    stepper(net, OptimizerSettings(**{**vars(SGD), "clip_norm": 0.01})).step({0: batches}, learning_rate=1.0)
    moved = torch.cat([p.detach().flatten() for p in net.parameters()]) - before
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    net = network()
    broken = micro_batch(4, 0)
    torch.nn.init.constant_(net.module.conv.weight, float("inf"))
    before = copy.deepcopy(net.state_dict())
    result = stepper(net, SGD).step({0: [broken]}, learning_rate=0.5)
    assert not result.was_applied
    for name, tensor in net.state_dict().items():
        if name != "module.norm.num_batches_tracked":
            assert torch.equal(tensor, before[name]), name


def test_all_that_a_step_adds_up_lies_on_the_networks_device() -> None:
    meta = torch.device("meta")  # there torch refuses to mix devices
    batch = micro_batch(4, 0)
    batches = [MicroBatch(batch.inputs.to(meta), batch.labels_NC.to(meta), 0)] * 2
    gradients = ShardGradients(
        network(dropout=0.5).to(meta),
        positive_weights_C=torch.ones(2, device=meta),
        precision=torch.float32,
        device=meta,
    )
    tree = gradients.of_shards({0: batches, 1: batches})
    assert {tensor.device for tensor in [*tree.sums, gradients.vector, gradients.statistics]} == {meta}


def test_dropout_repeats_for_a_seed_and_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    results = []
    for seed in (5, 5, 6):
        net = network(dropout=0.5)
        torch.set_rng_state(state)
        batch = micro_batch(8, 0)
        stepper(net, SGD).step({0: [MicroBatch(batch.inputs, batch.labels_NC, seed)]}, learning_rate=0.5)
        results.append(net.module.head.weight.detach().clone())
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_dropout_seeds_differ_by_step_shard_and_piece() -> None:
    seed = partial(dropout_seed, 0)
    assert len({seed(0, 0, 0), seed(1, 0, 0), seed(0, 1, 0), seed(0, 0, 1)}) == 4
