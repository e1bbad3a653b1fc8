"""Slices that are updated by themselves come to the bits of one optimizer over everything."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from radspark.nn.optimizers import build_optimizer, optimizer_state
from radspark.nn.user_module import UserNetwork
from radspark.settings import OptimizerSettings
from radspark.training.collective import SingleWorker
from radspark.training.gradients import MicroBatch, ShardGradients
from radspark.training.shards import shards_of_worker
from radspark.training.slices import (
    SlicePlan,
    StateSlice,
    add_up,
    cut_state,
    join_moments,
    pack_gradients,
    set_weights,
    update_slice,
)
from radspark.training.step import Stepper
from radspark.training.tree import Block, ShardSum

NUM_SHARDS = 3


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.deep = nn.Conv2d(5, 7, 3)
        self.frozen = nn.Conv2d(7, 7, 1)
        self.frozen.requires_grad_(False)
        self.head = nn.Linear(7, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.deep(self.norm(self.conv(images.float() / 255)).relu())
        return self.head(self.frozen(features).mean((2, 3)))


def network() -> UserNetwork:
    torch.manual_seed(1)
    return UserNetwork(Net()).to(memory_format=torch.channels_last)


def batches(step: int) -> dict[int, list[MicroBatch]]:
    rng = np.random.default_rng(step)

    def batch(size: int) -> MicroBatch:
        images = torch.from_numpy(rng.integers(0, 256, (size, 1, 10, 10)).astype(np.uint8))
        return MicroBatch(images, torch.from_numpy(rng.integers(0, 2, (size, 2)).astype(np.float32)), 0)

    return {shard: [batch(3), batch(2 + shard)] for shard in range(NUM_SHARDS)}


class Worker:
    def __init__(self) -> None:
        self.network = network()
        self.sums = ShardGradients(self.network, positive_weights_C=None, precision=torch.float32)


def train_sliced(
    settings: OptimizerSettings, *, num_slices: int, num_workers: int, steps: int, travel: torch.dtype = torch.float32
) -> tuple[Worker, list[StateSlice], SlicePlan]:
    workers = [Worker() for _ in range(num_workers)]
    first = workers[0]
    plan = SlicePlan.of(first.sums, first.network, first.network.head_parameters(), num_slices)
    optimizer = build_optimizer(list(first.network.named_parameters()), settings)
    slices = [
        cut_state(plan, n, network=first.network, optimizer=optimizer, statistics=first.sums.statistics)
        for n in range(num_slices)
    ]
    for step in range(steps):
        messages = send(workers, slices, plan, step, travel=travel)
        slices = [
            update_slice(
                StateSlice.read(slices[n].pack_weights(), slices[n].pack_moments()),
                add_up(messages[n], plan, n, travel=travel),
                plan,
                n,
                settings=settings,
                rate=0.1 / (step + 1),
            )
            for n in range(num_slices)
        ]
    set_weights(slices, plan, network=first.network, statistics=first.sums.statistics)
    return first, slices, plan


def send(
    workers: Sequence[Worker], slices: Sequence[StateSlice], plan: SlicePlan, step: int, *, travel: torch.dtype
) -> list[dict[Block, bytearray]]:
    messages: list[dict[Block, bytearray]] = [{} for _ in slices]
    for rank, worker in enumerate(workers):
        set_weights(slices, plan, network=worker.network, statistics=worker.sums.statistics)
        own = shards_of_worker(rank, num_shards=NUM_SHARDS, num_workers=len(workers))
        tree = worker.sums.of_shards({shard: batches(step)[shard] for shard in own})
        for block, vector in zip(tree.blocks, tree.sums, strict=True):
            for number, message in enumerate(pack_gradients(vector, plan, travel=travel)):
                messages[number][block] = bytearray(message)
    return messages


def train_whole(settings: OptimizerSettings, steps: int) -> tuple[UserNetwork, torch.optim.Optimizer]:
    net = network()
    optimizer = build_optimizer(list(net.named_parameters()), settings)
    stepper = Stepper(
        net,
        optimizer,
        settings=settings,
        positive_weights_C=None,
        precision=torch.float32,
        shard_sum=ShardSum(SingleWorker(), num_shards=NUM_SHARDS),
    )
    for step in range(steps):
        stepper.step(batches(step), learning_rate=0.1 / (step + 1))
    return net, optimizer


SETTINGS = [
    OptimizerSettings(name="sgd", weight_decay=0.01, head_l2=0.1),
    OptimizerSettings(name="adam", weight_decay=0.01),
    OptimizerSettings(name="adamw", weight_decay=0.1, head_l2=0.01),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.name)
@pytest.mark.parametrize(("num_slices", "num_workers"), [(1, 1), (2, 3), (5, 2)])
def test_slices_come_to_the_bits_of_one_optimizer(
    settings: OptimizerSettings, num_slices: int, num_workers: int
) -> None:
    worker, slices, _ = train_sliced(settings, num_slices=num_slices, num_workers=num_workers, steps=4)
    net, optimizer = train_whole(settings, 4)
    expected = net.state_dict()
    for name, tensor in worker.network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, expected[name]), name
    moments = join_moments(slices, network=worker.network)
    whole = optimizer_state(optimizer, list(net.named_parameters()))
    assert moments.keys() == whole.keys()
    for name, tensor in whole.items():
        assert torch.equal(moments[name], tensor), name


def test_every_element_is_in_one_slice() -> None:
    worker = Worker()
    plan = SlicePlan.of(worker.sums, worker.network, worker.network.head_parameters(), 7)
    taken = [(piece.name, i) for n in range(7) for piece in plan.pieces(n) for i in range(piece.start, piece.stop)]
    whole = [(p.name, i) for p in plan.parameters for i in range(p.stop)]
    assert taken == whole
    assert not any(name.startswith("module.frozen") for name, _ in taken)
    assert {piece.name for piece in plan.parameters if piece.is_head} == {"module.head.weight", "module.head.bias"}


def test_no_slice_is_updated_where_one_gradient_is_not_finite() -> None:
    worker = Worker()
    plan = SlicePlan.of(worker.sums, worker.network, (), 4)
    vector = torch.ones_like(worker.sums.vector)
    vector[0] = torch.nan
    messages = [{Block(0, 1): bytearray(m)} for m in pack_gradients(vector, plan, travel=torch.float32)]
    settings = SETTINGS[1]
    optimizer = build_optimizer(list(worker.network.named_parameters()), settings)
    for n in range(4):
        state = cut_state(plan, n, network=worker.network, optimizer=optimizer, statistics=worker.sums.statistics)
        total = add_up(messages[n], plan, n, travel=torch.float32)
        assert update_slice(state, total, plan, n, settings=settings, rate=0.1) is state


def test_gradients_travel_as_bfloat16_rounded_to_the_nearest() -> None:
    worker = Worker()
    plan = SlicePlan.of(worker.sums, worker.network, (), 3)
    vector = torch.linspace(-1, 1, len(worker.sums.vector)) * 1.000123
    messages = [{Block(0, 1): bytearray(m)} for m in pack_gradients(vector, plan, travel=torch.bfloat16)]
    sums = [add_up(messages[n], plan, n, travel=torch.bfloat16) for n in range(3)]
    gradients = torch.cat([part.gradients for part in sums])
    assert torch.equal(gradients, vector[: plan.num_elements].to(torch.bfloat16).float())
    statistics = vector[plan.num_elements : plan.num_elements + plan.num_statistics]
    assert torch.equal(torch.cat([part.statistics for part in sums]), statistics)
    assert torch.equal(sums[0].measures[:3], vector[-3:])


def test_the_sum_of_bfloat16_messages_is_float32() -> None:
    worker = Worker()
    plan = SlicePlan.of(worker.sums, worker.network, (), 1)
    vector = torch.full_like(worker.sums.vector, 1.0)
    small = torch.full_like(vector, 2.0**-9)
    messages = {
        Block(shard, 1): bytearray(next(iter(pack_gradients(part, plan, travel=torch.bfloat16))))
        for shard, part in enumerate([vector, small])
    }
    assert add_up(messages, plan, 0, travel=torch.bfloat16).gradients[0] == 1.0 + 2.0**-9


def test_training_by_bfloat16_messages_stays_near() -> None:
    exact, _, _ = train_sliced(SETTINGS[0], num_slices=2, num_workers=2, steps=3)
    rounded, _, _ = train_sliced(SETTINGS[0], num_slices=2, num_workers=2, steps=3, travel=torch.bfloat16)
    before = copy.deepcopy(network())
    for name, tensor in exact.network.named_parameters():
        moved = (tensor - dict(before.named_parameters())[name]).abs().max()
        error = (tensor - dict(rounded.network.named_parameters())[name]).abs().max()
        assert error <= 0.02 * moved
