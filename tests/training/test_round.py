"""A round: where it ends, what it scores, its bits on one to four workers, and the shortcut of a frozen trunk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threads import Table, Threads

from radspark.nn.network import build_network
from radspark.nn.optimizers import build_optimizer
from radspark.settings import AugmentationSettings, ModelSettings, OptimizerSettings, Recipe, TrainingSettings
from radspark.training import round as round_module
from radspark.training.cache import CachedShard, SampleBatch, ShardCache, ShardName
from radspark.training.collective import SingleWorker
from radspark.training.exchange import Exchange
from radspark.training.room import Room, make_folders
from radspark.training.round import Inputs, RoundOutcome, RoundSpec, run_round
from radspark.training.shards import ShardPlan, shard_sizes, shards_of_worker
from radspark.training.state import TrainingState, capture

MODEL = ModelSettings(backbone="resnet10t", input_size=32, dropout=0.0)
RECIPE = Recipe(
    augmentation=AugmentationSettings(flip=0.0),
    model=MODEL,
    optimizer=OptimizerSettings(name="sgd", learning_rate=0.1),
    training=TrainingSettings(batch_size=6, micro_batch_size=6),
)


def shard(folder: Path, split: str, num: int, seed: int = 0) -> CachedShard:
    rng = np.random.default_rng((num, seed))
    name = ShardName(split, 0, 1)
    images = rng.integers(0, 256, (num, 40, 40)).astype(np.uint8)
    labels = rng.integers(0, 2, (num, 2)).astype(np.float32)
    cache = ShardCache(Room(make_folders([folder])), image_size=40, num_findings=2)
    cache.fill({name: num}, [SampleBatch(name, np.arange(num), images, labels, np.arange(num))])
    return cache.open(name, num)


def spec(recipe: Recipe = RECIPE, *, first_step: int = 0, seconds: float = 60.0) -> RoundSpec:
    plan = ShardPlan((18,), 6, 6, seed=0)
    return RoundSpec(
        recipe=recipe,
        build_network=partial(build_network, recipe.model, 2, seed=5),
        plan=plan,
        positive_weights=None,
        first_step=first_step,
        learning_rates=(0.1,) * (plan.steps_per_epoch - first_step % plan.steps_per_epoch),
        seconds=seconds,
    )


def first_state(recipe: Recipe = RECIPE) -> TrainingState:
    network = build_network(recipe.model, 2, seed=5)
    return capture(network, build_optimizer(list(network.named_parameters()), recipe.optimizer), step=0)


def run(folder: Path, round_spec: RoundSpec, state: TrainingState) -> RoundOutcome:
    return run_round(
        round_spec,
        state,
        train={0: shard(folder, "train", 18)},
        validation={0: shard(folder, "validation", 5)},
        group=SingleWorker(),
        on_step=lambda step: None,
    )


def test_a_round_ends_with_the_epoch_and_scores_validation(tmp_path: Path) -> None:
    outcome = run(tmp_path, spec(), first_state())
    assert [step.step for step in outcome.steps] == [1, 2, 3]
    assert outcome.state.step == 3
    assert outcome.scores[0].probabilities_NC.shape == (5, 2)


def test_a_round_whose_time_is_over_ends_after_a_step_and_scores_nothing(tmp_path: Path) -> None:
    outcome = run(tmp_path, spec(seconds=0.0), first_state())
    assert len(outcome.steps) == 1
    assert outcome.scores == []


def test_two_rounds_give_the_bits_of_one(tmp_path: Path) -> None:
    whole = run(tmp_path, spec(), first_state())
    half = run(tmp_path, spec(seconds=0.0), first_state())
    rest = run(tmp_path, spec(first_step=1), half.state.pack().unpack())
    for name, tensor in whole.state.network.items():
        assert torch.equal(rest.state.network[name], tensor), name


def test_inputs_prepared_ahead_are_those_of_each_step_on_the_device(tmp_path: Path) -> None:
    plan = ShardPlan((18, 17), 12, 2, seed=0)
    round_spec = replace(spec(), plan=plan)
    shards = {1: shard(tmp_path / "b", "train", 17), 0: shard(tmp_path / "a", "train", 18)}
    steps = range(2, 5)
    inputs = Inputs(round_spec, None, torch.device("cpu"))
    for step, ahead in zip(steps, inputs.of_steps(shards, steps), strict=True):
        for own, batches in inputs.of_step(shards, step).items():
            for one, other in zip(ahead[own], batches, strict=True):
                assert torch.equal(one.inputs, other.inputs)
                assert torch.equal(one.labels_NC, other.labels_NC)
                assert one.dropout_seed == other.dropout_seed
    for elsewhere in Inputs(round_spec, None, torch.device("meta")).of_steps(shards, steps):
        devices = {t.device.type for own in elsewhere.values() for b in own for t in (b.inputs, b.labels_NC)}
        assert devices == {"meta"}


OPTIMIZER = OptimizerSettings(name="adam", clip_norm=1.0, head_l2=0.01)
FREE = replace(RECIPE, optimizer=OPTIMIZER)
FROZEN = replace(
    FREE,
    model=replace(MODEL, freeze_up_to="layer2"),
    training=replace(RECIPE.training, precision="bfloat16"),
)


@pytest.mark.parametrize("recipe", [FREE, FROZEN], ids=["all layers", "the last ones, in bfloat16"])
def test_shards_on_one_to_four_workers_give_the_same_bits_early_or_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    sizes = shard_sizes(38, 4)
    shards = {number: shard(tmp_path / str(number), "train", size, number) for number, size in enumerate(sizes)}
    round_spec = replace(spec(recipe), plan=ShardPlan(sizes, 20, 3, seed=0), learning_rates=(0.01, 0.01))
    packed = first_state(recipe).pack()
    ahead: list[int] = []
    finish = Exchange.finish

    def count_and_finish(self: Exchange, blocks: list[torch.Tensor]) -> None:
        ahead.append(len(self._sent))
        finish(self, blocks)

    def train(hosts: str) -> list[TrainingState]:
        tables: dict[Any, Table] = {}
        ahead.clear()

        def work(rank: int) -> TrainingState:
            own = shards_of_worker(rank, num_shards=4, num_workers=len(hosts))
            group = SingleWorker() if hosts == "a" else Threads(rank, hosts, tables)
            train = {number: shards[number] for number in own}
            first = packed.unpack()
            return run_round(
                round_spec, first, train=train, validation={}, group=group, on_step=lambda step: None
            ).state

        with ThreadPoolExecutor(len(hosts)) as threads:
            return list(threads.map(work, range(len(hosts))))

    monkeypatch.setattr(Exchange, "finish", count_and_finish)
    (alone,) = train("a")
    for hosts, early in [("aa", 0), ("aaa", 2), ("aaaa", 4), ("aabb", 4)]:
        for state in train(hosts):
            assert all(torch.equal(tensor, alone.network[name]) for name, tensor in state.network.items())
            assert all(torch.equal(tensor, alone.optimizer[name]) for name, tensor in state.optimizer.items())
        assert sum(parts > 0 for parts in ahead) == 2 * early, "workers with one shard send parts early, in both steps"


PROBE = replace(RECIPE, model=replace(MODEL, freeze_up_to="trunk"))


def test_a_frozen_trunk_runs_once_and_gives_the_same_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = run(tmp_path / "a", spec(PROBE), first_state(PROBE))
    assert len(list((tmp_path / "a").rglob("features.f32"))) == 2
    monkeypatch.setattr(round_module, "has_fixed_features", lambda network, recipe: False)
    long = run(tmp_path / "b", spec(PROBE), first_state(PROBE))
    assert not list((tmp_path / "b").rglob("features.f32"))
    for name, tensor in long.state.network.items():
        torch.testing.assert_close(short.state.network[name], tensor, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(short.scores[0].probabilities_NC, long.scores[0].probabilities_NC, atol=1e-4)


def test_augmentation_forbids_the_shortcut(tmp_path: Path) -> None:
    flipping = replace(PROBE, augmentation=AugmentationSettings(flip=0.5))
    run(tmp_path, spec(flipping), first_state(flipping))
    assert not list(tmp_path.rglob("features.f32"))


def test_only_the_head_changes_in_a_probe(tmp_path: Path) -> None:
    before = first_state(PROBE).pack().network()
    after = run(tmp_path, spec(PROBE), first_state(PROBE)).state.network
    changed = {name for name in before if not np.array_equal(before[name], after[name].numpy())}
    assert changed == {"head.weight", "head.bias"}
