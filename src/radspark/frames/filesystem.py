"""Copies files and folders between this machine and any file system that Spark reaches: local, `hdfs://`, `s3a://`, ...

Reading images and tables does not go through here: Spark's own sources do that.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlparse

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from radspark.errors import SetupError
from radspark.frames.session import is_connect


def local_path(uri: str) -> Path | None:
    """The path of a file system of this machine; None for another machine's."""
    parts = urlparse(uri)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path) if parts.scheme else uri)
    return None


@contextmanager
def fetched(spark: SparkSession, uri: str) -> Iterator[Path]:
    """A file or folder as a local path; what had to be copied is removed on exit.

    Raises:
        FileNotFoundError: nothing is there.
    """
    local = local_path(uri)
    if local is not None:
        if not local.exists():
            raise FileNotFoundError(f"{uri} does not exist.")
        yield local
        return
    with tempfile.TemporaryDirectory(prefix="radspark-") as folder:
        copy = Path(folder) / Path(urlparse(uri).path).name
        place = _HadoopPlace(spark, uri)
        if not place.exists():
            raise FileNotFoundError(f"{uri} does not exist.")
        place.get(copy)
        yield copy


def publish(spark: SparkSession, folder: Path, uri: str, *, replaceable: Collection[str]) -> None:
    """Copy a local folder to where `uri` says: it is copied beside its place, and renamed when it is whole.

    Args:
        replaceable: names that a folder which is there already may hold, to be replaced.

    Raises:
        SetupError: a file is there, or a folder with something else in it; nothing was changed.
        OSError: the file system refused.
    """
    local = local_path(uri)
    place: _Place = _LocalPlace(local) if local is not None else _HadoopPlace(spark, uri)
    names = place.list_names()
    if names is None:
        raise SetupError(f"{uri} is a file; give a folder.")
    foreign = sorted(set(names) - set(replaceable))
    if foreign:
        raise SetupError(
            f"{uri} holds {foreign[0]!r}, so it is not replaced: only a folder of {', '.join(replaceable)} is; "
            "give another folder."
        )
    place.put(folder)


def staging_uri(uri: str) -> str:
    """Where `publish` copies a folder before it has its name; whole, and left there, if it ended before renaming it."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    return f"{parent}/.{name}.partial"


def absolute_uri(spark: SparkSession, path: str) -> str:
    """A path as Spark itself understands it: one without a scheme lies on Spark's default file system."""
    if is_connect(spark):
        return path
    system, found = _hadoop(spark, path)
    return str(found.makeQualified(system.getUri(), system.getWorkingDirectory()).toString())


class Mirror:
    """A folder of this machine that stands for one on another file system, entry by entry of its top level."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        """Copy what is there into a temporary folder, which goes with this object.

        Raises:
            SetupError: a file is there, or Spark Connect is in between.
        """
        self._spark = spark
        self._uri = uri.rstrip("/")
        self.folder = Path(tempfile.mkdtemp(prefix="radspark-"))
        """The local side."""
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        names = _HadoopPlace(spark, self._uri).list_names()
        if names is None:
            raise SetupError(f"{uri} is a file; give a folder.")
        for name in names:
            if not name.startswith("."):
                _HadoopPlace(spark, f"{self._uri}/{name}").get(self.folder / name)

    def push(self, name: str) -> None:
        """Copy one entry to the other side, where it appears whole; then remove there what is no longer here.

        Raises:
            OSError: the file system refused.
        """
        _HadoopPlace(self._spark, f"{self._uri}/{name}").put(self.folder / name)
        here = {item.name for item in self.folder.iterdir()}
        for other in _HadoopPlace(self._spark, self._uri).list_names() or []:
            if other not in here:
                _HadoopPlace(self._spark, f"{self._uri}/{other}").remove()


class _Place(Protocol):
    """Where a folder shall be."""

    def list_names(self) -> list[str] | None:
        """What is in the folder; empty if there is none, None if it is a file."""

    def put(self, folder: Path) -> None:
        """Copy a folder here, in the place of what is there."""


class _LocalPlace:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def list_names(self) -> list[str] | None:
        if not self._path.exists():
            return []
        return [item.name for item in self._path.iterdir()] if self._path.is_dir() else None

    def put(self, folder: Path) -> None:
        staging = Path(staging_uri(str(self._path)))
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(folder, staging)
        if self._path.exists():
            shutil.rmtree(self._path)
        staging.rename(self._path)


class _HadoopPlace:
    """A folder that Spark reaches through Hadoop."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._spark = spark
        self._system, self._path = _hadoop(spark, uri)

    def exists(self) -> bool:
        return bool(self._system.exists(self._path))

    def list_names(self) -> list[str] | None:
        if not self.exists():
            return []
        if not self._system.getFileStatus(self._path).isDirectory():
            return None
        return [str(item.getPath().getName()) for item in self._system.listStatus(self._path)]

    def get(self, target: Path) -> None:
        self._system.copyToLocalFile(False, self._path, _hadoop_path(self._spark, target.as_uri()), True)

    def remove(self) -> None:
        self._system.delete(self._path, True)

    def put(self, folder: Path) -> None:
        staging = _hadoop_path(self._spark, staging_uri(str(self._path.toString())))
        try:
            self._system.delete(staging, True)
            self._system.copyFromLocalFile(False, True, _hadoop_path(self._spark, folder.as_uri()), staging)
            self._system.delete(self._path, True)
            renamed = self._system.rename(staging, self._path)
        except Py4JJavaError as error:
            raise OSError(f"{self._path} cannot be written: {error.java_exception.toString()}") from error
        if not renamed:
            raise OSError(f"{staging} could not be renamed to {self._path}; the whole folder is there.")


def _hadoop(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    if is_connect(spark):
        raise SetupError(f"{uri} cannot be reached through Spark Connect; give a path of this machine.")
    path = _hadoop_path(spark, uri)
    return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), path


def _hadoop_path(spark: SparkSession, uri: str) -> Any:
    jvm: Any = spark.sparkContext._jvm
    return jvm.org.apache.hadoop.fs.Path(uri)
