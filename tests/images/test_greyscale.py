"""The grey-scale chain against pydicom's and highdicom's."""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicoms import RAMP_8, RAMP_12, lookup_table, make_dicom, to_bytes
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radspark.images import GreyImage, decode_radiograph
from radspark.images.greyscale import apply_windowing
from radspark.settings import PreparationSettings


def shown(image: GreyImage) -> np.ndarray:
    """Grey in [0, 1] of each pixel, by the file's window, else by its stored bits."""
    table = image.window if image.window is not None else image.scale
    return image.pixels / image.max_value if table is None else table[image.pixels]


def by_highdicom(dataset: Dataset, *, voi: int = 0) -> np.ndarray:
    """Grey in [0, 1] by highdicom: modality, VOI and presentation."""
    frames = highdicom.Image.from_dataset(dataset)
    return frames.get_frame(1, apply_voi_transform=True, voi_transform_selector=voi, apply_presentation_lut=True)


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
        voi = apply_voi_lut(apply_modality_lut(RAMP_12, dataset), dataset)
    least, most = intercept, 4095 * slope + intercept
    expected = (voi - least) / (most - least)
    np.testing.assert_allclose(shown(image), 1 - expected if inverted else expected, atol=1e-9)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE", None])
@pytest.mark.parametrize("voi", [0, 1])
def test_chain_is_that_of_highdicom(function: str, photometric: str, shape: str | None, voi: int) -> None:
    dataset = make_dicom(
        RAMP_12.view(np.int16),
        bits=16,
        PhotometricInterpretation=photometric,
        # highdicom folds the slope into a LINEAR window's width before it takes one off, which is not the standard's.
        RescaleSlope=1 if function == "LINEAR" else 0.5,
        RescaleIntercept=-100,
        WindowCenter=[900, 200],
        WindowWidth=[1500, 300],
        VOILUTFunction=function,
        StudyInstanceUID="1.2",
        SeriesInstanceUID="1.3",
    )
    if shape is not None:
        dataset.PresentationLUTShape = shape
    image = decode_radiograph(to_bytes(dataset), PreparationSettings(voi=voi))
    np.testing.assert_allclose(shown(image), by_highdicom(dataset, voi=voi), atol=1e-9)


def test_modality_and_voi_luts_are_those_of_highdicom() -> None:
    generator = np.random.default_rng(0)
    modality = lookup_table(np.sort(generator.integers(0, 1024, 4096)).tolist(), 16)
    voi = lookup_table(generator.integers(0, 256, 1000).tolist(), 8, first=10)
    dataset = make_dicom(RAMP_12, bits=12, ModalityLUTSequence=[modality], VOILUTSequence=[voi])
    modality.ModalityLUTType = "US"
    image = decode_radiograph(to_bytes(dataset))
    np.testing.assert_allclose(shown(image), by_highdicom(dataset) / 255, atol=1e-9)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_lut_written_as_words_is_in_the_byte_order_of_the_file(syntax: UID, name: str) -> None:
    order = "<" if syntax.is_little_endian else ">"
    table = lookup_table([0, 10, 500, 4095], 12)
    table.LUTData = np.array([0, 10, 500, 4095], f"{order}u2").tobytes()
    table["LUTData"].VR = "OW"
    dataset = make_dicom(np.array([[0, 1, 2, 3]], f"{order}u2"), bits=12, syntax=syntax, **{name: [table]})
    np.testing.assert_allclose(4095 * shown(decode_radiograph(to_bytes(dataset))), [[0, 10, 500, 4095]])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_lut_of_bytes_is_packed_into_words(syntax: UID) -> None:
    packed = np.array([0, 51, 102, 255], np.uint8).view("<u2").astype("<u2" if syntax.is_little_endian else ">u2")
    table = lookup_table([0, 0, 0, 0], 8)
    table.LUTData = packed.tobytes()
    table["LUTData"].VR = "OW"
    dataset = make_dicom(np.array([[0, 1, 2, 3]], np.uint8), syntax=syntax, VOILUTSequence=[table])
    dataset.PixelData = np.array([[0, 1, 2, 3]], np.uint8).view("<u2").astype(packed.dtype).tobytes()
    dataset["PixelData"].VR = "OW"
    np.testing.assert_allclose(255 * shown(decode_radiograph(to_bytes(dataset))), [[0, 51, 102, 255]])


