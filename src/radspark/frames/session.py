"""Starts or finds the Spark session, with defaults that suit images, and keeps Spark's noise off the screen."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from radspark.errors import SetupError
from radspark.frames.java import find_java
from radspark.frames.leftovers import claim_folder

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

DEFAULT_CONF: Mapping[str, str] = {
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A row can be a file of tens of megabytes or a prepared image of 64 KB: both bounds are needed.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16777216",
    # Spark's 4 MB for opening a file would make partitions of thirty images.
    "spark.sql.files.openCostInBytes": "65536",
    # A list of many files would be looked at by one task each.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "64",
    # Plans stand in event logs and on Spark's pages. They name the files that are read, and a name can be a patient's.
    # A plan can hold megabytes without a break: only from where a name begins is one looked for.
    "spark.sql.redaction.string.regex": r"(?i)(?<![^\s/,\[\]])[^\s/,\[\]]+\.(?:png|jpe?g|dcm|dicom)\b",
    # A free slot works at once: an image takes longer to decode than to send.
    "spark.locality.wait": "0s",
}
"""What radspark sets where neither the caller nor the cluster's own configuration does."""

_CHATTER = re.compile(r"^\s+at |^WARNING: |^Using |^Setting |^To adjust |\b(?:INFO|WARN) ")

LONGEST_SOCKET_FOLDER = 61
"""Bytes of its path. Spark refuses a longer one: with the name that it adds, the system takes 104."""
LOCAL_HEAP = "1g"
"""Heap of an embedded Spark: it passes files on, at most `max_bytes` each, and holds weights; pixels live in Python."""


def get_session(
    *,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    app_name: str = "radspark",
    quiet: bool = True,
) -> SparkSession:
    """The running Spark session if there is one, else a new one: embedded `local[*]` unless told otherwise.

    Under `spark-submit`, or where SPARK_HOME or SPARK_CONF_DIR points to a configuration, its master and settings are
    taken; what radspark sets by itself (`DEFAULT_CONF`) fills only what they leave open.

    Args:
        master: Spark's master URL, or `sc://host` for Spark Connect.
        conf: settings for Spark; they win over all others.
        quiet: keep what the JVM and the Python processes of an embedded Spark write off the screen.

    Raises:
        SetupError: no Java, or Spark did not start.
    """
    options = dict(conf or {})
    running = _find_running()
    if running is not None:
        if master is not None or options:
            logger.warning("a Spark session is running already: master and conf have no effect")
        return running
    target = master or options.get("spark.master")
    if target is not None and target.startswith("sc://"):
        return _connect(target, options)
    if target is None and not {"PYSPARK_GATEWAY_PORT", "SPARK_HOME", "SPARK_CONF_DIR"} & os.environ.keys():
        target = "local[*]"
    return _start(target, options, app_name=app_name, quiet=quiet)


def count_slots(spark: SparkSession, profile: ResourceProfile | None = None) -> int | None:
    """Tasks that can run at once now: the number that Spark compares a barrier stage with. None on Spark Connect.

    Args:
        profile: what each task asks for; None asks for what Spark's configuration says.
    """
    if is_connect(spark):
        return None
    context = spark.sparkContext._jsc.sc()
    profiles = context.resourceProfileManager()
    if profile is None:
        return int(context.maxNumConcurrentTasks(profiles.defaultResourceProfile()))
    asked = profile._java_resource_profile
    profiles.addResourceProfile(asked)  # Spark counts for those that it knows; one that it knows is not added again
    return int(context.maxNumConcurrentTasks(asked))


