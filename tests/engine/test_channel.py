"""The line between driver and rank 0: states whole or not at all, steps live, strangers turned away."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from radspark.engine.channel import DriverEnd, WorkerEnd
from radspark.engine.slots import DriverHost
from radspark.training.round import StepRecord

STEP = StepRecord(step=4, loss=0.5, num_samples=8, learning_rate=0.1, seconds=0.2, was_applied=True)


def driver(steps: list[StepRecord], state: bytes = b"old" * 1000, num_workers: int = 1) -> DriverEnd:
    return DriverEnd(
        DriverHost("127.0.0.1", "localhost"),
        num_workers=num_workers,
        state=state,
        max_state_bytes=10_000,
        on_step=steps.append,
    )


def wait_for(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_state_goes_down_and_a_new_one_comes_up() -> None:
    with driver([]) as line, WorkerEnd(line.address, line.token) as worker:
        assert bytes(worker.fetch_state()) == b"old" * 1000
        worker.send_state(b"new" * 2000)
        assert line.new_state == b"new" * 2000


def test_steps_are_told_as_they_are_done() -> None:
    steps: list[StepRecord] = []
    with driver(steps) as line, WorkerEnd(line.address, line.token) as worker:
        worker.send_step(STEP)
        wait_for(lambda: steps)
    assert steps == [STEP]


def test_workers_meet_and_see_each_other_in_order() -> None:
    with (
        driver([], num_workers=2) as line,
        WorkerEnd(line.address, line.token) as first,
        WorkerEnd(line.address, line.token) as second,
        ThreadPoolExecutor() as threads,
    ):
        late = threads.submit(second.gather, 1, {"held": [1]})
        assert first.gather(0, {"held": [0]}) == [{"held": [0]}, {"held": [1]}] == late.result(timeout=5)


def test_a_worker_without_the_token_gets_nothing() -> None:
    with driver([]) as line, WorkerEnd(line.address, "guess") as worker:
        with pytest.raises((ConnectionError, KeyError)):
            worker.fetch_state()
        assert line.new_state is None


def test_a_state_larger_than_a_state_can_be_is_refused() -> None:
    with driver([]) as line, WorkerEnd(line.address, line.token) as worker:
        with pytest.raises((ConnectionError, OSError)):
            worker.send_state(b"x" * 10_001)
            worker.fetch_state()
        assert line.new_state is None


def test_a_state_cut_off_half_way_is_no_state() -> None:
    with driver([]) as line:
        with socket.create_connection(line.address) as raw:
            raw.sendall(json.dumps({"token": line.token}).encode() + b"\n" + b'{"bytes": 5000}\n' + b"x" * 100)
        time.sleep(0.2)
        assert line.new_state is None


@pytest.mark.parametrize("message", [b"\x00\xff\n", b"[1]\n", b'{"bytes": "many"}\n', b'{"step": {"loss": 1}}\n'])
def test_a_broken_message_ends_the_conversation_and_not_the_driver(message: bytes) -> None:
    with driver([]) as line:
        with socket.create_connection(line.address, timeout=5) as raw:
            raw.sendall(json.dumps({"token": line.token}).encode() + b"\n" + message)
            assert raw.recv(10) == b""
        with WorkerEnd(line.address, line.token) as worker:
            assert worker.fetch_state()