def test_second_voi_lut_is_a_choice() -> None:
    tables = [lookup_table([0, 51, 102, 255], 8), lookup_table([255, 102, 51, 0], 8)]
    data = to_bytes(
        make_dicom(np.array([[0, 1, 2, 3]], np.uint8), VOILUTSequence=tables, WindowCenter=2, WindowWidth=4)
    )
    for voi, expected in ((0, [0, 0.2, 0.4, 1]), (1, [1, 0.4, 0.2, 0]), (2, [0, 0.2, 0.4, 1])):
        image = decode_radiograph(data, PreparationSettings(voi=voi))
        np.testing.assert_allclose(shown(image), [expected])


def test_negative_slope_is_inverted() -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_8, RescaleSlope=-2, RescaleIntercept=7)))
    np.testing.assert_array_equal(image.pixels, 255 - RAMP_8)


def test_presentation_lut_shape_does_not_invert_twice() -> None:
    dataset = make_dicom(RAMP_8, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(decode_radiograph(to_bytes(dataset)).pixels, 255 - RAMP_8)


def test_window_of_no_width_is_left_out() -> None:
    assert decode_radiograph(to_bytes(make_dicom(RAMP_8, WindowCenter=10, WindowWidth=0))).window is None


def test_window_of_width_one_is_a_threshold() -> None:
    grey = apply_windowing(np.array([9.4, 9.5, 9.6]), 10.0, 1.0, function="LINEAR")
    np.testing.assert_array_equal(grey, [0, 0, 1])


def test_modality_lut_spans_its_own_values_not_the_bits_that_its_descriptor_promises() -> None:
    dataset = make_dicom(np.array([[0, 1, 2, 3]], np.uint8), ModalityLUTSequence=[lookup_table([0, 90, 100, 1000], 16)])
    np.testing.assert_allclose(shown(decode_radiograph(to_bytes(dataset))), [[0, 0.09, 0.1, 1]])


@pytest.mark.parametrize(
    ("elements", "padded"),
    [
        ({"PixelPaddingValue": 3}, [3]),
        ({"PixelPaddingValue": 3, "PixelPaddingRangeLimit": 1}, [1, 2, 3]),
        ({"PixelPaddingValue": 250, "PixelPaddingRangeLimit": 255}, list(range(250, 256))),
        ({"PixelPaddingValue": 3000}, []),
    ],
)
def test_padding_is_from_its_value_to_its_limit(elements: dict[str, int], padded: list[int]) -> None:
    image = decode_radiograph(to_bytes(make_dicom(RAMP_8, **elements)))
    assert ([] if image.padding is None else np.flatnonzero(image.padding).tolist()) == padded


def test_padding_of_signed_pixels_may_be_written_unsigned() -> None:
    dataset = make_dicom(np.array([[-2000, 0, 500]], np.int16), PixelPaddingValue=-2000)
    image = decode_radiograph(to_bytes(dataset))
    assert image.padding is not None
    np.testing.assert_array_equal(image.padding[image.pixels], [[True, False, False]])


@pytest.mark.data
def test_real_files_look_as_highdicom_shows_them(shared_data: Path) -> None:
    for path in sorted((shared_data / "dicom").iterdir()):
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        if "VOILUTSequence" not in dataset and "WindowCenter" not in dataset:
            continue
        image = decode_radiograph(path.read_bytes())
        codes = image.pixels if not inverted(dataset) else image.max_value - image.pixels
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset["PixelData"].is_undefined_length = False
        dataset.PixelData = codes.astype(f"u{dataset.BitsAllocated // 8}").tobytes()
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_allclose(shown(image), by_highdicom(dataset), atol=1e-9, err_msg=path.name)


def inverted(dataset: Dataset) -> bool:
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1")
