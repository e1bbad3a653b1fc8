"""Checks a data set before it is used: counts, what is missing or unreadable, leaks, and who the patients are.

Radiographs are decoded once, as training would decode them; what was seen of each is kept by Spark, without pixels, and
all else comes from that. Rendering is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import functions as F

from radspark.datasets.leaks import Leak, find_leak
from radspark.datasets.reading import Source
from radspark.datasets.registry import suited_preparation
from radspark.frames.described import described
from radspark.frames.reader import read_images
from radspark.samples.check_counts import RadiographCounts, count_radiographs
from radspark.samples.duplicates import PixelLeak, find_pixel_leak, hash_images
from radspark.samples.join import fill_profile, match_labels
from radspark.samples.origin import find_origin
from radspark.settings import PreparationSettings, SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

    from radspark.samples.combine import Findings
    from radspark.samples.counts import JoinCounts


class UnreadableFile(NamedTuple):
    """A radiograph that cannot be decoded. Its path can name a patient: it is for tables that the user asked for."""

    path: str
    error: str


class FlaggedFile(NamedTuple):
    """A radiograph that is read and is odd, with the same care for its path."""

    path: str
    warning: str


class PlacedImage(NamedTuple):
    """Which split a radiograph is in, if in any. Its id can name a patient."""

    image_id: str
    split: str | None


@dataclass(frozen=True)
class DatasetCheck:
    """What was found in a data set."""

    dataset: str
    counts: JoinCounts
    radiographs: RadiographCounts
    leak: Leak
    """Over the whole label table, radiographs that are not there included."""
    pixel_leak: PixelLeak
    """Radiographs in two splits, by their pixels."""
    fingerprints: Mapping[str, Mapping[str, str]]
    """Of the patients of each split, by data set: what a bundle that is trained on them keeps (`DataSettings`)."""
    _seen: DataFrame = field(repr=False)

    @property
    def is_clean(self) -> bool:
        """True if every radiograph with a label can be read, and no patient and no pixels stand in two splits."""
        return not (self.radiographs.unreadable or self.leak.num_patients or self.pixel_leak.num_pairs)

    def list_placed(self) -> Iterator[PlacedImage]:
        """All radiographs by id, a part of them on the driver at a time."""
        return (PlacedImage(*row) for row in _fetch(self._seen.select("image_id", "split"), by="image_id"))

    def list_unreadable(self) -> Iterator[UnreadableFile]:
        """By path, in the same way."""
        if not self.radiographs.unreadable:
            return iter(())
        rows = self._seen.where(F.col("error").isNotNull()).select("path", "error")
        return (UnreadableFile(*row) for row in _fetch(rows, by="path"))

    def list_flagged(self) -> Iterator[FlaggedFile]:
        """By path, in the same way."""
        if not self.radiographs.flagged:
            return iter(())
        rows = self._seen.where(F.col("warning").isNotNull() & F.col("error").isNull()).select("path", "warning")
        return (FlaggedFile(*row) for row in _fetch(rows, by="path"))

    def to_dict(self) -> dict[str, Any]:
        """Counts ready for JSON; names no file and no patient."""
        found = self.radiographs
        return {
            "dataset": self.dataset,
            "counts": self.counts.to_dict(),
            "splits": {name: split.to_dict() for name, split in found.splits.items()},
            "leaking_patients": self.leak.num_patients,
            "same_pixels": self.pixel_leak.num_exact,
            "near_twins": self.pixel_leak.num_near,
            "splits_fingerprint": found.splits_fingerprint,
            "fingerprints": {name: dict(splits) for name, splits in self.fingerprints.items()},
            "unreadable": found.unreadable,
            "unreadable_errors": dict(found.unreadable_errors),
            "flagged": found.flagged,
            "flagged_warnings": dict(found.flagged_warnings),
            "ages": dict(found.ages),
            "sexes": dict(found.sexes),
            "views": dict(found.views),
        }


@contextmanager
def check_dataset(
    spark: SparkSession,
    sources: Source | Sequence[Source],
    *,
    preparation: PreparationSettings | None = None,
    split: SplitSettings | None = None,
    findings: Findings = "common",
) -> Iterator[DatasetCheck]:
    """Read all labels and decode all radiographs that have one; a leak is counted, not raised.

    Radiographs can be listed for as long as the block lasts. Arguments and the other errors are `load_samples`'s.
    """
    matched = match_labels(spark, sources, split=split, findings=findings, allow_leak=True)
    names = [source.dataset for source in ([sources] if isinstance(sources, Source) else sources)]
    settings = preparation or suited_preparation(names)
    with _kept(matched.frame) as labeled, _kept(_look(spark, labeled, settings)) as seen:
        with described(spark, "radspark: decoding every radiograph"):
            radiographs = count_radiographs(seen, matched.labels)
        with described(spark, "radspark: looking for patients and pixels in two splits"):
            leak = find_leak(matched.table) if matched.leaking else Leak(0, ())
            pixel_leak = find_pixel_leak(seen)
        origin = find_origin(matched.frame)
        assert origin is not None, "matched labels tell where they come from"
        yield DatasetCheck(" + ".join(names), matched.counts, radiographs, leak, pixel_leak, origin.fingerprints, seen)


@contextmanager
def _kept(frame: DataFrame) -> Iterator[DataFrame]:
    """A frame that Spark works out once."""
    frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


def _look(spark: SparkSession, labeled: DataFrame, settings: PreparationSettings) -> DataFrame:
    """The columns of `labeled`, and what decoding gave, with hashes in place of pixels."""
    return hash_images(fill_profile(read_images(spark, labeled, settings=settings)).drop("header"))


def _fetch(rows: DataFrame, *, by: str) -> Iterator[Row]:
    with described(rows.sparkSession, "radspark: listing radiographs that were checked"):
        return rows.orderBy(by).toLocalIterator()
