"""Counted work against torch's own counter, and against what a real network holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from radspark.nn.network import build_network
from radspark.planning.workload import OperatorCounter, count_workload
from radspark.settings import ModelSettings

RESNET = ModelSettings(backbone="resnet18", input_size=64)


def test_flops_are_those_of_torchs_counter() -> None:
    load = count_workload(RESNET, micro_batch_size=2)
    network = build_network(RESNET, 14, seed=0)
    with FlopCounterMode(display=False) as oracle:
        network(torch.zeros(2, 1, 64, 64, dtype=torch.uint8)).sum().backward()
    assert 2 * (load.kernel_flops + load.matrix_flops + load.grouped_flops) == oracle.get_total_flops()


def test_weights_and_statistics_are_those_of_the_network() -> None:
    load = count_workload(RESNET)
    network = build_network(RESNET, 14, seed=0)
    assert load.num_weights == sum(parameter.numel() for parameter in network.parameters())
    running = [tensor for name, tensor in network.named_buffers() if "running" in name]
    assert load.num_statistics == sum(tensor.numel() for tensor in running)


def test_a_frozen_trunk_asks_for_no_backward_pass() -> None:
    frozen = count_workload(ModelSettings(backbone="resnet18", input_size=64, freeze_up_to="trunk"))
    assert frozen.num_weights == 14 * 512 + 14
    assert frozen.forward_share == pytest.approx(1, abs=1e-3)


def test_depthwise_convolutions_are_counted_apart_and_without_the_channels_that_they_do_not_mix() -> None:
    layer = nn.Conv2d(8, 8, 3, groups=8, padding=1, bias=False, device="meta")
    with OperatorCounter() as counts:
        layer(torch.zeros(1, 8, 10, 10, device="meta")).sum().backward()
    assert counts.totals["grouped"] == 2 * (2 * 8 * 100 * 9)  # forward, and the kernel's gradient
    assert counts.totals["kernel"] == counts.totals["matrix"] == 0


def test_kept_activations_are_at_least_the_inputs_of_the_convolutions() -> None:
    load = count_workload(RESNET)
    assert load.kept_bytes > 4 * (32 * 32 * 64 + 4 * 16 * 16 * 64)
