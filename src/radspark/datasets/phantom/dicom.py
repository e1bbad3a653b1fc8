"""One drawing as a DICOM file that says of itself that it is synthetic; the same arguments give the same bytes."""

from __future__ import annotations

import io

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from radspark.datasets.phantom.cohort import PlannedImage
from radspark.datasets.phantom.render import Drawing

NOTICE = "Synthetic radiograph drawn by radspark. It shows no person and is not for diagnosis."
BITS_STORED = 12


def encode_dicom(drawing: Drawing, image: PlannedImage, *, seed: int) -> bytes:
    """A 12-bit Digital X-Ray image for presentation (PS3.3 A.26), MONOCHROME1 on every other patient.

    Nothing in it is taken from the clock: dates are empty and identifiers are hashed from seed, patient and image.
    """
    header = FileMetaDataset()
    header.TransferSyntaxUID = ExplicitVRLittleEndian
    header.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    header.MediaStorageSOPInstanceUID = _uid(seed, image.stem, "instance")
    dataset = Dataset()
    dataset.file_meta = header
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = header.MediaStorageSOPInstanceUID
    _describe_patient(dataset, image, seed)
    _describe_acquisition(dataset, image, drawing)
    _put_pixels(dataset, drawing, is_inverted=image.patient_id % 2 == 0)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _uid(seed: int, *parts: str) -> UID:
    return generate_uid(entropy_srcs=["radspark phantom", str(seed), *parts])


def _describe_patient(dataset: Dataset, image: PlannedImage, seed: int) -> None:
    """Patient, study and the marks of a synthetic image (PS3.3 C.7.1.1, C.7.6.1, C.12.1)."""
    patient = f"{image.patient_id:08d}"
    dataset.PatientName = f"Synthetic^Phantom {patient}"
    dataset.PatientID = patient
    dataset.PatientBirthDate = ""
    dataset.PatientSex = image.physique.sex
    dataset.PatientAge = f"{image.age:03d}Y"
    dataset.PatientComments = NOTICE
    dataset.QualityControlSubject = "YES"
    dataset.SyntheticData = "YES"
    dataset.ImageComments = NOTICE
    dataset.Manufacturer = "radspark"
    dataset.ManufacturerModelName = "radspark phantom"
    dataset.StudyInstanceUID = _uid(seed, image.stem, "study")
    dataset.SeriesInstanceUID = _uid(seed, image.stem, "series")
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "Laterality"):
        setattr(dataset, keyword, "")
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = image.follow_up + 1


def _describe_acquisition(dataset: Dataset, image: PlannedImage, drawing: Drawing) -> None:
    """View and scale (PS3.3 C.8.11)."""
    dataset.Modality = "DX"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = image.view
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageLaterality = "U"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    spacing = f"{drawing.mm_per_pixel:.4f}"
    dataset.ImagerPixelSpacing = [spacing, spacing]


def _put_pixels(dataset: Dataset, drawing: Drawing, *, is_inverted: bool) -> None:
    """Pixels, and the window that shows all of them (PS3.3 C.7.6.3, C.11.2)."""
    top = 2**BITS_STORED - 1
    pixels = np.rint(drawing.grey * top).astype("<u2")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if is_inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if is_inverted else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if is_inverted else -1
    dataset.BitsAllocated = 16
    dataset.BitsStored = BITS_STORED
    dataset.HighBit = BITS_STORED - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = str((top + 1) // 2), str(top + 1)
    dataset.PixelData = (top - pixels if is_inverted else pixels).tobytes()
