"""One of two workers of a round; the second is killed in the backward pass of its second step, with parts on their way.

Prints rank 0's port first, and last how its round ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial

import numpy as np
import torch

from radspark.nn.network import XRayNetwork, build_network
from radspark.nn.optimizers import build_optimizer
from radspark.settings import ModelSettings, Recipe, TrainingSettings
from radspark.training.cache import CachedShard
from radspark.training.collective import is_from_exchange, join_group, open_store, reach_store
from radspark.training.round import RoundSpec, run_round
from radspark.training.shards import ShardPlan
from radspark.training.state import capture

RECIPE = Recipe(
    model=ModelSettings(backbone="resnet10t", input_size=32, dropout=0.0), training=TrainingSettings(batch_size=8)
)
HOST = "127.0.0.1"


def build(*, dies: bool) -> XRayNetwork:
    network = build_network(RECIPE.model, 2, seed=0)
    if dies:
        gradients = iter(range(2))

        def die_at_the_second(_: torch.Tensor) -> None:
            if next(gradients) == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        # Of the first layer, which a backward pass comes to last.
        next(network.trunk.parameters()).register_hook(die_at_the_second)
    return network


def main() -> None:
    rank, port = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    if rank == 0:
        store = open_store(HOST, timeout_seconds=60)
        print(store.port, flush=True)
    else:
        store = reach_store(HOST, port, timeout_seconds=60)
    rng = np.random.default_rng(rank)
    images, labels = rng.integers(0, 256, (12, 32, 32)).astype(np.uint8), np.zeros((12, 2), np.float32)
    network = build(dies=False)
    first = capture(network, build_optimizer(list(network.named_parameters()), RECIPE.optimizer), step=0)
    spec = RoundSpec(
        recipe=RECIPE,
        build_network=partial(build, dies=rank == 1),
        plan=ShardPlan((12, 12), 8, 8, seed=0),
        positive_weights=None,
        first_step=0,
        learning_rates=(0.1,) * 3,
        seconds=60,
    )
    steps = []
    try:
        with join_group(store, rank=rank, hosts=[HOST] * 2, timeout_seconds=86_400) as group:
            train = {rank: CachedShard(images, labels, np.arange(12))}
            run_round(spec, first, train=train, validation={}, group=group, on_step=steps.append)
    except RuntimeError as error:
        print(json.dumps([len(steps), is_from_exchange(error)]))


if __name__ == "__main__":
    main()
