"""Paths, globs and folders to a DataFrame of files, on any file system of Spark. Their contents are reader.py's."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from radspark.errors import DataError
from radspark.frames.session import is_connect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_GLOB = re.compile(r"[][{}*?\\]")
_URI = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:(?://(?P<authority>[^/]*))?)?(?P<path>/.*)$", re.DOTALL)


def escape_glob(path: str) -> str:
    """The path with Hadoop's glob characters escaped, so that it means one name."""
    return _GLOB.sub(r"\\\g<0>", path)


def open_files(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Spark's binary file source over files, folders (with all below them) and globs.

    A path with glob characters is first taken as a name, then as a pattern. Spark reads no file whose name begins with
    `_` or `.`.

    Raises:
        DataError: a path does not exist, no file is there, or Spark cannot reach its file system.
    """
    if not paths:
        raise DataError("no path was given to read images from.")
    files = _load(spark, [_literal_if_there(spark, path) if _GLOB.search(path) else path for path in paths])
    if not _list_input(files):
        shown = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        raise DataError(f"no file was found in {shown}; is it the folder of the images?")
    return files


def find_files(spark: SparkSession, paths: Iterable[str]) -> dict[str, str]:
    """The file that each absolute path or URI names, as Spark's binary file source spells it; without those missing.

    Lists the folders that the paths name, once each, rather than asking for every file.

    Raises:
        DataError: a path is relative, which on a cluster names nothing certain.
    """
    places = {path: _split_uri(path) for path in paths}
    folders = sorted({posixpath.dirname(path) for path in places})
    by_place: dict[tuple[str, str], str] = {}
    for listing in _list_folders(spark, [escape_glob(folder) or "/" for folder in folders]):
        for file in listing:
            authority, path = _split_uri(file)
            by_place[authority, path] = by_place["", path] = file
    return {path: by_place[place] for path, place in places.items() if place in by_place}


def open_found(spark: SparkSession, files: Iterable[str]) -> DataFrame:
    """The binary file source over files that `find_files` found."""
    return _load(spark, [escape_glob(file) for file in files])


def find_empty_files(files: DataFrame) -> list[str]:
    """Files of no bytes: Spark's sources pass over them in silence, though they stand in its list of input files."""
    if not is_connect(files.sparkSession) and _reads_all_listed(files):
        return []
    listed = {_decode_uri(uri) for uri in _list_input(files)}
    seen = set(files.select("path").toArrow().column(0).to_pylist())
    assert seen <= listed, "Spark lists its input files in another spelling than it reads them"
    return sorted(listed - seen)


def _reads_all_listed(files: DataFrame) -> bool:
    """Whether Spark will read as many files as it lists, from the counts in its own index, without a job."""
    index = files._jdf.queryExecution().analyzed().collectLeaves().head().relation().location()
    nothing = getattr(getattr(files.sparkSession._jvm, "scala.collection.immutable.Nil$"), "MODULE$")
    folders = index.listFiles(nothing, nothing)
    num_read = sum(folders.apply(i).files().size() for i in range(folders.size()))
    return bool(num_read == index.allFiles().size())


def _load(spark: SparkSession, paths: list[str], *, recursive: bool = True) -> DataFrame:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    reader = spark.read.format("binaryFile").option("recursiveFileLookup", str(recursive).lower())
    try:
        files = reader.load(paths)
        _ = files.schema  # Spark Connect looks for the files only now.
    except PySparkException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            missing = (error.getMessageParameters() or {}).get("path", "a path")
            raise _PathNotFoundError(f"{missing} does not exist.") from error
        raise DataError(f"Spark cannot list {paths[0]}: {str(error).splitlines()[0]}") from error
    except Py4JJavaError as error:
        raise DataError(f"Spark cannot list {paths[0]}: {error.java_exception.toString()}") from error
    return files


def _literal_if_there(spark: SparkSession, path: str) -> str:
    """The path as a name if a file or folder has it, else as the pattern that it is."""
    try:
        _load(spark, [escape_glob(path)])
    except _PathNotFoundError:
        return path
    return escape_glob(path)


def _list_folders(spark: SparkSession, folders: list[str]) -> Iterable[list[str]]:
    """The files directly in those folders that exist, found by halving where some do not."""
    try:
        files = _load(spark, folders, recursive=False)
    except _PathNotFoundError:
        if len(folders) > 1:
            half = len(folders) // 2
            yield from _list_folders(spark, folders[:half])
            yield from _list_folders(spark, folders[half:])
        return
    yield [_decode_uri(uri) for uri in _list_input(files)]


def _list_input(files: DataFrame) -> list[str]:
    """Encoded URIs, as `inputFiles` gives; but from a JVM in one piece: one by one it takes 50 microseconds a file."""
    if is_connect(files.sparkSession):
        return files.inputFiles()
    sequences = files.sparkSession._jvm.scala.collection.immutable.ArraySeq  # type: ignore[union-attr]
    joined: str = sequences.unsafeWrapArray(files._jdf.inputFiles()).mkString("\n")
    return joined.split("\n") if joined else []


def _decode_uri(uri: str) -> str:
    """An encoded URI as the binary file source's column `path` spells it."""
    return re.sub("^file:/+", "file:/", unquote(uri))


def _split_uri(path: str) -> tuple[str, str]:
    """Authority (a bucket, a name node, or nothing) and path of an absolute path or URI."""
    match = _URI.match(path)
    if match is None:
        raise DataError(f"paths in a table must be absolute or URIs, got {path!r}; put the folder before it.")
    return match["authority"] or "", re.sub("/+", "/", match["path"])


class _PathNotFoundError(DataError):
    """Spark found nothing under a path."""
