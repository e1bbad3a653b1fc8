"""What a report says, as plain values; how it looks is in `templates/`, `figures` and `writing`.

No field takes a path or an identifier of a patient, study or file, so that no report can show one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from radspark.errors import ArgumentError
from radspark.metrics import Evaluation, PrecisionRecallCurve, RocCurve
from radspark.metrics.reliability import ReliabilityDiagram
from radspark.metrics.subgroups import Subgroup


@dataclass(frozen=True)
class SplitSize:
    """How many radiographs of one split were read."""

    split: str
    read: int
    unreadable: int = 0
    patients: int | None = None
    """None where the table does not name patients."""


@dataclass(frozen=True)
class DataSummary:
    """Which radiographs the report rests on."""

    name: str
    """Of the data set, such as `NIH ChestX-ray14`."""
    splits: tuple[SplitSize, ...]
    positives: Mapping[str, int]
    """Radiographs that show each finding, over all that were read."""
    no_finding: int | None = None
    """Radiographs with none of the findings, over all that were read; None where that is not known."""
    synthetic: bool = False
    """Whether the radiographs were drawn by a program; the report then says so at its head."""
    flow: tuple[tuple[str, int], ...] = ()
    """What became of the radiographs, step by step: words and a count."""
    notes: tuple[str, ...] = ()
    """Sentences on how the data were chosen, such as how they were split."""


@dataclass(frozen=True, eq=False)
class ExampleRadiograph:
    """One radiograph as the network sees it, with what is known and what was predicted."""

    pixels: npt.NDArray[np.uint8]
    """Grey, (H, W)."""
    present: tuple[str, ...]
    """Findings that its labels name."""
    top: tuple[tuple[str, float], ...]
    """The likeliest findings with their probabilities, the likeliest first."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 2:
            raise ArgumentError(f"pixels must be uint8 (H, W), got {self.pixels.dtype} {self.pixels.shape}.")


@dataclass(frozen=True, eq=False)
class Mistake:
    """One radiograph on which the model is farthest off for a finding."""

    pixels: npt.NDArray[np.uint8]
    """Grey, (H, W)."""
    finding: str
    is_present: bool
    """Whether its label names the finding."""
    probability: float
    placement: float
    """Of a missed one, the share of radiographs without the finding that score higher; of a false alarm, the share
    of those with it that score lower."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What both kinds of report show."""

    title: str
    data: DataSummary
    evaluation: Evaluation
    curves: Mapping[str, RocCurve]
    """As `radspark.metrics.roc_curves` gives them."""
    examples: Sequence[ExampleRadiograph] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """As `radspark.settings.to_dict` gives it. Of a string that is a path, its last part alone is shown."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""
    created: str = ""
    """Date, as it shall be shown; the same inputs give the same bytes."""


@dataclass(frozen=True, kw_only=True)
class TrainingReport(Report):
    """A training run, judged on its validation split; the test split has no place here."""

    history: Sequence[Mapping[str, Any]]
    """One record per epoch, as in `history.json`: `epoch` (from 1), `learning_rate` (at the epoch's end), `train_loss`,
    `validation` (`mean_auroc`, `mean_average_precision`, `loss`; None where undefined), `images_per_second`, `seconds`,
    `num_workers`."""
    kept_epoch: int
    """Whose weights the bundle holds, and `evaluation` judges."""
    keep: Literal["best", "last"] = "best"
    metric: str = "mean_auroc"
    """By which the best epoch was found."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(Report):
    """A model, judged on one split."""

    split: str = "test"
    precision_recall: Mapping[str, PrecisionRecallCurve] = field(default_factory=dict)
    reliability: Mapping[str, ReliabilityDiagram] = field(default_factory=dict)
    subgroups: Sequence[Subgroup] = ()
    operating_point: str | None = None
    """By which thresholds were chosen on validation; `given` where the user brought them; None where they are 0.5."""
    calibration: str | None = None
    mistakes: Sequence[Mistake] = ()
    card: Mapping[str, str] = field(default_factory=dict)
    """Facts of the model, in words; empty where only its predictions are known."""
