"""The line between the driver and rank 0 of a round: the state goes down and comes up, and each step is told live.

It bypasses the JVM, whose heap would otherwise hold every state several times over. Spark's executors must reach the
driver anyway. Messages are a line of JSON, followed by the state's bytes where the line says so; a token that only the
round's workers know comes first.
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

from radspark.training.round import StepRecord

MAX_LINE = 4096
PATIENCE_SECONDS = 60.0
"""Longest silence on the line while something is expected."""


class WorkerEnd:
    """Rank 0's end; ask for the state, tell of steps, hand in the new state."""

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        self._reader = self._socket.makefile("rb")
        self._send({"token": token})

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
        self, host: str, *, state: bytes | bytearray, max_state_bytes: int, on_step: Callable[[StepRecord], None]
    ) -> None:
        self.token = secrets.token_hex(16)
        self.new_state: bytearray | None = None
        self._state = state
        self._max_state_bytes = max_state_bytes
        self._on_step = on_step
        self._server = socket.create_server((host, 0))
        self.address: tuple[str, int] = (host, self._server.getsockname()[1])

    def __enter__(self) -> DriverEnd:
        threading.Thread(target=self._serve, name="radspark-channel", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

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
        if "step" in message:
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
