from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images import ImageLimits, decode_radiograph
from radspark.images.dicom import apply_windowing

RAMP_8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP_12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def make_dicom(
    pixels: np.ndarray, *, bits: int | None = None, syntax: str = ExplicitVRLittleEndian, **elements: object
) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName = "Secret^Patient"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def to_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_stored_bits_set_the_full_scale(bits: int) -> None:
    pixels = np.array([[0, 2**bits - 1]], dtype=np.uint16)
    image = decode_radiograph(to_bytes(make_dicom(pixels, bits=bits)))
    assert (image.max_value, image.window) == (2**bits - 1, None)
    np.testing.assert_array_equal(image.pixels, pixels)


def test_compressed_values_beyond_the_stored_bits_are_cut_to_them() -> None:
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit, BitsStored=6, HighBit=5)
    dataset.PixelData = encapsulate([jpeg(RAMP_8)])
    assert decode_radiograph(to_bytes(dataset)).pixels.max() <= 63


def test_bits_above_the_stored_ones_are_dropped() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_12 | np.uint16(0xF000), bits=12)))
    np.testing.assert_array_equal(image.pixels, RAMP_12)


@pytest.mark.parametrize(("dtype", "bits"), [(np.int16, 12), (np.int16, 16), (np.int8, 8)])
def test_signed_values_start_at_the_least_that_their_bits_hold(dtype: type, bits: int) -> None:
    least = -(2 ** (bits - 1))
    pixels = np.array([[least, -1, 0, -least - 1]], dtype=dtype)
    image = decode_radiograph(to_bytes(make_dicom(pixels, bits=bits)))
    np.testing.assert_array_equal(image.pixels, pixels.astype(int) - least)


def test_monochrome1_is_inverted() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_12, bits=12, PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(image.pixels, 4095 - RAMP_12)


def test_negative_slope_is_inverted() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_8, RescaleSlope=-2, RescaleIntercept=7)))
    np.testing.assert_array_equal(image.pixels, 255 - RAMP_8)


@given(
    center=st.integers(-2000, 4000),
    width=st.integers(2, 5000),
    slope=st.sampled_from([1.0, 0.5, 2.25]),
    intercept=st.integers(-1024, 100),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    inverted=st.booleans(),
)
def test_window_is_that_of_pydicom(
    center: int, width: int, slope: float, intercept: int, function: str, inverted: bool
) -> None:
    dataset = make_dicom(
        RAMP_12,
        bits=12,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
    )
    image = decode_radiograph(to_bytes(dataset))
    with np.errstate(over="ignore"):
        shown = apply_voi_lut(RAMP_12 * slope + intercept, dataset)
    least, most = intercept, 4095 * slope + intercept
    expected = (shown - least) / (most - least)
    assert image.window is not None
    np.testing.assert_allclose(image.window[image.pixels], 1 - expected if inverted else expected, atol=1e-9)


def test_window_of_no_width_is_left_out() -> None:
    assert decode_radiograph(to_bytes(make_dicom(RAMP_8, WindowCenter=10, WindowWidth=0))).window is None


def test_window_of_width_one_is_a_threshold() -> None:
    grey = apply_windowing(np.array([9.4, 9.5, 9.6]), 10.0, 1.0, function="LINEAR")
    np.testing.assert_array_equal(grey, [0, 0, 1])


def test_first_of_several_windows_is_taken() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_8, WindowCenter=[64, 200], WindowWidth=[129, 20])))
    assert image.window is not None
    assert image.window[[0, 127]] == pytest.approx([0.00390625, 0.99609375])


def lookup_table(values: list[int], bits: int, first: int = 0) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [len(values), first, bits]
    table.LUTData = values
    return table


