from __future__ import annotations

import pytest
from published_layouts import write_openi, write_openi_xml

from radspark.datasets.openi import OPENI_FINDINGS
from radspark.datasets.reading import Source, read_labels
from radspark.errors import LabelTableError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark


def read(spark, folder):
    rows = read_labels(spark, Source("openi", folder), split=SplitSettings(policy="external")).frame.collect()
    return {row["image_id"]: row for row in rows}


def present(row):
    return {name for name, value in zip(OPENI_FINDINGS, row["labels"], strict=True) if value}


def test_terms_and_their_qualifiers_become_findings(spark, tmp_path):
    row = read(spark, write_openi(tmp_path))["2_IM-0652-1001.dcm"]
    assert present(row) == {"Cardiomegaly", "Pleural_Thickening", "Lung_Opacity"}


def test_report_stands_for_a_patient_and_gives_its_views(spark, tmp_path):
    rows = [row for row in read(spark, write_openi(tmp_path)).values() if row["study_id"] == "1"]
    assert {row["view"] for row in rows} == {"FRONTAL", "LATERAL"}
    assert [row["labels"] for row in rows] == [[0.0] * len(OPENI_FINDINGS)] * 2
    assert {row["patient_id"] for row in rows} == {"1"}


def test_report_that_nobody_indexed_is_unknown(spark, tmp_path):
    rows = read(spark, write_openi(tmp_path)).values()
    assert {value for row in rows if row["study_id"] == "3" for value in row["labels"]} == {None}


def test_xml_reports_are_read(spark, tmp_path):
    rows = read(spark, write_openi_xml(tmp_path))
    assert sorted(rows) == [f"CXR{n}_IM-0001-{i}001" for n in (1, 2) for i in (3, 4)]
    assert present(rows["CXR2_IM-0001-3001"]) == {"Effusion", "Cardiomegaly"}
    assert rows["CXR1_IM-0001-4001"]["labels"] == [0.0] * len(OPENI_FINDINGS)


def test_folder_without_either_names_what_it_needs(spark, tmp_path):
    with pytest.raises(LabelTableError, match=r"folder of Open-i, with indiana_projections.csv"):
        read(spark, tmp_path)
