"""The line between the driver and the workers of a round: they meet on it, and rank 0 fetches and hands in the state.

It bypasses the JVM, whose heap would otherwise hold every state several times over, and whose barrier lets workers wait
for up to a second. It is also how a lost worker is noticed: each is on the line from its first moment to its last, and
gives a sign of life every few seconds. Spark's executors must reach the driver anyway. Messages are a line of JSON,
followed by the state's bytes where the line says so; a token that only the round's workers know comes first.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from io import BufferedReader
from types import TracebackType
from typing import Any

from radspark.engine.slots import DriverHost
from radspark.training.round import StepRecord

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""Between a worker's signs of life."""
SILENCE_SECONDS = 60.0
"""A worker from which nothing comes for longer is lost, though its connection stands."""
CONNECT_SECONDS = 60.0
ARRIVAL_SECONDS = 300.0
"""From the first worker on the line to the last: Spark starts them together."""
GREETING_SECONDS = 10.0
"""For whoever connects to say the token."""
MAX_GREETING = 256
"""Bytes of the first message, which a stranger may have sent."""
MAX_STRANGERS = 32
"""Connections beside those of the workers; more are turned away unheard."""
MAX_LINE = 1 << 20
"""Bytes of a message: the shards of a worker, or the workers of a round."""
MAX_TEXT = MAX_LINE // 16
"""Letters of a failure's text, each of which can take 12 bytes."""
PIECE = 1 << 20
"""Bytes of a state that are sent at once, within SILENCE_SECONDS."""


class LineLostError(Exception):
    """The line to the driver broke: the driver went away, or broke the round off because another worker did."""


