"""Measures this machine for a plan: small networks, an optimizer and an exchange, in as many processes as workers."""

from __future__ import annotations

import datetime
import logging
import multiprocessing
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radspark.nn.network import build_network
from radspark.nn.optimizers import build_optimizer
from radspark.planning.cost import PASSES
from radspark.planning.description import GB, Workload
from radspark.planning.machine import Machine
from radspark.planning.workload import count_workload
from radspark.settings import ModelSettings, OptimizerSettings
from radspark.training.collective import Group, join_group, open_store, reach_store
from radspark.training.tree import ShardSum

logger = logging.getLogger(__name__)

NETWORKS = ("resnet18", "mobilenetv3_large_100", "convnext_atto", "vit_tiny_patch16_224", "resnet26")
"""Small ones that differ in what they spend their time on."""
INPUT_SIZE = 224
NUM_FINDINGS = 14
MAX_SECONDS = 45.0
"""For all networks; with imports and exchange a measurement stays below a minute."""
STEPS = 4
"""Timed ones of each network, fewer where time is short."""
VECTOR = 1 << 23
"""Floats of the optimizer's and the exchange's measurement."""
REPEATS = 4
GROUP_SECONDS = 300.0


@dataclass(frozen=True)
class WorkerTimes:
    """What one process measured, in seconds."""

    steps: dict[str, list[float]]
    """Network to times of a micro-batch, forward and backward."""
    update: float
    exchange: float


@dataclass(frozen=True)
class Task:
    """What every process is told."""

    workers: int
    port: int
    micro_batch_size: int
    networks: tuple[str, ...]
    max_seconds: float
    device: str


def calibrate(
    *,
    workers: int,
    micro_batch_size: int = 16,
    device: str = "cpu",
    networks: tuple[str, ...] = NETWORKS,
    max_seconds: float = MAX_SECONDS,
) -> Machine:
    """Measure this machine with so many workers at once, a minute at most on one that is otherwise idle."""
    context = multiprocessing.get_context("spawn")
    store = open_store("127.0.0.1", timeout_seconds=GROUP_SECONDS)
    task = Task(workers, store.port, micro_batch_size, networks, max_seconds, device)
    with context.Pool(workers) as pool:
        times = pool.starmap(_measure, [(rank, task) for rank in range(workers)], chunksize=1)
    settings = [ModelSettings(backbone=name, input_size=INPUT_SIZE) for name in networks]
    loads = [count_workload(each, micro_batch_size=micro_batch_size) for each in settings]
    seconds = [np.mean([np.mean(one.steps[name]) for one in times]) / micro_batch_size for name in networks]
    kernel, matrix, grouped, moving = fit_speeds(loads, seconds)
    return Machine(
        kernel_gflops=kernel,
        matrix_gflops=matrix,
        grouped_gflops=grouped,
        moving_gbytes=moving,
        update_gbytes=PASSES["adam"] * 4 * VECTOR / (GB * float(np.mean([one.update for one in times]))),
        loopback_gbytes=_exchange_speed(workers, max(one.exchange for one in times)),
        jitter=_jitter(times),
        workers=workers,
        device=device,
        measured=f"{platform.node()}, {datetime.date.today().isoformat()}",
    )


def fit_speeds(loads: Sequence[Workload], seconds: Sequence[Any]) -> tuple[float, float, float, float]:
    """The speeds of a `Machine` by which networks take so long an image: least squares of relative errors.

    A kind of work that takes no time beside the others gets a speed beyond reach, 10^6 giga per second.
    """
    from scipy.optimize import nnls

    counts = np.array([[x.kernel_flops, x.matrix_flops, x.grouped_flops, x.moved_bytes] for x in loads]) / GB
    taken = np.asarray(seconds, float)
    slowness, _ = nnls(counts / taken[:, None], np.ones(len(taken)))
    kernel, matrix, grouped, moving = (1 / np.maximum(slowness, 1e-6)).tolist()
    return kernel, matrix, grouped, moving


def _exchange_speed(workers: int, seconds: float) -> float:
    """Of a worker; one alone exchanges nothing, and what stands for it is never used."""
    return 2 * (workers - 1) / workers * 4 * VECTOR / (GB * seconds) if workers > 1 else 1.0


def _jitter(times: Sequence[WorkerTimes]) -> float:
    """Spread of a step's time in a worker around its own mean."""
    relative: list[NDArray[np.float64]] = []
    for one in times:
        relative += [np.asarray(steps) / np.mean(steps) for steps in one.steps.values() if len(steps) > 1]
    return float(np.std(np.concatenate(relative))) if relative else 0.0


def _measure(rank: int, task: Task) -> WorkerTimes:
    """All measurements of one process; each begins when all processes are there."""
    torch.set_num_threads(1)
    started = time.monotonic()
    hosts = ["127.0.0.1"] * task.workers
    store = reach_store(hosts[0], task.port, timeout_seconds=GROUP_SECONDS)
    with join_group(store, rank=rank, hosts=hosts, timeout_seconds=GROUP_SECONDS) as group:
        steps = {}
        for done, name in enumerate(task.networks):
            share = (task.max_seconds - (time.monotonic() - started)) / (len(task.networks) - done)
            until = time.monotonic() + share
            steps[name] = _timed(_training_step(name, task), group, times=STEPS, until=until)
        updates = _timed(_update_step(task.device), group, times=REPEATS)
        exchanges = _timed(_exchange(group), group, times=REPEATS)
    return WorkerTimes(steps, float(np.median(updates)), float(np.median(exchanges)))


def _timed(step: Callable[[], None], group: Group, *, times: int, until: float = float("inf")) -> list[float]:
    """Seconds of each call, after one that is not timed; one more is always made."""
    step()
    group.sum_(torch.zeros(1))
    seconds: list[float] = []
    while len(seconds) < times and (not seconds or time.monotonic() < until):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return seconds


def _training_step(name: str, task: Task) -> Callable[[], None]:
    """Forward and backward of one micro-batch."""
    settings = ModelSettings(backbone=name, input_size=INPUT_SIZE)
    network = build_network(settings, NUM_FINDINGS, seed=0)
    network = network.to(task.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    shape = (task.micro_batch_size, 1, INPUT_SIZE, INPUT_SIZE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=task.device)

    def step() -> None:
        network(images).sum().backward()
        _wait_for_device(task.device)

    return step


def _update_step(device: str) -> Callable[[], None]:
    """One update by Adam."""
    weights = torch.nn.Parameter(torch.zeros(VECTOR, device=device))
    weights.grad = torch.ones_like(weights)
    optimizer = build_optimizer([("weights", weights)], OptimizerSettings(name="adam"))

    def step() -> None:
        optimizer.step()
        _wait_for_device(device)

    return step


def _exchange(group: Group) -> Callable[[], None]:
    """One sum of a vector over all processes, as training does it."""
    shard_sum = ShardSum(group, num_shards=group.size)
    vector = torch.zeros(VECTOR - VECTOR % group.size)
    return lambda: shard_sum([vector.clone()], vector)


def _wait_for_device(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
