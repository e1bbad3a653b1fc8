"""LabelSet: the ordered findings of a table, a network's outputs and a report's rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from radspark.errors import ArgumentError


@dataclass(frozen=True)
class LabelSet:
    """An ordered list of distinct findings; position i is column i of every label and score array."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise ArgumentError("a LabelSet needs at least one finding, got none.")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ArgumentError(f"findings must be distinct; repeated: {', '.join(repeated)}.")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def index(self, name: str) -> int:
        """Position of a finding.

        Raises:
            ArgumentError: not a finding of this set; the message lists those that are.
        """
        if name not in self.names:
            raise ArgumentError(f"{name!r} is not a finding of this label set: {', '.join(self.names)}.")
        return self.names.index(name)

    def encode(self, present: Iterable[str], *, unknown: Iterable[str] = ()) -> tuple[float, ...]:
        """1.0 where a finding is present, NaN where unknown, else 0.0, in the order of this set."""
        present_indices = {self.index(name) for name in present}
        unknown_indices = {self.index(name) for name in unknown}
        return tuple(math.nan if i in unknown_indices else float(i in present_indices) for i in range(len(self.names)))


NIH_FINDINGS = LabelSet(
    (
        "Atelectasis",
        "Cardiomegaly",
        "Effusion",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pneumonia",
        "Pneumothorax",
        "Consolidation",
        "Edema",
        "Emphysema",
        "Fibrosis",
        "Pleural_Thickening",
        "Hernia",
    )
)
"""The 14 findings of NIH ChestX-ray14 (Wang et al. 2017), in the order of the 2019 talk's table."""
