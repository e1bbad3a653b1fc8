"""DICOM files to grey: file, pixels and grey scale are modules of their own; here is their order and their errors."""

from __future__ import annotations

import functools

from pydicom import Dataset

from radspark.images.dicom_file import parse_dicom
from radspark.images.dicom_pixels import check_image_pixel_module, read_codes
from radspark.images.foreign import foreign_decoder
from radspark.images.grey import EncodedImage, GreyImage, ImageLimits
from radspark.images.greyscale import apply_greyscale
from radspark.images.header import read_header
from radspark.settings import PreparationSettings


def open_dicom(data: bytes, limits: ImageLimits, settings: PreparationSettings) -> EncodedImage:
    """Parse a DICOM file and read its header; its pixels wait.

    Raises:
        UnreadableImageError: damaged, or over the limits once expanded.
    """
    with foreign_decoder("DICOM whose structure is damaged."):
        file = parse_dicom(data, limits)
        return EncodedImage(
            decode=functools.partial(decode_dataset, file.dataset, limits=limits, voi=settings.voi),
            header=read_header(file.dataset),
            warnings=file.warnings,
        )


def decode_dataset(dataset: Dataset, *, limits: ImageLimits, voi: int = 0) -> GreyImage:
    """Decode one radiograph: one frame, MONOCHROME1 or MONOCHROME2, 1 to 16 bits stored, signed or not.

    Raises:
        UnreadableImageError: no pixels, several frames, color, over the limits, no decoder for it, or damaged.
    """
    with foreign_decoder("DICOM whose structure is damaged."):
        check_image_pixel_module(dataset, limits)
    syntax = dataset.file_meta.TransferSyntaxUID.name
    with foreign_decoder(f"DICOM whose pixel data ({syntax}, {dataset.BitsStored} bits) cannot be decoded."):
        codes = read_codes(dataset)
    with foreign_decoder("DICOM whose grey scale (modality LUT, window) is damaged."):
        return apply_greyscale(codes, dataset, voi=voi)
