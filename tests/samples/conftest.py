"""A small data set in NIH's layout, with radiographs, written into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

STEMS = ("00000001_000", "00000001_001", "00000002_000", "00000003_000", "00000004_000")
"""The last two test; the first patient has two radiographs."""

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


@pytest.fixture
def write_nih_images(tmp_path: Path) -> Callable[..., Path]:
    """Write label table, official lists and one uniform PNG for each path."""

    def write(paths: Iterable[str], stems: Iterable[str] = STEMS) -> Path:
        lines = [f"{stem}.png,Mass|Edema,0,{int(stem.split('_')[0])},058,M,PA" for stem in stems]
        (tmp_path / "Data_Entry_2017.csv").write_text("\n".join([HEADER, *lines]))
        (tmp_path / "train_val_list.txt").write_text("\n".join(f"{stem}.png" for stem in STEMS[:3]))
        (tmp_path / "test_list.txt").write_text("\n".join(f"{stem}.png" for stem in STEMS[3:]))
        for position, path in enumerate(paths):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (32, 32), 40 + position).save(file, format="PNG")
        return tmp_path

    return write
