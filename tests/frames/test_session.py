from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa
import pytest

from radspark.frames import get_session
from radspark.frames.session import count_slots, local_conf, socket_conf

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def list_batch_sizes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"num_bytes": [batch.nbytes]})


def read_executable(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        yield pa.RecordBatch.from_pydict({"executable": [sys.executable]})


def list_connections(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        connections = psutil.Process().net_connections("all")
        yield pa.RecordBatch.from_pydict({"address": [str(each.laddr) for each in connections if each.laddr]})


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, check=False, env={**os.environ, **variables}, capture_output=True, text=True)


def test_running_session_is_returned(spark: SparkSession) -> None:
    assert get_session() is spark


def test_settings_for_a_running_session_are_warned_of(spark: SparkSession, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        get_session(conf={"spark.ui.enabled": "true"})
    assert "no effect" in caplog.text


def test_slots_are_those_of_the_master(spark: SparkSession) -> None:
    assert count_slots(spark) == 2


def test_local_spark_listens_on_this_machine_only(spark: SparkSession) -> None:
    conf = spark.sparkContext.getConf()
    assert conf.get("spark.driver.bindAddress") == conf.get("spark.driver.host") == "127.0.0.1"
    assert conf.get("spark.ui.enabled") == "false"


def test_local_spark_meets_its_python_processes_in_a_private_folder(spark: SparkSession) -> None:
    met = spark.range(1).mapInArrow(list_connections, "address string").collect()
    folders = {Path(row.address).parent for row in met}
    assert folders == {Path(spark.conf.get("spark.local.dir") or "")}
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700]


def test_a_path_too_long_for_a_socket_leaves_spark_to_tcp() -> None:
    assert socket_conf(Path("/tmp") / ("é" * 28))["spark.python.unix.domain.socket.enabled"] == "true"
    assert socket_conf(Path("/tmp") / ("é" * 29)) == {}


def test_local_spark_shuffles_into_few_partitions(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.shuffle.partitions") == local_conf()["spark.sql.shuffle.partitions"]


@pytest.mark.parametrize(("cores", "partitions"), [(2, "16"), (64, "64"), (None, "16")])
def test_what_was_shuffled_is_worked_on_by_every_core(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, partitions: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert local_conf()["spark.sql.shuffle.partitions"] == partitions


def test_executors_run_the_drivers_python(spark: SparkSession) -> None:
    rows = spark.range(2).mapInArrow(read_executable, "executable string").collect()
    assert {row.executable for row in rows} == {sys.executable}


def test_arrow_batches_are_bounded_in_bytes(spark: SparkSession) -> None:
    rows = spark.range(0, 40, 1, 1).selectExpr("repeat('x', 4000000) as content")
    sizes = [row.num_bytes for row in rows.mapInArrow(list_batch_sizes, "num_bytes long").collect()]
    assert len(sizes) > 1
    assert max(sizes) < 32 * 2**20


def test_launch_leaves_the_environment_as_it_was() -> None:
    script = (
        "import os; before = dict(os.environ)\n"
        "from radspark.frames import get_session; get_session(master='local[1]').stop()\n"
        "changed = {k for k in before.keys() | os.environ.keys() if before.get(k) != os.environ.get(k)}\n"
        "print(sorted(k for k in changed if not k.startswith(('SPARK_AUTH', 'SPARK_BUFFER'))))"
    )
    assert run(script).stdout == "[]\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_noise_of_spark_and_its_python_workers_is_kept_off_the_screen(quiet: bool) -> None:
    script = (
        "import sys\n"
        "from radspark.frames import get_session\n"
        "def shout(batches):\n"
        "    print('noise of a worker', file=sys.stderr)\n"
        "    yield from batches\n"
        f"spark = get_session(master='local[1]', quiet={quiet})\n"
        "print(spark.range(3).mapInArrow(shout, 'id long').count())"
    )
    done = run(script)
    assert done.stdout == "3\n"
    assert ("noise of a worker" in done.stderr, "WARN" in done.stderr) == (not quiet, not quiet)
    assert bool(done.stderr) is not quiet


def test_second_session_in_a_process_starts_after_the_first_is_stopped() -> None:
    script = (
        "from radspark.frames import get_session\n"
        "get_session(master='local[1]').stop()\n"
        "spark = get_session(master='local[2]', app_name='second', conf={'spark.sql.shuffle.partitions': '3'})\n"
        "context = spark.sparkContext\n"
        "print(context.master, context.appName, spark.conf.get('spark.sql.shuffle.partitions'))"
    )
    assert run(script).stdout == "local[2] second 3\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("master='nonsense'", "Spark's Java process ended before it was ready: .*Master must"),
        ("master='local[x]'", r"Spark did not start with master 'local\[x\]': Could not parse"),
        ("conf={'spark.driver.memory': '12 apples'}", "Spark's Java process ended .* Invalid maximum heap size"),
    ],
)
def test_failed_start_is_one_sentence(arguments: str, reason: str) -> None:
    done = run(
        "from radspark.frames import get_session\n"
        "from radspark.errors import SetupError\n"
        f"try: get_session({arguments})\n"
        "except SetupError as error: print(error)"
    )
    assert len(done.stdout.splitlines()) == 1
    assert re.search(reason, done.stdout), done.stdout