def test_modality_lut_sequence_is_applied() -> None:
    table = lookup_table([0, 900, 1000, 65535], 16)
    pixels = np.array([[0, 1, 2, 3]], np.uint8)
    dataset = make_dicom(pixels, ModalityLUTSequence=[table])
    dataset["ModalityLUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    dataset["ModalityLUTSequence"].value[0]["LUTData"].VR = "US"
    image = decode_radiograph(to_bytes(dataset))
    np.testing.assert_array_equal(image.pixels, [[0, 900, 1000, 65535]])
    assert image.max_value == 65535


def test_voi_lut_sequence_is_the_window() -> None:
    dataset = make_dicom(np.array([[0, 1, 2, 3]], np.uint8), VOILUTSequence=[lookup_table([0, 51, 102, 255], 8)])
    dataset["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
    dataset["VOILUTSequence"].value[0]["LUTData"].VR = "US"
    image = decode_radiograph(to_bytes(dataset))
    assert image.window is not None
    assert image.window[:4] == pytest.approx([0, 0.2, 0.4, 1])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_compression_gives_the_same_pixels(syntax: str) -> None:
    dataset = make_dicom(RAMP_12, bits=12)
    dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_12)


def test_jpeg2000_gives_the_same_pixels() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RAMP_8).save(buffer, "JPEG2000", no_jp2=True)
    dataset = make_dicom(RAMP_8, syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, RAMP_8)


def test_jpeg_baseline_gives_the_pixels_of_pillow() -> None:
    stream = jpeg(RAMP_8)
    dataset = make_dicom(RAMP_8, syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([stream])
    expected = np.asarray(Image.open(io.BytesIO(stream)))
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, expected)


def test_file_without_transfer_syntax_is_read() -> None:
    data = to_bytes(make_dicom(RAMP_8))
    dataset_start = 144 + int.from_bytes(data[140:144], "little")
    np.testing.assert_array_equal(decode_radiograph(data[dataset_start:]).pixels, RAMP_8)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 2}, "2 frames"),
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


def test_deflated_data_set_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="deflated"):
        decode_radiograph(to_bytes(make_dicom(RAMP_8, syntax=DeflatedExplicitVRLittleEndian)))


def test_errors_hold_nothing_of_the_patient() -> None:
    data = to_bytes(make_dicom(RAMP_8))
    for end in range(132, len(data) - 1, 7):
        with pytest.raises(UnreadableImageError) as caught:
            decode_radiograph(data[:end])
        assert "Secret" not in str(caught.value)


@given(st.binary(max_size=400), st.integers(0, 2**32))
def test_mutated_files_are_read_or_refused(patch: bytes, seed: int) -> None:
    data = bytearray(to_bytes(make_dicom(RAMP_8, WindowCenter=100, WindowWidth=50)))
    assume(patch)
    start = seed % len(data)
    data[start : start + len(patch)] = patch
    try:
        decode_radiograph(bytes(data), limits=ImageLimits(max_pixels=1_000_000))
    except UnreadableImageError as error:
        assert str(error)


REAL_FILES = {
    "cr-modality-lut-sequence.dcm": "no decoder is installed",
    "cr-mono1-10bit-no-transfer-syntax.dcm": None,
    "nema-rg1-cr-mono1-jpeg2000.dcm": None,
    "nema-rg1-cr-mono1-jpegls.dcm": None,
    "nema-rg2-cr-mono2-jpeg-extended.dcm": "cannot be decoded",
    "nema-rg3-cr-mono1-jpeg-lossless.dcm": "no decoder is installed",
    "nema-rg3-cr-mono1-rle.dcm": None,
    "wrong-body-part.dcm": None,
    "wrong-modality-ct.dcm": None,
}
"""Real files, and why each is refused, or None if it is read."""


@pytest.mark.data
@pytest.mark.parametrize(("name", "reason"), REAL_FILES.items())
def test_real_file_is_read_as_by_pydicom_or_refused(shared_data: Path, name: str, reason: str | None) -> None:
    data = (shared_data / "dicom" / name).read_bytes()
    if reason is not None:
        with pytest.raises(UnreadableImageError, match=reason):
            decode_radiograph(data)
        return
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    stored = dataset.pixel_array.astype(int)
    image = decode_radiograph(data)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    np.testing.assert_array_equal(image.pixels, image.max_value - stored if inverted else stored)


@pytest.mark.data
def test_every_real_file_is_in_the_table(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "dicom").iterdir()} == REAL_FILES.keys()
