"""`unreadable.csv`: the radiographs that cannot be read, with their reasons. It names files: they can name patients."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

FILE_NAME = "unreadable.csv"


def write_unreadable(unreadable: Iterable[tuple[str, str]], file: Path) -> None:
    """A row of path and error for each."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "error"])
        writer.writerows(unreadable)
