"""A DICOM file's bytes to a data set, with what is odd about the file. Its pixels are dicom_pixels.py's.

Files in the field lack the preamble, the meta group or the transfer syntax (against PS3.10 7.1); what they must be is
told from the bytes, and said.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset as read_elements
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from radspark.errors import UnreadableImageError
from radspark.images.codestream import read_frame_marker
from radspark.images.grey import ImageLimits

_JPEG_SYNTAXES: Final = {
    0xC0: JPEGBaseline8Bit,
    0xC1: JPEGExtended12Bit,
    0xC3: JPEGLossless,
    0xF7: JPEGLSNearLossless,
}
"""By the start-of-frame marker (ITU-T T.81 table B.1, T.87)."""


@dataclass(frozen=True)
class DicomFile:
    """A parsed file; its data set always names a transfer syntax."""

    dataset: Dataset
    warnings: tuple[str, ...]


def is_dicom(data: bytes) -> bool:
    """True if the bytes have DICOM's prefix, or begin as data sets do that lack it against PS3.10 7.1.

    Those begin with a tag of group 0002 or 0008, whose element number is small.
    """
    return data[128:132] == b"DICM" or (data[:2] in (b"\x02\x00", b"\x08\x00") and data[3:4] == b"\x00")


def parse_dicom(data: bytes, limits: ImageLimits) -> DicomFile:
    """Parse a file, deflated or not, with or without preamble and transfer syntax.

    Raises:
        UnreadableImageError: a deflated data set is damaged or expands beyond the limits.
    """
    if data[128:132] == b"DICM" and DeflatedExplicitVRLittleEndian.encode() in data[:4096]:
        dataset = _parse_deflated(data, limits)
    else:
        dataset = dcmread(io.BytesIO(data), force=True)
    warnings = [] if data[128:132] == b"DICM" else ["the DICOM file lacks its preamble."]
    if "TransferSyntaxUID" not in dataset.file_meta:
        syntax = _guess_syntax(dataset)
        dataset.file_meta.TransferSyntaxUID = syntax
        warnings.append(f"the DICOM file names no transfer syntax; it was read as {syntax.name}.")
    return DicomFile(dataset, tuple(warnings))


def _parse_deflated(data: bytes, limits: ImageLimits) -> Dataset:
    """Expand the data set behind the meta group (PS3.5 A.5), no further than a file may be long."""
    start = 144 + int.from_bytes(data[140:144], "little")
    meta = read_elements(io.BytesIO(data[132:start]), is_implicit_VR=False, is_little_endian=True)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return dcmread(io.BytesIO(data), force=True)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data[start:], limits.max_bytes)
    if inflater.unconsumed_tail:
        raise UnreadableImageError(
            f"DICOM that expands beyond {limits.max_bytes / 2**20:,.1f} MiB, the limit for a file (max_bytes)."
        )
    dataset = read_elements(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _guess_syntax(dataset: Dataset) -> UID:
    """The transfer syntax that the data set was parsed by, or that its encapsulated pixels begin as."""
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        return _guess_compression(get_frame(dataset.PixelData, 0, number_of_frames=1))
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else explicit


def _guess_compression(frame: bytes) -> UID:
    if frame[:4] == b"\xff\x4f\xff\x51":
        return JPEG2000
    if frame[:2] == b"\xff\xd8":
        marker = read_frame_marker(frame)
        if marker in _JPEG_SYNTAXES:
            return _JPEG_SYNTAXES[marker]
    if len(frame) > 64 and 1 <= int.from_bytes(frame[:4], "little") <= 15 and frame[4:8] == b"\x40\0\0\0":
        return RLELossless
    raise UnreadableImageError("DICOM that names no transfer syntax and whose compression cannot be told.")
