"""Joins labels of data sets with the radiographs that are there, by stem, and has those read: the samples.

Labels and paths are joined first, so that only files with a label, of the wanted splits, are decoded.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import MAX_AGE_YEARS
from radspark.datasets.reading import Source, check_labels, open_labels
from radspark.datasets.registry import suited_preparation
from radspark.datasets.schema import LABEL_TABLE, SPLITS
from radspark.errors import ArgumentError, DataError, SplitError
from radspark.frames.described import describes
from radspark.frames.reader import read_images
from radspark.labels import LabelSet
from radspark.samples.combine import Findings, MatchedLabels, combine, describe_data
from radspark.samples.counts import JoinCounts, counts_of
from radspark.samples.files import find_radiographs
from radspark.samples.origin import mark_origin
from radspark.samples.prepared_set import PreparedSet, open_prepared
from radspark.settings import PreparationSettings, SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LoadedSamples:
    """Samples of a data set, decoded when `frame` is used."""

    frame: DataFrame
    """The columns of the label table (`datasets.schema`), and `path, image, error, warning`.

    A prepared set has no paths. A file that cannot be read is a row with a null image and an error.
    """
    labels: LabelSet
    counts: JoinCounts
    """Of the whole data set, whichever splits `frame` holds."""


def load_samples(
    spark: SparkSession,
    sources: Source | PreparedSet | Sequence[Source],
    *,
    preparation: PreparationSettings | None = None,
    split: SplitSettings | None = None,
    findings: Findings = "common",
    num_partitions: int | None = None,
    splits: Collection[str] | None = None,
) -> LoadedSamples:
    """Read labels, find their radiographs, and join both; a part of the files is enough.

    Args:
        sources: a data set and its folder, or several, whose samples are put together; or a prepared set, whose
            preparation, split and findings were chosen when it was made.
        preparation: how radiographs become uint8 squares; None takes what suits the data sets.
        split: which radiographs train, validate and test, in each source; None takes the official parts.
        findings: of several sources, those `common` to all, `all`, or named ones; unknown where a source lacks one.
        num_partitions: partitions of the frame; None leaves it to `read_images`.
        splits: decode only these; None takes all rows, those without a split too.

    Raises:
        LabelTableError: a label table is missing, of another data set, or faulty.
        SplitError: a patient stands in two splits, an official list is missing, or no sample is in `splits`.
        DataError: no radiographs, or none with a label, or no finding in common.
    """
    unknown = sorted(set(splits or ()) - set(SPLITS))
    if unknown:
        raise ArgumentError(f"splits must be among {', '.join(SPLITS)}, got {', '.join(unknown)}.")
    matched = match_labels(spark, sources, split=split, findings=findings)
    if preparation is None and not isinstance(sources, PreparedSet):
        several = [sources] if isinstance(sources, Source) else sources
        preparation = suited_preparation(source.dataset for source in several)
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
    """The samples of `LoadedSamples.frame`, decoded when it is used, unless they are a prepared set's.

    Arguments and errors are `load_samples`'s.
    """
    frame = matched.frame
    if splits is not None:
        _check_splits(matched.counts, splits)
        frame = frame.where(F.col("split").isin(*splits))
    if "image" in frame.columns:
        return frame.withColumn("error", F.lit(None).cast("string"))
    decoded = read_images(frame.sparkSession, frame, settings=preparation, num_partitions=num_partitions)
    return fill_profile(decoded).select(*LABEL_TABLE.names, "path", "image", "error", "warning")


def fill_profile(decoded: DataFrame) -> DataFrame:
    """The same rows, with age, sex and view of a DICOM's `header` where the label table does not say them."""
    header_age = F.when(F.col("header.age") <= MAX_AGE_YEARS, F.col("header.age"))
    return decoded.withColumns(
        {
            "age": F.coalesce("age", header_age),
            "sex": F.coalesce("sex", "header.sex"),
            "view": F.coalesce("view", "header.view"),
        }
    )


@describes("radspark: matching labels and radiographs")
def match_labels(
    spark: SparkSession,
    sources: Source | PreparedSet | Sequence[Source],
    *,
    split: SplitSettings | None = None,
    findings: Findings = "common",
    allow_leak: bool = False,
) -> MatchedLabels:
    """The rows of label tables whose radiograph is there, with its path; no file is opened.

    Logs how many rows and files have no partner, without naming any. Arguments and errors are `load_samples`'s.

    Args:
        allow_leak: leave a patient in two splits to `find_leak`.
    """
    if isinstance(sources, PreparedSet):
        return open_prepared(spark, sources.uri)
    several = [sources] if isinstance(sources, Source) else list(sources)
    if not several:
        raise ArgumentError("sources must hold at least one data set, got none.")
    found = [_match_source(spark, source, split=split, allow_leak=allow_leak) for source in several]
    matched = combine(several, found, findings=findings)
    _warn(matched.counts)
    origin = describe_data(several, split or SplitSettings(), fingerprints=[match.fingerprints for match in found])
    return dataclasses.replace(matched, frame=mark_origin(matched.frame, origin))


def _match_source(
    spark: SparkSession, source: Source, *, split: SplitSettings | None, allow_leak: bool
) -> MatchedLabels:
    opened = open_labels(spark, source, split=split)
    files = find_radiographs(spark, source.data_dir, images=opened.images)
    table, census = check_labels(opened, files=files, allow_leak=allow_leak)
    counts = counts_of(census)
    if not counts.matched:
        label, file = table.frame.agg(F.min("image_id")).first(), files.agg(F.min("stem")).first()
        assert label is not None and file is not None, "an aggregate always has a row"
        raise DataError(
            f"none of the {counts.files} radiographs in {source.data_dir} has a label: files are named like "
            f"{file[0]!r}, images in the label table like {label[0]!r}; give the folder whose files the table names."
        )
    paths = files.select(F.col("stem").alias("image_id"), "path")
    matched = table.frame.join(paths, "image_id").select(*LABEL_TABLE.names, "path")
    return MatchedLabels(
        frame=matched,
        table=table.frame,
        labels=table.labels,
        counts=counts,
        fingerprints=table.fingerprints,
        leaking=census.leaking,
    )


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
