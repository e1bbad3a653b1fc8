"""On a GPU: what a round computes there is what it computes on processors, but for the rounding of another device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_collective import results
from test_round import PROBE, RECIPE, first_state, shard, spec

from radspark.nn.augmentation import augment
from radspark.nn.transfer import CPU
from radspark.settings import AugmentationSettings, OptimizerSettings, Recipe
from radspark.training.collective import SingleWorker
from radspark.training.gradients import seeded
from radspark.training.round import RoundOutcome, run_round
from radspark.training.state import TrainingState

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]
CUDA = torch.device("cuda", 0)
# With Adam's own eps, a first step has the sign of its gradient, which for the smallest is that of a rounding error.
ADAM = replace(RECIPE, optimizer=OptimizerSettings(name="adam", eps=0.01))


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in TF32, whose products have ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def run_on(device: torch.device, folder: Path, recipe: Recipe, state: TrainingState | None = None) -> RoundOutcome:
    """A first step, or the two from a state after it."""
    return run_round(
        spec(recipe, seconds=0.0) if state is None else spec(recipe, first_step=1),
        state or first_state(recipe),
        train={0: shard(folder, "train", 18)},
        validation={0: shard(folder, "validation", 5)},
        group=SingleWorker(),
        on_step=lambda step: None,
        device=device,
    )


@pytest.mark.parametrize("recipe", [RECIPE, ADAM, PROBE], ids=["sgd", "adam", "probe"])
def test_steps_and_scores_are_those_of_the_processor(tmp_path: Path, recipe: Recipe) -> None:
    first = run_on(CPU, tmp_path / "cpu", recipe).state.pack().unpack()
    ours = run_on(CUDA, tmp_path / "cuda", recipe).state.pack().unpack()
    for name, tensor in {**first.network, **first.optimizer}.items():
        torch.testing.assert_close({**ours.network, **ours.optimizer}[name], tensor, rtol=1e-3, atol=1e-4)
    theirs, ends = (run_on(device, tmp_path / device.type, recipe, first) for device in (CPU, CUDA))
    assert [step.loss for step in ends.steps] == pytest.approx([step.loss for step in theirs.steps], rel=1e-3)
    np.testing.assert_allclose(ends.scores[0].probabilities_NC, theirs.scores[0].probabilities_NC, atol=1e-3)


def test_bfloat16_stays_near(tmp_path: Path) -> None:
    half = replace(RECIPE, training=replace(RECIPE.training, precision="bfloat16"))
    exact, rounded = run_on(CUDA, tmp_path, RECIPE).steps[0], run_on(CUDA, tmp_path, half).steps[0]
    assert rounded.loss != exact.loss
    assert rounded.loss == pytest.approx(exact.loss, rel=0.05)


def test_images_change_as_on_the_processor_to_a_grey_value() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 40, 40)).astype(np.uint8)
    settings = AugmentationSettings(flip=0.5, brightness=0.2, rotation_degrees=9.0, scale=0.1, crop="random")
    theirs, ours = (
        augment(images, settings=settings, seed=1, epoch=2, image_keys_N=np.arange(6), output_size=32, device=device)
        for device in (CPU, CUDA)
    )
    assert (ours.cpu().int() - theirs.int()).abs().max() <= 1


def test_dropout_repeats_and_leaves_the_generator_alone() -> None:
    before = torch.cuda.get_rng_state(CUDA)
    drawn = []
    for seed in (5, 5, 6):
        with seeded(seed, CUDA):
            drawn.append(torch.rand(8, device=CUDA))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.cuda.get_rng_state(CUDA), before)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices here")
def test_two_gpus_add_up_to_the_bits_of_processors() -> None:
    hosts = ["127.0.0.1"] * 2
    assert [one[:3] for one in results(hosts, device="cuda")] == [one[:3] for one in results(hosts)]


def test_the_same_round_twice_gives_the_same_bits(tmp_path: Path) -> None:
    ours, again = (run_on(CUDA, tmp_path / name, ADAM).state.pack().data for name in "ab")
    assert ours == again
