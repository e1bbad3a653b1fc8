"""Random changes of training images: exact where nothing is interpolated, and the same in any batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from radspark.nn.augmentation import augment, center_crop
from radspark.settings import AugmentationSettings

NONE = AugmentationSettings(flip=0.0)
FLIP = AugmentationSettings(flip=0.5)
ALL = AugmentationSettings(flip=0.5, brightness=0.2, rotation_degrees=10.0, translation=0.05, scale=0.1, crop="random")
KEYS = np.random.default_rng(5).integers(-(2**63), 2**63 - 1, size=64, dtype=np.int64)


@pytest.fixture(name="images_N1HW")
def make_images() -> torch.Tensor:
    return torch.randint(0, 256, (12, 1, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def run(images: torch.Tensor, settings: AugmentationSettings, **changes: Any) -> torch.Tensor:
    arguments: dict[str, Any] = {"seed": 7, "epoch": 3, "image_keys_N": KEYS[: len(images)], "output_size": 32}
    return augment(images.numpy(), settings=settings, **arguments | changes)


def test_center_crop_takes_the_middle() -> None:
    image = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5)

    assert center_crop(image, 3).flatten().tolist() == [6, 7, 8, 11, 12, 13, 16, 17, 18]


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most the image's 40 x 40 pixels, got 41"):
        center_crop(torch.zeros(1, 1, 40, 40, dtype=torch.uint8), 41)


def test_without_changes_training_sees_the_evaluation_crop(images_N1HW: torch.Tensor) -> None:
    assert torch.equal(run(images_N1HW, NONE), center_crop(images_N1HW, 32))


@pytest.mark.parametrize("settings", [FLIP, ALL], ids=["flip", "all"])
def test_changes_are_made_on_the_device(images_N1HW: torch.Tensor, settings: AugmentationSettings) -> None:
    changed = run(images_N1HW, settings, device=torch.device("meta"))  # torch refuses to mix devices
    assert (changed.device.type, changed.shape) == ("meta", (12, 1, 32, 32))


def test_certain_flip_is_the_mirror_image(images_N1HW: torch.Tensor) -> None:
    assert torch.equal(run(images_N1HW, replace(NONE, flip=1.0)), center_crop(images_N1HW, 32).flip(-1))


def test_flip_half_the_time_flips_some_and_leaves_the_others_exact(images_N1HW: torch.Tensor) -> None:
    pairs = list(zip(run(images_N1HW, FLIP), center_crop(images_N1HW, 32), strict=True))

    num_flipped = sum(torch.equal(got, plain.flip(-1)) for got, plain in pairs)

    assert 0 < num_flipped < 12 and num_flipped + sum(torch.equal(*pair) for pair in pairs) == 12


def test_the_2019_brightness_only_brightens_by_at_most_32(images_N1HW: torch.Tensor) -> None:
    images = torch.full((64, 1, 40, 40), 100, dtype=torch.uint8)
    settings = replace(NONE, brightness=32 / 255, brightness_sign="up", brightness_probability=0.5)

    shifts = run(images, settings)[:, 0, 0, 0].int() - 100

    assert 15 <= (shifts == 0).sum() <= 49 and shifts.min() == 0 and 20 < shifts.max() <= 32


def test_brightness_of_both_signs_is_cut_off_at_black_and_white() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat(32)[:, None, None, None].expand(-1, 1, 8, 8)

    grey = run(images, replace(NONE, brightness=1.0, brightness_probability=1.0), output_size=8)[:, 0, 0, 0]

    assert (
        (grey[0::2] == 0).any() and (grey[0::2] > 50).any() and (grey[1::2] == 255).any() and (grey[1::2] < 200).any()
    )


def test_random_crops_are_windows_of_the_image(images_N1HW: torch.Tensor) -> None:
    crops = run(images_N1HW, replace(NONE, crop="random"))

    found = [window_of(image[0], crop[0]) for image, crop in zip(images_N1HW, crops, strict=True)]

    tops, lefts = zip(*found, strict=True)
    assert len(set(tops)) > 3 and len(set(lefts)) > 3


def window_of(image: torch.Tensor, crop: torch.Tensor) -> tuple[int, int]:
    def places() -> Iterator[tuple[int, int]]:
        for top in range(9):
            for left in range(9):
                if torch.equal(image[top : top + 32, left : left + 32], crop):
                    yield top, left

    return next(places())


def test_rotation_is_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = np.add.outer(np.linspace(0, 120, 64), np.linspace(0, 130, 64)).round().astype(np.uint8)
    drawn = np.full((1, 9), 0.5)
    drawn[0, 3] = 0.75  # half of the largest angle
    monkeypatch.setattr("radspark.nn.augmentation.uniform_draws", lambda **_: drawn)

    turned = run(torch.from_numpy(smooth)[None, None], replace(NONE, rotation_degrees=40.0), output_size=32)

    expected = center_crop(pillow_rotation(smooth, -20.0), 32)
    assert (turned.int() - expected.int()).abs().max() <= 1


def pillow_rotation(image: np.ndarray, degrees: float) -> torch.Tensor:
    rotated = Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(rotated))[None, None]


def test_translation_by_whole_pixels_moves_them_and_brings_in_black(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.arange(1, 65, dtype=torch.uint8).reshape(1, 1, 8, 8)
    drawn = np.full((1, 9), 0.5)
    drawn[0, 4] = 0.75  # half of the largest shift, to the right
    monkeypatch.setattr("radspark.nn.augmentation.uniform_draws", lambda **_: drawn)

    moved = run(image, replace(NONE, translation=0.25), output_size=8)

    assert torch.equal(moved[..., 1:], image[..., :-1]) and (moved[..., 0] == 0).all()


def test_scale_enlarges_about_the_center(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    image[..., 8:24, 8:24] = 200
    drawn = np.full((1, 9), 0.5)
    drawn[0, 6] = 0.75  # half of the largest change: 1.25 times
    monkeypatch.setattr("radspark.nn.augmentation.uniform_draws", lambda **_: drawn)

    enlarged = run(image, replace(NONE, scale=0.5), output_size=32)

    assert (enlarged[..., 7:25, 7:25] == 200).all() and (enlarged[..., :5, :] == 0).all()


@pytest.mark.parametrize("settings", [ALL, replace(ALL, crop="center"), FLIP])
def test_an_image_comes_out_the_same_alone_and_in_any_order(
    images_N1HW: torch.Tensor, settings: AugmentationSettings
) -> None:
    together = run(images_N1HW, settings)
    order = np.random.default_rng(0).permutation(12)

    shuffled = run(images_N1HW[order], settings, image_keys_N=KEYS[order])
    alone = [run(images_N1HW[i : i + 1], settings, image_keys_N=KEYS[i : i + 1])[0] for i in range(12)]

    assert torch.equal(shuffled, together[order]) and torch.equal(torch.stack(alone), together)


def test_the_number_of_threads_changes_no_bit(images_N1HW: torch.Tensor) -> None:
    before = torch.get_num_threads()
    try:
        results = [(torch.set_num_threads(n), run(images_N1HW, ALL))[1] for n in (1, 3)]
    finally:
        torch.set_num_threads(before)

    assert torch.equal(*results)


def test_each_epoch_draws_anew(images_N1HW: torch.Tensor) -> None:
    assert not torch.equal(run(images_N1HW, ALL, epoch=3), run(images_N1HW, ALL, epoch=4))


def test_the_global_generators_are_left_alone(images_N1HW: torch.Tensor) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(987)
        before = torch.get_rng_state()
        run(images_N1HW, ALL)

        assert torch.equal(torch.get_rng_state(), before)
