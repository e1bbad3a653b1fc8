from __future__ import annotations

import shutil

import pytest
from published_layouts import write_vindr

from radspark.datasets.reading import Source, read_labels
from radspark.datasets.vindr import VINDR_FINDINGS, read_vindr_boxes
from radspark.errors import LabelTableError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark


def read(spark, folder, **rules):
    split = SplitSettings(validation_share=0)
    return {
        row["image_id"]: row for row in read_labels(spark, Source("vindr", folder, rules), split=split).frame.collect()
    }


def present(row):
    return {name for name, value in zip(VINDR_FINDINGS, row["labels"], strict=True) if value}


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (1, {"Cardiomegaly", "Effusion", "Tuberculosis", "ILD"}),
        (2, {"Cardiomegaly", "Effusion", "ILD"}),
        (3, {"Cardiomegaly"}),
    ],
)
def test_enough_readers_make_a_label_by_box_or_by_word(spark, tmp_path, votes, expected):
    assert present(read(spark, write_vindr(tmp_path), votes=votes)["aa11"]) == expected


def test_test_labels_are_consensus(spark, tmp_path):
    row = read(spark, write_vindr(tmp_path), votes=3)["cc33"]
    assert (present(row), row["split"], row["view"]) == ({"Nodule_or_Mass", "COPD"}, "test", "PA")


def test_normal_radiograph_has_no_finding(spark, tmp_path):
    assert read(spark, write_vindr(tmp_path))["bb22"]["labels"] == [0.0] * len(VINDR_FINDINGS)


def test_boxes_alone_leave_diagnoses_unknown(spark, tmp_path):
    folder = write_vindr(tmp_path)
    for name in ("image_labels_train.csv", "image_labels_test.csv"):
        (folder / "annotations" / name).unlink()
    row = read(spark, folder)["aa11"]
    assert present(row) == {"Cardiomegaly", "ILD"}
    assert [row["labels"][VINDR_FINDINGS.index(name)] for name in ("Tuberculosis", "COPD", "Effusion")] == [
        None,
        None,
        0.0,
    ]


def test_tables_can_lie_in_the_folder_itself(spark, tmp_path):
    folder = write_vindr(tmp_path)
    for table in (folder / "annotations").iterdir():
        shutil.move(table, folder)
    assert len(read(spark, folder)) == 3


def test_unknown_class_is_named(spark, tmp_path):
    table = write_vindr(tmp_path) / "annotations" / "annotations_train.csv"
    table.write_text(table.read_text().replace("ILD", "IDL"))
    with pytest.raises(LabelTableError, match=r"annotations_train.csv has the class 'IDL'"):
        read(spark, tmp_path)


def test_boxes_are_corner_and_size(spark, tmp_path):
    boxes = read_vindr_boxes(spark, write_vindr(tmp_path)).collect()
    assert len(boxes) == 6
    assert ("cc33", "consensus", "Nodule_or_Mass", 100.0, 200.0, 30.0, 40.0) in [tuple(box) for box in boxes]


def test_folder_of_another_data_set_is_recognized(spark, tmp_path):
    (tmp_path / "train.csv").write_text("Path,Sex,Age,Frontal/Lateral,AP/PA\n")
    with pytest.raises(LabelTableError, match=r"Is this CheXpert\?"):
        read(spark, tmp_path)
