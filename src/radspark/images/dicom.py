"""DICOM files to grey by the standard's own steps: stored bits, modality LUT, VOI, photometric interpretation.

pydicom parses and decompresses. Each step maps the few values that a pixel can have, not the millions of pixels.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut as apply_modality_lut_sequence
from pydicom.pixels.processing import apply_voi as apply_voi_lut_sequence
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images.codestream import read_jpeg2000_size, read_jpeg_size, read_rle_length
from radspark.images.foreign import foreign_decoder
from radspark.images.grey import GreyImage, ImageLimits

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def is_dicom(data: bytes) -> bool:
    """True if the bytes have DICOM's prefix, or begin as data sets do that lack it against PS3.10 7.1.

    Those begin with a tag of group 0002 or 0008, whose element number is small.
    """
    return data[128:132] == b"DICM" or (data[:2] in (b"\x02\x00", b"\x08\x00") and data[3:4] == b"\x00")


def decode_dicom(data: bytes, limits: ImageLimits) -> GreyImage:
    """Decode one DICOM radiograph: one frame, MONOCHROME1 or MONOCHROME2, 1 to 16 bits stored, signed or not.

    `window` holds the first VOI LUT or window of the file (PS3.3 C.11.2). MONOCHROME1 and a negative rescale slope are
    turned over, so that bright is always what absorbs (C.7.6.3.1.2).

    Raises:
        UnreadableImageError: no pixels, several frames, color, over the limits, no decoder for it, or damaged.
    """
    with foreign_decoder("DICOM whose structure is damaged."):
        dataset = read_dataset(data)
        check_image_pixel_module(dataset, limits)
        check_encoded_size(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID.name
    with foreign_decoder(f"DICOM whose pixel data ({syntax}, {dataset.BitsStored} bits) cannot be decoded."):
        codes = read_stored_values(dataset)
    with foreign_decoder("DICOM whose grey scale (modality LUT, window) is damaged."):
        codes, max_value = apply_modality_lut(codes, dataset)
        values = read_modality_values(dataset, max_value)
        image = GreyImage(codes, max_value, apply_voi(values, dataset))
        inverted = (dataset.PhotometricInterpretation == "MONOCHROME1") != (values[-1] < values[0])
        return invert(image) if inverted else image


def read_dataset(data: bytes) -> Dataset:
    """Parse the file; where it names no transfer syntax, the one that it was parsed by is filled in."""
    if DeflatedExplicitVRLittleEndian.encode() in data:
        raise UnreadableImageError("DICOM with a deflated data set, which can expand without limit; it is not read.")
    dataset = dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def check_image_pixel_module(dataset: Dataset, limits: ImageLimits) -> None:
    """Check, before any pixel is decoded, that this is one grey frame within the limits (PS3.3 C.7.6.3)."""
    if "PixelData" not in dataset:
        raise UnreadableImageError("DICOM without pixel data: a report or a structure, not an image.")
    missing = [name for name in ("Rows", "Columns", "BitsAllocated", "BitsStored") if dataset.get(name) is None]
    if missing:
        raise UnreadableImageError(f"DICOM without {', '.join(missing)}: its pixel data cannot be understood.")
    limits.check_size(int(dataset.Columns), int(dataset.Rows))
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    if num_frames != 1:
        raise UnreadableImageError(f"DICOM with {num_frames} frames; a radiograph has one.")
    if dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableImageError("DICOM in color; a radiograph is MONOCHROME1 or MONOCHROME2.")
    if dataset.BitsAllocated not in (8, 16) or not 1 <= dataset.BitsStored <= dataset.BitsAllocated:
        raise UnreadableImageError(
            f"DICOM of {dataset.BitsStored} bits stored in {dataset.BitsAllocated}; 1 to 16 in 8 or 16 are read."
        )


def check_encoded_size(dataset: Dataset) -> None:
    """Check that compressed pixels are as many as the data set says: a decoder believes the pixels' own header."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise UnreadableImageError("DICOM with an unknown transfer syntax.")
    if not syntax.is_encapsulated:
        return
    if not _has_decoder(syntax):
        raise UnreadableImageError(f"DICOM compressed as {syntax.name}, for which no decoder is installed.")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    said = (int(dataset.Columns), int(dataset.Rows))
    if syntax == RLELossless:
        agrees = read_rle_length(frame) <= said[0] * said[1] * dataset.BitsAllocated // 8 + 1024
    elif syntax in JPEG2000TransferSyntaxes or "2000" in syntax.name:
        agrees = read_jpeg2000_size(frame) == said
    else:
        agrees = read_jpeg_size(frame) == said
    if not agrees:
        raise UnreadableImageError(f"DICOM whose compressed pixels are not {said[0]} x {said[1]}, as its header says.")


