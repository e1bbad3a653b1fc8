from __future__ import annotations

import logging

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from radspark.datasets.reading import Source
from radspark.datasets.schema import LABEL_TABLE
from radspark.errors import DataError, SplitError
from radspark.samples.join import load_samples, match_labels
from radspark.settings import PreparationSettings, SplitSettings

pytestmark = pytest.mark.spark

SMALL = PreparationSettings(size=16)
ALL = [
    f"images/{stem}.png" for stem in ("00000001_000", "00000001_001", "00000002_000", "00000003_000", "00000004_000")
]


def test_samples_hold_labels_and_the_image_of_their_stem(spark, write_nih_images):
    samples = load_samples(
        spark, Source("nih", write_nih_images(ALL)), preparation=SMALL, split=SplitSettings(validation_share=0)
    )
    rows = {row["image_id"]: row for row in samples.frame.collect()}
    assert samples.frame.columns == [*LABEL_TABLE.names, "path", "image", "error", "warning"]
    assert [rows[f"0000000{i}_000"]["image"]["data"][0] for i in (1, 2, 3, 4)] == [40, 42, 43, 44]
    assert rows["00000003_000"]["path"].endswith("images/00000003_000.png")
    assert (rows["00000003_000"]["split"], rows["00000003_000"]["error"]) == ("test", None)
    assert sum(rows["00000003_000"]["labels"]) == 2 == samples.labels.index("Mass") - 2


def test_dicom_name_serves_the_row_of_a_png(spark, write_nih_images):
    matched = match_labels(spark, Source("nih", write_nih_images(["dicom/00000004_000.dcm"])))
    assert [row["image_id"] for row in matched.frame.collect()] == ["00000004_000"]


def test_age_sex_and_view_are_those_of_the_dicom_where_the_table_does_not_say_them(spark, tmp_path):
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    data_set.Modality, data_set.PatientAge, data_set.PatientSex, data_set.ViewPosition = "DX", "058Y", "F", "LL"
    data_set.Rows, data_set.Columns, data_set.SamplesPerPixel, data_set.PixelRepresentation = 16, 16, 1, 0
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 8, 8, 7
    data_set.PhotometricInterpretation, data_set.PixelData = "MONOCHROME2", bytes(range(256))
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        data_set.save_as(tmp_path / "images" / f"{name}.dcm", enforce_file_format=True)
    (tmp_path / "labels.csv").write_text("image_id,patient_id,years,fluid\na,7,,1\nb,8,60,0\n")
    source = Source("table", tmp_path, {"age": "years", "findings": {"Effusion": "fluid"}})
    samples = load_samples(spark, source, preparation=SMALL, split=SplitSettings("external"))
    rows = samples.frame.select("image_id", "age", "sex", "view").orderBy("image_id").collect()
    assert [tuple(row) for row in rows] == [("a", 58.0, "F", "LATERAL"), ("b", 60.0, "F", "LATERAL")]


def test_partners_and_singles_are_counted_and_logged_without_names(spark, write_nih_images, caplog):
    folder = write_nih_images(["images/00000003_000.png", "dicom/00000003_000.dcm", "images/00000099_000.png"])
    with caplog.at_level(logging.WARNING, logger="radspark"):
        counts = match_labels(spark, Source("nih", folder)).counts
    assert (counts.labeled, counts.files, counts.matched, counts.repeated_files) == (5, 2, 1, 1)
    assert counts.by_split == {"train": 0, "validation": 0, "test": 1}
    assert caplog.messages == [
        "4 of 5 labelled radiographs have no file",
        "1 of 2 files have no label and are left out",
        "1 files repeat another one's stem and are left out",
    ]


def test_radiographs_in_no_split_are_counted(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / "test_list.txt").write_text("00000004_000.png")
    assert match_labels(spark, Source("nih", folder)).counts.without_split == 1


def test_only_wanted_splits_are_decoded(spark, write_nih_images):
    samples = load_samples(spark, Source("nih", write_nih_images(ALL)), preparation=SMALL, splits=["test"])
    assert {row["image_id"] for row in samples.frame.select("image_id").collect()} == {"00000003_000", "00000004_000"}
    assert samples.counts.matched == 5


def test_number_of_partitions_is_the_one_asked_for(spark, write_nih_images):
    samples = load_samples(spark, Source("nih", write_nih_images(ALL)), preparation=SMALL, num_partitions=3)
    assert samples.frame.rdd.getNumPartitions() == 3


def test_wanted_split_without_radiographs_is_an_error(spark, write_nih_images):
    folder = write_nih_images(ALL[:3])
    with pytest.raises(SplitError, match=r"^the split 'test' holds no radiograph.*3 of 5 labelled"):
        load_samples(spark, Source("nih", folder), splits=["train", "test"])


def test_no_label_that_meets_a_file_shows_a_name_of_each(spark, write_nih_images):
    folder = write_nih_images(["images/patient1_view.png"])
    with pytest.raises(DataError, match=r"none of the 1 radiographs .* like 'patient1_view', .* like '00000001_000'"):
        load_samples(spark, Source("nih", folder))


def test_folder_without_radiographs_is_an_error(spark, write_nih_images):
    with pytest.raises(DataError, match="holds no radiographs"):
        load_samples(spark, Source("nih", write_nih_images([])))


def test_unknown_split_is_an_error_before_anything_is_read(spark, tmp_path):
    with pytest.raises(ValueError, match="splits must be among train, validation, test, got dev"):
        load_samples(spark, Source("nih", tmp_path), splits=["dev"])


@pytest.mark.data
def test_partly_downloaded_set_has_its_exact_counts(spark, shared_data):
    counts = match_labels(spark, Source("nih", shared_data / "nih-256")).counts
    assert (counts.labeled, counts.files, counts.matched) == (112_120, 2_318, 2_318)
    assert counts.by_split["train"] + counts.by_split["validation"] == 2_155
    assert counts.by_split["test"] == 163


@pytest.mark.data
def test_validation_patients_of_the_real_set_neither_train_nor_test(spark, shared_data):
    rows = match_labels(spark, Source("nih", shared_data / "nih-256")).frame.select("split", "patient_id").collect()
    patients = {
        split: {row["patient_id"] for row in rows if row["split"] == split} for split in ("train", "validation", "test")
    }
    assert patients["validation"] and not patients["validation"] & (patients["train"] | patients["test"])
    assert len(patients["test"]) == 105


@pytest.mark.data
def test_png_and_dicom_of_the_real_set_are_matched_and_decoded(spark, shared_data):
    samples = load_samples(spark, Source("nih", shared_data / "nih-1024"), preparation=SMALL)
    rows = samples.frame.select("path", "error", "image.width").collect()
    assert sorted(row["path"][-4:] for row in rows) == [".dcm"] * 60 + [".png"] * 60
    assert {(row["error"], row["width"]) for row in rows} == {(None, 16)}
