"""A list of splits is taken as it is written, or refused with what is wrong with it."""

from __future__ import annotations

import pytest

from radspark.datasets.split_file import split_by_file
from radspark.errors import SplitError

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def table(spark):
    return spark.createDataFrame(
        [(f"i{n}", f"p{n}", "train") for n in range(4)], "image_id string, patient_id string, split string"
    )


def written(tmp_path, *lines):
    file = tmp_path / "splits.csv"
    file.write_text("\n".join(("image_id,split", *lines)) + "\n")
    return str(file)


def test_radiographs_have_the_split_of_the_list_and_others_none(table, tmp_path, caplog):
    file = written(tmp_path, "i0,test", "i1,validation", "i2,", "i9,train")
    rows = {row["image_id"]: row["split"] for row in split_by_file(table, file).collect()}
    assert rows == {"i0": "test", "i1": "validation", "i2": None, "i3": None}
    assert caplog.messages == ["the split file names 1 images that have no row in the label table"]


def test_parquet_says_the_same_as_csv(spark, table, tmp_path):
    spark.createDataFrame([("i0", "test"), ("i3", "train")], "image_id string, split string").write.parquet(
        str(tmp_path / "list.parquet")
    )
    rows = {row["image_id"]: row["split"] for row in split_by_file(table, str(tmp_path / "list.parquet")).collect()}
    assert rows == {"i0": "test", "i1": None, "i2": None, "i3": "train"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["i0,tset"], "has the split 'tset'; a split is one of train, validation, test, or blank"),
        (["i0,test", "i0,train"], "names 1 images twice or not at all"),
        (["a,test", "b,train"], "names 2 images, but none of the label table"),
    ],
    ids=["strange split", "twice", "another table's"],
)
def test_a_faulty_list_is_refused(table, tmp_path, lines, said):
    with pytest.raises(SplitError, match=said):
        split_by_file(table, written(tmp_path, *lines))


def test_what_is_no_list_is_refused(table, tmp_path):
    with pytest.raises(SplitError, match="there is no split file"):
        split_by_file(table, str(tmp_path / "missing.csv"))
    (tmp_path / "other.csv").write_text("path,split\na,test\n")
    with pytest.raises(SplitError, match="has no column 'image_id'; .* this one has path, split"):
        split_by_file(table, str(tmp_path / "other.csv"))
    with pytest.raises(SplitError, match=r"ends in .csv, .csv.gz or .parquet"):
        split_by_file(table, str(tmp_path / "list.txt"))
