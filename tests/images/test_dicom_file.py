from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from dicoms import RAMP_8, RAMP_12, jpeg, make_dicom, to_bytes, without_meta
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images import ImageLimits, decode_radiograph, read_file
from radspark.images.dicom_file import parse_dicom
from radspark.settings import PreparationSettings

SETTINGS = PreparationSettings(size=16)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_of_the_data_set_is_read(syntax: str) -> None:
    dataset = make_dicom(RAMP_12, bits=12, syntax=syntax)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = RAMP_12.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_12)


def test_deflated_bomb_is_refused() -> None:
    dataset = make_dicom(np.zeros((4000, 4000), np.uint8), syntax=DeflatedExplicitVRLittleEndian)
    data = to_bytes(dataset)
    assert len(data) < 100_000
    with pytest.raises(UnreadableImageError, match="expands beyond 8.0 MiB"):
        decode_radiograph(data, limits=ImageLimits(max_bytes=8 * 2**20))


def test_deflated_data_set_that_is_cut_is_refused() -> None:
    data = to_bytes(make_dicom(RAMP_12, bits=12, syntax=DeflatedExplicitVRLittleEndian))
    with pytest.raises(UnreadableImageError, match="DICOM"):
        decode_radiograph(data[:-200])


def test_uid_of_deflate_in_another_place_does_not_deflate() -> None:
    data = to_bytes(make_dicom(RAMP_8, StudyInstanceUID=DeflatedExplicitVRLittleEndian))
    np.testing.assert_array_equal(decode_radiograph(data).pixels, RAMP_8)


def test_file_without_preamble_and_transfer_syntax_is_read_and_flagged() -> None:
    reading = read_file(without_meta(to_bytes(make_dicom(RAMP_8))), SETTINGS)
    np.testing.assert_array_equal(reading.pixels, RAMP_8)
    assert reading.warnings == (
        "the DICOM file lacks its preamble.",
        "the DICOM file names no transfer syntax; it was read as Explicit VR Little Endian.",
    )


STREAMS = {
    JPEGBaseline8Bit: jpeg(RAMP_8),
    JPEG2000Lossless: imagecodecs.jpeg2k_encode(RAMP_8, codecformat="j2k", reversible=True),
    JPEGLSLossless: imagecodecs.jpegls_encode(RAMP_8),
}


@pytest.mark.parametrize("syntax", STREAMS)
def test_compression_is_told_from_the_pixels_where_no_syntax_is_named(syntax: str) -> None:
    dataset = make_dicom(RAMP_8, syntax=syntax)
    dataset.PixelData = encapsulate([STREAMS[syntax]])
    named = to_bytes(dataset)
    reading = read_file(without_meta(named), SETTINGS)
    np.testing.assert_array_equal(reading.pixels, read_file(named, SETTINGS).pixels)
    assert "names no transfer syntax" in reading.warnings[1]


def test_run_lengths_are_told_from_the_pixels_where_no_syntax_is_named() -> None:
    dataset = make_dicom(RAMP_8)
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert (
        parse_dicom(without_meta(to_bytes(dataset)), ImageLimits()).dataset.file_meta.TransferSyntaxUID == RLELossless
    )


def test_unknown_compression_is_refused() -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([b"what is this" * 9])
    with pytest.raises(UnreadableImageError, match="whose compression cannot be told"):
        decode_radiograph(without_meta(to_bytes(dataset)))
