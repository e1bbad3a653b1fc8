"""The rules of the house that no linter holds."""

import subprocess
import sys
from pathlib import Path

import pytest

import radspark

SOURCE = Path(radspark.__file__).parent


@pytest.mark.parametrize(
    "package", ["training", "planning", "predict", "nn", "metrics", "images", "bundle", "settings"]
)
def test_it_runs_without_spark(package: str) -> None:
    blocked = "import sys; sys.modules['pyspark'] = None; "
    modules = sorted(
        str(path.relative_to(SOURCE.parent)).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in [*SOURCE.glob(f"{package}.py"), *SOURCE.glob(f"{package}/**/*.py")]
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked + "import " + ", ".join(modules)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_every_module_opens_with_a_sentence() -> None:
    silent = [str(p) for p in SOURCE.rglob("*.py") if p.read_text().strip() and not p.read_text().startswith('"""')]
    assert silent == []
