"""One round as a Spark job: the barrier stage of its workers, and what came back from them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from radspark.engine.jobs import worker_profile
from radspark.engine.worker import REPLY_SCHEMA, RoundJob, run_worker
from radspark.errors import TrainingError, UserCodeError
from radspark.frames.session import is_connect
from radspark.training.round import RoundSpec, StepRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundReply:
    """What the workers of a round sent back."""

    missing: frozenset[int]
    """Shards that no worker held; then nothing was trained."""
    steps: tuple[StepRecord, ...]
    labels_NC: NDArray[np.float32] | None
    """Of the validation samples, if the round ended an epoch."""
    probabilities_NC: NDArray[np.float32] | None


class RoundLostError(Exception):
    """A worker or its executor went away; the round can be run again from the same state."""


def run_spark_round(
    spark: SparkSession,
    *,
    make_frame: Callable[[], DataFrame],
    job: RoundJob,
    spec: RoundSpec,
    description: str,
) -> RoundReply:
    """Run one round.

    Args:
        make_frame: gives the rows addressed to the workers; its partitions are the workers.

    Raises:
        RoundLostError: a worker went away.
        UserCodeError: a worker raised; its traceback is in the message.
        TrainingError: a worker's disk is full.
    """
    if not is_connect(spark):
        spark.sparkContext.setJobDescription(description)
    try:
        task = partial(run_worker, job=job, spec=spec)
        profile = worker_profile(spark, job.cores_per_worker)
        rows = make_frame().mapInArrow(task, REPLY_SCHEMA, barrier=True, profile=profile).collect()
    except (PySparkException, Py4JError) as error:
        raise explain(str(error)) from error
    finally:
        if not is_connect(spark):
            spark.sparkContext.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]
    return _read_reply(rows, job.num_findings)


_REASONS = re.compile(
    r"ExecutorLostFailure \(executor \S+ exited[^\n:]*|Python worker (?:exited unexpectedly|failed to connect)"
    r"|Job \S+ cancelled|[Bb]arrier (?:stage|ResultStage)|SparkContext (?:was|has been) s\w+ down"
)
"""The parts of Spark's reasons that we repeat: the rest can name files, which name patients."""


def explain(message: str) -> Exception:
    """A Python exception that reached Spark comes from before our own handling, such as a module that executors lack;
    everything else is a task, an executor or a host that went away."""
    _, found, traceback = message.partition("Traceback (most recent call last):")
    if found:
        return UserCodeError(f"a worker could not start:\n{found}{traceback.split('at org.apache.spark')[0].rstrip()}")
    reasons = list(dict.fromkeys(_REASONS.findall(message)))
    return RoundLostError(f"Spark ended the job ({'; '.join(reasons) or 'for a reason that is in its own log'})")


def _read_reply(rows: list[Any], num_findings: int) -> RoundReply:
    def payloads(kind: str) -> list[bytes]:
        return [bytes(row["payload"]) for row in rows if row["kind"] == kind]

    if errors := payloads("error"):
        raise UserCodeError(f"a worker failed:\n{errors[0].decode()}")
    if payloads("disk_full"):
        raise TrainingError(
            "the disk of a worker is full: its samples need room in Spark's local directory (spark.local.dir; with "
            "cache_level memory, in shared memory), 64 KiB for an image of 256 x 256; free some, or spread the samples "
            "over more executors."
        )
    if lost := payloads("lost_peer"):
        raise RoundLostError(lost[0].decode().strip().splitlines()[-1])
    if missing := payloads("missing"):
        return RoundReply(frozenset(json.loads(missing[0])), (), None, None)
    scores = [np.frombuffer(data, np.float32).reshape(-1, 2 * num_findings) for data in payloads("scores")]
    both = np.concatenate(scores) if scores else None
    return RoundReply(
        missing=frozenset(),
        steps=tuple(StepRecord(**step) for step in json.loads(payloads("steps")[0])),
        labels_NC=None if both is None else both[:, :num_findings],
        probabilities_NC=None if both is None else both[:, num_findings:],
    )