class WorkerEnd:
    """A worker's end: meet the others; as rank 0 ask for the state, tell of steps, hand in the new state.

    Every method raises LineLostError once the line is broken. Leaving the `with` block by an exception breaks the round
    off for all workers; leaving it otherwise says that this one is done.
    """

    def __init__(self, address: tuple[str, int], token: str, worker: int) -> None:
        self._sending = threading.Lock()
        self._left = threading.Event()
        try:
            self._socket = socket.create_connection(address, timeout=CONNECT_SECONDS)
        except OSError as error:
            raise LineLostError(f"the driver does not answer: {error}") from error
        self._socket.settimeout(None)
        self._reader = self._socket.makefile("rb")
        self._send({"token": token, "worker": worker})

    def gather(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Tell all workers of the round about this one and wait for all; their facts, in the order of workers."""
        self._send({"facts": facts})
        all_facts: list[dict[str, Any]] = self._receive()["workers"]
        return all_facts

    def fetch_state(self) -> bytearray:
        """The state that the round starts from."""
        self._send({"want": "state"})
        try:
            return _read_state(self._reader, self._receive())
        except OSError as error:
            raise LineLostError("the driver broke the round off") from error

    def send_step(self, step: StepRecord) -> None:
        """Tell of a step."""
        self._send({"step": asdict(step)})

    def send_state(self, state: bytes | bytearray) -> None:
        """Hand in the state that the round ended with; returns when the driver has it."""
        self._send({"bytes": len(state)}, state)
        self._receive()

    def send_failure(self, kind: str, text: str) -> None:
        """Tell why this worker leaves; of a long text the end."""
        self._send({"failed": [kind, text[-MAX_TEXT:]]})

    def _send(self, message: dict[str, Any], state: bytes | bytearray = b"") -> None:
        try:
            with self._sending:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
                self._socket.sendall(state)
        except OSError as error:
            raise LineLostError("the driver broke the round off") from error

    def _receive(self) -> dict[str, Any]:
        try:
            message = _read_line(self._reader, MAX_LINE)
        except OSError as error:
            raise LineLostError("the driver broke the round off") from error
        if message is None:
            raise LineLostError("the driver broke the round off")
        return message

    def _beat(self) -> None:
        with suppress(LineLostError):  # whoever uses the line next is told
            while not self._left.wait(BEAT_SECONDS):
                self._send({"alive": True})

    def __enter__(self) -> WorkerEnd:
        threading.Thread(target=self._beat, name="radspark-beat", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        try:
            if kind is None:
                self._send({"done": True})
        finally:
            self._reader.close()
            self._socket.close()


class DriverEnd:
    """The driver's end: threads that serve whoever knows the token. Bound to one address for one attempt at a round.

    If a worker's conversation ends before it said that it is done, the round is broken off: no worker is answered any
    more, so that nobody waits for the lost one. What others say as they leave is still heard.
    """

    def __init__(
        self,
        host: DriverHost,
        *,
        num_workers: int,
        state: bytes | bytearray,
        max_state_bytes: int,
        on_step: Callable[[StepRecord], None],
        on_broken: Callable[[], None],
    ) -> None:
        """Listen.

        Args:
            on_step: called for each step, on another thread.
            on_broken: called once, on another thread, when the round is broken off.
        """
        self.token = secrets.token_hex(16)
        self.new_state: bytearray | None = None
        self.broken: str | None = None
        """Why the round was broken off."""
        self.told: list[tuple[str, str]] = []
        """Kind and text of the failures by which workers left."""
        self._num_workers = num_workers
        self._state = state
        self._max_state_bytes = max_state_bytes
        self._on_step = on_step
        self._on_broken = on_broken
        self._changing = threading.Lock()
        self._is_open = True
        self._connections: dict[socket.socket, int | None] = {}
        """Open ones, with the worker behind each once it has said the token."""
        self._meeting: dict[int, tuple[socket.socket, dict[str, Any]]] = {}
        """Workers that wait for the others."""
        self._expected = set(range(num_workers))
        """Workers that have not been on the line yet."""
        self._arrival: threading.Timer | None = None
        self._server = socket.create_server((host.bind, 0), backlog=num_workers + MAX_STRANGERS)
        self.address: tuple[str, int] = (host.advertised, self._server.getsockname()[1])

    def __enter__(self) -> DriverEnd:
        threading.Thread(target=self._serve, name="radspark-line", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changing:
            self._is_open = False
            if self._arrival is not None:
                self._arrival.cancel()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._hang_up(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError as error:  # also that the round is over
                self._break_off(f"the driver can take no connection ({error.strerror})")
                return
            with self._changing:
                accepted = self._is_open and len(self._connections) < self._num_workers + MAX_STRANGERS
                if accepted:
                    self._connections[connection] = None
            if accepted:
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _converse(self, connection: socket.socket) -> None:
        """Serve one worker until it is done; a stranger is left standing, a broken conversation breaks the round."""
        reason: str | None = None
        with connection, connection.makefile("rb") as reader:
            try:
                if self._greet(connection, reader) and not self._listen(connection, reader):
                    reason = "is gone"
            except TimeoutError:
                reason = f"was silent for {SILENCE_SECONDS:.0f} s"
            except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
                reason = f"broke its line ({type(error).__name__})"
            with self._changing:
                worker = self._connections.pop(connection)
        if reason is not None and worker is not None:
            self._break_off(f"worker {worker} {reason}")

    def _greet(self, connection: socket.socket, reader: BufferedReader) -> bool:
        connection.settimeout(GREETING_SECONDS)
        greeting = _read_line(reader, MAX_GREETING)
        if greeting is None or not secrets.compare_digest(str(greeting.get("token")), self.token):
            return False
        worker = int(greeting["worker"])
        with self._changing:
            self._connections[connection] = worker
            self._expected.discard(worker)
            if self._arrival is None and self._is_open:
                self._arrival = threading.Timer(ARRIVAL_SECONDS, self._give_up_waiting)
                self._arrival.daemon = True
                self._arrival.start()
        connection.settimeout(SILENCE_SECONDS)
        return True

    def _give_up_waiting(self) -> None:
        if self._expected:
            host, port = self.address
            self._break_off(
                f"worker {min(self._expected)} did not reach the driver at {host}:{port} within {ARRIVAL_SECONDS:.0f} s"
            )

    def _listen(self, connection: socket.socket, reader: BufferedReader) -> bool:
        """Answer until the worker is done (True) or gone (False)."""
        while (message := _read_line(reader, MAX_LINE)) is not None:
            if "done" in message:
                return True
            self._answer(connection, reader, message)
        return False

    def _answer(self, connection: socket.socket, reader: BufferedReader, message: dict[str, Any]) -> None:
        if "alive" in message:
            return
        if "facts" in message:
            self._meet(connection, message["facts"])
        elif "failed" in message:
            kind, text = message["failed"]
            self.told.append((str(kind), str(text)))
        elif "step" in message:
            self._tell_step(StepRecord(**message["step"]))
        elif message.get("want") == "state":
            connection.sendall(json.dumps({"bytes": len(self._state)}).encode() + b"\n")
            for start in range(0, len(self._state), PIECE):
                connection.sendall(memoryview(self._state)[start : start + PIECE])
        elif 0 <= message["bytes"] <= self._max_state_bytes:
            self.new_state = _read_state(reader, message)
            connection.sendall(b'{"received": true}\n')
        else:
            raise ValueError("the state is larger than a state can be")

    def _meet(self, connection: socket.socket, facts: dict[str, Any]) -> None:
        """The last worker to come answers all."""
        with self._changing:
            worker = self._connections[connection]
            assert worker is not None, "it has said the token"
            self._meeting[worker] = (connection, facts)
            if len(self._meeting) < self._num_workers:
                return
            met = [self._meeting[worker] for worker in sorted(self._meeting)]
            self._meeting = {}
        answer = json.dumps({"workers": [facts for _, facts in met]}).encode() + b"\n"
        for waiting, _ in met:
            waiting.sendall(answer)

    def _tell_step(self, step: StepRecord) -> None:
        try:
            self._on_step(step)
        except Exception:
            logger.exception("an observer failed at step %d; training goes on", step.step)

    def _break_off(self, reason: str) -> None:
        with self._changing:
            if not self._is_open or self.broken is not None:
                return
            self.broken = reason
        self._hang_up(socket.SHUT_WR)
        self._on_broken()

    def _hang_up(self, how: int) -> None:
        with self._changing:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):  # its other end, or its own thread, was first
                connection.shutdown(how)


def _read_line(reader: BufferedReader, limit: int) -> dict[str, Any] | None:
    """One message; None at the end of the line."""
    line = reader.readline(limit)
    if not line:
        return None
    message = json.loads(line)
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
