"""What runs in the tasks of the sliced synchronizer's jobs: gradients of a worker, and the update of a slice.

Tensors travel as chunks: small enough that the JVM's heap, which passes them on, never holds a whole vector at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark import TaskContext

from radspark.engine.caches import shared_cache
from radspark.engine.feeding import RoundJob, fill_cache, open_shards
from radspark.engine.worker import tell_failure
from radspark.engine.worker_log import worker_log

if TYPE_CHECKING:
    import torch
    from pyspark.accumulators import Accumulator
    from pyspark.core.broadcast import Broadcast

    from radspark.training.cache import ShardCache
    from radspark.training.gradients import ShardGradients
    from radspark.training.round import Inputs, RoundSpec
    from radspark.training.slices import SlicePlan, StateSlice

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
"""Bytes. The JVM keeps arrays of more than half a heap region apart, and cleans them up late."""


class Chunk(NamedTuple):
    """A part of one slice of the state, or of a worker's message for it."""

    slice: int
    of: Literal["weights", "moments"] | tuple[int, int]
    """The block of shards (first, size) that a message is the sum over."""
    place: int
    data: bytes


class Failure(NamedTuple):
    """What went wrong in a task: it goes the way of the data, as an exception would make Spark try again."""

    kind: str
    text: str


@dataclass(frozen=True)
class SlicedJob:
    """What the tasks of a round's jobs are told."""

    round_id: str
    job: RoundJob
    spec: RoundSpec
    num_slices: int
    times_sent: int
    """The samples, in this run: each time to where Spark runs the workers then, which can be other executors."""

    @property
    def travel(self) -> torch.dtype:
        """In what gradients travel."""
        import torch

        return getattr(torch, self.spec.recipe.training.exchange)  # type: ignore[no-any-return]

    def cache(self) -> ShardCache:
        """This executor's."""
        return shared_cache(self.job, f"{self.times_sent:05d}")


class Replica:
    """A worker's network with what it computes on; a process keeps it from step to step."""

    def __init__(self, task: SlicedJob, state: Broadcast[bytes]) -> None:
        import torch

        from radspark.training.gradients import ShardGradients
        from radspark.training.round import choose_learner
        from radspark.training.slices import SlicePlan
        from radspark.training.state import PackedState

        spec = task.spec
        torch.set_num_threads(task.job.cores_per_worker)
        self.network = spec.build_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state = PackedState.read(state.value).unpack()
        self.network.load_state_dict(dict(self.state.network))
        self.learner, self.inputs = choose_learner(self.network, spec)
        self.sums: ShardGradients = ShardGradients(
            self.learner,
            positive_weights_C=None if spec.positive_weights is None else torch.tensor(spec.positive_weights),
            precision=getattr(torch, spec.recipe.training.precision),
        )
        self.plan: SlicePlan = SlicePlan.of(self.sums, self.network, self.network.head_parameters(), task.num_slices)
        self._first_counts = self.sums.counters.clone()

    def set_state(self, chunks: Iterable[Chunk], *, steps_done: int) -> None:
        """Take the weights after some steps of the round."""
        from radspark.training.slices import set_weights

        set_weights(read_slices(chunks), self.plan, network=self.network, statistics=self.sums.statistics)
        self.sums.counters.copy_(self._first_counts + steps_done)


_replicas: dict[str, Replica] = {}


def _replica(task: SlicedJob, state: Broadcast[bytes], worker: int) -> Replica:
    """The one of this process."""
    if task.round_id not in _replicas:
        with worker_log(task.job.round_name, f"worker {worker}"):
            logger.info("begins in this process, one of %d workers", task.job.num_workers)
        _replicas.clear()
        _replicas[task.round_id] = Replica(task, state)
    return _replicas[task.round_id]


PLACE_SCHEMA = "kind string, text string"


