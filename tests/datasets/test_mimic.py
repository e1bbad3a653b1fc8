from __future__ import annotations

import datetime

import pytest
from published_layouts import write_mimic

from radspark.datasets.chexpert_labeler import CHEXPERT_FINDINGS
from radspark.datasets.reading import Source, read_labels
from radspark.errors import LabelTableError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark


def read(spark, folder, split=None, **rules):
    rows = read_labels(spark, Source("mimic", folder, rules), split=split).frame.collect()
    return {row["image_id"]: row for row in rows}


def label(row, finding):
    return row["labels"][CHEXPERT_FINDINGS.index(finding)]


def test_views_of_a_study_share_its_labels(spark, tmp_path):
    rows = read(spark, write_mimic(tmp_path))
    frontal, lateral = rows["02aa804e-bde0afdd"], rows["174413ec-4ec4c1f7"]
    assert (frontal["study_id"], frontal["labels"]) == (lateral["study_id"], lateral["labels"])
    assert (frontal["view"], lateral["view"]) == ("PA", "LATERAL")
    assert frontal["date"] == datetime.date(2180, 5, 6)
    assert label(frontal, "Effusion") == 0.0


def test_official_split_keeps_its_validation_part(spark, tmp_path):
    rows = read(spark, write_mimic(tmp_path), split=SplitSettings(validation_share=0.9))
    assert {row["patient_id"]: row["split"] for row in rows.values()} == {
        "10000032": "train",
        "10000764": "validation",
    }


def test_study_without_labels_is_unknown(spark, tmp_path):
    assert set(read(spark, write_mimic(tmp_path))["68b5c4b1-227d0485"]["labels"]) == {None}


def test_either_labeler_can_be_believed(spark, tmp_path):
    folder = write_mimic(tmp_path)
    values = [
        label(read(spark, folder, labeler=name, uncertain="ones")["2a2277a9-b0ded155"], "Cardiomegaly")
        for name in ("chexpert", "negbio")
    ]
    assert values == [1.0, 0.0]


def test_missing_table_is_named(spark, tmp_path):
    (write_mimic(tmp_path) / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    with pytest.raises(LabelTableError, match=r"folder of MIMIC-CXR-JPG, with mimic-cxr-2.0.0-split.csv"):
        read(spark, tmp_path)
