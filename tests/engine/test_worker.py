"""What a worker makes of what all have told each other before a round."""

from __future__ import annotations

from typing import Any

import pytest

from radspark.engine.feeding import RoundJob
from radspark.engine.worker import take_seat

JOB = RoundJob(
    run_id="run",
    round_name="radspark round 1",
    num_workers=3,
    num_shards=6,
    image_size=8,
    num_findings=2,
    samples={"train": 60},
    fed=frozenset(),
    cores_per_worker=1,
    cache_level="disk",
    cache_gb=None,
)


def facts(host: str, cache: str, *held: int) -> dict[str, Any]:
    return {"address": host, "port": 1, "cache": cache, "held": list(held)}


@pytest.mark.parametrize(
    ("workers", "kept"),
    [
        ([facts("a", "/x", 0, 1, 2, 3), facts("a", "/x", 0, 1, 2, 3), facts("b", "/x", 4, 5)], {0, 1, 2, 3}),
        ([facts("a", "/x", *range(6)), facts("a", "/x", *range(6)), facts("b", "/x", 4, 5)], {0, 1, 2, 3}),
        ([facts("a", "/x", *range(6)), facts("a", "/x", *range(6)), facts("b", "/x")], {0, 1, 2, 3, 4, 5}),
        ([facts("a", "/x", *range(6)), facts("a", "/y", 2, 3), facts("b", "/x", 4, 5)], {0, 1}),
    ],
    ids=["all stays", "one more than is needed", "handed to another host", "two executors of a host"],
)
def test_an_executor_keeps_what_its_workers_take_and_hand_over(workers: list[dict[str, Any]], kept: set[int]) -> None:
    assert take_seat(workers, 0, JOB).kept == kept
