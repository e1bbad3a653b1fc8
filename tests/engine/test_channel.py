"""The line between driver and rank 0: states whole or not at all, steps live, strangers turned away."""

import errno
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from radspark.engine import channel
from radspark.engine.channel import DriverEnd, LineLostError, WorkerEnd
from radspark.engine.slots import DriverHost
from radspark.training.round import StepRecord

STEP = StepRecord(step=4, loss=0.5, num_samples=8, learning_rate=0.1, seconds=0.2, was_applied=True)


def greeting(line: DriverEnd) -> bytes:
    return json.dumps({"token": line.token, "worker": 0}).encode() + b"\n"


def driver(
    steps: list[StepRecord] | None = None,
    *,
    state: bytes = b"old" * 1000,
    num_workers: int = 1,
    broken: list[str] | None = None,
) -> DriverEnd:
    return DriverEnd(
        DriverHost("127.0.0.1", "localhost"),
        num_workers=num_workers,
        state=state,
        max_state_bytes=10_000,
        on_step=([] if steps is None else steps).append,
        on_broken=lambda: ([] if broken is None else broken).append("broken"),
    )


def worker_end(line: DriverEnd, worker: int = 0) -> WorkerEnd:
    return WorkerEnd(line.address, line.token, worker)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_the_state_goes_down_and_a_new_one_comes_up() -> None:
    with driver() as line:
        with worker_end(line) as worker:
            assert bytes(worker.fetch_state()) == b"old" * 1000
            worker.send_state(b"new" * 2000)
        assert line.new_state == b"new" * 2000
    assert line.broken is None


def test_a_state_of_many_pieces_arrives_whole() -> None:
    state = bytes(range(256)) * 20_000
    with driver(state=state) as line, worker_end(line) as worker:
        assert worker.fetch_state() == state


def test_steps_are_told_as_they_are_done() -> None:
    steps: list[StepRecord] = []
    with driver(steps) as line, worker_end(line) as worker:
        worker.send_step(STEP)
        wait_for(lambda: steps)
    assert steps == [STEP]


def test_workers_meet_and_see_each_other_in_order() -> None:
    with (
        driver(num_workers=2) as line,
        worker_end(line, 0) as first,
        worker_end(line, 1) as second,
        ThreadPoolExecutor() as threads,
    ):
        late = threads.submit(second.gather, {"held": [1]})
        assert first.gather({"held": [0]}) == [{"held": [0]}, {"held": [1]}] == late.result(timeout=5)


def test_who_waits_for_a_worker_that_failed_is_told() -> None:
    broken: list[str] = []
    with driver(num_workers=2, broken=broken) as line, ThreadPoolExecutor() as threads:
        with pytest.raises(LineLostError), worker_end(line, 0) as waiting:
            meeting = threads.submit(waiting.gather, {})
            with pytest.raises(MemoryError), worker_end(line, 1):
                raise MemoryError
            with pytest.raises(LineLostError):
                meeting.result(timeout=5)
            waiting.fetch_state()
        wait_for(lambda: broken)
        assert line.broken == "worker 1 is gone"


def test_a_worker_that_never_comes_lets_the_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "ARRIVAL_SECONDS", 0.2)
    with driver(num_workers=2) as line:
        with pytest.raises(LineLostError), worker_end(line, 0) as waiting:
            waiting.gather({})
        assert line.broken == f"worker 1 did not reach the driver at localhost:{line.address[1]} within 0 s"


