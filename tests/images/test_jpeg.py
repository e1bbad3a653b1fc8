from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radspark.errors import UnreadableImageError
from radspark.images import decode_radiograph
from radspark.images.codestream import read_jpeg_size


def encode(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def gradient(mode: str = "L") -> Image.Image:
    return Image.linear_gradient("L").resize((60, 40)).convert(mode)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pixels_are_those_of_pillow(mode: str, progressive: bool) -> None:
    data = encode(gradient(mode), progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    np.testing.assert_array_equal(decode_radiograph(data).pixels, expected)


def test_cmyk_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="CMYK"):
        decode_radiograph(encode(gradient("CMYK")))


def test_exif_orientation_is_honored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    assert decode_radiograph(encode(gradient(), exif=exif)).pixels.shape == (60, 40)


@given(st.integers(0, 600))
def test_every_cut_is_refused(end: int) -> None:
    data = encode(gradient())
    with pytest.raises(UnreadableImageError):
        decode_radiograph(data[: min(end, len(data) - 3)])


def test_huge_header_is_refused_before_decoding() -> None:
    data = bytearray(encode(gradient()))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xea\x60\xea\x60"
    with pytest.raises(UnreadableImageError, match="60000 x 60000"):
        decode_radiograph(bytes(data))


@given(st.integers(1, 3000), st.integers(1, 30))
def test_size_is_read_from_the_frame_header(width: int, height: int) -> None:
    assert read_jpeg_size(encode(Image.new("L", (width, height)))) == (width, height)
