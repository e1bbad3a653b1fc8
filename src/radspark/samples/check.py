"""Checks a data set before it is used: counts, what is missing or unreadable, leaks, and who the patients are.

Rendering is the command line's; radiographs are decoded as training would decode them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import functions as F

from radspark.datasets.leaks import Leak, find_places, fingerprint_splits
from radspark.datasets.reading import Source
from radspark.datasets.registry import suited_preparation
from radspark.datasets.schema import SPLITS
from radspark.frames.described import described, describes
from radspark.frames.reader import read_images
from radspark.samples.duplicates import PixelLeak, find_pixel_leak, hash_images
from radspark.samples.join import match_labels
from radspark.settings import PreparationSettings, SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from radspark.labels import LabelSet
    from radspark.samples.combine import Findings
    from radspark.samples.counts import JoinCounts

UNKNOWN = "unknown"
"""Key of rows whose value is null."""


class UnreadableFile(NamedTuple):
    """A radiograph that cannot be decoded. Its path can name a patient: it is for tables that the user asked for."""

    path: str
    error: str


class FlaggedFile(NamedTuple):
    """A radiograph that is read and is odd, with the same care for its path."""

    path: str
    warning: str


class FindingCounts(NamedTuple):
    """Labels of one finding among some radiographs."""

    positives: int
    negatives: int
    unknown: int


@dataclass(frozen=True)
class SplitCheck:
    """The radiographs of one split that are there."""

    radiographs: int
    patients: int
    findings: Mapping[str, FindingCounts]


@dataclass(frozen=True)
class DatasetCheck:
    """What was found in a data set; of its radiographs, those that have a label."""

    dataset: str
    counts: JoinCounts
    splits: Mapping[str, SplitCheck]
    """By split; `unknown` holds the radiographs in none, if there are any."""
    leak: Leak
    """Over the whole label table, radiographs that are not there included."""
    pixel_leak: PixelLeak
    """Radiographs in two splits, by their pixels."""
    placed: tuple[tuple[str, str | None], ...]
    """Image id and split of each radiograph, by id. An id can name a patient."""
    splits_fingerprint: str
    """Of which radiograph is in which split."""
    unreadable: tuple[UnreadableFile, ...]
    flagged: tuple[FlaggedFile, ...]
    ages: Mapping[str, int]
    """Radiographs by decade of life: `0-9`, `10-19`, and so on, or `unknown`."""
    sexes: Mapping[str, int]
    views: Mapping[str, int]

    @property
    def is_clean(self) -> bool:
        """True if every radiograph with a label can be read, and no patient and no pixels stand in two splits."""
        return not self.unreadable and not self.leak.num_patients and not self.pixel_leak.pairs

    def to_dict(self) -> dict[str, Any]:
        """Counts ready for JSON; names no file and no patient."""
        return {
            "dataset": self.dataset,
            "counts": self.counts.to_dict(),
            "splits": {
                name: {
                    "radiographs": split.radiographs,
                    "patients": split.patients,
                    "findings": {finding: counts._asdict() for finding, counts in split.findings.items()},
                }
                for name, split in self.splits.items()
            },
            "leaking_patients": self.leak.num_patients,
            "same_pixels": self.pixel_leak.num_exact,
            "near_twins": self.pixel_leak.num_near,
            "splits_fingerprint": self.splits_fingerprint,
            "unreadable": len(self.unreadable),
            "unreadable_errors": dict(Counter(file.error for file in self.unreadable).most_common()),
            "flagged": len(self.flagged),
            "flagged_warnings": dict(Counter(file.warning for file in self.flagged).most_common()),
            "ages": dict(self.ages),
            "sexes": dict(self.sexes),
            "views": dict(self.views),
        }


@describes("radspark: counting labels and patients")
def check_dataset(
    spark: SparkSession,
    sources: Source | Sequence[Source],
    *,
    preparation: PreparationSettings | None = None,
    split: SplitSettings | None = None,
    findings: Findings = "common",
) -> DatasetCheck:
    """Read all labels and decode all radiographs that have one; a leak is counted, not raised.

    Arguments and the other errors are `load_samples`'s.
    """
    matched = match_labels(spark, sources, split=split, findings=findings, allow_leak=True)
    frame = matched.frame
    names = [source.dataset for source in ([sources] if isinstance(sources, Source) else sources)]
    ages, sexes, views = _count_patients(frame)
    unreadable, flagged, pixel_leak = _decode(spark, frame, preparation or suited_preparation(names))
    return DatasetCheck(
        dataset=" + ".join(names),
        counts=matched.counts,
        splits=_count_labels(frame, matched.labels),
        leak=find_places(matched.table).leak,
        unreadable=unreadable,
        flagged=flagged,
        pixel_leak=pixel_leak,
        placed=tuple(
            (row["image_id"], row["split"]) for row in frame.select("image_id", "split").orderBy("image_id").collect()
        ),
        splits_fingerprint=fingerprint_splits(frame),
        ages=ages,
        sexes=sexes,
        views=views,
    )


def _count_labels(frame: DataFrame, labels: LabelSet) -> dict[str, SplitCheck]:
    """Radiographs, patients and labels by split, in one job."""
    values = [F.col("labels")[position] for position in range(len(labels))]
    rows = (
        frame.groupBy("split")
        .agg(
            F.count("*").alias("radiographs"),
            F.count_distinct("patient_id").alias("patients"),
            F.array(*(F.count_if(value == 1) for value in values)).alias("positives"),
            F.array(*(F.count_if(value == 0) for value in values)).alias("negatives"),
        )
        .collect()
    )
    checks = {}
    for row in sorted(rows, key=lambda row: SPLITS.index(row["split"]) if row["split"] else len(SPLITS)):
        known = zip(row["positives"], row["negatives"], strict=True)
        counts = [FindingCounts(pos, neg, row["radiographs"] - pos - neg) for pos, neg in known]
        findings = dict(zip(labels, counts, strict=True))
        checks[row["split"] or UNKNOWN] = SplitCheck(row["radiographs"], row["patients"], findings)
    return checks


def _count_patients(frame: DataFrame) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Radiographs by decade of age, by sex and by view, in one job; null last."""
    rows = frame.groupBy(F.floor(F.col("age") / 10).alias("decade"), "sex", "view").count().collect()
    ages: Counter[int | None] = Counter()
    sexes: Counter[str | None] = Counter()
    views: Counter[str | None] = Counter()
    for row in rows:
        ages[row["decade"]] += row["count"]
        sexes[row["sex"]] += row["count"]
        views[row["view"]] += row["count"]
    decades = sorted(ages, key=lambda decade: (decade is None, decade))
    return (
        {UNKNOWN if decade is None else f"{10 * decade}-{10 * decade + 9}": ages[decade] for decade in decades},
        {value or UNKNOWN: count for value, count in sexes.most_common()},
        {value or UNKNOWN: count for value, count in views.most_common()},
    )


def _decode(
    spark: SparkSession, frame: DataFrame, preparation: PreparationSettings
) -> tuple[tuple[UnreadableFile, ...], tuple[FlaggedFile, ...], PixelLeak]:
    """Decode all once: those with an error, those with a warning alone, by path, and pixels in two splits."""
    decoded = read_images(spark, frame.select("path", "split"), settings=preparation).persist(StorageLevel.DISK_ONLY)
    try:
        with described(spark, "radspark: decoding every radiograph"):
            odd = decoded.where(F.coalesce("error", "warning").isNotNull()).select("path", "error", "warning")
            rows = odd.orderBy("path").collect()
            leak = find_pixel_leak(hash_images(decoded.where(F.col("error").isNull())))
    finally:
        decoded.unpersist()
    return (
        tuple(UnreadableFile(row["path"], row["error"]) for row in rows if row["error"] is not None),
        tuple(FlaggedFile(row["path"], row["warning"]) for row in rows if row["error"] is None),
        leak,
    )