def fill_shards(batches: Iterator[pa.RecordBatch], *, task: SlicedJob) -> Iterator[pa.RecordBatch]:
    """Take a worker's samples, for `mapInArrow`; gives no row, or the one of a failure."""
    context = TaskContext.get()
    assert context is not None, "runs in a task"
    worker = context.partitionId()
    try:
        cache = task.cache()
        cache.supersede()
        fill_cache(cache, batches, task.job, worker)
    except Exception as error:  # noqa: BLE001  it goes the way of the data
        kind, text = tell_failure(error)
        yield pa.RecordBatch.from_pylist([{"kind": kind, "text": text}])


def to_place(rows: Iterable[Any]) -> Iterator[Failure | None]:
    """One element a worker: where this is kept, its samples are."""
    failures = [Failure(row["kind"], row["text"]) for row in rows]
    yield failures[0] if failures else None


def first_slice(number: int, nothing: Iterable[Any], *, task: SlicedJob, state: Broadcast[bytes]) -> Iterator[Chunk]:
    """A slice of the state that the round starts from."""
    from radspark.nn.optimizers import build_optimizer, load_optimizer_state
    from radspark.training.slices import cut_state

    for _ in nothing:
        continue
    replica = Replica(task, state)
    named = list(replica.network.named_parameters())
    optimizer = build_optimizer(named, task.spec.recipe.optimizer)
    load_optimizer_state(optimizer, named, replica.state.optimizer)
    part = cut_state(
        replica.plan, number, network=replica.network, optimizer=optimizer, statistics=replica.sums.statistics
    )
    yield from write_slice(number, part)


