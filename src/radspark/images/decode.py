"""Bytes of one file to a grey image, by the format that the content shows; each format has a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from radspark.errors import UnreadableImageError
from radspark.images.dicom import open_dicom
from radspark.images.dicom_file import is_dicom
from radspark.images.grey import DEFAULT_LIMITS, EncodedImage, GreyImage, ImageLimits
from radspark.images.jpeg import is_jpeg, open_jpeg
from radspark.images.png import is_png, open_png
from radspark.settings import PreparationSettings


@dataclass(frozen=True)
class ImageFormat:
    """A kind of file that radspark reads."""

    name: str
    matches: Callable[[bytes], bool]
    open: Callable[[bytes, ImageLimits, PreparationSettings], EncodedImage]


FORMATS = (
    ImageFormat("PNG", is_png, open_png),
    ImageFormat("JPEG", is_jpeg, open_jpeg),
    ImageFormat("DICOM", is_dicom, open_dicom),
)
DEFAULT_SETTINGS = PreparationSettings()


def open_radiograph(
    data: bytes, settings: PreparationSettings = DEFAULT_SETTINGS, *, limits: ImageLimits = DEFAULT_LIMITS
) -> EncodedImage:
    """Tell the format of a file and read its header.

    Raises:
        UnreadableImageError: says what the file is or lacks, with nothing of its name or its patient.
    """
    limits.check_bytes(len(data))
    if not data:
        raise UnreadableImageError("empty file: it has 0 bytes.")
    for kind in FORMATS:
        if kind.matches(data):
            return kind.open(data, limits, settings)
    names = ", ".join(kind.name for kind in FORMATS)
    what = "text" if _is_text(data) else "of an unknown format"
    raise UnreadableImageError(f"not a radiograph: the file is {what}; formats that are read: {names}.")


def decode_radiograph(
    data: bytes, settings: PreparationSettings = DEFAULT_SETTINGS, *, limits: ImageLimits = DEFAULT_LIMITS
) -> GreyImage:
    """Decode one PNG, JPEG or DICOM file to grey, whatever it shows.

    Raises:
        UnreadableImageError: says what the file is or lacks, with nothing of its name or its patient.
    """
    return open_radiograph(data, settings, limits=limits).decode()


def _is_text(data: bytes) -> bool:
    head = data[:512]
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
