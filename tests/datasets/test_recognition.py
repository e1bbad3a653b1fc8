from __future__ import annotations

import pytest

from radspark.datasets.recognition import recognize_table

# The first columns of each table as published.
PUBLISHED = {
    "NIH ChestX-ray14": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age",
    "CheXpert": "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum",
    "MIMIC-CXR-JPG": "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation",
    "PadChest": ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth",
    "VinDr-CXR": "image_id,rad_id,class_name,x_min,y_min,x_max,y_max",
    "Open-i": "uid,filename,projection",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_are_recognized(name):
    assert recognize_table(PUBLISHED[name].split(",")) == name


def test_split_file_of_mimic_is_recognized():
    assert recognize_table(["dicom_id", "study_id", "subject_id", "split"]) == "MIMIC-CXR-JPG"


def test_other_tables_are_not_recognized():
    assert recognize_table(["name", "value"]) is None
