"""What every label table keeps to, whoever publishes it."""

from __future__ import annotations

import pytest
from published_layouts import LAYOUTS, TABLE_RULES

from radspark.datasets.reading import Source, read_labels
from radspark.datasets.registry import DATASETS
from radspark.datasets.schema import LABEL_TABLE, SPLITS
from radspark.errors import LabelTableError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark

RULES = {"table": TABLE_RULES}


@pytest.fixture
def write(write_nih):
    return {"nih": write_nih, **LAYOUTS}


@pytest.mark.parametrize("name", DATASETS)
def test_schema_splits_and_label_lengths_are_everyones(spark, tmp_path, write, name):
    table = read_labels(
        spark, Source(name, write[name](tmp_path), RULES.get(name, {})), split=SplitSettings(policy="patient")
    )
    assert [(field.name, field.dataType) for field in table.frame.schema] == [
        (field.name, field.dataType) for field in LABEL_TABLE
    ]
    rows = table.frame.collect()
    assert {row["split"] for row in rows} <= set(SPLITS)
    assert {len(row["labels"]) for row in rows} == {len(table.labels)}
    assert {value for row in rows for value in row["labels"]} <= {0.0, 1.0, None}


@pytest.mark.parametrize(
    ("name", "table", "line"),
    [
        ("chexpert", "train.csv", 2),
        ("mimic", "mimic-cxr-2.0.0-metadata.csv", 1),
        ("padchest", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", 1),
        ("openi", "indiana_projections.csv", 1),
        ("table", "cases.csv", 1),
    ],
)
def test_repeated_image_is_named(spark, tmp_path, write, name, table, line):
    path = write[name](tmp_path) / table
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[line]]) + "\n")
    with pytest.raises(LabelTableError, match=r"1 rows for images that it has named before"):
        read_labels(spark, Source(name, tmp_path, RULES.get(name, {})), split=SplitSettings(policy="patient"))


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "table"])
def test_table_of_another_data_set_is_recognized(spark, tmp_path, name):
    other = "CheXpert" if name != "chexpert" else "NIH ChestX-ray14"
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA" if name != "chexpert" else "Image Index,Finding Labels"
    (tmp_path / "some.csv").write_text(header + "\n")
    with pytest.raises(LabelTableError, match=rf"Is this {other}\?"):
        read_labels(spark, Source(name, tmp_path), split=SplitSettings(policy="patient"))
