"""Reads one data set's labels into the schema of all label tables, checked, with its splits assigned."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from radspark.datasets.census import Census, take_census
from radspark.datasets.leaks import check_no_leak, find_leak
from radspark.datasets.registry import get_dataset
from radspark.datasets.schema import PROBLEM, LabelTable, SplitLists, to_label_table
from radspark.datasets.split_file import list_split_file
from radspark.datasets.splits import check_split_settings
from radspark.datasets.tables import Folder
from radspark.errors import LabelTableError, SplitError
from radspark.settings import SplitSettings, from_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)


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
        allow_leak: leave a patient in two splits to `find_leak`.

    Raises:
        LabelTableError: as `open_labels` and `check_labels`.
        SplitError: the same.
    """
    return check_labels(open_labels(spark, source, split=split), allow_leak=allow_leak)[0]


def open_labels(spark: SparkSession, source: Source, *, split: SplitSettings | None = None) -> LabelTable:
    """The label table of a data set with its splits, before a row of it was read.

    Raises:
        LabelTableError: no table, another data set's, or a missing column.
        SplitError: the official split is asked for and is missing, or a file of splits is faulty.
    """
    split = split or SplitSettings()
    policy = check_split_settings(split)
    dataset = get_dataset(source.dataset)
    table = dataset.read(spark, source.data_dir, official=policy.needs_official, rules=source.checked_rules())
    if policy.needs_official and not table.official_splits:
        raise SplitError(f"{dataset.title} has no official split; use split_policy='patient', or another one.")
    if policy.needs_official and "validation" in table.official_splits:
        split = dataclasses.replace(split, validation_share=0.0)
    frame = _without_soft_labels_outside_training(policy.assign(to_label_table(table.frame), split))
    lists = table.lists if split.split_file is None else list_split_file(spark, split.split_file)
    return dataclasses.replace(table, frame=frame, lists=lists, may_leak=policy.leaks_patients)


def check_labels(
    table: LabelTable, *, files: DataFrame | None = None, allow_leak: bool = False
) -> tuple[LabelTable, Census]:
    """Read a table once to check it, and count what is in it; with the files of its images, what meets too.

    Args:
        table: of `open_labels`.
        files: `stem, num_files` of the radiographs that are there.
        allow_leak: leave a patient in two splits to `find_leak`.

    Raises:
        LabelTableError: no rows, rows without image or patient, repeated images, or a value that the data set does not
            have.
        SplitError: a list of splits is faulty, or a patient stands in two splits.
    """
    lists = None if table.lists is None else table.lists.frame
    census = take_census(table.frame, lists=lists, files=files)
    _check_rows(census, table)
    if table.lists is not None:
        _check_lists(census, table.lists, file=table.file)
    if census.leaking and not (table.may_leak or allow_leak):
        check_no_leak(find_leak(table.frame))
    return dataclasses.replace(table, frame=table.frame.drop(PROBLEM), fingerprints=census.fingerprints), census


def _check_rows(census: Census, table: LabelTable) -> None:
    """Check that there are rows, and that each names its patient and one radiograph of its own, and known values."""
    if not census.rows:
        raise LabelTableError(f"{table.file} has a header but no rows; copy or download it again.")
    for count, what in ((census.without_image, "an image"), (census.without_patient, "a patient")):
        if count:
            raise LabelTableError(
                f"{table.file} does not name {what} in {count} of its {census.rows} rows; remove or mend them."
            )
    if census.repeated:
        repeated = table.frame.groupBy("image_id").count().where("count > 1").orderBy("image_id").limit(3).collect()
        raise LabelTableError(
            f"{table.file} has {census.repeated} rows for images that it has named before "
            f"(for example {', '.join(item['image_id'] for item in repeated)}); keep one row per image."
        )
    if census.problem is not None:
        raise LabelTableError(census.problem)


def _check_lists(census: Census, lists: SplitLists, *, file: str) -> None:
    """Check that each list names images of the table, and none that another names."""
    for split, name in lists.files.items():
        count = census.lists.get(split)
        if count is None:
            raise SplitError(f"{name} is empty; {lists.remedy}.")
        if count.shared:
            raise SplitError(f"{' and '.join(lists.files.values())} share {count.shared} images; {lists.remedy}.")
        if not count.labeled:
            raise SplitError(f"{name} names no image of {file} (its first is {count.example}); {lists.remedy}.")
        if count.labeled < count.listed:
            logger.warning("%s names %d images that have no row in %s", name, count.listed - count.labeled, file)


def _without_soft_labels_outside_training(frame: DataFrame) -> DataFrame:
    """Labels between 0 and 1 are for the loss; where something is measured, they are unknown."""
    is_hard = F.transform("labels", lambda value: F.when(value.isin(0.0, 1.0), value))
    return frame.withColumn("labels", F.when(F.col("split") == "train", F.col("labels")).otherwise(is_hard))
