"""A list of splits is taken as it is written, or refused with what is wrong with it."""

from __future__ import annotations

import pytest

from radspark.datasets.reading import Source, read_labels
from radspark.datasets.split_file import split_by_file
from radspark.errors import LabelTableError, SplitError
from radspark.settings import SplitSettings

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


def test_radiographs_have_the_split_of_the_list_and_others_none(table, tmp_path):
    file = written(tmp_path, "i0,test", "i1,validation", "i2,", "i9,train")
    rows = {row["image_id"]: row["split"] for row in split_by_file(table, file).collect()}
    assert rows == {"i0": "test", "i1": "validation", "i2": None, "i3": None}


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
    ],
    ids=["strange split", "twice"],
)
def test_a_faulty_list_is_refused(table, tmp_path, lines, said):
    with pytest.raises(SplitError, match=said):
        split_by_file(table, written(tmp_path, *lines))


def read(spark, folder, *lines):
    split = SplitSettings(policy="file", split_file=written(folder, *lines))
    return read_labels(spark, Source("nih", folder), split=split)


def test_images_without_a_row_are_counted(spark, write_nih, tmp_path, caplog):
    table = read(spark, write_nih(tmp_path), "00000001_000,test", "i8,", "i9,train")
    assert caplog.messages == ["splits.csv names 2 images that have no row in Data_Entry_2017_v2020.csv"]
    assert [row["image_id"] for row in table.frame.where("split = 'test'").collect()] == ["00000001_000"]


@pytest.mark.parametrize("lines", [["i8,test", "i9,train"], []], ids=["another table's", "empty"])
def test_a_list_of_no_image_of_the_table_is_refused(spark, write_nih, tmp_path, lines):
    with pytest.raises(SplitError, match=r"splits\.csv (is empty|names no image of .*); give the list"):
        read(spark, write_nih(tmp_path), *lines)


@pytest.mark.parametrize(
    ("rows", "said"), [(2, "has 1 rows for images that it has named before"), (0, "has a header but no rows")]
)
def test_a_faulty_label_table_is_blamed_itself(spark, write_nih, tmp_path, rows, said):
    with pytest.raises(LabelTableError, match=said):
        read(spark, write_nih(tmp_path, [("00000001_000.png", "Mass", "1", "58")] * rows), "00000001_000,test")


def test_what_is_no_list_is_refused(table, tmp_path):
    with pytest.raises(SplitError, match="there is no split file"):
        split_by_file(table, str(tmp_path / "missing.csv"))
    (tmp_path / "other.csv").write_text("path,split\na,test\n")
    with pytest.raises(SplitError, match="has no column 'image_id'; .* this one has path, split"):
        split_by_file(table, str(tmp_path / "other.csv"))
    with pytest.raises(SplitError, match=r"ends in .csv, .csv.gz or .parquet"):
        split_by_file(table, str(tmp_path / "list.txt"))
