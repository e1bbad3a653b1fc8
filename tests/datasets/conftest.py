"""Small tables in the exact layouts that NIH published, written into a folder."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

Row = tuple[str, str, str, str]
"""Image Index, Finding Labels, Patient ID, Patient Age."""

HEADERS = {
    "2017": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],",
    "2020": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]",
}
NAMES = {"2017": "Data_Entry_2017.csv", "2020": "Data_Entry_2017_v2020.csv"}

ROWS: tuple[Row, ...] = (
    ("00000001_000.png", "Cardiomegaly", "1", "058Y"),
    ("00000001_001.png", "Cardiomegaly|Emphysema", "1", "058Y"),
    ("00000002_000.png", "No Finding", "2", "081Y"),
    ("00000003_000.png", "Hernia", "3", "411Y"),
    ("00000004_000.png", "Mass|Nodule", "4", "006M"),
)


@pytest.fixture
def write_nih() -> Callable[..., Path]:
    """Write label table and official lists; rows of the 2020 release have plain ages."""

    def write(
        folder: Path,
        rows: Iterable[Row] = ROWS,
        *,
        release: str = "2020",
        compress: bool = False,
        train: Iterable[str] | None = ("00000001_000.png", "00000001_001.png", "00000002_000.png"),
        test: Iterable[str] | None = ("00000003_000.png", "00000004_000.png"),
    ) -> Path:
        end = "," if release == "2017" else ""
        lines = [
            f"{image},{findings},0,{patient},{age if release == '2017' else age.strip('Y').lstrip('0')},M,PA,2048,2500,"
            f"0.168,0.168{end}"
            for image, findings, patient, age in rows
        ]
        text = "\n".join([HEADERS[release], *lines]) + "\n"
        if compress:
            (folder / f"{NAMES[release]}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / NAMES[release]).write_text(text)
        for name, images in (("train_val_list.txt", train), ("test_list.txt", test)):
            if images is not None:
                (folder / name).write_text("\n".join(images))
        return folder

    return write
