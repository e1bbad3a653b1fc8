"""A data set's pixel data to codes: checked for one grey frame within the limits, then decompressed.

pydicom finds the frame and reads what is uncompressed or RLE; imagecodecs decodes JPEG of 8 to 16 bits (libjpeg-turbo),
JPEG-LS (CharLS) and JPEG 2000 (OpenJPEG).
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import generate_fragments, get_frame, parse_basic_offsets
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images.codestream import read_jpeg2000_size, read_jpeg_size, read_rle_length
from radspark.images.grey import Codes, ImageLimits

DECODERS: Final[Mapping[UID, Callable[[bytes], npt.NDArray[Any]]]] = {
    JPEGBaseline8Bit: imagecodecs.jpeg_decode,
    JPEGExtended12Bit: imagecodecs.jpeg_decode,
    JPEGLossless: imagecodecs.jpeg_decode,
    JPEGLosslessSV1: imagecodecs.jpeg_decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEGLSNearLossless: imagecodecs.jpegls_decode,
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    JPEG2000: imagecodecs.jpeg2k_decode,
}
"""Of one compressed frame, by its transfer syntax (PS3.5 A.4); pydicom itself reads RLE and what is not compressed."""
_FRAME_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""Of JPEG and JPEG-LS, and of JPEG 2000. Within coded data FF is followed by other bytes, so no later part of a frame
begins so."""
_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000})


def check_image_pixel_module(dataset: Dataset, limits: ImageLimits) -> None:
    """Check, before any pixel is decoded, that this is one grey frame within the limits (PS3.3 C.7.6.3).

    Raises:
        UnreadableImageError: no pixels, several frames, color, over the limits, or no decoder for it.
    """
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
    _check_length(dataset)


def _check_length(dataset: Dataset) -> None:
    """Check that the pixels are as many as the data set says: a decoder believes the pixels' own header."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise UnreadableImageError("DICOM with an unknown transfer syntax.")
    width, height = int(dataset.Columns), int(dataset.Rows)
    frame_bytes = width * height * dataset.BitsAllocated // 8
    if not syntax.is_encapsulated:
        if len(dataset.PixelData) >= 2 * frame_bytes:
            raise UnreadableImageError("DICOM that says it has one frame and holds the pixels of several.")
        return
    if syntax not in DECODERS and syntax != RLELossless:
        raise UnreadableImageError(f"DICOM compressed as {syntax.name}, for which no decoder is installed.")
    if _has_several_frames(dataset.PixelData, syntax):
        raise UnreadableImageError("DICOM that says it has one frame and holds the pixels of several.")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        agrees = read_rle_length(frame) <= frame_bytes + 1024
    elif syntax in (JPEG2000, JPEG2000Lossless):
        agrees = read_jpeg2000_size(frame) == (width, height)
    else:
        agrees = read_jpeg_size(frame) == (width, height)
    if not agrees:
        raise UnreadableImageError(f"DICOM whose compressed pixels are not {width} x {height}, as its header says.")


def _has_several_frames(encapsulated: bytes, syntax: UID) -> bool:
    """By the offset table, which may be empty (PS3.5 A.4), and by what the fragments after the first begin with."""
    if len(parse_basic_offsets(encapsulated)) > 1:
        return True
    buffer = io.BytesIO(encapsulated)
    parse_basic_offsets(buffer)
    others = itertools.islice(generate_fragments(buffer), 1, None)
    if syntax == RLELossless:
        return any(others)  # a frame of RLE is one fragment (PS3.5 A.4.2)
    return any(fragment.startswith(_FRAME_STARTS) for fragment in others)


def read_codes(dataset: Dataset) -> Codes:
    """Decompress to codes: 0 is the least value that the stored bits can hold, signed or not (PS3.5 8.1.1).

    Bits beside the stored ones, which old files use for overlays, are dropped. What lossy compression lifted above the
    largest value is that value.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    bits = int(dataset.BitsStored)
    if syntax in DECODERS:
        stored = DECODERS[syntax](get_frame(dataset.PixelData, 0, number_of_frames=1))
    elif not syntax.is_encapsulated and bits <= int(dataset.get("HighBit") or 0) < dataset.BitsAllocated:
        stored = _read_upper_bits(dataset)
    else:
        stored = pixel_array(dataset)
    if stored.ndim != 2:
        raise UnreadableImageError("DICOM with several samples per pixel; a radiograph has one.")
    codes: Codes = stored.astype(stored.dtype.newbyteorder("="), copy=False).view(f"u{stored.itemsize}")
    full = (1 << bits) - 1
    signed = dataset.get("PixelRepresentation", 0) == 1
    if bits < 8 * codes.itemsize:
        limit = codes.dtype.type(full)
        codes = np.minimum(codes, limit) if syntax in _LOSSY and not signed else codes & limit
    return codes ^ codes.dtype.type((full + 1) >> 1) if signed else codes


def _read_upper_bits(dataset: Dataset) -> npt.NDArray[Any]:
    """Uncompressed values whose high bit is not the last of the stored ones, as before 2014 was allowed; moved down."""
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    size = int(dataset.Rows) * int(dataset.Columns)
    words = np.frombuffer(dataset.PixelData, f"{order}u{dataset.BitsAllocated // 8}", count=size)
    return words.reshape(dataset.Rows, dataset.Columns) >> (int(dataset.HighBit) + 1 - int(dataset.BitsStored))
