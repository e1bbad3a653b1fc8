"""`radspark train` on a standalone cluster whose own Python has no radspark: the environment travels as an archive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import train_words

import radspark

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with radspark itself; what it needs is large, and taken from the environment of this test."""
    folder = tmp_path_factory.mktemp("archive")
    venv.create(folder / "environment", symlinks=True)
    (packages,) = (folder / "environment").glob("lib/python*/site-packages")
    shutil.copytree(Path(radspark.__file__).parent, packages / "radspark")
    (packages / "large.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with tarfile.open(folder / "environment.tar.gz", "w:gz") as tar:
        for path in (folder / "environment").iterdir():
            tar.add(path, path.name)
    return folder / "environment.tar.gz"


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Of Spark's event log."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "appstatus"))]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line["Event"] == kind]


def test_executors_without_radspark_train_from_an_archive(
    archive: Path, standalone: ModuleType, nih_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = {**os.environ, "PYTHONPATH": str(Path(radspark.__file__).parents[1])}
    monkeypatch.delenv("PYTHONPATH", raising=False)
    bare = subprocess.run([sys._base_executable, "-c", "import radspark"], capture_output=True, check=False)  # type: ignore[attr-defined]
    assert bare.returncode != 0, "the machine's own Python has radspark: this would show nothing"
    (tmp_path / "events").mkdir()
    conf = {
        "spark.archives": f"{archive}#environment",
        "spark.pyspark.python": "./environment/bin/python",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": f"file:{tmp_path / 'events'}",
    }
    with standalone.Cluster(workers=2, cores=1, memory="1g") as cluster:
        words = train_words(nih_data, tmp_path / "run", "--epochs", 1, "--workers", 2, "--master", cluster.url)
        words += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
        command = [sys.executable, "-c", "from radspark.cli.main import run; run()", *map(str, words)]
        done = subprocess.run(command, env=driver, capture_output=True, text=True, check=False)
        logs = [file.read_text() for file in sorted(cluster.folder.glob("worker-*/app-*/*/stderr"))]
        unpacked = list(cluster.folder.glob("worker-*/app-*/*/environment/lib/python*/site-packages/radspark"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "history.json").read_text())["rounds"][0]["num_workers"] == 2
    assert len(unpacked) == 2
    assert sorted(rank for log in logs for rank in (0, 1) if f"round 1, rank {rank}: one of 2 workers" in log) == [0, 1]
    jobs = [
        event["Properties"].get("spark.job.description")
        for event in events(tmp_path / "events", "SparkListenerJobStart")
    ]
    assert any(str(job).startswith("radspark round 1: epoch 1, from step 1 of ") for job in jobs)
    assert "radspark: decoding the samples, once" in jobs
    assert "radspark: removing the run's caches" in jobs
