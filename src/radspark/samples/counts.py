"""How many labels and radiographs met, and how many stayed alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radspark.datasets.schema import SPLITS

if TYPE_CHECKING:
    from radspark.datasets.census import Census


@dataclass(frozen=True)
class JoinCounts:
    """What a label table and a folder of radiographs have in common."""

    labeled: int
    """Rows of the label table."""
    files: int
    """Radiographs found, each stem once."""
    matched: int
    """Rows with a radiograph."""
    repeated_files: int
    """Radiographs left out because another one has the same stem, such as a PNG beside a DICOM."""
    by_split: Mapping[str, int]
    """Matched rows of train, validation and test."""
    refused: int = 0
    """Of a prepared set: files that were refused when it was prepared."""

    @property
    def labeled_without_file(self) -> int:
        """Rows of the label table whose radiograph is not there."""
        return self.labeled - self.matched

    @property
    def files_without_label(self) -> int:
        """Radiographs that the label table does not name."""
        return self.files - self.matched

    @property
    def without_split(self) -> int:
        """Matched rows that are in no split."""
        return self.matched - sum(self.by_split.values())

    def summary(self) -> str:
        """One line for people: labelled, found, missing, and the splits."""
        splits = ", ".join(f"{self.by_split[split]:,} {split}" for split in SPLITS)
        return (
            f"{self.matched:,} of {self.labeled:,} labelled radiographs found ({splits}); "
            f"{self.labeled_without_file:,} without a file, {self.files_without_label:,} files without a label"
        )

    def to_dict(self) -> dict[str, Any]:
        """All counts, ready for JSON."""
        derived = ("labeled_without_file", "files_without_label", "without_split")
        return {**dataclasses.asdict(self), **{name: getattr(self, name) for name in derived}}


def add_counts(left: JoinCounts, right: JoinCounts) -> JoinCounts:
    """The counts of two data sets together."""
    return JoinCounts(
        labeled=left.labeled + right.labeled,
        files=left.files + right.files,
        matched=left.matched + right.matched,
        repeated_files=left.repeated_files + right.repeated_files,
        by_split={split: left.by_split[split] + right.by_split[split] for split in SPLITS},
        refused=left.refused + right.refused,
    )


def counts_of(census: Census) -> JoinCounts:
    """The counts of a label table and the radiographs that were counted with it."""
    return JoinCounts(
        labeled=census.rows,
        files=census.files,
        matched=census.matched,
        repeated_files=census.repeated_files,
        by_split=census.matched_by_split,
    )
