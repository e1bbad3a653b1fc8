"""Bytes of one file to a grey image, by the format that the content shows; each format has a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from radspark.errors import UnreadableImageError
from radspark.images.dicom import decode_dicom, is_dicom
from radspark.images.grey import DEFAULT_LIMITS, GreyImage, ImageLimits
from radspark.images.jpeg import decode_jpeg, is_jpeg
from radspark.images.png import decode_png, is_png


@dataclass(frozen=True)
class ImageFormat:
    """A kind of file that radspark reads."""

    name: str
    matches: Callable[[bytes], bool]
    decode: Callable[[bytes, ImageLimits], GreyImage]


FORMATS = (
    ImageFormat("PNG", is_png, decode_png),
    ImageFormat("JPEG", is_jpeg, decode_jpeg),
    ImageFormat("DICOM", is_dicom, decode_dicom),
)


def decode_radiograph(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> GreyImage:
    """Decode one PNG, JPEG or DICOM radiograph to grey.

    Raises:
        UnreadableImageError: says what the file is or lacks, with nothing of its name or its patient.
    """
    limits.check_bytes(len(data))
    if not data:
        raise UnreadableImageError("empty file: it has 0 bytes.")
    for kind in FORMATS:
        if kind.matches(data):
            return kind.decode(data, limits)
    names = ", ".join(kind.name for kind in FORMATS)
    what = "text" if _is_text(data) else "of an unknown format"
    raise UnreadableImageError(f"not a radiograph: the file is {what}; formats that are read: {names}.")


def _is_text(data: bytes) -> bool:
    head = data[:512]
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
