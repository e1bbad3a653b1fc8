"""Folders to and from this machine and another file system: Hadoop's viewfs, which is remote but for its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from radspark.errors import SetupError
from radspark.frames.filesystem import absolute_uri, fetched, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
OURS = ("config.json", "weights")


@pytest.fixture(params=["local", "viewfs"])
def address(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Callable[[str], str]:
    """A name below `tmp_path` as a URI of this machine's or of another file system."""
    if request.param == "local":
        return lambda name: str(tmp_path / name)
    table = f"t{abs(hash(tmp_path))}"
    spark.sparkContext._jsc.hadoopConfiguration().set(f"fs.viewfs.mounttable.{table}.link./data", tmp_path.as_uri())
    return lambda name: f"viewfs://{table}/data/{name}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    for name in OURS:
        (tmp_path / "source" / name).write_text(f"new {name}")
    return tmp_path / "source"


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.endswith(".crc")}


NEW = {"config.json": "new config.json", "weights": "new weights"}


def test_a_folder_appears_with_its_parents_and_comes_back(
    spark: SparkSession, address: Callable[[str], str], folder: Path, tmp_path: Path
) -> None:
    publish(spark, folder, address("a/b/bundle"), replaceable=OURS)
    assert content(tmp_path / "a" / "b" / "bundle") == NEW
    with fetched(spark, address("a/b/bundle")) as copy:
        assert content(copy) == NEW
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["bundle"]


def test_an_earlier_folder_of_ours_is_replaced_whole(
    spark: SparkSession, address: Callable[[str], str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "weights").write_text("old")
    (folder / "config.json").unlink()
    publish(spark, folder, address("bundle"), replaceable=OURS)
    assert content(tmp_path / "bundle") == {"weights": "new weights"}


def test_a_folder_with_anything_else_is_refused_and_left(
    spark: SparkSession, address: Callable[[str], str], folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "home"
    (target / "thesis").mkdir(parents=True)
    (target / "config.json").write_text("old")
    with pytest.raises(SetupError, match=r"home holds 'thesis', so it is not replaced.*give another folder"):
        publish(spark, folder, address("home"), replaceable=OURS)
    assert (target / "config.json").read_text() == "old" and (target / "thesis").is_dir()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_a_file_is_refused(spark: SparkSession, address: Callable[[str], str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(SetupError, match="bundle is a file; give a folder"):
        publish(spark, folder, address("bundle"), replaceable=OURS)
    assert (tmp_path / "bundle").read_text() == "a file"


def test_a_copy_that_fails_leaves_the_earlier_folder(
    spark: SparkSession, address: Callable[[str], str], folder: Path, tmp_path: Path
) -> None:
    publish(spark, folder, address("bundle"), replaceable=OURS)
    with pytest.raises(OSError, match="gone"):
        publish(spark, tmp_path / "gone", address("bundle"), replaceable=OURS)
    assert content(tmp_path / "bundle") == NEW


def test_nothing_there_is_said(spark: SparkSession, address: Callable[[str], str]) -> None:
    with pytest.raises(FileNotFoundError, match="nothing does not exist"), fetched(spark, address("nothing")):
        pass


def test_a_path_without_a_scheme_lies_where_spark_has_it(spark: SparkSession, tmp_path: Path) -> None:
    assert absolute_uri(spark, str(tmp_path / "x")) == f"file:{tmp_path}/x"
