"""Small data sets in NIH's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from radspark.labels import NIH_FINDINGS

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
NUM_IMAGES = 36
SIDE = 64


def write_images(folder: Path, stems: Sequence[str], *, seed: int = 0) -> None:
    """One grey PNG of noise for each stem."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for stem in stems:
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(folder / f"{stem}.png")


def write_tables(folder: Path, stems: Sequence[str]) -> None:
    """Label table and official lists; every third radiograph shows nothing, every fourth tests."""
    findings = [NIH_FINDINGS.names[i % len(NIH_FINDINGS)] if i % 3 else "No Finding" for i in range(len(stems))]
    rows = [
        f"{stem}.png,{finding},0,{i},58,M,PA" for i, (stem, finding) in enumerate(zip(stems, findings, strict=True))
    ]
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    names = [f"{stem}.png" for stem in stems]
    (folder / "test_list.txt").write_text("\n".join(names[3::4]))
    (folder / "train_val_list.txt").write_text("\n".join(name for i, name in enumerate(names) if i % 4 != 3))


def write_nih(folder: Path, *, num_images: int = NUM_IMAGES) -> Path:
    """A data set in NIH's layout, a patient for each radiograph."""
    stems = [f"{i + 1:08d}_000" for i in range(num_images)]
    write_images(folder / "images", stems)
    write_tables(folder, stems)
    return folder
