from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicoms import RAMP_8, RAMP_12, jpeg, make_dicom, to_bytes
from PIL import Image
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images import decode_radiograph


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_stored_bits_set_the_full_scale(bits: int) -> None:
    pixels = np.array([[0, 2**bits - 1]], dtype=np.uint16)
    image = decode_radiograph(to_bytes(make_dicom(pixels, bits=bits)))
    assert (image.max_value, image.window) == (2**bits - 1, None)
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize(("dtype", "bits"), [(np.int16, 10), (np.int16, 12), (np.int16, 16), (np.int8, 8)])
def test_signed_values_start_at_the_least_that_their_bits_hold(dtype: type, bits: int) -> None:
    least = -(2 ** (bits - 1))
    pixels = np.array([[least, -1, 0, -least - 1]], dtype=dtype)
    image = decode_radiograph(to_bytes(make_dicom(pixels, bits=bits)))
    np.testing.assert_array_equal(image.pixels, pixels.astype(int) - least)


def test_signed_values_without_their_sign_in_the_upper_bits_are_the_same() -> None:
    pixels = np.array([[-2048, -1, 0, 2047]], dtype=np.int16)
    bare = make_dicom((pixels & 0x0FFF).astype(np.uint16), bits=12, PixelRepresentation=1)
    np.testing.assert_array_equal(decode_radiograph(to_bytes(bare)).pixels, pixels.astype(int) + 2048)


def test_overlays_in_unused_bits_are_dropped() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_12 | np.uint16(0xF000), bits=12)))
    np.testing.assert_array_equal(image.pixels, RAMP_12)


def test_overlay_planes_are_not_burnt_in() -> None:
    dataset = make_dicom(RAMP_8)
    dataset.add_new(0x60000010, "US", 16)
    dataset.add_new(0x60000011, "US", 16)
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60003000, "OW", b"\xff" * 32)
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_8)


def test_values_in_the_upper_bits_are_moved_down() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_12 << np.uint16(4), bits=12, HighBit=15)))
    np.testing.assert_array_equal(image.pixels, RAMP_12)


def encode_signed(pixels: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)


LOSSLESS = {
    JPEGLosslessSV1: lambda pixels: imagecodecs.jpeg_encode(pixels, lossless=True, bitspersample=12),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: encode_signed,
}


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_compression_gives_the_same_pixels(syntax: str) -> None:
    dataset = make_dicom(RAMP_12, bits=12, syntax=syntax)
    dataset.PixelData = encapsulate([LOSSLESS[syntax](RAMP_12)])
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_12)


def test_run_lengths_give_the_same_pixels() -> None:
    dataset = make_dicom(RAMP_12, bits=12)
    dataset.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_12)


def test_signed_jpeg2000_gives_the_same_pixels() -> None:
    pixels = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    dataset = make_dicom(pixels, bits=16, syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([encode_signed(pixels)])
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, pixels.astype(int) + 32768)


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (JPEGLSNearLossless, imagecodecs.jpegls_encode(RAMP_12, level=3)),
        (JPEG2000, imagecodecs.jpeg2k_encode(RAMP_12, level=70, codecformat="j2k")),
    ],
)
def test_lossy_compression_of_12_bits_gives_the_pixels_of_pydicom(syntax: str, stream: bytes) -> None:
    dataset = make_dicom(RAMP_12, bits=12, syntax=syntax)
    dataset.PixelData = encapsulate([stream])
    pixels = decode_radiograph(to_bytes(dataset)).pixels
    np.testing.assert_array_equal(pixels, np.minimum(dataset.pixel_array, 4095))


def test_jpeg_of_12_bits_is_near_its_source() -> None:
    dataset = make_dicom(RAMP_12, bits=12, syntax=JPEGExtended12Bit)
    dataset.PixelData = encapsulate([imagecodecs.jpeg_encode(RAMP_12, level=98, bitspersample=12)])
    pixels = decode_radiograph(to_bytes(dataset)).pixels
    assert np.abs(pixels.astype(int) - RAMP_12).max() <= 60


def test_jpeg_baseline_gives_the_pixels_of_pillow() -> None:
    stream = jpeg(RAMP_8)
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([stream])
    expected = np.asarray(Image.open(io.BytesIO(stream)))
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, expected)