def weights_alone(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """What workers read of the state."""
    return (chunk for chunk in chunks if chunk.of == "weights")


def send_gradients(
    worker: int, pairs: Iterable[tuple[Failure | None, Chunk]], *, task: SlicedJob, state: Broadcast[bytes], offset: int
) -> Iterator[tuple[int, Chunk | Failure]]:
    """A worker's part of a step: one message for each slice and block of its shards.

    Args:
        pairs: the worker's place with each chunk of all weights.
        offset: steps of the round that are done.
    """
    from radspark.training.slices import pack_gradients

    def messages(replica: Replica, shards: dict[str, Any]) -> Iterator[tuple[int, Chunk | Failure]]:
        inputs: Inputs = replica.inputs
        tree = replica.sums.of_shards(inputs.of_step(shards["train"], task.spec.first_step + offset))
        for block, vector in zip(tree.blocks, tree.sums, strict=True):
            for number, message in enumerate(pack_gradients(vector, replica.plan, travel=task.travel)):
                for chunk in _chunks(number, (block.first, block.size), message):
                    yield number, chunk

    def failed(failure: Failure) -> Iterator[tuple[int, Chunk | Failure]]:
        return ((number, failure) for number in range(task.num_slices))

    return _on_replica(worker, pairs, messages, failed, task=task, state=state, offset=offset)


def score(
    worker: int, pairs: Iterable[tuple[Failure | None, Chunk]], *, task: SlicedJob, state: Broadcast[bytes], offset: int
) -> Iterator[bytes | Failure]:
    """A worker's validation samples: labels and probabilities side by side, for each of its shards."""
    from radspark.training.round import score_shard

    def rows(replica: Replica, shards: dict[str, Any]) -> Iterator[bytes | Failure]:
        for shard, samples in shards.get("validation", {}).items():
            scores = score_shard(replica.learner, replica.inputs, shard, samples)
            yield np.concatenate([scores.labels_NC, scores.probabilities_NC], 1).tobytes()

    return _on_replica(worker, pairs, rows, lambda failure: iter([failure]), task=task, state=state, offset=offset)


def _on_replica(
    worker: int,
    pairs: Iterable[tuple[Failure | None, Chunk]],
    work: Callable[[Replica, dict[str, Any]], Iterator[Any]],
    failed: Callable[[Failure], Iterator[Any]],
    *,
    task: SlicedJob,
    state: Broadcast[bytes],
    offset: int,
) -> Iterator[Any]:
    place: Failure | None = None
    chunks = []
    for place, chunk in pairs:  # noqa: B007  the same each time
        chunks.append(chunk)
    if place is not None:
        yield from failed(place)
        return
    try:
        replica = _replica(task, state, worker)
        replica.set_state(chunks, steps_done=offset)
        chunks.clear()
        yield from work(replica, _shards(task, worker))
    except SamplesElsewhereError as error:
        yield from failed(Failure("lost_peer", str(error)))
    except Exception as error:  # noqa: BLE001  it goes the way of the data
        kind, text = tell_failure(error)
        with worker_log(task.job.round_name, f"worker {worker}"):
            logger.info("gave up: %s (%s)", kind, type(error).__name__)
        yield from failed(Failure(kind, text))


class SamplesElsewhereError(Exception):
    """The executor of a task does not hold the samples of its worker."""


def _shards(task: SlicedJob, worker: int) -> dict[str, Any]:
    """This worker's samples, if Spark ran its task where they were put."""
    try:
        return open_shards(task.cache(), task.job, worker)
    except FileNotFoundError as error:
        raise SamplesElsewhereError("Spark ran a worker's task where its samples are not") from error


def update(
    number: int,
    elements: Iterable[tuple[int, Chunk | Failure] | Chunk],
    *,
    task: SlicedJob,
    plan: SlicePlan,
    rate: float,
    told: Accumulator[list[Any]],
) -> Iterator[Chunk]:
    """A slice after the step: what the workers sent for it, added up, and one step of its optimizer.

    Args:
        elements: the messages for this slice by its number, and its chunks of the state.
        rate: learning rate.
        told: takes failures, and from slice 0 what the step measured.
    """
    import torch

    from radspark.training.slices import add_up, update_slice
    from radspark.training.tree import Block

    messages: dict[tuple[int, int], list[Chunk]] = {}
    own, failures = [], set()
    for element in elements:
        if isinstance(element, Chunk):
            own.append(element)
        elif isinstance(element[1], Failure):
            failures.add(element[1])
        else:
            messages.setdefault(element[1].of, []).append(element[1])  # type: ignore[arg-type]
    if failures:
        told.add(sorted(failures))
        return
    torch.set_num_threads(task.job.cores_per_worker)
    blocks = {Block(*block): _joined(chunks) for block, chunks in messages.items()}
    total = add_up(blocks, plan, number, travel=task.travel)
    if number == 0:
        told.add([(total.is_finite, *total.measures[:2].tolist())])
    (before,) = read_slices(own)
    settings = task.spec.recipe.optimizer
    yield from write_slice(number, update_slice(before, total, plan, number, settings=settings, rate=rate))


def write_slice(number: int, part: StateSlice) -> Iterator[Chunk]:
    """As chunks."""
    yield from _chunks(number, "weights", part.pack_weights())
    yield from _chunks(number, "moments", part.pack_moments())


def read_slices(chunks: Iterable[Chunk]) -> list[StateSlice]:
    """The slices that chunks make up, in order."""
    from radspark.training.slices import StateSlice

    parts: dict[tuple[int, Any], list[Chunk]] = {}
    for chunk in chunks:
        parts.setdefault((chunk.slice, chunk.of), []).append(chunk)
    numbers = sorted({number for number, _ in parts})
    return [
        StateSlice.read(
            bytes(_joined(parts[number, "weights"])),
            bytes(_joined(parts.get((number, "moments"), []))),
        )
        for number in numbers
    ]


def _chunks(number: int, of: Any, data: bytes) -> Iterator[Chunk]:
    for place, start in enumerate(range(0, len(data), CHUNK)):
        yield Chunk(number, of, place, data[start : start + CHUNK])


def _joined(chunks: list[Chunk]) -> bytearray:
    return bytearray().join(chunk.data for chunk in sorted(chunks, key=lambda chunk: chunk.place))
