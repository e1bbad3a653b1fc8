"""Spark jobs that can be cancelled from another thread, and what a stage asks of the cluster for each of its tasks."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from radspark.engine.devices import GPU
from radspark.frames.session import is_connect, is_embedded
from radspark.settings import TrainingSettings

logger = logging.getLogger(__name__)


@contextmanager
def cancellable(spark: SparkSession) -> Iterator[Callable[[], None]]:
    """Gives what cancels, from any thread, the jobs that this thread starts inside the block."""
    tag = f"radspark-{secrets.token_hex(4)}"
    if is_connect(spark):
        spark.addTag(tag)
        try:
            yield lambda: logger.debug("cancelled %s", spark.interruptTag(tag))
        finally:
            spark.removeTag(tag)
    else:
        context = spark.sparkContext
        context.addJobTag(tag)
        try:
            yield lambda: context.cancelJobsWithTag(tag)
        finally:
            context.removeJobTag(tag)


@contextmanager
def after(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something, on another thread, if the block lasts longer."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def worker_profile(spark: SparkSession, training: TrainingSettings) -> ResourceProfile | None:
    """Asks for all cores of a worker and its GPU, so that Spark puts no two on the same; None where one core is all.

    Of one run there must be one: Spark takes two that ask for the same as different ones, and no stage may have two.
    A local Spark grants nothing by stage, and Spark Connect does not say what it grants: they count tasks alone.
    """
    cores, needs_gpu = training.cores_per_worker, training.device == "cuda"
    if cores == 1 and not needs_gpu:
        return None
    if is_connect(spark) or is_embedded(spark):
        return None
    requests = TaskResourceRequests().cpus(cores)
    return ResourceProfileBuilder().require(requests.resource(GPU, 1) if needs_gpu else requests).build
