"""The learning rate as a pure function of how many epochs are done and of what plateaus have seen.

Phases follow one another. Each starts from the peak rate, whatever the one before ended at: a plateau after a warm-up
begins at the peak, as the 2019 system's, and a cosine after a cosine is a warm restart. An open-ended last phase lasts
to the end of training. Where the phases end before the training does, the rate stays at what the last one ended with.
An epoch counts for the plateau in which it began. Counting is left to the caller, who keeps a `ScheduleState`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from radspark.nn.watch import check_metric, is_better
from radspark.settings import PHASES, Constant, Cosine, Phase, Plateau, Polynomial, StepDecay, Warmup

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduleState:
    """What the plateau that is under way has seen; `dataclasses.asdict` makes JSON of it."""

    phase: int = 0
    """Position of the phase in the schedule; a new phase starts afresh."""
    best: float | None = None
    num_bad_epochs: int = 0
    cooldown_left: int = 0
    num_reductions: int = 0


@dataclass(frozen=True)
class Moment:
    """Where a phase stands."""

    elapsed: float
    """Epochs since it began."""
    length: float
    """Epochs from its begin to its end."""
    peak: float
    num_reductions: int

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1."""
        return min(self.elapsed / self.length, 1.0) if self.length > 0 else 1.0


def _constant(phase: Constant, now: Moment) -> float:  # noqa: ARG001 - every phase has this form
    return now.peak


def _warmup(phase: Warmup, now: Moment) -> float:
    return now.peak * (phase.start_factor + (1.0 - phase.start_factor) * now.progress)


def _step_decay(phase: StepDecay, now: Moment) -> float:
    # A sum of fractions of an epoch can fall short of the whole by a rounding error.
    num_drops = math.floor(min(now.elapsed, now.length) / phase.every_epochs + 1e-9)
    return float(now.peak * phase.factor**num_drops)


def _cosine(phase: Cosine, now: Moment) -> float:
    lowest = min(phase.min_learning_rate, now.peak)
    return lowest + (now.peak - lowest) * (1.0 + math.cos(math.pi * now.progress)) / 2.0


def _polynomial(phase: Polynomial, now: Moment) -> float:
    lowest = min(phase.min_learning_rate, now.peak)
    return float(lowest + (now.peak - lowest) * (1.0 - now.progress) ** phase.power)


def _plateau(phase: Plateau, now: Moment) -> float:
    lowest = min(phase.min_learning_rate, now.peak)
    return float(max(now.peak * phase.factor**now.num_reductions, lowest))


RATES: dict[type[Phase], Callable[[Any, Moment], float]] = {
    Constant: _constant,
    Warmup: _warmup,
    StepDecay: _step_decay,
    Cosine: _cosine,
    Polynomial: _polynomial,
    Plateau: _plateau,
}


@dataclass(frozen=True)
class Schedule:
    """Phases in sequence, from one peak rate, over a training of known length."""

    phases: tuple[Phase, ...]
    peak: float
    total_epochs: float

    def check(self, available_metrics: Collection[str]) -> None:
        """Check on the driver before a job starts.

        Raises:
            ArgumentError: a plateau watches a metric that validation does not measure.
        """
        for i, phase in enumerate(self.phases):
            if isinstance(phase, Plateau):
                check_metric(phase.metric, available_metrics, setting=f"schedule[{i}].metric")

    def log_unreached_phases(self) -> None:
        """Warn of phases that this training is too short for."""
        for i in range(len(self.phases)):
            if self._begin(i) >= self.total_epochs:
                logger.warning(
                    "schedule[%d] has no effect: it begins after %g epochs, and training lasts %g",
                    i,
                    self._begin(i),
                    self.total_epochs,
                )

    @property
    def phase_by_length(self) -> str | None:
        """Kind of the phase whose rates depend on how long the training is; None if none do."""
        last = self.phases[-1]
        if isinstance(last, Cosine | Polynomial) and last.epochs is None:
            return next(kind for kind, cls in PHASES.items() if cls is type(last))
        return None

    def learning_rate(self, epoch: float, state: ScheduleState) -> float:
        """The rate of a step.

        Args:
            epoch: epochs done before the step, with fractions: the fifth of ten steps of the first epoch is at 0.4.
            state: after the last whole epoch.
        """
        index = self._phase_at(epoch)
        phase = self.phases[index]
        begin = self._begin(index)
        length = (self.total_epochs - begin) if phase.epochs is None else phase.epochs
        num_reductions = state.num_reductions if state.phase == index else 0
        return RATES[type(phase)](phase, Moment(epoch - begin, length, self.peak, num_reductions))

    def after_epoch(self, state: ScheduleState, epoch: int, metrics: Mapping[str, float | None]) -> ScheduleState:
        """The state after `epoch` whole epochs, of which the last was validated with these metrics.

        Raises:
            ArgumentError: the plateau under way watches a metric that is not among them.
        """
        index = self._phase_at(epoch - 1)
        phase = self.phases[index]
        if state.phase != index:
            state = ScheduleState(phase=index)
        if not isinstance(phase, Plateau):
            return state
        check_metric(phase.metric, metrics, setting=f"schedule[{index}].metric")
        return _watch(phase, state, metrics[phase.metric])

    def _begin(self, index: int) -> float:
        return sum(phase.epochs or 0.0 for phase in self.phases[:index])

    def _phase_at(self, epoch: float) -> int:
        """The last phase that has begun."""
        # Fractions of epochs add up with rounding errors; a phase begins at the step that is meant.
        begun = [i for i in range(len(self.phases)) if self._begin(i) <= epoch + 1e-9]
        return begun[-1]


def _watch(phase: Plateau, state: ScheduleState, value: float | None) -> ScheduleState:
    """One epoch of a plateau, by the rules of torch's ReduceLROnPlateau with an absolute threshold."""
    improved = is_better(phase.metric, value, state.best, min_delta=phase.min_delta)
    num_bad_epochs = 0 if improved or state.cooldown_left else state.num_bad_epochs + 1
    state = replace(
        state,
        best=value if improved else state.best,
        num_bad_epochs=num_bad_epochs,
        cooldown_left=max(state.cooldown_left - 1, 0),
    )
    if num_bad_epochs <= phase.patience:
        return state
    return replace(state, num_bad_epochs=0, cooldown_left=phase.cooldown, num_reductions=state.num_reductions + 1)
