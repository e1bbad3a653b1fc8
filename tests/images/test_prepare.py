from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from radspark.images import GreyImage, prepare_image, read_radiograph
from radspark.settings import PreparationSettings

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=80)


def ramp_window(max_value: int, low: int, high: int) -> np.ndarray:
    return np.clip((np.arange(max_value + 1) - low) / (high - low), 0, 1)


@given(hnp.arrays(np.uint8, SHAPES), st.integers(16, 64))
def test_8_bit_equals_pillows_bilinear(pixels: np.ndarray, size: int) -> None:
    expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
    prepared = prepare_image(GreyImage(pixels, 255), PreparationSettings(size=size))
    np.testing.assert_array_equal(prepared, expected)


@given(hnp.arrays(np.uint8, SHAPES))
def test_8_bit_in_16_bit_words_differs_by_one_rounding_at_most(pixels: np.ndarray) -> None:
    settings = PreparationSettings(size=32)
    narrow = prepare_image(GreyImage(pixels, 255), settings)
    wide = prepare_image(GreyImage(pixels.astype(np.uint16) * np.uint16(257), 65535), settings)
    assert np.abs(narrow.astype(int) - wide).max() <= 1


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
@pytest.mark.parametrize("grey_range", ["auto", "stored_bits", "own_range"])
def test_uniform_image_keeps_its_grey(aspect: str, grey_range: str) -> None:
    settings = PreparationSettings(size=24, aspect=aspect, grey_range=grey_range)
    assert (prepare_image(GreyImage(np.full((77, 77), 64, np.uint8), 255), settings) == 64).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_stored_bits_map_full_scale_to_255(bits: int) -> None:
    full = 2**bits - 1
    pixels = np.repeat(np.array([[0, full]], np.uint16), 40, axis=1)
    prepared = prepare_image(GreyImage(pixels, full), PreparationSettings(size=16, grey_range="stored_bits"))
    np.testing.assert_array_equal(prepared[0, [0, -1]], [0, 255])


def test_own_range_stretches_the_images_own_greys() -> None:
    pixels = np.repeat(np.array([[100, 150, 200]], np.uint8), 16, axis=1)
    prepared = prepare_image(GreyImage(pixels, 255), PreparationSettings(size=48, grey_range="own_range"))
    assert list(prepared[0, [0, 24, -1]]) == [0, 128, 255]


def test_auto_takes_the_window_where_there_is_one() -> None:
    pixels = np.repeat(np.array([[1000, 1500, 3000]], np.uint16), 16, axis=1)
    image = GreyImage(pixels, 4095, ramp_window(4095, 1000, 2000))
    windowed = prepare_image(image, PreparationSettings(size=48))
    stored = prepare_image(image, PreparationSettings(size=48, grey_range="stored_bits"))
    assert list(windowed[0, [0, 24, -1]]) == [0, 128, 255]
    assert list(stored[0, [0, 24, -1]]) == [62, 93, 187]


@given(st.integers(1, 300), st.integers(1, 300))
def test_pad_keeps_the_aspect_in_the_middle_of_black(width: int, height: int) -> None:
    white = GreyImage(np.full((height, width), 255, np.uint8), 255)
    prepared = prepare_image(white, PreparationSettings(size=64, aspect="pad"))
    rows, columns = np.flatnonzero(prepared.any(axis=1)), np.flatnonzero(prepared.any(axis=0))
    scale = 64 / max(width, height)
    assert (len(rows), len(columns)) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert abs(rows[0] - (63 - rows[-1])) <= 1
    assert (prepared[np.ix_(rows, columns)] == 255).all()


@pytest.mark.data
@pytest.mark.parametrize("folder", ["dicom", "images"])
def test_real_originals_give_their_256_pixel_twins(shared_data: Path, folder: str) -> None:
    originals = sorted((shared_data / "nih-1024" / folder).iterdir())
    assert len(originals) == 60
    for path in originals:
        twin = np.asarray(Image.open(shared_data / "nih-256" / "images" / f"{path.stem}.png"))
        np.testing.assert_array_equal(read_radiograph(path.read_bytes(), PreparationSettings(size=256)), twin)


def wide(*codes: int) -> np.ndarray:
    """A row of broad stripes, whose middles no resizing mixes."""
    return np.repeat(np.array([codes], np.uint16), 16, axis=1)


def middles(prepared: np.ndarray) -> list[int]:
    return prepared[0, 8::16].tolist()


def test_padding_is_black_and_has_no_part_in_the_own_range() -> None:
    padding = np.arange(4096) >= 4000
    image = GreyImage(wide(4095, 1000, 2000), 4095, padding=padding)
    settings = PreparationSettings(size=48, grey_range="own_range")
    assert middles(prepare_image(image, settings)) == [0, 0, 255]
    assert middles(prepare_image(image, PreparationSettings(size=48))) == [0, 62, 125]


def test_padding_is_black_in_a_window_too() -> None:
    image = GreyImage(wide(4095, 1000, 2000), 4095, ramp_window(4095, 0, 2000), padding=np.arange(4096) == 4095)
    assert middles(prepare_image(image, PreparationSettings(size=48))) == [0, 128, 255]


def test_image_of_padding_alone_is_black() -> None:
    image = GreyImage(wide(7, 7), 255, padding=np.arange(256) == 7)
    assert not prepare_image(image, PreparationSettings(size=16, grey_range="own_range")).any()


def test_scale_of_a_modality_lut_is_the_range_of_stored_bits() -> None:
    scale = np.sqrt(np.arange(4096) / 4095)
    image = GreyImage(wide(0, 1024, 4095), 4095, scale=scale)
    assert middles(prepare_image(image, PreparationSettings(size=48))) == [0, 128, 255]
    own = GreyImage(wide(1024, 2304, 4095), 4095, scale=scale)
    assert middles(prepare_image(own, PreparationSettings(size=48, grey_range="own_range"))) == [0, 128, 255]
