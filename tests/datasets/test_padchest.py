from __future__ import annotations

import datetime

import pytest
from published_layouts import write_padchest

from radspark.datasets.padchest import PADCHEST_FINDINGS
from radspark.datasets.reading import Source, read_labels
from radspark.errors import SplitError
from radspark.settings import SplitSettings

pytestmark = pytest.mark.spark


def read(spark, folder, **rules):
    rows = read_labels(spark, Source("padchest", folder, rules), split=SplitSettings(policy="external")).frame.collect()
    return {row["image_id"]: row for row in rows}


def present(row):
    return {name for name, value in zip(PADCHEST_FINDINGS, row["labels"], strict=True) if value}


def test_words_become_findings_whole_and_without_spaces(spark, tmp_path):
    assert present(read(spark, write_padchest(tmp_path))["0001_a"]) == {"Effusion", "Atelectasis"}


def test_profile_is_read(spark, tmp_path):
    row = read(spark, write_padchest(tmp_path))["0002_b"]
    assert (row["age"], row["sex"], row["view"], row["date"]) == (84.0, "F", "LATERAL", datetime.date(2014, 9, 15))
    assert (row["study_id"], row["patient_id"], row["labels"]) == ("study-0002", "p2", [0.0] * len(PADCHEST_FINDINGS))


@pytest.mark.parametrize("image", ["0003_c", "0004_d"], ids=["excluded", "without a word of findings"])
def test_rows_that_say_nothing_are_unknown(spark, tmp_path, image):
    assert set(read(spark, write_padchest(tmp_path))[image]["labels"]) == {None}


def test_lying_and_unknown_projections(spark, tmp_path):
    rows = read(spark, write_padchest(tmp_path))
    assert (rows["0003_c"]["view"], rows["0004_d"]["view"]) == (None, "AP")


def test_the_programs_labels_can_be_left_out(spark, tmp_path):
    rows = read(spark, write_padchest(tmp_path), labeled_by="physicians")
    assert set(rows["0002_b"]["labels"]) == {None}
    assert present(rows["0001_a"])


def test_official_split_is_refused_as_there_is_none(spark, tmp_path):
    with pytest.raises(SplitError, match="PadChest has no official split; use split_policy='patient'"):
        read_labels(spark, Source("padchest", write_padchest(tmp_path)))
