"""Fixtures shared by all lanes: one Spark session, and the folder of real radiographs where it is at hand."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
# Two threads of torch on a core that others want wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RADSPARK_IDENTIFIER_KEY", "5a" * 32)

# Property tests judge values, not times: a shared machine stalls.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One embedded `local[2]` session for the whole run."""
    from radspark.frames.session import get_session

    session = get_session(master="local[2]", app_name="radspark-tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs, weights and predictions; the test skips where it is missing."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RADSPARK_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real radiographs at hand: set RADSPARK_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def standalone() -> ModuleType:
    """`scripts/standalone.py`, which starts a master and workers on this machine."""
    file = Path(__file__).parents[1] / "scripts" / "standalone.py"
    spec = importlib.util.spec_from_file_location("standalone", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["standalone"] = module
    spec.loader.exec_module(module)
    return module
