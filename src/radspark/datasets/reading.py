"""Reads one data set's labels into the schema of all label tables, checked, with its splits assigned."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from radspark.datasets.leaks import check_no_leak, find_places
from radspark.datasets.registry import get_dataset
from radspark.datasets.schema import LabelTable, to_label_table
from radspark.datasets.splits import check_split_settings
from radspark.datasets.tables import Folder
from radspark.errors import SplitError
from radspark.settings import SplitSettings, from_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set, the folder that it lies in, and what was chosen about its labels."""

    dataset: str
    """A name of `DATASETS`, such as `nih`."""
    data_dir: Folder
    """On any file system that Spark reads."""
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the data set's `rules`; what is left out has its default."""

    def __post_init__(self) -> None:
        self.checked_rules()

    def checked_rules(self) -> Any:
        """The rules as the reader takes them.

        Raises:
            ArgumentError: an unknown data set, rule or value.
        """
        return from_dict(get_dataset(self.dataset).rules, self.rules, where=f"the rules of {self.dataset!r}")

    @property
    def title(self) -> str:
        """For people: the data set's name, or the folder's where the table is anybody's."""
        is_plain = self.dataset == "table"
        return PurePosixPath(os.fspath(self.data_dir)).name if is_plain else get_dataset(self.dataset).title


def read_labels(
    spark: SparkSession, source: Source, *, split: SplitSettings | None = None, allow_leak: bool = False
) -> LabelTable:
    """The label table of a data set, lazily, checked beforehand.

    Args:
        allow_leak: leave a patient in two splits to `find_places`.

    Raises:
        LabelTableError: no table, another data set's, a missing column, rows without image or patient, repeated images,
            or a value that the data set does not have.
        SplitError: the official split is asked for and is missing or faulty, or a patient stands in two splits.
    """
    split = split or SplitSettings()
    policy = check_split_settings(split)
    dataset = get_dataset(source.dataset)
    table = dataset.read(spark, source.data_dir, official=policy.needs_official, rules=source.checked_rules())
    if policy.needs_official and not table.official_splits:
        raise SplitError(f"{dataset.title} has no official split; use split_policy='patient', or another one.")
    if policy.needs_official and "validation" in table.official_splits:
        split = dataclasses.replace(split, validation_share=0.0)
    frame = to_label_table(table.frame)
    frame = _without_soft_labels_outside_training(policy.assign(frame, split))
    places = find_places(frame)
    if not (policy.leaks_patients or allow_leak):
        check_no_leak(places)
    return dataclasses.replace(table, frame=frame, fingerprints=places.fingerprints)


def _without_soft_labels_outside_training(frame: DataFrame) -> DataFrame:
    """Labels between 0 and 1 are for the loss; where something is measured, they are unknown."""
    is_hard = F.transform("labels", lambda value: F.when(value.isin(0.0, 1.0), value))
    return frame.withColumn("labels", F.when(F.col("split") == "train", F.col("labels")).otherwise(is_hard))
