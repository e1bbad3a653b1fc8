"""Copies files and folders between this machine and any file system that Spark reaches: local, `hdfs://`, `s3a://`, ...

Reading images and tables does not go through here: Spark's own sources do that.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

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
        system, path = _hadoop(spark, uri)
        if not system.exists(path):
            raise FileNotFoundError(f"{uri} does not exist.")
        system.copyToLocalFile(False, path, _hadoop_path(spark, copy.as_uri()), True)
        yield copy


def publish(spark: SparkSession, folder: Path, uri: str) -> None:
    """Copy a local folder to where `uri` says, in the place of what is there."""
    local = local_path(uri)
    if local is not None:
        shutil.copytree(folder, local, dirs_exist_ok=True)
        return
    system, path = _hadoop(spark, uri)
    system.delete(path, True)
    system.copyFromLocalFile(False, True, _hadoop_path(spark, folder.as_uri()), path)


def _hadoop(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    if is_connect(spark):
        raise SetupError(f"{uri} cannot be reached through Spark Connect; give a path of this machine.")
    path = _hadoop_path(spark, uri)
    return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), path


def _hadoop_path(spark: SparkSession, uri: str) -> Any:
    jvm: Any = spark.sparkContext._jvm
    return jvm.org.apache.hadoop.fs.Path(uri)