def is_connect(spark: SparkSession) -> bool:
    """True for a Spark Connect client, which has no JVM and no RDDs at hand."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_embedded(spark: SparkSession) -> bool:
    """True for a Spark inside this machine, whose tasks run beside the driver and get no resources by stage."""
    return not is_connect(spark) and str(spark.sparkContext.master).partition("[")[0] == "local"


def local_conf() -> dict[str, str]:
    """What radspark sets beside `DEFAULT_CONF`, for masters that live inside this machine."""
    return {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Spark's 200 are for a cluster: here most of them would be empty, and each costs a file a task. But images that
        # were joined with their labels are decoded and scored in so many tasks.
        "spark.sql.shuffle.partitions": str(max(16, os.cpu_count() or 1)),
    }


def socket_conf(folder: Path) -> dict[str, str]:
    """Java and its Python processes meet at sockets in a private folder, unless its path is too long for one.

    By TCP on a loopback, Nagle's algorithm and the delayed acknowledgment hold up each task by 40 ms.
    """
    if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
        return {}
    return {"spark.python.unix.domain.socket.enabled": "true", "spark.python.unix.domain.socket.dir": str(folder)}


def _find_running() -> SparkSession | None:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is None and SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    return active


def _connect(target: str, options: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote(target)
    for key, value in options.items():
        if key != "spark.master":
            builder = builder.config(key, value)
    return builder.getOrCreate()


def _start(target: str | None, options: dict[str, str], *, app_name: str, quiet: bool) -> SparkSession:
    from py4j.protocol import Py4JJavaError
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    local = target is not None and target.startswith("local")
    if target is not None:
        options["spark.master"] = target
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        options.setdefault("spark.app.name", app_name)
    with ExitStack() as stack:
        stack.enter_context(_environment(_launch_variables(target or "", options)))
        log = stack.enter_context(tempfile.TemporaryFile()) if quiet else None
        if SparkContext._gateway is None:
            _launch(SparkConf(loadDefaults=False).setAll(list(options.items())), log)
        settings = SparkConf().setAll(list(options.items()))
        _fill(settings, {"spark.master": "local[*]", **DEFAULT_CONF})
        if local:
            folder = _local_dir()
            _fill(settings, local_conf() | socket_conf(folder))
            if "SPARK_LOCAL_DIRS" not in os.environ:
                _fill(settings, {"spark.local.dir": str(folder)})
        try:
            SparkContext(conf=settings)
        except Py4JJavaError as error:
            reason = error.java_exception.getMessage()
            raise SetupError(f"Spark did not start with master {settings.get('spark.master')!r}: {reason}") from error
        spark = SparkSession.builder.getOrCreate()
    if quiet:
        spark.sparkContext.setLogLevel("ERROR")
    return spark


def _local_dir() -> Path:
    """Where an embedded Spark keeps what it decoded, and its sockets; one that was killed could not remove them.

    Raises:
        SetupError: the folder for temporary files is another user's.
    """
    try:
        return claim_folder(Path(tempfile.gettempdir()) / f"radspark-{os.getuid()}", psutil.Process())
    except OSError as error:
        raise SetupError(f"no place for temporary files: {error} Set TMPDIR to a folder of your own.") from error


def _launch(settings: SparkConf, log: IO[bytes] | None) -> None:
    """Start the JVM; with a log, all that it and its Python workers write goes there.

    The log is a file without a name: what Spark writes can hold names of patients' files.
    """
    from pyspark import SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    streams = {"stdout": log, "stderr": log} if log is not None else {}
    try:
        SparkContext._ensure_initialized(gateway=launch_gateway(settings, streams))  # type: ignore[no-untyped-call]
    except PySparkRuntimeError as error:
        said = _find_reason(log) if log is not None else "see above"
        raise SetupError(f"Spark's Java process ended before it was ready: {said}") from error


def _launch_variables(target: str, options: Mapping[str, str]) -> dict[str, str]:
    """Environment that the JVM and its Python workers need and the caller's may lack.

    Spark's own default for the workers is whatever `python3` is on their path: on a master that shares this machine's
    folders that is seldom the environment that radspark is installed in.
    """
    variables = {}
    local = target.startswith("local")
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        variables["JAVA_HOME"] = str(find_java().path)
    if python := options.get("spark.pyspark.python"):
        variables["PYSPARK_PYTHON"] = python
    elif local or (target.startswith("spark://") and "PYSPARK_PYTHON" not in os.environ):
        variables["PYSPARK_PYTHON"] = sys.executable
    if local:
        variables["SPARK_DRIVER_MEMORY"] = os.environ.get("SPARK_DRIVER_MEMORY", LOCAL_HEAP)
        variables["SPARK_LOCAL_IP"] = os.environ.get("SPARK_LOCAL_IP", "127.0.0.1")
    return variables


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time of the launch only."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _fill(settings: SparkConf, defaults: Mapping[str, str]) -> None:
    for key, value in defaults.items():
        settings.setIfMissing(key, value)


def _find_reason(log: IO[bytes]) -> str:
    """The first lines of what Java wrote that are neither a stack trace nor chatter."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not _CHATTER.search(line)]
    return " ".join(said[:2]) or "it said nothing."
