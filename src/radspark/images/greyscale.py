"""DICOM's grey-scale chain in the standard's order: modality LUT, VOI, presentation (PS3.3 C.11.1, C.11.2, C.11.6).

Each step maps the table of the values that a pixel can have, not the millions of pixels. LUTs are looked up here, since
pydicom 3.0 wraps around in one of 8 bits with more than 256 entries, which is what turns 12 bits into 8.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from radspark.errors import UnreadableImageError
from radspark.images.grey import Codes, Floats, GreyImage


def apply_greyscale(codes: Codes, dataset: Dataset, *, voi: int = 0) -> GreyImage:
    """The image that a data set describes, in codes that grow with the modality's value unless a LUT says otherwise.

    Args:
        codes: (H, W), 0 for the least value that the stored bits hold.
        voi: which VOI LUT or window, if there are several.

    Raises:
        UnreadableImageError: a rescale slope of zero, or a LUT without entries.
    """
    max_value = (1 << int(dataset.BitsStored)) - 1
    values = read_modality_values(dataset, max_value)
    padding = find_padding(dataset, max_value)
    has_lut = bool(dataset.get("ModalityLUTSequence"))
    if not has_lut and values[-1] < values[0]:
        codes, values = codes.dtype.type(max_value) - codes, values[::-1]
        padding = None if padding is None else padding[::-1]
    image = GreyImage(
        codes,
        max_value,
        window=apply_voi(values, dataset, index=voi),
        scale=_spread(values) if has_lut else None,
        padding=padding,
    )
    return invert(image) if is_inverse(dataset) else image


def read_modality_values(dataset: Dataset, max_value: int) -> Floats:
    """Table: the modality value, such as optical density, that each code means (PS3.3 C.11.1)."""
    stored = np.arange(max_value + 1) + _least_stored(dataset)
    if dataset.get("ModalityLUTSequence"):
        return apply_lut(stored, dataset.ModalityLUTSequence[0])
    slope: float = _number(dataset, "RescaleSlope", 1.0)
    intercept: float = _number(dataset, "RescaleIntercept", 0.0)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise UnreadableImageError("DICOM with a rescale slope of zero or without a value: all its greys are one.")
    return stored.astype(np.float64) * slope + intercept


def find_padding(dataset: Dataset, max_value: int) -> npt.NDArray[np.bool_] | None:
    """Table: the codes from the pixel padding value to its range limit (PS3.3 C.7.5.1.1.2); None without one."""
    first = _stored_value(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = _stored_value(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    stored = np.arange(max_value + 1) + _least_stored(dataset)
    padding: npt.NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return padding if padding.any() and not padding.all() else None


def apply_voi(values: Floats, dataset: Dataset, *, index: int = 0) -> Floats | None:
    """Grey in [0, 1] of modality values by a VOI LUT, else by a window; None without either (PS3.3 C.11.2).

    LUTs and windows of one file are alternatives; an index beyond the last means the first.
    """
    if dataset.get("VOILUTSequence"):
        tables = dataset.VOILUTSequence
        table = tables[index if index < len(tables) else 0]
        mapped = apply_lut(np.rint(values).astype(np.int64), table)
        return np.clip(mapped / ((1 << int(table.LUTDescriptor[2])) - 1), 0.0, 1.0)
    windows = list(zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False))
    if not windows:
        return None
    center, width = windows[index if index < len(windows) else 0]
    return apply_windowing(values, center, width, function=dataset.get("VOILUTFunction") or "LINEAR")


def apply_lut(values: npt.NDArray[np.int64], table: Dataset) -> Floats:
    """The entries of a LUT for some values; values beyond its ends have its first and its last (PS3.3 C.11.1.1.1)."""
    num_entries, first, _ = (int(item) for item in table.LUTDescriptor)
    num_entries = num_entries or 65536
    if first > 32767 and values.min() < 0:
        first -= 65536
    entries = read_lut(table, num_entries)
    if not len(entries):
        raise UnreadableImageError("DICOM with a look-up table without entries.")
    return entries[np.clip(values - first, 0, len(entries) - 1)].astype(np.float64)


def read_lut(table: Dataset, num_entries: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """The entries of a LUT: words, or bytes that were packed into words (PS3.3 C.11.1.1.1)."""
    data: Any = table.LUTData
    if isinstance(data, bytes):
        # pydicom leaves words of the VR OW in the file's byte order (PS3.5 7.3).
        _, is_little = table.original_encoding
        data = np.frombuffer(data, ">u2" if is_little is False else "<u2")
    words = np.atleast_1d(np.asarray(data)).astype("<u2")
    return words[:num_entries] if len(words) >= num_entries else words.view(np.uint8)[:num_entries]


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


def is_inverse(dataset: Dataset) -> bool:
    """Whether the least value is to be shown white: by the presentation LUT shape, else by MONOCHROME1.

    Both say the same where a file keeps to the standard (PS3.3 C.8.11.3.1.2), so they never add up.
    """
    shape = dataset.get("PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY"):
        return bool(shape == "INVERSE")
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1")


def invert(image: GreyImage) -> GreyImage:
    """The image with black and white exchanged, in its codes and in its tables."""
    return dataclasses.replace(
        image,
        pixels=image.pixels.dtype.type(image.max_value) - image.pixels,
        window=None if image.window is None else 1.0 - image.window[::-1],
        scale=None if image.scale is None else 1.0 - image.scale[::-1],
        padding=None if image.padding is None else image.padding[::-1],
    )


def _spread(values: Floats) -> Floats:
    """Values as shares of their own range."""
    low, high = values.min(), values.max()
    if low == high:
        raise UnreadableImageError("DICOM with a modality LUT of one value: all its greys are one.")
    shares: Floats = (values - low) / (high - low)
    return shares


def _least_stored(dataset: Dataset) -> int:
    return -(1 << (int(dataset.BitsStored) - 1)) if dataset.get("PixelRepresentation", 0) == 1 else 0


def _stored_value(dataset: Dataset, name: str) -> int | None:
    """A pixel value of the header; one that was written unsigned although pixels are signed is turned into theirs."""
    value = dataset.get(name)
    if value is None or value == "":
        return None
    if dataset.get("PixelRepresentation", 0) == 1 and int(value) > 32767:
        return int(value) - 65536
    return int(value)


def _number(dataset: Dataset, name: str, default: float) -> float:
    return next(iter(_numbers(dataset, name)), default)


def _numbers(dataset: Dataset, name: str) -> list[float]:
    """A possibly missing, empty or multiple number as a list."""
    value: Any = dataset.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str | int | float) or not hasattr(value, "__len__"):
        return [float(value)]
    return [float(item) for item in value]
