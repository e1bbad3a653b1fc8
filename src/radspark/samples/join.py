"""Joins a data set's labels with the radiographs that are there, by stem, and has those read: the samples.

Labels and paths are joined first, so that only files with a label, of the wanted splits, are decoded.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.registry import get_dataset
from radspark.datasets.schema import LABEL_TABLE, SPLITS
from radspark.datasets.tables import Folder
from radspark.errors import DataError, SplitError
from radspark.frames.reader import read_images
from radspark.labels import LabelSet
from radspark.samples.counts import JoinCounts, count_matches
from radspark.samples.files import find_radiographs
from radspark.samples.origin import mark_origin
from radspark.settings import DataSettings, PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MatchedLabels:
    """A label table, and its rows whose radiograph is there."""

    frame: DataFrame
    """The rows with a radiograph: the columns of the label table, and `path`."""
    table: DataFrame
    """The whole label table."""
    labels: LabelSet
    counts: JoinCounts


@dataclass(frozen=True)
class LoadedSamples:
    """Samples of a data set, decoded when `frame` is used."""

    frame: DataFrame
    """`image_id, study_id, patient_id, age, sex, view, labels, split, path, image, error`.

    A file that cannot be read is a row with a null image and an error.
    """
    labels: LabelSet
    counts: JoinCounts
    """Of the whole data set, whichever splits `frame` holds."""


def load_samples(
    spark: SparkSession,
    dataset: str,
    data_dir: Folder,
    *,
    preparation: PreparationSettings | None = None,
    split_policy: str = "official",
    validation_share: float = 0.1,
    test_share: float = 0.2,
    seed: int = 0,
    num_partitions: int | None = None,
    splits: Collection[str] | None = None,
) -> LoadedSamples:
    """Read a data set's labels, find its radiographs, and join both; a part of the files is enough.

    Args:
        dataset: a name of `DATASETS`, such as `nih`.
        data_dir: its folder, on any file system that Spark reads.
        preparation: how radiographs become uint8 squares; None takes the defaults.
        split_policy: a name of `SPLIT_POLICIES`; shares and seed are explained there.
        num_partitions: partitions of the frame; None leaves it to `read_images`.
        splits: decode only these; None takes all rows, those without a split too.

    Raises:
        LabelTableError: the label table is missing, of another data set, or faulty.
        SplitError: a patient stands in two splits, an official list is missing, or no sample is in `splits`.
        DataError: no radiographs, or none with a label.
    """
    unknown = sorted(set(splits or ()) - set(SPLITS))
    if unknown:
        raise ValueError(f"splits must be among {', '.join(SPLITS)}, got {', '.join(unknown)}.")
    matched = match_labels(
        spark,
        dataset,
        data_dir,
        split_policy=split_policy,
        validation_share=validation_share,
        test_share=test_share,
        seed=seed,
    )
    frame = decode_matched(
        matched, preparation=preparation or PreparationSettings(), splits=splits, num_partitions=num_partitions
    )
    return LoadedSamples(frame, matched.labels, matched.counts)


def decode_matched(
    matched: MatchedLabels,
    *,
    preparation: PreparationSettings,
    splits: Collection[str] | None = None,
    num_partitions: int | None = None,
) -> DataFrame:
    """The samples of `LoadedSamples.frame`, decoded when it is used. Arguments and errors are `load_samples`'s."""
    frame = matched.frame
    if splits is not None:
        _check_splits(matched.counts, splits)
        frame = frame.where(F.col("split").isin(*splits))
    decoded = read_images(frame.sparkSession, frame, settings=preparation, num_partitions=num_partitions)
    return decoded.select(*LABEL_TABLE.names, "path", "image", "error")


def match_labels(
    spark: SparkSession,
    dataset: str,
    data_dir: Folder,
    *,
    split_policy: str = "official",
    validation_share: float = 0.1,
    test_share: float = 0.2,
    seed: int = 0,
    allow_leak: bool = False,
) -> MatchedLabels:
    """The rows of a label table whose radiograph is there, with its path; no file is opened.

    Logs how many rows and files have no partner, without naming any. Arguments and errors are `load_samples`'s.
    """
    source = get_dataset(dataset)
    table = source.read_labels(
        spark,
        data_dir,
        split_policy=split_policy,
        validation_share=validation_share,
        test_share=test_share,
        seed=seed,
        allow_leak=allow_leak,
    )
    files = find_radiographs(spark, data_dir, folders=source.image_folders)
    counts = count_matches(table, files)
    if not counts.matched:
        label, file = table.agg(F.min("image_id")).first(), files.agg(F.min("stem")).first()
        assert label is not None and file is not None, "an aggregate always has a row"
        raise DataError(
            f"none of the {counts.files} radiographs in {data_dir} has a label: files are named like {file[0]!r}, "
            f"images in the label table like {label[0]!r}; give the folder whose files the table names."
        )
    _warn(counts)
    paths = files.select(F.col("stem").alias("image_id"), "path")
    matched = table.join(paths, "image_id").select(*LABEL_TABLE.names, "path")
    matched = mark_origin(matched, DataSettings(dataset, split_policy, validation_share, test_share, seed))
    return MatchedLabels(frame=matched, table=table, labels=source.labels, counts=counts)


def _check_splits(counts: JoinCounts, splits: Collection[str]) -> None:
    """Raise SplitError for the first wanted split without a sample."""
    for split in splits:
        if not counts.by_split[split]:
            raise SplitError(
                f"the split {split!r} holds no radiograph that is here ({counts.summary()}); "
                "add images, or choose other shares or another split_policy."
            )


def _warn(counts: JoinCounts) -> None:
    if counts.labeled_without_file:
        logger.warning("%d of %d labelled radiographs have no file", counts.labeled_without_file, counts.labeled)
    if counts.files_without_label:
        logger.warning("%d of %d files have no label and are left out", counts.files_without_label, counts.files)
    if counts.repeated_files:
        logger.warning("%d files repeat another one's stem and are left out", counts.repeated_files)
    if counts.without_split:
        logger.warning("%d labelled radiographs that are here are in no split", counts.without_split)
