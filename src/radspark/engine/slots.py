"""How many workers a run gets, and where they reach the driver: asked of Spark before the first job."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession

from radspark.errors import SetupError
from radspark.frames.session import count_slots, is_connect

CONNECT_WORKERS = 2
"""Spark Connect does not tell how many tasks can run at once."""


def choose_num_workers(spark: SparkSession, wanted: int | None) -> int:
    """Workers of a run: the wanted number, or all free task slots.

    Raises:
        SetupError: more than there are slots.
    """
    slots = count_slots(spark)
    if slots is None:
        return wanted or CONNECT_WORKERS
    if wanted is not None and wanted > slots:
        raise SetupError(
            f"num_workers must be at most {slots} (free task slots), got {wanted}; lower it, add executors, "
            f"or start a larger local Spark with master local[{wanted}]."
        )
    return wanted or max(1, slots)


@dataclass(frozen=True)
class DriverHost:
    """Where the driver can be reached; behind address translation, as on Kubernetes, the two differ."""

    bind: str
    """What it listens on."""
    advertised: str
    """By what executors reach it."""


def driver_host(spark: SparkSession) -> DriverHost:
    """As Spark itself is told; loopback on Spark Connect, which does not say."""
    if is_connect(spark):
        return DriverHost("127.0.0.1", "127.0.0.1")
    conf = spark.sparkContext.getConf()
    advertised = str(conf.get("spark.driver.host", "127.0.0.1"))
    return DriverHost(str(conf.get("spark.driver.bindAddress", advertised)), advertised)
