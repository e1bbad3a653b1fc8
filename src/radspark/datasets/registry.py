"""The data sets that radspark reads, as records: reader and its rules, whom to cite, on what terms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from radspark.datasets import chexpert, mimic, nih, openi, padchest, plain, vindr
from radspark.datasets.chexpert_labeler import LabelerRules
from radspark.datasets.schema import NoRules
from radspark.errors import ArgumentError
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from radspark.datasets.schema import LabelTable
    from radspark.datasets.tables import Folder


class LabelReader(Protocol):
    """Reads the label table of a data folder, with the official split if it is asked for and there is one."""

    def __call__(self, spark: SparkSession, data_dir: Folder, *, official: bool, rules: Any) -> LabelTable: ...


@dataclass(frozen=True)
class Dataset:
    """One kind of label table, in the layout that it is published in."""

    name: str
    title: str
    read: LabelReader
    citation: str
    license: str
    rules: type[Any] = NoRules
    """Frozen dataclass of what can be chosen about the labels; the reader takes one."""
    greys: Mapping[str, Any] = field(default_factory=dict)
    """Fields of PreparationSettings whose default does not suit its radiographs, and what does."""


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="nih",
            title=nih.TITLE,
            read=nih.read_nih,
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
        Dataset(
            name="chexpert",
            title=chexpert.TITLE,
            read=chexpert.read_chexpert,
            rules=LabelerRules,
            citation=(
                "Irvin J, Rajpurkar P, Ko M, et al. CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels "
                "and Expert Comparison. AAAI 2019."
            ),
            license="Stanford University School of Medicine CheXpert Dataset Research Use Agreement.",
        ),
        Dataset(
            name="mimic",
            title=mimic.TITLE,
            read=mimic.read_mimic,
            rules=mimic.MimicRules,
            citation=(
                "Johnson AEW, Pollard TJ, Greenbaum NR, et al. MIMIC-CXR-JPG, a large publicly available database of "
                "labeled chest radiographs. arXiv:1901.07042, 2019."
            ),
            license="PhysioNet Credentialed Health Data License 1.5.0.",
        ),
        Dataset(
            name="padchest",
            title=padchest.TITLE,
            read=padchest.read_padchest,
            rules=padchest.PadChestRules,
            # 16-bit PNGs of detectors with 10 to 16 bits: against 65535, many would be all but black.
            greys={"sixteen_bit": "used_bits"},
            citation=(
                "Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vayá M. PadChest: A large chest x-ray image dataset "
                "with multi-label annotated reports. Medical Image Analysis 66:101797, 2020."
            ),
            license="BIMCV PadChest data use agreement, for research only.",
        ),
        Dataset(
            name="vindr",
            title=vindr.TITLE,
            read=vindr.read_vindr,
            rules=vindr.VinDrRules,
            citation=(
                "Nguyen HQ, Lam K, Le LT, et al. VinDr-CXR: An open dataset of chest X-rays with radiologist's "
                "annotations. Scientific Data 9:429, 2022."
            ),
            license="PhysioNet Credentialed Health Data License 1.5.0.",
        ),
        Dataset(
            name="openi",
            title=openi.TITLE,
            read=openi.read_openi,
            citation=(
                "Demner-Fushman D, Kohli MD, Rosenman MB, et al. Preparing a collection of radiology examinations for "
                "distribution and retrieval. JAMIA 23(2):304-310, 2016."
            ),
            license="Creative Commons BY-NC-ND 4.0.",
        ),
        Dataset(
            name="table",
            title=plain.TITLE,
            read=plain.read_plain,
            rules=plain.TableRules,
            citation="Whom the table comes from.",
            license="Whatever the table comes with.",
        ),
    )
}


def suited_preparation(names: Iterable[str]) -> PreparationSettings:
    """The preparation of some data sets' radiographs, where the user does not choose it."""
    greys = {key: value for name in names for key, value in get_dataset(name).greys.items()}
    return PreparationSettings(**greys)


def get_dataset(name: str) -> Dataset:
    """The data set of a name.

    Raises:
        ArgumentError: radspark does not read it; the message names the nearest.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}.{hint}")
    return DATASETS[name]
