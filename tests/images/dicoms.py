"""Small DICOM files, made in memory."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

RAMP_8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP_12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def make_dicom(
    pixels: np.ndarray, *, bits: int | None = None, syntax: str = ExplicitVRLittleEndian, **elements: object
) -> Dataset:
    """A computed radiograph that holds just what is needed, and `elements`."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName = "Secret^Patient"
    dataset.Modality = "CR"
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
    """The file of a data set."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def without_meta(data: bytes) -> bytes:
    """A file without preamble and meta group: its data set alone."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG stream of 8-bit grey."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def lookup_table(values: list[int], bits: int, first: int = 0) -> Dataset:
    """An item of a modality or VOI LUT sequence."""
    table = Dataset()
    table.LUTDescriptor = [len(values), first, bits]
    table.LUTData = values
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    return table
