"""How many workers a round gets, and where they reach the driver: asked of Spark before each job."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from radspark.engine.devices import check_device, count_devices
from radspark.engine.jobs import after, cancellable, worker_profile
from radspark.errors import SetupError
from radspark.frames.session import count_slots, is_connect, is_embedded
from radspark.settings import Synchronizer, TrainingSettings

logger = logging.getLogger(__name__)

CONNECT_WORKERS = 2
"""Spark Connect does not tell how many tasks can run at once."""
WAIT_SECONDS = 60.0
"""For executors that are on their way; a run then starts, or goes on, with those that are there."""
SETTLED_SECONDS = 3.0
"""Where no number of workers is asked for: no executor came or left for so long."""
POLL_SECONDS = 0.25


def choose_num_workers(spark: SparkSession, training: TrainingSettings) -> int:
    """Workers of a run: the wanted number, or as many as there is room for. Waits for executors to start.

    Raises:
        SetupError: there is room for fewer; or this Spark cannot run the synchronizer's jobs, or has no GPUs.
    """
    check_synchronizer(spark, training.synchronizer)
    check_device(spark, training.device)
    wanted, cores, needs_gpu = training.num_workers, training.cores_per_worker, training.device == "cuda"
    if is_elastic(spark) and wanted is not None:
        return wanted
    profile = worker_profile(spark, training)
    if profile is None and (cores > 1 or needs_gpu):
        logger.info("this Spark has no resources by stage; workers take one task slot each")
    found = wait_for_room(spark, wanted, training, profile)
    if found is None:
        return _try_on_connect(spark, wanted or CONNECT_WORKERS)
    if found == 0:
        raise SetupError(
            f"no worker of {cores} cores{' and a GPU' if needs_gpu else ''} finds room: Spark has no executor with so "
            f"much free after {WAIT_SECONDS:.0f} s; look at its master's page, or lower cores_per_worker."
        )
    if wanted is not None and wanted > found:
        each = f", {cores} for each worker" if cores > 1 else ""
        room, remedy = f"free task slots{each}", f"start a larger local Spark with master local[{wanted * cores}]"
        if needs_gpu:
            room, remedy = f"{room}, and a GPU each", "take device cpu"
        raise SetupError(
            f"num_workers must be at most {found} ({room}), got {wanted}; lower it, add executors, or {remedy}."
        )
    return wanted or found


def _try_on_connect(spark: SparkSession, num_workers: int) -> int:
    """Spark Connect does not tell its slots: an empty job of so many tasks at once does."""
    tasks = spark.range(0, num_workers, 1, num_workers)
    try:
        with cancellable(spark) as cancel, after(WAIT_SECONDS, cancel):
            tasks.mapInArrow(_pass_on, "id long", barrier=True).collect()
    except PySparkException as error:
        raise SetupError(
            f"Spark did not start {num_workers} tasks at once within {WAIT_SECONDS:.0f} s; lower num_workers, or add "
            "executors."
        ) from error
    return num_workers


def _pass_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def check_synchronizer(spark: SparkSession, synchronizer: Synchronizer) -> None:
    """Refuse what this Spark cannot do.

    Raises:
        SetupError: `collective` under dynamic allocation, where Spark starts no barrier stage; `sliced` on Spark
            Connect, which has no RDDs.
    """
    if synchronizer == "sliced" and is_connect(spark):
        raise SetupError("synchronizer sliced needs RDDs, which Spark Connect has not; choose collective.")
    if synchronizer == "collective" and is_elastic(spark):
        raise SetupError(
            "synchronizer collective needs all its workers at once, which Spark does not grant while executors come "
            "and go by themselves; choose sliced, or give --conf spark.dynamicAllocation.enabled=false."
        )


def is_elastic(spark: SparkSession) -> bool:
    """Whether executors come and go by themselves: Spark's dynamic allocation."""
    return (
        not is_connect(spark) and spark.sparkContext.getConf().get("spark.dynamicAllocation.enabled", "false") == "true"
    )


def wait_for_room(
    spark: SparkSession, wanted: int | None, training: TrainingSettings, profile: ResourceProfile | None
) -> int | None:
    """Workers that there is room for: at once if there is for all wanted, else after waiting; None on Spark Connect."""
    started = changed = time.monotonic()
    found = count_room(spark, training, profile)
    while found is not None and not is_embedded(spark) and time.monotonic() - started < WAIT_SECONDS:
        if found and (found >= wanted if wanted is not None else time.monotonic() - changed > SETTLED_SECONDS):
            break
        time.sleep(POLL_SECONDS)
        now = count_room(spark, training, profile)
        if now != found:
            found, changed = now, time.monotonic()
    return found


def count_room(spark: SparkSession, training: TrainingSettings, profile: ResourceProfile | None) -> int | None:
    """Workers that there is room for now; None on Spark Connect.

    Args:
        profile: what each asks of the cluster, by `worker_profile`.
    """
    # Executors that come by themselves come for a profile, and only when a stage has it.
    if profile is not None and not is_elastic(spark):
        return count_slots(spark, profile)
    slots = count_slots(spark)
    if slots is None:
        return None
    room = slots // training.cores_per_worker
    return min(room, count_devices()) if training.device == "cuda" else room


@dataclass(frozen=True)
class DriverHost:
    """Where the driver can be reached; behind address translation, as on Kubernetes, the two differ."""

    bind: str
    """What it listens on."""
    advertised: str
    """By what executors reach it."""


def driver_host(spark: SparkSession) -> DriverHost:
    """As Spark itself is told; on Spark Connect, the address by which this client reaches the server."""
    if is_connect(spark):
        own = _own_address_towards(str(spark.client.host))
        return DriverHost(own, own)
    conf = spark.sparkContext.getConf()
    advertised = str(conf.get("spark.driver.host", "127.0.0.1"))
    return DriverHost(str(conf.get("spark.driver.bindAddress", advertised)), advertised)


def _own_address_towards(host: str) -> str:
    """The address of this machine's interface on the way to a host; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