class OutOfFiles:
    """A listening socket of a process that can open no more."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def __getattr__(self, name: str) -> object:
        return getattr(self._server, name)


def test_a_driver_that_can_take_no_connection_breaks_the_round_off() -> None:
    broken: list[str] = []
    line = driver(broken=broken)
    line._server = OutOfFiles(line._server)
    with line:
        wait_for(lambda: broken)
        assert line.broken == "the driver can take no connection (Too many open files)"


def test_a_worker_that_is_done_breaks_nothing() -> None:
    with driver(num_workers=2) as line, worker_end(line, 0) as waiting:
        with worker_end(line, 1):
            pass
        time.sleep(0.2)
        assert waiting.fetch_state()
    assert line.broken is None


def test_a_worker_that_falls_silent_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.3)
    with driver() as line, socket.create_connection(line.address) as raw:
        raw.sendall(greeting(line))
        wait_for(lambda: line.broken)
    assert line.broken == "worker 0 was silent for 0 s"


def test_a_worker_at_work_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(channel, "BEAT_SECONDS", 0.1)
    with driver() as line, worker_end(line) as worker:
        time.sleep(1.5)
        assert worker.fetch_state()


def test_a_worker_without_the_token_gets_nothing() -> None:
    with driver() as line:
        with pytest.raises(LineLostError), WorkerEnd(line.address, "guess", 0) as worker:
            worker.fetch_state()
        with worker_end(line) as worker:
            assert worker.fetch_state()
    assert line.new_state is None


def test_a_stranger_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "GREETING_SECONDS", 0.2)
    with driver() as line:
        with socket.create_connection(line.address, timeout=5) as raw:
            assert raw.recv(1) == b""
        assert line.broken is None


def test_a_crowd_of_strangers_leaves_room_for_workers() -> None:
    with driver() as line:
        crowd = [socket.create_connection(line.address, timeout=5) for _ in range(2 * channel.MAX_STRANGERS)]
        assert crowd[-1].recv(1) == b""
        for raw in crowd:
            raw.close()
        wait_for(lambda: not line._connections)
        with worker_end(line) as worker:
            assert worker.fetch_state()


def test_a_state_larger_than_a_state_can_be_is_refused() -> None:
    with driver() as line:
        with pytest.raises(LineLostError), worker_end(line) as worker:
            worker.send_state(b"x" * 10_001)
        assert line.new_state is None


def test_a_state_cut_off_half_way_is_no_state() -> None:
    with driver() as line:
        with socket.create_connection(line.address) as raw:
            raw.sendall(greeting(line) + b'{"bytes": 5000}\n' + b"x" * 100)
        wait_for(lambda: line.broken)
        assert line.new_state is None


@pytest.mark.parametrize(
    "message",
    [b"\x00\xff\n", b"[1]\n", b'{"bytes": "many"}\n', b'{"step": {"loss": 1}}\n', b"{}\n", b"[" * 100_000 + b"\n"],
)
def test_a_broken_message_ends_the_round_and_not_the_driver(message: bytes) -> None:
    with driver() as line, socket.create_connection(line.address, timeout=5) as raw:
        raw.sendall(greeting(line) + message)
        assert raw.recv(10) == b""
        wait_for(lambda: line.broken)
        assert str(line.broken).startswith("worker 0 broke its line")


def test_an_observer_that_fails_does_not_end_the_round(caplog: pytest.LogCaptureFixture) -> None:
    def fail(step: StepRecord) -> None:
        raise RuntimeError("the screen is gone")

    with driver() as line, worker_end(line) as worker:
        line._on_step = fail
        worker.send_step(STEP)
        assert worker.fetch_state()
    assert "observer failed at step 4" in caplog.text


def test_a_driver_that_leaves_lets_go_of_the_workers() -> None:
    line = driver(num_workers=2)
    with ThreadPoolExecutor() as threads, pytest.raises(LineLostError):
        with line:
            worker = threads.submit(lambda: meet_alone(line))
            wait_for(lambda: line._meeting)
        worker.result(timeout=5)


def meet_alone(line: DriverEnd) -> None:
    with worker_end(line) as worker:
        worker.gather({})


def test_why_a_worker_leaves_is_heard_after_another_was_lost() -> None:
    with driver(num_workers=2) as line, pytest.raises(MemoryError), worker_end(line, 0) as busy:
        with pytest.raises(ConnectionError), worker_end(line, 1):
            raise ConnectionError
        wait_for(lambda: line.broken)
        busy.send_failure("error", "Traceback: MemoryError" * 100_000)
        wait_for(lambda: line.told)
        assert line.told[0][0] == "error"
        assert line.told[0][1].endswith("MemoryError")
        raise MemoryError
