"""The wheel holds all that the package needs, and runs from another folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_templates_types_and_license(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("radspark/py.typed", "radspark/report/templates/style.css", "licenses/LICENSE", "licenses/NOTICE"):
        assert any(name.endswith(part) for name in names), part
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    script = (
        "import radspark.report.writing as w; from radspark.cli.main import run; print(w.__file__); run(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, version = done.stdout.split("\n")[:2]
    assert where.startswith(str(target))
    assert version == "radspark 0.1.0"