def read_stored_values(dataset: Dataset) -> Codes:
    """Decompress to codes from 0 (the least value that the stored bits can hold) up (PS3.5 8.1.1).

    pydicom drops the bits above the stored ones, which old files use for overlays, whatever the compression.
    """
    stored = pixel_array(dataset)
    if stored.ndim != 2:
        raise UnreadableImageError("DICOM with several samples per pixel; a radiograph has one.")
    codes: Codes = stored.view(np.uint8) if stored.itemsize == 1 else stored.view(np.uint16)
    if dataset.get("PixelRepresentation", 0) == 1:
        return np.add(codes, 1 << (int(dataset.BitsStored) - 1), dtype=codes.dtype)
    return codes


def apply_modality_lut(codes: Codes, dataset: Dataset) -> tuple[Codes, int]:
    """Codes and their largest possible value after the modality LUT sequence, if there is one (PS3.3 C.11.1).

    A rescale slope and intercept change units, not the codes: `read_modality_values` has them.
    """
    if not dataset.get("ModalityLUTSequence"):
        return codes, (1 << int(dataset.BitsStored)) - 1
    mapped = apply_modality_lut_sequence(codes.astype(np.int32) + _least_stored(dataset), dataset)
    max_value = (1 << int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])) - 1
    return np.minimum(mapped, max_value).astype(np.uint8 if max_value <= 255 else np.uint16), max_value


def read_modality_values(dataset: Dataset, max_value: int) -> Floats:
    """(max_value + 1,): the modality value, such as optical density, that each code means (PS3.3 C.11.1)."""
    codes: Floats = np.arange(max_value + 1, dtype=np.float64)
    if dataset.get("ModalityLUTSequence"):
        return codes
    slope: float = _first(dataset, "RescaleSlope", 1.0)
    intercept: float = _first(dataset, "RescaleIntercept", 0.0)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise UnreadableImageError("DICOM with a rescale slope of zero or without a value: all its greys are one.")
    return (codes + _least_stored(dataset)) * slope + intercept


def apply_voi(values: Floats, dataset: Dataset) -> Floats | None:
    """Grey in [0, 1] of modality values by the first VOI LUT, else the first window; None without either (C.11.2)."""
    if dataset.get("VOILUTSequence"):
        num_bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        mapped = apply_voi_lut_sequence(np.rint(values).astype(np.int64), dataset)
        return np.clip(mapped.astype(np.float64) / ((1 << num_bits) - 1), 0.0, 1.0)
    center, width = _first(dataset, "WindowCenter", None), _first(dataset, "WindowWidth", None)
    if center is None or width is None:
        return None
    return apply_windowing(values, center, width, function=dataset.get("VOILUTFunction") or "LINEAR")


def apply_windowing(values: Floats, center: float, width: float, *, function: str) -> Floats | None:
    """Grey in [0, 1] of modality values (PS3.3 C.11.2.1.2, C.11.2.1.3); None for a width that it forbids."""
    if not np.isfinite([center, width]).all() or width <= 0:
        return None
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64) if width == 1 else None
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def invert(image: GreyImage) -> GreyImage:
    """The image with black and white exchanged, in its codes and in its window."""
    window = None if image.window is None else 1.0 - image.window[::-1]
    return GreyImage(image.pixels.dtype.type(image.max_value) - image.pixels, image.max_value, window)


def _has_decoder(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _least_stored(dataset: Dataset) -> int:
    return -(1 << (int(dataset.BitsStored) - 1)) if dataset.get("PixelRepresentation", 0) == 1 else 0


def _first(dataset: Dataset, name: str, default: Any) -> Any:
    """The first of a possibly missing, empty or multiple number."""
    value = dataset.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str | int | float) and hasattr(value, "__len__"):
        return float(value[0]) if len(value) else default
    return float(value)
