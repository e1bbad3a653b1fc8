"""What reports say beside the figures: counts of the data, versions of packages."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.splits import get_split_policy
from radspark.report import DataSummary
from radspark.report.content import SplitSize
from radspark.samples.origin import find_origin
from radspark.settings import SplitSettings

if TYPE_CHECKING:
    from radspark.samples.combine import MatchedLabels
    from radspark.samples.counts import JoinCounts

PACKAGES = ("radspark", "pyspark", "torch", "timm", "numpy", "pillow", "pydicom")


def package_versions() -> dict[str, str]:
    """Of Python and the packages that decide a result."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def data_summary(
    read: Mapping[str, tuple[int, int]], matched: MatchedLabels, title: str, *, synthetic: bool
) -> DataSummary:
    """Counts for a report.

    Args:
        read: split to (readable, unreadable) radiographs.
        title: of the data, for people.
    """
    origin = find_origin(matched.frame)
    used = matched.frame.where(F.col("split").isin(*read))
    positives = [F.count_if(F.get("labels", F.lit(i)) == 1) for i in range(len(matched.labels))]
    rows = (
        used.groupBy("split")
        .agg(
            F.count_distinct("patient_id").alias("patients"),
            F.array(*positives).alias("positives"),
            F.count_if(~F.array_contains("labels", F.lit(1.0))).alias("no_finding"),
        )
        .collect()
    )
    patients = {row["split"]: row["patients"] for row in rows}
    return DataSummary(
        name=("Synthetic radiographs in the layout of " if synthetic else "") + title,
        splits=tuple(
            SplitSize(split, readable, unreadable, patients.get(split))
            for split, (readable, unreadable) in read.items()
        ),
        positives={name: sum(row["positives"][i] for row in rows) for i, name in enumerate(matched.labels)},
        no_finding=sum(row["no_finding"] for row in rows),
        synthetic=synthetic,
        flow=data_flow(read, matched.counts),
        notes=() if origin is None else (describe_split(origin.split),),
    )


def data_flow(read: Mapping[str, tuple[int, int]], counts: JoinCounts) -> tuple[tuple[str, int], ...]:
    """What became of all labels and files, each counted once on its way; what did not happen is left out.

    Args:
        read: split to (readable, unreadable), for the splits that were used.
    """
    unused = {split: number for split, number in counts.by_split.items() if split not in read}
    losses = (
        ("Rows of the label table", counts.labeled),
        ("of them without a radiograph here", counts.labeled_without_file),
        ("Radiographs found, each once", counts.files),
        ("of them without a row in the label table", counts.files_without_label),
        ("Further files of the same radiographs, left out", counts.repeated_files),
        ("Files refused when the set was prepared", counts.refused),
        ("Radiographs with labels", counts.matched),
        ("of them in no split", counts.without_split),
        *((f"of them in the {split} split, not used here", number) for split, number in unused.items()),
        *(
            step
            for split, (readable, unreadable) in read.items()
            for step in (
                (f"of them in the {split} split", readable + unreadable),
                (f"refused as unreadable, {split}", unreadable),
                (f"Used, {split}", readable),
            )
        ),
    )
    always = {"Rows of the label table", "Radiographs found, each once", "Radiographs with labels"}
    return tuple((words, number) for words, number in losses if number or words in always)


def describe_split(settings: SplitSettings) -> str:
    """How patients came into their splits, in one or two sentences."""
    policy = get_split_policy(settings.policy)
    if policy.name == "file":
        return "Split as a file lists it."
    names = dict.fromkeys(("validation_share", *policy.test_settings, "seed"))
    values = ((name.replace("_", " "), getattr(settings, name)) for name in names)
    shown = ", ".join(f"{name} {', '.join(value) if isinstance(value, tuple) else value}" for name, value in values)
    leak = " Patients stand in several splits, so the figures are too good." if policy.leaks_patients else ""
    return f"Split by the policy {policy.name}: {shown}.{leak}"
