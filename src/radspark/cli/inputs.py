"""The paths that `radspark predict` is given: which are there, which are not, how they are written in the output."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from radspark.errors import DataError
from radspark.frames.files import open_files
from radspark.frames.filesystem import local_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GLOB = re.compile(r"[][{}*?]")


@dataclass(frozen=True)
class Inputs:
    """What was named on the command line, each once."""

    present: tuple[str, ...]
    """Files, folders and globs for Spark to read; those of this machine as absolute paths."""
    absent: tuple[tuple[str, str], ...]
    """Path and error of those where nothing is."""

    def without_row(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Path and error of the present files and folders of this machine of which no row came back.

        Args:
            paths: as `shown_path` gives them.
        """
        seen = set(paths)
        seen.update(str(parent) for path in paths for parent in PurePosixPath(path).parents)
        silent = (path for path in self.present if path not in seen and os.path.lexists(path))
        return [(path, _why_silent(path)) for path in silent]


def find_inputs(spark: SparkSession, paths: Sequence[str]) -> Inputs:
    """Tell the paths that exist from those that do not.

    Raises:
        DataError: none exists.
    """
    present: list[str] = []
    absent: list[tuple[str, str]] = []
    for path in dict.fromkeys(_absolute(path) for path in paths):
        error = _why_absent(spark, path)
        if error is None:
            present.append(path)
        else:
            absent.append((path, error))
    if not present:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise DataError(f"there is nothing to score: {absent[0][0]}{more}: {absent[0][1]}")
    return Inputs(tuple(present), tuple(absent))


def shown_path(uri: str) -> str:
    """A path as people write it: without `file:` before files of this machine."""
    return re.sub(r"^file:/+", "/", uri)


def _absolute(path: str) -> str:
    local = local_path(path)
    return path if local is None else os.path.abspath(local)  # noqa: PTH100  resolves `..` but no symbolic link


def _why_absent(spark: SparkSession, path: str) -> str | None:
    is_local = local_path(path) is not None
    if is_local and Path(path).exists():
        return None
    if is_local and not GLOB.search(path):
        return "no such file or folder."
    try:
        open_files(spark, [path])
    except DataError as error:
        return str(error)
    return None


def _why_silent(path: str) -> str:
    if Path(path).is_dir():
        return "no file in this folder."
    return "Spark passes over names that begin with _ or a dot; rename the file."
