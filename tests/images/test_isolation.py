from __future__ import annotations

import ctypes
import os
import signal
import time

import numpy as np
import pytest

from radspark.images.isolation import MEMORY, TIMEOUT, Isolation, Lost

ISOLATION: Isolation[int] = Isolation(max_seconds=20, max_memory=256 * 2**20)


def test_results_come_in_order_from_one_other_process() -> None:
    pids = list(ISOLATION.run(lambda item: item * 0 + os.getpid(), 5))
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()
    assert list(ISOLATION.run(lambda item: item * item, 5)) == [0, 1, 4, 9, 16]


def test_nothing_to_do_starts_no_process() -> None:
    assert list(ISOLATION.run(os._exit, 0)) == []


def crash(item: int) -> int:
    if item % 3 == 1:
        ctypes.string_at(0)
    return item


def test_segmentation_fault_costs_its_item_only() -> None:
    expected = [item if item % 3 != 1 else Lost("SIGSEGV") for item in range(8)]
    assert list(ISOLATION.run(crash, 8)) == expected


def test_last_item_may_be_lost() -> None:
    assert list(ISOLATION.run(lambda item: os.kill(os.getpid(), signal.SIGKILL), 1)) == [Lost("SIGKILL")]


def test_hang_is_ended() -> None:
    start = time.monotonic()
    results = list(Isolation(0.3, 2**28).run(lambda item: time.sleep(60 * (item == 1)) or item, 3))
    assert results == [0, Lost(TIMEOUT), 2]
    assert time.monotonic() - start < 20


def test_flood_of_memory_is_ended() -> None:
    results = list(ISOLATION.run(lambda item: len(np.ones(2**29 if item == 1 else 2**10, np.uint8)), 3))
    assert results == [2**10, Lost(MEMORY), 2**10]


def test_error_of_the_work_is_raised_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(ISOLATION.run(lambda item: 1 // item, 2))


def test_no_child_is_left_behind() -> None:
    results = ISOLATION.run(lambda item: os.getpid(), 1000)
    pid = next(results)
    results.close()
    assert isinstance(pid, int)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
