"""The observations of the CheXpert labeler, which CheXpert and MIMIC-CXR-JPG share, and what becomes of its values.

The labeler (Irvin et al. 2019) reads a report and gives each of 14 observations 1 (present), 0 (absent), -1 (the report
is not sure) or nothing (the report is silent). `No Finding` is no finding of ours: where it is 1, all findings but
support devices are absent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from radspark.datasets.findings import finding_name
from radspark.labels import LabelSet
from radspark.settings import require

if TYPE_CHECKING:
    from pyspark.sql import Column

NO_FINDING = "No Finding"
OBSERVATIONS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The tables' columns beside `No Finding`, in CheXpert's order."""
CHEXPERT_FINDINGS = LabelSet(tuple(finding_name(name) for name in OBSERVATIONS))

UncertainPolicy = Literal["zeros", "ones", "ignore", "smooth"]
SMOOTH_RANGE = (0.55, 0.85)
"""Pham et al. 2021, U-Ones with label smoothing: an uncertain label is drawn uniformly from here."""


@dataclasses.dataclass(frozen=True)
class LabelerRules:
    """What becomes of labels that the labeler was not sure of."""

    uncertain: UncertainPolicy = "ignore"
    """Of -1: absent, present, unknown, or (in training alone; elsewhere unknown) a number of `SMOOTH_RANGE`, drawn by a
    hash of image and finding. Irvin et al. 2019 call the first three U-Zeros, U-Ones and U-Ignore."""
    uncertain_by_finding: Mapping[str, UncertainPolicy] = dataclasses.field(default_factory=dict)
    """Exceptions from `uncertain`, by our names."""
    unmentioned: Literal["unknown", "negative"] = "unknown"
    """Of what the report does not mention. Many published models took it for negative."""

    def __post_init__(self) -> None:
        strange = [name for name in self.uncertain_by_finding if name not in CHEXPERT_FINDINGS.names]
        require(
            not strange,
            f"uncertain_by_finding must name findings ({', '.join(CHEXPERT_FINDINGS)}), got {', '.join(strange)}.",
        )


def labeler_labels(rules: LabelerRules, *, image_id: Column) -> Column:
    """Array of labels in the order of `CHEXPERT_FINDINGS`, from columns of text that are named as `OBSERVATIONS`."""
    healthy = F.col(NO_FINDING).try_cast("double") == 1
    return F.array(
        *(
            _label(F.col(published).try_cast("double"), finding, rules, healthy=healthy, image_id=image_id)
            for published, finding in zip(OBSERVATIONS, CHEXPERT_FINDINGS, strict=True)
        )
    )


def _label(value: Column, finding: str, rules: LabelerRules, *, healthy: Column, image_id: Column) -> Column:
    policy = rules.uncertain_by_finding.get(finding, rules.uncertain)
    low, high = SMOOTH_RANGE
    draw = F.pmod(F.xxhash64(image_id, F.lit(finding)), F.lit(1 << 24)) / float(1 << 24)
    uncertain = {
        "zeros": F.lit(0.0),
        "ones": F.lit(1.0),
        "ignore": F.lit(None),
        "smooth": F.lit(low) + draw * (high - low),
    }[policy]
    silent = F.lit(0.0) if rules.unmentioned == "negative" else F.lit(None)
    if finding != "Support_Devices":
        silent = F.when(healthy, 0.0).otherwise(silent)
    return F.when(value.isNull(), silent).when(value == -1, uncertain).otherwise(value).cast("float")
