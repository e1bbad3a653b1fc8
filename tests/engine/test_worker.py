"""What a worker makes of what all have told each other before a round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radspark.engine.caches import shared_cache
from radspark.engine.feeding import RoundJob
from radspark.engine.worker import check_room, take_seat
from radspark.training.room import NoRoomError

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


SHARD_GB = 10 * (8 * 8 + 2 * 4 + 8) / 1e9


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failed").touch()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path / 'failed'},{tmp_path / 'works'}")


def keep(job: RoundJob, *shards: int) -> None:
    with shared_cache(job).new({name: job.size(name) for name in job.names(shards)}):
        pass


@pytest.mark.usefixtures("executor")
def test_what_is_fed_at_once_is_within_the_limit_and_what_is_fed_later_may_lie_beside_it() -> None:
    job = replace(JOB, fed=frozenset(range(6)), cache_gb=2.5 * SHARD_GB)
    keep(job, 0, 1)
    with pytest.raises(NoRoomError, match="training.cache_gb"):
        keep(job, 2)
    keep(job.feeding(frozenset({2, 3})), 2, 3)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("worker", [0, 1, 2])
def test_all_workers_end_the_round_where_an_executor_takes_more_than_it_may(worker: int) -> None:
    met = [facts("a", "/x", 0, 1, 2, 3), facts("a", "/x", *range(6)), facts("b", "/x", 4, 5)]
    four, less = (replace(JOB, cache_gb=shards * SHARD_GB) for shards in (4, 3.9))
    check_room(take_seat(met, worker, four), shared_cache(four), four)
    with pytest.raises(NoRoomError, match="training.cache_gb"):
        check_room(take_seat(met, worker, less), shared_cache(less), less)
