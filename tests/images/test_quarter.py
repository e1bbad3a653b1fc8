"""A quarter of the side, against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from radspark.images import GreyImage, prepare, prepare_image
from radspark.images.quarter import can_quarter, quarter
from radspark.settings import PreparationSettings

SIDES = st.integers(2, 40)


def by_pillow(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize((width // 4, height // 4), Image.Resampling.BILINEAR))


@given(st.data(), SIDES, SIDES, st.sampled_from([st.integers(0, 255), st.sampled_from([0, 255])]))
def test_it_has_the_bits_of_pillow(data: st.DataObject, height: int, width: int, greys: st.SearchStrategy[int]) -> None:
    height = min(height, 2 * width)
    pixels = data.draw(hnp.arrays(np.uint8, (4 * height, 4 * width), elements=greys, fill=greys))
    np.testing.assert_array_equal(quarter(pixels), by_pillow(pixels))


def test_every_row_and_column_of_a_large_picture_has_the_bits_of_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1000), dtype=np.uint8)
    np.testing.assert_array_equal(quarter(pixels), by_pillow(pixels))
    np.testing.assert_array_equal(quarter(pixels[:, ::-1]), by_pillow(np.ascontiguousarray(pixels[:, ::-1])))


@pytest.mark.parametrize(
    ("height", "width", "dtype", "taken"),
    [
        (1024, 1024, np.uint8, True),
        (8, 8, np.uint8, True),
        (4, 8, np.uint8, False),
        (16, 8, np.uint8, True),
        (24, 8, np.uint8, False),
        (1022, 1024, np.uint8, False),
        (1024, 1024, np.uint16, False),
    ],
)
def test_other_pictures_are_pillows(height: int, width: int, dtype: type, taken: bool) -> None:
    assert can_quarter(np.empty((height, width), dtype), width // 4, height // 4) == taken


def test_an_8_bit_radiograph_of_1024_pixels_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "quarter", lambda pixels: np.full((256, 256), pixels[0, 0]))
    image = GreyImage(np.full((1024, 1024), 7, np.uint8), 255)
    assert (prepare_image(image, PreparationSettings(size=256)) == 7).all()
