"""The sum of a step's vector over all workers, in parts: the first go out while the backward pass computes the others.

Gradients lie in the vector in the order of the parameters, and a backward pass is through with the last ones first. So
the parts go from the end of the gradients to their start, and last what follows them: statistics and measures. All
workers add up the same parts in the same order, early or late, and the cuts change no bit of a sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import torch

from radspark.training.gradients import ShardGradients
from radspark.training.tree import ShardSum

PART = 1 << 21
"""Elements that go out at once."""


class Exchange:
    """Adds up the vector of one `ShardGradients`, step after step."""

    def __init__(
        self,
        gradients: ShardGradients,
        shard_sum: ShardSum,
        *,
        travel: torch.dtype,
        thread: ThreadPoolExecutor | None,
    ) -> None:
        """Cut the vector.

        Args:
            travel: in what gradients travel; statistics and measures travel in float32.
            thread: one, which adds up parts during the backward pass; no parameter may get its gradient in several
                pieces. None: all waits for the end of the backward pass.
        """
        self._vector = gradients.vector
        self._shard_sum = shard_sum
        self._travel = travel
        self._thread = thread
        self._parts = list(_cut(gradients.end_of_gradients, len(self._vector), PART - PART % shard_sum.num_workers))
        self._sent: list[Future[None]] = []
        self._owed: list[int] | None = None
        """Gradients of each part that the last backward pass still owes; None while no part may go out."""
        self._num_gradients = [0] * len(self._parts)
        if thread is not None:
            self._watch(gradients.parameters)

    def _watch(self, parameters: list[torch.nn.Parameter]) -> None:
        offset = 0
        for parameter in parameters:
            end = offset + parameter.numel()
            touched = [number for number, part in enumerate(self._parts) if part.start < end and offset < part.stop]
            for number in touched:
                self._num_gradients[number] += 1
            parameter.register_post_accumulate_grad_hook(partial(self._take, touched))  # type: ignore[no-untyped-call]
            offset = end

    def begin(self) -> None:
        """The last backward pass of this worker's only block of shards starts: parts may go out."""
        if self._thread is not None:
            self._owed = list(self._num_gradients)

    def _take(self, parts: list[int], _: torch.Tensor) -> None:
        """One gradient is there, of an element of each of these parts."""
        if self._owed is None:
            return
        for number in parts:
            self._owed[number] -= 1
        # The last part waits for no gradient, but for what is measured after them.
        while len(self._sent) < len(self._parts) - 1 and not self._owed[len(self._sent)]:
            self._send([self._vector])

    def _send(self, blocks: list[torch.Tensor]) -> None:
        assert self._thread is not None
        self._sent.append(self._thread.submit(self._add_up, len(self._sent), blocks))

    def finish(self, blocks: list[torch.Tensor]) -> None:
        """Put the sum over all workers into the vector, from the sums of this worker's blocks."""
        if self._thread is None:
            for number in range(len(self._parts)):
                self._add_up(number, blocks)
            return
        while len(self._sent) < len(self._parts):
            self._send(blocks)
        for sent in self._sent:
            sent.result()
        self._sent, self._owed = [], None

    def _add_up(self, number: int, blocks: list[torch.Tensor]) -> None:
        part = self._parts[number]
        travel = torch.float32 if number == len(self._parts) - 1 else self._travel
        self._shard_sum([block[part] for block in blocks], self._vector[part], travel=travel)


def _cut(end_of_gradients: int, end: int, size: int) -> Iterator[slice]:
    for stop in range(end_of_gradients, 0, -size):
        yield slice(max(0, stop - size), stop)
    yield slice(end_of_gradients, end)
