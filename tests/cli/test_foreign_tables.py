"""Predictions and labels of others: what is joined, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from radspark.cli.foreign_tables import join_tables
from radspark.cli.nih_table import spread_nih_table
from radspark.errors import DataError
from radspark.labels import NIH_FINDINGS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREDICTIONS = "image_id,prob_Mass,prob_Effusion\nb.png,0.2,0.3\nfolder/a.png,0.9,0.4\n"
LABELS = "image_id,patient_id,Effusion,Mass,sex,age\na,1,1,0,F,50\nb,2,,1,M,\nc,2,0,0,M,61\n"


def write(folder: Path, predictions: str = PREDICTIONS, labels: str = LABELS) -> tuple[Path, Path]:
    (folder / "p.csv").write_text(predictions)
    (folder / "l.csv").write_text(labels)
    return folder / "p.csv", folder / "l.csv"


def refusal(folder: Path, predictions: str = PREDICTIONS, labels: str = LABELS, **more: Any) -> str:
    with pytest.raises(DataError) as error:
        join_tables(*write(folder, predictions, labels), **{"prefix": "prob_", **more})
    return str(error.value)


def test_rows_meet_by_image_in_the_order_of_ids_and_findings_in_that_of_the_labels(tmp_path: Path) -> None:
    joined = join_tables(*write(tmp_path), prefix="prob_")
    table = joined.table
    assert (tuple(table.labels), table.image_ids, table.patients) == (("Effusion", "Mass"), ["a", "b"], ["1", "2"])
    np.testing.assert_array_equal(table.labels_NC, [[1, 0], [np.nan, 1]])
    np.testing.assert_array_equal(table.probabilities_NC, [[0.4, 0.9], [0.3, 0.2]])
    assert table.attributes == {"sex": ["F", "M"], "age": [50.0, None]}
    assert (joined.group_column, joined.without_prediction, joined.unreadable) == ("patient_id", 1, 0)


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    predictions, labels = write(tmp_path)
    expected = join_tables(predictions, labels, prefix="prob_").table
    for file in (predictions, labels):
        pd.read_csv(file).to_parquet(file.with_suffix(".parquet"))
    table = join_tables(predictions.with_suffix(".parquet"), labels.with_suffix(".parquet"), prefix="prob_").table
    np.testing.assert_array_equal(table.labels_NC, expected.labels_NC)
    np.testing.assert_array_equal(table.probabilities_NC, expected.probabilities_NC)
    assert table.attributes == expected.attributes


def test_a_blank_row_is_a_file_that_could_not_be_read(tmp_path: Path) -> None:
    joined = join_tables(*write(tmp_path, PREDICTIONS + "c.png,,\n"), prefix="prob_")
    assert (joined.table.image_ids, joined.unreadable, joined.without_prediction) == (["a", "b"], 1, 0)


def test_the_group_column_can_be_any_of_either_table(tmp_path: Path) -> None:
    predictions = "image_id,site,Mass\na,north,0.2\nb,south,0.4\n"
    files = write(tmp_path, predictions)
    assert join_tables(*files, group_column="site").table.patients == ["north", "south"]
    assert join_tables(*files, group_column="sex").table.patients == ["F", "M"]


def test_without_a_patient_column_there_are_no_groups(tmp_path: Path) -> None:
    joined = join_tables(*write(tmp_path, labels="image_id,Mass\na,1\nb,0\n"), prefix="prob_")
    assert (joined.group_column, joined.table.patients) == (None, None)


def test_names_of_findings_meet_whatever_their_case_and_spaces(tmp_path: Path) -> None:
    files = write(tmp_path, "id,pleural thickening\na,0.5\nb,0.1\n", "id,Pleural_Thickening\na,1\nb,0\n")
    assert tuple(join_tables(*files).table.labels) == ("Pleural_Thickening",)


def test_two_columns_of_one_finding_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, PREDICTIONS.replace("prob_Effusion", "prob_mass"))
    assert said.endswith("p.csv has two columns of one finding, 'prob_Mass' and 'prob_mass'; leave one out.")
    said = refusal(tmp_path, labels=LABELS.replace("Effusion", "MASS"))
    assert said.endswith("l.csv has two columns of one finding, 'MASS' and 'Mass'; leave one out.")


def test_ids_stay_text(tmp_path: Path) -> None:
    files = write(tmp_path, "id,Mass\n0010,0.5\n010,0.1\n", "id,Mass\n0010,1\n010,0\n")
    assert join_tables(*files).table.image_ids == ["0010", "010"]


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        (PREDICTIONS + "d.png,0.1,0.1\n", "1 of 3 predictions have no row in"),
        (PREDICTIONS + "a.png,0.1,0.1\n", "several rows for the image 'a'"),
        (PREDICTIONS + "c.png,0.1,\n", "no value for some findings of 'c'"),
        (PREDICTIONS + "c.png,0.1,high\n", "has 'high' in its column 'prob_Effusion', which is no number"),
        ("image_id,prob_Mass\na,\n", "every row is blank"),
        ("image_id,prob_Nodule\na,0.1\n", "no column of"),
        ("name,prob_Mass\na,0.1\n", "has no column of image ids; it has 'name', 'prob_Mass'. Name it with --id-column"),
        ("image_id,prob_Mass\n", "has no rows"),
        ("", "is neither CSV nor Parquet"),
    ],
)
def test_predictions_that_cannot_be_joined_are_refused(tmp_path: Path, predictions: str, said: str) -> None:
    assert said in refusal(tmp_path, predictions)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS.replace("b,2,,1", "b,2,-1,1"), "has -1 in its column 'Effusion'; a label is 1, 0, or blank"),
        (LABELS + "a,1,1,0,F,50\n", "several rows for the image 'a'"),
        (LABELS.replace("a,1,1", "a,,1"), "1 images have no 'patient_id'"),
        ("Image Index,Finding Labels\na.png,Mass|Goiter\nb.png,Mass\n", "has the finding 'Goiter'; NIH's are"),
    ],
)
def test_labels_that_cannot_be_joined_are_refused(tmp_path: Path, labels: str, said: str) -> None:
    assert said in refusal(tmp_path, labels=labels)


def test_columns_that_are_named_and_not_there_are_refused(tmp_path: Path) -> None:
    assert "has no column 'uid', which --id-column names" in refusal(tmp_path, id_column="uid")
    assert "has a column 'site', which --group-column names" in refusal(tmp_path, group_column="site")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        join_tables(tmp_path / "none.csv", tmp_path / "l.csv")


NIH = """Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position
00000001_000.png,Cardiomegaly | Mass,1,058Y,M,pa
00000002_000.png,No Finding,2,006M,F,AP
00000003_000.png,,3,411,X,AP
"""


def test_nihs_table_becomes_a_column_per_finding(tmp_path: Path) -> None:
    (tmp_path / "nih.csv").write_text(NIH)
    spread = spread_nih_table(pd.read_csv(tmp_path / "nih.csv", dtype=str), file=tmp_path / "nih.csv")
    assert spread["Mass"].tolist()[:2] == [1.0, 0.0] and math.isnan(spread["Mass"][2])
    assert spread["age"].tolist()[:2] == [58.0, 0.5] and math.isnan(spread["age"][2])
    assert spread["sex"].tolist()[:2] == ["M", "F"] and spread["view"].tolist() == ["PA", "AP", "AP"]


@pytest.mark.spark
@pytest.mark.data
def test_nihs_table_is_read_as_spark_reads_it(spark: SparkSession, shared_data: Path) -> None:
    from radspark.datasets.nih import read_nih
    from radspark.datasets.schema import NoRules

    folder = shared_data / "nih-256"
    table = pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz", dtype=str)
    ours = spread_nih_table(table, file=folder)
    ours.index = ours["Image Index"].str.removesuffix(".png")
    theirs = (
        read_nih(spark, folder, official=True, rules=NoRules()).frame.toPandas().set_index("image_id").loc[ours.index]
    )
    assert len(ours) == len(theirs) == 112_120
    np.testing.assert_array_equal(ours[list(NIH_FINDINGS)].to_numpy(), np.stack(theirs["labels"].to_numpy()))
    for name in ("patient_id", "sex", "view"):
        assert ours[name].tolist() == theirs[name].tolist(), name
    np.testing.assert_allclose(ours["age"], theirs["age"].astype(float), rtol=1e-6)
