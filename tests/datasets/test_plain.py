from __future__ import annotations

import datetime

import pytest
from published_layouts import TABLE_RULES, write_table

from radspark.datasets.reading import Source, read_labels
from radspark.errors import LabelTableError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark

EXTERNAL = SplitSettings(policy="external")


def read(spark, folder, split=None, **rules):
    table = read_labels(spark, Source("table", folder, TABLE_RULES | rules), split=split)
    return {row["image_id"]: row for row in table.frame.collect()}


def test_columns_are_mapped_and_a_uid_keeps_its_dots(spark, tmp_path):
    rows = read(spark, write_table(tmp_path))
    assert rows["1.2.840.1"].asDict() == {
        "image_id": "1.2.840.1",
        "study_id": None,
        "patient_id": "7",
        "age": None,
        "sex": None,
        "view": None,
        "site": "North",
        "date": datetime.date(2019, 3, 1),
        "labels": [1.0, 0.0],
        "split": "train",
    }
    assert [rows[f"1.2.840.{i}"]["labels"] for i in (2, 3)] == [[None, 1.0], [None, 0.0]]
    assert [rows[f"1.2.840.{i}"]["split"] for i in (2, 3)] == ["validation", "test"]


def test_parquet_with_its_own_types_is_read(spark, tmp_path):
    write_table(tmp_path)
    frame = spark.read.option("header", True).option("inferSchema", True).csv(str(tmp_path / "cases.csv"))
    frame.write.parquet(str(tmp_path / "cases.parquet"))
    assert read(spark, tmp_path, file="cases.parquet") == read(spark, tmp_path)


def test_one_column_can_list_the_findings(spark, tmp_path):
    (tmp_path / "list.csv").write_text("image_id,patient_id,words\na.png,1,fluid; Opacity\nb.png,2,none\nc.png,3,\n")
    rules = {"finding_list": "words", "separator": ";", "findings": {"Effusion": "fluid", "Lung Opacity": "opacity"}}
    table = read_labels(spark, Source("table", tmp_path, {"file": "list.csv", **rules}), split=EXTERNAL)
    assert table.labels.names == ("Effusion", "Lung_Opacity")
    assert [row["labels"] for row in table.frame.orderBy("image_id").collect()] == [[1, 1], [0, 0], [None, None]]


def test_report_of_several_lines_is_one_cell_where_asked_for(spark, tmp_path):
    (tmp_path / "reports.csv").write_text('image_id,patient_id,report,fluid\na,1,"No ""focus"".\nFluid, left.",1\n')
    rules = {"file": "reports.csv", "multi_line": True, "findings": {"Effusion": "fluid"}}
    table = read_labels(spark, Source("table", tmp_path, rules), split=EXTERNAL)
    assert [(row["image_id"], row["labels"]) for row in table.frame.collect()] == [("a", [1.0])]


def test_value_that_no_rule_knows_is_named(spark, tmp_path):
    with pytest.raises(LabelTableError, match="cases.csv has 'yes' in column 'opacity', which must be a value of"):
        read(spark, write_table(tmp_path), positive=["1"])


def test_word_that_is_no_split_is_named(spark, tmp_path):
    path = write_table(tmp_path) / "cases.csv"
    path.write_text(path.read_text().replace(",val,", ",dev,"))
    with pytest.raises(LabelTableError, match="cases.csv has 'dev' in column 'Part'"):
        read(spark, tmp_path)


def test_missing_column_and_missing_table_are_named(spark, tmp_path):
    with pytest.raises(LabelTableError, match="cases.csv has no column 'Name'"):
        read(spark, write_table(tmp_path), image="Name")
    with pytest.raises(LabelTableError, match="holds no 'other.csv'"):
        read(spark, tmp_path, file="other.csv")


def test_rules_without_findings_are_refused():
    with pytest.raises(ValueError, match="findings must map at least one"):
        Source("table", "x", {"file": "a.csv"})