def test_compressed_values_beyond_the_stored_bits_are_cut_to_them() -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit, BitsStored=6, HighBit=5)
    dataset.PixelData = encapsulate([jpeg(RAMP_8)])
    assert decode_radiograph(to_bytes(dataset)).pixels.max() == 63


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 8}, "holds the pixels of several"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 pixels"),
        ({"Rows": 0}, "holds no picture"),
        ({"PhotometricInterpretation": "RGB"}, "in color"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits stored"),
        ({"Rows": 17}, "cannot be decoded"),
        ({"RescaleSlope": 0}, "slope of zero"),
    ],
)
def test_what_is_not_one_grey_frame_is_refused(elements: dict[str, object], reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_radiograph(to_bytes(make_dicom(RAMP_8, **elements)))


@pytest.mark.parametrize("name", ["PixelData", "Rows", "BitsStored"])
def test_missing_element_is_named(name: str) -> None:
    dataset = make_dicom(RAMP_8)
    del dataset[name]
    with pytest.raises(UnreadableImageError, match="pixel data" if name == "PixelData" else name):
        decode_radiograph(to_bytes(dataset))


def test_second_frame_in_the_offset_table_is_refused() -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([jpeg(RAMP_8), jpeg(RAMP_8)])
    with pytest.raises(UnreadableImageError, match="holds the pixels of several"):
        decode_radiograph(to_bytes(dataset))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_second_frame_that_no_offset_table_tells_of_is_refused(syntax: str) -> None:
    run_lengths = make_dicom(RAMP_8)
    run_lengths.compress(RLELossless, generate_instance_uid=False)
    stream = {
        JPEGBaseline8Bit: jpeg(RAMP_8),
        JPEGLSLossless: imagecodecs.jpegls_encode(RAMP_8),
        JPEG2000Lossless: encode_signed(RAMP_8),
        RLELossless: get_frame(run_lengths.PixelData, 0, number_of_frames=1),
    }[syntax]
    dataset = make_dicom(RAMP_8, syntax=syntax)
    dataset.PixelData = encapsulate([stream, stream], has_bot=False)
    with pytest.raises(UnreadableImageError, match="holds the pixels of several"):
        decode_radiograph(to_bytes(dataset))


@pytest.mark.parametrize("has_bot", [True, False])
def test_one_frame_may_come_in_fragments(has_bot: bool) -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([encode_signed(RAMP_8)], fragments_per_frame=3, has_bot=has_bot)
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_8)


def test_compressed_pixels_of_another_size_are_refused() -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([jpeg(np.zeros((500, 500), np.uint8))])
    with pytest.raises(UnreadableImageError, match="not 16 x 16, as its header says"):
        decode_radiograph(to_bytes(dataset))


def test_run_lengths_that_expand_beyond_the_image_are_refused() -> None:
    dataset = make_dicom(RAMP_8, syntax=RLELossless)
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    dataset.PixelData = encapsulate([header + b"\x81\x00" * 100_000])
    with pytest.raises(UnreadableImageError, match="not 16 x 16, as its header says"):
        decode_radiograph(to_bytes(dataset))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.201", "1.2.3.4"])
def test_transfer_syntax_without_a_decoder_is_named(syntax: str) -> None:
    dataset = make_dicom(RAMP_8, syntax=syntax)
    dataset.PixelData = encapsulate([bytes(64)])
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    with pytest.raises(UnreadableImageError, match="no decoder is installed|unknown transfer syntax"):
        decode_radiograph(buffer.getvalue())


PYDICOM_CANNOT = {"cr-modality-lut-sequence.dcm", "nema-rg2-cr-mono2-jpeg-extended.dcm"} | {
    "nema-rg3-cr-mono1-jpeg-lossless.dcm"
}
"""Real files for whose compression pydicom has no decoder here."""


@pytest.mark.data
def test_real_files_have_the_pixels_of_pydicom(shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "dicom").iterdir()) if path.name not in PYDICOM_CANNOT]
    paths += sorted((shared_data / "nih-1024" / "dicom").iterdir())[::6]
    for path in paths:
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        stored = dataset.pixel_array.astype(int)
        image = decode_radiograph(path.read_bytes())
        inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
        np.testing.assert_array_equal(image.pixels, image.max_value - stored if inverted else stored, path.name)


@pytest.mark.data
def test_lossless_jpeg_gives_the_pixels_of_the_run_length_file(shared_data: Path) -> None:
    jpeg_file, rle_file = (
        decode_radiograph((shared_data / "dicom" / f"nema-rg3-cr-mono1-{name}.dcm").read_bytes())
        for name in ("jpeg-lossless", "rle")
    )
    np.testing.assert_array_equal(jpeg_file.pixels, rle_file.pixels)


@pytest.mark.data
def test_12_bit_jpeg_fills_its_ten_stored_bits(shared_data: Path) -> None:
    data = (shared_data / "dicom" / "nema-rg2-cr-mono2-jpeg-extended.dcm").read_bytes()
    image = decode_radiograph(data)
    assert (image.pixels.shape, image.max_value) == ((2140, 1760), 1023)
    assert 900 < image.pixels.max() <= 1023
