from __future__ import annotations

import pytest
from published_layouts import write_chexpert

from radspark.datasets.chexpert_labeler import CHEXPERT_FINDINGS, SMOOTH_RANGE
from radspark.datasets.reading import Source, read_labels
from radspark.errors import LabelTableError

pytestmark = pytest.mark.spark

FRONTAL = "patient00002/study2/view1_frontal"


def read(spark, folder, **rules):
    rows = read_labels(spark, Source("chexpert", folder, rules)).frame.collect()
    return {row["image_id"]: row for row in rows}


def labels_of(row):
    return dict(zip(CHEXPERT_FINDINGS, row["labels"], strict=True))


def test_rows_are_of_views_and_name_study_and_patient(spark, tmp_path):
    rows = read(spark, write_chexpert(tmp_path))
    assert rows["patient00002/study2/view2_lateral"].asDict() | {"labels": None} == {
        "image_id": "patient00002/study2/view2_lateral",
        "study_id": "patient00002/study2",
        "patient_id": "patient00002",
        "age": 87.0,
        "sex": "M",
        "view": "LATERAL",
        "site": None,
        "date": None,
        "labels": None,
        "split": "train",
    }
    assert {image.split("/")[0]: row["split"] for image, row in rows.items()} == {
        "patient00001": "train",
        "patient00002": "train",
        "patient64541": "validation",
        "patient64741": "test",
    }


def test_pleural_effusion_is_effusion(spark, tmp_path):
    assert labels_of(read(spark, write_chexpert(tmp_path))["patient64741/study1/view1_frontal"])["Effusion"] == 1


def test_no_finding_makes_all_but_devices_absent(spark, tmp_path):
    labels = labels_of(read(spark, write_chexpert(tmp_path))["patient00001/study1/view1_frontal"])
    assert labels.pop("Support_Devices") == 1
    assert set(labels.values()) == {0.0}


@pytest.mark.parametrize(("policy", "value"), [("zeros", 0.0), ("ones", 1.0), ("ignore", None)])
def test_uncertain_labels_follow_the_policy(spark, tmp_path, policy, value):
    rules = {"uncertain": policy, "uncertain_by_finding": {"Edema": "ones"}}
    labels = labels_of(read(spark, write_chexpert(tmp_path), **rules)[FRONTAL])
    assert (labels["Atelectasis"], labels["Edema"]) == (value, 1.0)
    assert (labels["Lung_Opacity"], labels["Pneumothorax"]) == (1.0, None)


def test_smoothed_labels_are_drawn_per_image_and_only_for_training(spark, tmp_path):
    folder = write_chexpert(tmp_path)
    valid = folder / "valid.csv"
    valid.write_text(valid.read_text().replace("AP,0.0,1.0,1.0", "AP,0.0,1.0,-1.0"))
    rows = read(spark, folder, uncertain="smooth")
    drawn = [labels_of(rows[image])["Cardiomegaly"] for image in (FRONTAL, "patient00002/study2/view2_lateral")]
    assert all(SMOOTH_RANGE[0] <= value <= SMOOTH_RANGE[1] for value in drawn) and drawn[0] != drawn[1]
    assert labels_of(rows["patient64541/study1/view1_frontal"])["Cardiomegaly"] is None


def test_unmentioned_findings_can_be_taken_for_absent(spark, tmp_path):
    labels = labels_of(read(spark, write_chexpert(tmp_path), unmentioned="negative")[FRONTAL])
    assert (labels["Pneumothorax"], labels["Atelectasis"]) == (0.0, None)


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(ValueError, match="has no setting 'uncertian'. Did you mean 'uncertain'"):
        Source("chexpert", "x", {"uncertian": "ones"})


def test_an_exception_for_no_finding_of_chexpert_is_an_error():
    with pytest.raises(ValueError, match="must name findings .* got Oedema"):
        Source("chexpert", "x", {"uncertain_by_finding": {"Oedema": "ones"}})


def test_table_without_a_column_is_named(spark, tmp_path):
    path = write_chexpert(tmp_path) / "train.csv"
    path.write_text(path.read_text().replace("Edema", "Oedema"))
    with pytest.raises(LabelTableError, match=r"train.csv has no column 'Edema'"):
        read(spark, tmp_path)
