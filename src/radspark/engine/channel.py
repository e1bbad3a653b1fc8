"""The line between the driver and the workers of a round: they meet on it, and rank 0 fetches and hands in the state.

It bypasses the JVM, whose heap would otherwise hold every state several times over, and whose barrier lets workers wait
for up to a second. Spark's executors must reach the driver anyway. Messages are a line of JSON, followed by the state's
bytes where the line says so; a token that only the round's workers know comes first.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from io import BufferedReader
from types import TracebackType
from typing import Any

from radspark.engine.slots import DriverHost
from radspark.training.round import StepRecord

MAX_LINE = 1 << 20
"""Bytes of a message: the shards of a worker, or the workers of a round."""
CONNECT_SECONDS = 60.0


class WorkerEnd:
    """A worker's end: meet the others; as rank 0 ask for the state, tell of steps, hand in the new state.

    It waits for as long as it takes: Spark ends the task if the driver or another worker goes away.
    """

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._socket = socket.create_connection(address, timeout=CONNECT_SECONDS)
        self._socket.settimeout(None)
        self._reader = self._socket.makefile("rb")
        self._send({"token": token})

    def gather(self, worker: int, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Tell all workers of the round about this one; the facts of all, in the order of workers."""
        self._send({"worker": worker, "facts": facts})
        all_facts: list[dict[str, Any]] = _read_line(self._reader)["workers"]
        return all_facts

    def fetch_state(self) -> bytearray:
        """The state that the round starts from."""
        self._send({"want": "state"})
        return _read_state(self._reader, _read_line(self._reader))

    def send_step(self, step: StepRecord) -> None:
        """Tell of a step."""
        self._send({"step": asdict(step)})

    def send_state(self, state: bytes | bytearray) -> None:
        """Hand in the state that the round ended with; returns when the driver has it."""
        self._send({"bytes": len(state)})
        self._socket.sendall(state)
        _read_line(self._reader)

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def __enter__(self) -> WorkerEnd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._socket.close()


class DriverEnd:
    """The driver's end: threads that serve whoever knows the token. Bound to one address for one attempt at a round."""

    def __init__(
        self,
        host: DriverHost,
        *,
        num_workers: int,
        state: bytes | bytearray,
        max_state_bytes: int,
        on_step: Callable[[StepRecord], None],
    ) -> None:
        self._facts: dict[int, dict[str, Any]] = {}
        self._num_workers = num_workers
        self._all_met = threading.Event()
        self.token = secrets.token_hex(16)
        self.new_state: bytearray | None = None
        self._state = state
        self._max_state_bytes = max_state_bytes
        self._on_step = on_step
        self._server = socket.create_server((host.bind, 0))
        self.address: tuple[str, int] = (host.advertised, self._server.getsockname()[1])

    def __enter__(self) -> DriverEnd:
        threading.Thread(target=self._serve, name="radspark-channel", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._all_met.set()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        """Serve one worker until it hangs up; a stranger, or a broken message, ends the conversation."""
        with connection, connection.makefile("rb") as reader:
            try:
                greeting = _read_line(reader)
                if not secrets.compare_digest(str(greeting.get("token")), self.token):
                    return
                while message := _read_line(reader):
                    self._answer(connection, reader, message)
            except (OSError, ValueError, TypeError):
                return

    def _answer(self, connection: socket.socket, reader: BufferedReader, message: dict[str, Any]) -> None:
        if "facts" in message:
            self._facts[int(message["worker"])] = message["facts"]
            if len(self._facts) == self._num_workers:
                self._all_met.set()
            self._all_met.wait()
            workers = [self._facts[worker] for worker in sorted(self._facts)]
            connection.sendall(json.dumps({"workers": workers}).encode() + b"\n")
        elif "step" in message:
            self._on_step(StepRecord(**message["step"]))
        elif message.get("want") == "state":
            connection.sendall(json.dumps({"bytes": len(self._state)}).encode() + b"\n")
            connection.sendall(self._state)
        elif 0 <= message["bytes"] <= self._max_state_bytes:
            self.new_state = _read_state(reader, message)
            connection.sendall(b'{"received": true}\n')
        else:
            raise ValueError("the state is larger than a state can be")


def _read_line(reader: BufferedReader) -> dict[str, Any]:
    """One message; empty at the end of the line."""
    line = reader.readline(MAX_LINE)
    message = json.loads(line) if line else {}
    if not isinstance(message, dict):
        raise ValueError("a message must be an object")
    return message


def _read_state(reader: BufferedReader, message: dict[str, Any]) -> bytearray:
    state = bytearray(message["bytes"])
    view = memoryview(state)
    filled = 0
    while filled < len(state):
        count = reader.readinto(view[filled:])
        if not count:
            raise ConnectionError("the line broke in the middle of a state")
        filled += count
    return state
