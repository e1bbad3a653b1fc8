"""The data sets that radspark reads, as records: labels, reader, where the images lie, whom to cite."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from radspark.datasets import nih
from radspark.labels import NIH_FINDINGS, LabelSet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from radspark.datasets.tables import Folder


class LabelReader(Protocol):
    """Reads a data set's label table into the schema of all label tables, with its splits assigned."""

    def __call__(
        self,
        spark: SparkSession,
        data_dir: Folder,
        *,
        split_policy: str,
        validation_share: float,
        test_share: float,
        seed: int,
        allow_leak: bool,
    ) -> DataFrame: ...


@dataclass(frozen=True)
class Dataset:
    """One public set of labelled radiographs, in the layout that it is published in."""

    name: str
    title: str
    labels: LabelSet
    read_labels: LabelReader
    image_folders: tuple[str, ...]
    """Folders of the data folder, as globs, in which images lie at any depth."""
    citation: str
    license: str


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="nih",
            title=nih.TITLE,
            labels=NIH_FINDINGS,
            read_labels=nih.read_nih,
            image_folders=("images", "images_*", "dicom"),
            citation=(
                "Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale Chest X-ray Database "
                "and Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax Diseases. "
                "CVPR 2017."
            ),
            license=(
                "No restrictions on use; name the NIH Clinical Center as the provider, cite the paper, and link to "
                "https://nihcc.app.box.com/v/ChestXray-NIHCC."
            ),
        ),
    )
}


def get_dataset(name: str) -> Dataset:
    """The data set of a name.

    Raises:
        ValueError: radspark does not read it; the message names the nearest.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}.{hint}")
    return DATASETS[name]
