from __future__ import annotations

import math

import pytest
from pyspark.sql import functions as F

from radspark.datasets.nih import read_nih_boxes
from radspark.datasets.reading import Source, read_labels
from radspark.datasets.schema import LABEL_TABLE, SPLITS
from radspark.errors import LabelTableError, SplitError
from radspark.labels import NIH_FINDINGS
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark

BOXES = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00013118_008.png,Atelectasis,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661
00029817_009.png,Infiltrate,221.830508474576,317.053115068446,155.118644067797,216.949152542373
"""


def read_nih(spark, folder, *, split_policy="official", **shares):
    return read_labels(spark, Source("nih", folder), split=SplitSettings(policy=split_policy, **shares)).frame


def rows_by_image(frame):
    return {row["image_id"]: row for row in frame.collect()}


@pytest.mark.parametrize(("release", "compress"), [("2017", False), ("2020", True)], ids=["2017", "2020-gz"])
def test_both_releases_are_read_plain_and_compressed(spark, tmp_path, write_nih, release, compress):
    table = rows_by_image(read_nih(spark, write_nih(tmp_path, release=release, compress=compress), validation_share=0))
    row = table["00000001_001"]
    assert row.asDict() == {
        "image_id": "00000001_001",
        "study_id": None,
        "patient_id": "1",
        "age": 58.0,
        "sex": "M",
        "view": "PA",
        "site": None,
        "date": None,
        "labels": list(NIH_FINDINGS.encode(["Cardiomegaly", "Emphysema"])),
        "split": "train",
    }
    assert table["00000002_000"]["labels"] == [0.0] * 14
    assert len(table) == 5


def test_columns_are_those_of_the_schema(spark, tmp_path, write_nih):
    fields = read_nih(spark, write_nih(tmp_path)).schema.fields
    assert [(field.name, field.dataType.simpleString()) for field in fields] == [
        (field.name, field.dataType.simpleString()) for field in LABEL_TABLE
    ]


def test_impossible_ages_are_null_and_months_are_years(spark, tmp_path, write_nih):
    table = rows_by_image(read_nih(spark, write_nih(tmp_path, release="2017")))
    assert table["00000003_000"]["age"] is None
    assert math.isclose(table["00000004_000"]["age"], 0.5)


def test_newer_release_is_taken_where_both_lie(spark, tmp_path, write_nih):
    write_nih(tmp_path, release="2017")
    write_nih(tmp_path, [("00000001_000.png", "Edema", "1", "58"), ("00000003_000.png", "Edema", "3", "58")])
    assert read_nih(spark, tmp_path).count() == 2


def test_blank_findings_are_unknown(spark, tmp_path, write_nih):
    rows = [("00000001_000.png", "", "1", "58"), ("00000003_000.png", "Edema", "3", "58")]
    table = rows_by_image(read_nih(spark, write_nih(tmp_path, rows)))
    assert table["00000001_000"]["labels"] == [None] * 14


def test_column_of_sexes_can_be_called_sex(spark, tmp_path, write_nih):
    path = write_nih(tmp_path) / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text().replace("Gender", "Sex"))
    assert {row["sex"] for row in read_nih(spark, tmp_path).collect()} == {"M"}


def test_folder_with_brackets_and_percent_in_its_name_is_read(spark, tmp_path, write_nih):
    folder = tmp_path / "x-rays [2017] {a,b}%20*"
    folder.mkdir()
    assert read_nih(spark, write_nih(folder)).count() == 5


def test_images_in_neither_list_have_no_split(spark, tmp_path, write_nih):
    table = rows_by_image(read_nih(spark, write_nih(tmp_path, test=["00000003_000.png"])))
    assert table["00000004_000"]["split"] is None


def test_other_policies_need_no_lists(spark, tmp_path, write_nih):
    frame = read_nih(spark, write_nih(tmp_path, train=None, test=None), split_policy="patient")
    assert {row["split"] for row in frame.collect()} <= set(SPLITS)


@pytest.mark.parametrize("list_name", ["train_val_list.txt", "test_list.txt"])
def test_missing_list_is_named(spark, tmp_path, write_nih, list_name):
    (write_nih(tmp_path) / list_name).unlink()
    with pytest.raises(SplitError, match=rf"lacks {list_name}.*split_policy='patient'"):
        read_nih(spark, tmp_path)


def test_list_of_other_images_is_an_error(spark, tmp_path, write_nih):
    write_nih(tmp_path, test=["view1_frontal.jpg"])
    with pytest.raises(SplitError, match=r"test_list.txt names no image of Data_Entry_2017_v2020.csv"):
        read_nih(spark, tmp_path)


def test_empty_list_is_an_error(spark, tmp_path, write_nih):
    write_nih(tmp_path, test=[])
    with pytest.raises(SplitError, match=r"^test_list.txt is empty"):
        read_nih(spark, tmp_path)


def test_image_in_both_lists_is_an_error(spark, tmp_path, write_nih):
    write_nih(tmp_path, test=["00000001_000.png", "00000004_000.png"])
    with pytest.raises(SplitError, match="share 1 images"):
        read_nih(spark, tmp_path)


def test_patient_in_both_lists_is_an_error_that_names_it(spark, tmp_path, write_nih):
    write_nih(tmp_path, train=["00000001_000.png"], test=["00000001_001.png", "00000002_000.png"])
    with pytest.raises(SplitError, match=r"^1 patient stands in two splits \(for example 1\)"):
        read_nih(spark, tmp_path, validation_share=0)


def test_images_of_a_list_without_a_row_are_counted(spark, tmp_path, write_nih, caplog):
    write_nih(tmp_path, test=["00000003_000.png", "00000009_000.png"])
    read_nih(spark, tmp_path)
    assert caplog.messages == ["test_list.txt names 1 images that have no row in Data_Entry_2017_v2020.csv"]


def test_unknown_finding_is_named(spark, tmp_path, write_nih):
    rows = [("00000001_000.png", "Edema|Efusion", "1", "58"), ("00000003_000.png", "Edema", "3", "58")]
    with pytest.raises(LabelTableError, match=r"Data_Entry_2017_v2020.csv has the finding 'Efusion'"):
        read_nih(spark, write_nih(tmp_path, rows))


def test_repeated_image_is_named(spark, tmp_path, write_nih):
    rows = [("00000001_000.png", "Edema", "1", "58"), ("00000001_000.dcm", "Mass", "1", "58")]
    with pytest.raises(LabelTableError, match=r"1 rows? .*for example 00000001_000"):
        read_nih(spark, write_nih(tmp_path, rows))


@pytest.mark.parametrize(("image", "patient", "what"), [("", "1", "an image"), ("00000001_000.png", "", "a patient")])
def test_rows_without_image_or_patient_are_counted(spark, tmp_path, write_nih, image, patient, what):
    rows = [(image, "Edema", patient, "58"), ("00000003_000.png", "Edema", "3", "58")]
    with pytest.raises(LabelTableError, match=f"does not name {what} in 1 of its 2 rows"):
        read_nih(spark, write_nih(tmp_path, rows))


def test_table_without_rows_is_an_error(spark, tmp_path, write_nih):
    with pytest.raises(LabelTableError, match="has a header but no rows"):
        read_nih(spark, write_nih(tmp_path, []))


def test_missing_column_is_named_with_those_that_are_there(spark, tmp_path, write_nih):
    path = write_nih(tmp_path) / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text().replace("Patient Age", "Years"))
    with pytest.raises(LabelTableError, match=r"no column 'Patient Age'; it has 'Image Index', 'Finding Labels'"):
        read_nih(spark, tmp_path)


def test_empty_table_has_no_columns(spark, tmp_path):
    (tmp_path / "Data_Entry_2017.csv").touch()
    with pytest.raises(LabelTableError, match="it has no columns at all"):
        read_nih(spark, tmp_path)


def test_table_of_another_data_set_under_the_right_name_is_recognized(spark, tmp_path):
    (tmp_path / "Data_Entry_2017.csv").write_text("Path,Sex,Age,Frontal/Lateral,AP/PA\na/b.jpg,Male,50,Frontal,AP\n")
    with pytest.raises(LabelTableError, match=r"it has 'Path', 'Sex'.* Is this CheXpert\?"):
        read_nih(spark, tmp_path)


def test_folder_of_another_data_set_is_recognized(spark, tmp_path):
    (tmp_path / "LICENSE.txt").write_text("terms")
    (tmp_path / "metadata.csv").write_text("dicom_id,subject_id,study_id,ViewPosition\n")
    with pytest.raises(LabelTableError, match=r"holds metadata.csv, which has 'dicom_id'.* Is this MIMIC-CXR-JPG\?"):
        read_nih(spark, tmp_path)


def test_folder_of_unknown_tables_lists_them(spark, tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(LabelTableError, match=r"holds 'notes.csv', but no label table of NIH ChestX-ray14"):
        read_nih(spark, tmp_path)


@pytest.mark.parametrize("folder", ["", "nowhere"], ids=["empty", "missing"])
def test_folder_without_tables_names_the_table_that_it_needs(spark, tmp_path, folder):
    with pytest.raises(LabelTableError, match=r"holds no CSV table, or does not exist.*Data_Entry_2017_v2020.csv"):
        read_nih(spark, tmp_path / folder)


def test_boxes_have_the_names_of_the_label_table(spark, tmp_path):
    (tmp_path / "BBox_List_2017.csv").write_text(BOXES)
    first, second = read_nih_boxes(spark, tmp_path).orderBy("image_id").collect()
    assert tuple(first) == (
        "00013118_008",
        "Atelectasis",
        *(pytest.approx(x) for x in (225.0847, 547.0192, 86.7797, 79.1864)),
    )
    assert second["finding"] == "Infiltration"


def test_boxes_of_an_unknown_finding_are_an_error(spark, tmp_path):
    (tmp_path / "BBox_List_2017.csv").write_text(BOXES.replace("Atelectasis", "Fracture"))
    with pytest.raises(LabelTableError, match=r"BBox_List_2017.csv has the finding 'Fracture'"):
        read_nih_boxes(spark, tmp_path)


@pytest.mark.data
def test_published_table_has_its_published_counts(spark, shared_data):
    table = read_nih(spark, shared_data / "nih-256")
    infiltration, hernia = (F.sum(F.col("labels")[NIH_FINDINGS.index(name)]) for name in ("Infiltration", "Hernia"))
    total = table.agg(F.count("*"), F.count_distinct("patient_id"), infiltration, hernia).first()
    # Wang et al. 2017 and DECK.md.
    assert tuple(total) == (112_120, 30_805, 19_894, 227)
    by_split = {
        row["split"]: row for row in table.groupBy("split").agg(F.count("*"), F.count_distinct("patient_id")).collect()
    }
    assert by_split["train"][1] + by_split["validation"][1] == 86_524
    assert by_split["test"][1] == 25_596
    assert sum(row[2] for row in by_split.values()) == 30_805


@pytest.mark.data
def test_published_boxes_lie_in_their_frame(spark, shared_data):
    boxes = read_nih_boxes(spark, shared_data / "nih-256").collect()
    assert len(boxes) == 984
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 1024.5 for box in boxes)
    assert all(box["y"] >= 0 and box["y"] + box["height"] <= 1024.5 for box in boxes)
