from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radspark.errors import UnreadableImageError
from radspark.images import ImageLimits, decode_radiograph
from radspark.images.foreign import foreign_decoder

SMALL = ImageLimits(max_pixels=100_000)


def encode(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file: it has 0 bytes"),
        (b"Image Index,Finding Labels\n", "the file is text"),
        (b"\x00\x01\x02\x03" * 50, "of an unknown format"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"\xff\xd8\xff\xe0", "truncated"),
    ],
)
def test_reason_says_what_the_file_is(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_radiograph(data)


def test_other_image_formats_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="formats that are read: PNG, JPEG, DICOM"):
        decode_radiograph(encode("TIFF"))


def test_long_file_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="3.0 MiB; the limit is 2.0 MiB"):
        decode_radiograph(bytes(3 * 2**20), limits=ImageLimits(max_bytes=2 * 2**20))


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 128 + b"DICM"]), st.binary(max_size=600))
def test_random_bytes_are_read_or_refused(head: bytes, tail: bytes) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode_radiograph(head + tail, limits=SMALL)
    assert str(caught.value).endswith(".")


@given(st.sampled_from(["PNG", "JPEG"]), st.data())
def test_mutated_files_are_read_or_refused(kind: str, draw: st.DataObject) -> None:
    data = bytearray(encode(kind))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        assert decode_radiograph(bytes(data), limits=SMALL).pixels.ndim == 2
    except UnreadableImageError as error:
        assert str(error).endswith(".")


def test_warnings_of_decoders_stay_inside() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with foreign_decoder("damaged."):
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["outside"]


def test_overlapping_threads_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first() -> None:
        with foreign_decoder("damaged."):
            first_is_in.set()
            second_is_in.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(5)
    with foreign_decoder("damaged."):
        second_is_in.set()
        thread.join()
    assert list(warnings.filters) == before


def test_cause_of_a_failure_is_kept() -> None:
    with pytest.raises(UnreadableImageError, match=r"^damaged\.$") as caught, foreign_decoder("damaged."):
        raise KeyError("Secret^Patient")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.data
def test_real_rgba_files_give_their_grey(shared_data: Path) -> None:
    for path in sorted((shared_data / "nih-1024" / "images").glob("*.png")):
        channels = np.asarray(Image.open(path))
        expected = channels if channels.ndim == 2 else channels[..., 0]
        np.testing.assert_array_equal(decode_radiograph(path.read_bytes()).pixels, expected)
