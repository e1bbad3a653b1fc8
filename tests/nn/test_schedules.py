"""Learning rates against torch's schedulers, in sequence, and over a resume."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from radspark.nn.schedules import RATES, Schedule, ScheduleState
from radspark.settings import PHASES, Constant, Cosine, Phase, Plateau, Polynomial, StepDecay, Warmup

PEAK, EPOCHS, STEPS = 0.3, 6, 10
METRICS = ("loss", "mean_auroc")
START = ScheduleState()


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)


def rates_of_torch(build: Callable[[torch.optim.Optimizer], Any], count: int) -> list[float]:
    optimizer = sgd()
    scheduler = build(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def rates_of(*phases: Phase) -> list[float]:
    schedule = Schedule(phases, PEAK, EPOCHS)
    return [schedule.learning_rate(step / STEPS, START) for step in range(EPOCHS * STEPS)]


@pytest.mark.parametrize(
    ("phase", "build"),
    [
        (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (Warmup(epochs=6.0, start_factor=0.1), lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=60)),
        (Warmup(epochs=2.0, start_factor=0.01), lambda o: lr_scheduler.LinearLR(o, 0.01, total_iters=20)),
        (StepDecay(every_epochs=2.0, factor=0.1), lambda o: lr_scheduler.StepLR(o, 20, 0.1)),
        (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, 60)),
        (Cosine(min_learning_rate=0.05), lambda o: lr_scheduler.CosineAnnealingLR(o, 60, 0.05)),
        (Polynomial(power=2.5), lambda o: lr_scheduler.PolynomialLR(o, 60, 2.5)),
        (Polynomial(epochs=3.0), lambda o: lr_scheduler.PolynomialLR(o, 30, 1.0)),
    ],
    ids=lambda value: "torch" if callable(value) else str(value),
)
def test_a_phase_is_the_scheduler_of_torch(phase: Phase, build: Callable[[torch.optim.Optimizer], Any]) -> None:
    assert rates_of(phase) == pytest.approx(rates_of_torch(build, EPOCHS * STEPS), rel=1e-9, abs=1e-12)


def test_warmup_then_cosine_is_torchs_sequence() -> None:
    def build(optimizer: torch.optim.Optimizer) -> Any:
        parts = [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=20), lr_scheduler.CosineAnnealingLR(optimizer, 40)]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[20])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of how its own SequentialLR steps its parts
        expected = rates_of_torch(build, EPOCHS * STEPS)

    assert rates_of(Warmup(epochs=2.0, start_factor=0.1), Cosine()) == pytest.approx(expected, rel=1e-6)


def test_each_phase_starts_from_the_peak() -> None:
    rates = rates_of(Cosine(epochs=2.0), StepDecay(epochs=2.0, every_epochs=1.0), Polynomial())

    assert [rates[0], rates[20], rates[30], rates[40]] == pytest.approx([PEAK, PEAK, PEAK / 10, PEAK])


def test_after_its_last_phase_the_rate_stays() -> None:
    assert rates_of(Polynomial(epochs=2.0, min_learning_rate=0.1))[20:] == pytest.approx([0.1] * 40)


def test_phases_begin_on_the_step_that_is_meant_in_spite_of_rounding() -> None:
    schedule = Schedule((Warmup(epochs=0.1), Warmup(epochs=0.2), StepDecay(every_epochs=0.1)), PEAK, 1)

    assert schedule.learning_rate(0.3, START) == PEAK
    assert schedule.learning_rate(0.1 * 4, START) == pytest.approx(PEAK * 0.1)


@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 1).map(lambda x: round(x, 1))), min_size=1, max_size=30),
    metric=st.sampled_from(METRICS),
    patience=st.integers(0, 3),
    cooldown=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 0.15]),
)
def test_a_plateau_is_torchs(
    values: list[float | None], metric: str, patience: int, cooldown: int, min_delta: float
) -> None:
    phase = Plateau(metric, 0.5, patience, min_delta=min_delta, cooldown=cooldown, min_learning_rate=0.02)
    schedule = Schedule((phase,), PEAK, 40)
    optimizer = sgd()
    mode = "min" if metric == "loss" else "max"
    oracle = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience, threshold=min_delta, threshold_mode="abs", cooldown=cooldown, min_lr=0.02
    )
    state = START
    for epoch, value in enumerate(values, start=1):
        state = schedule.after_epoch(state, epoch, {metric: value})
        oracle.step(float("nan") if value is None else value)
        assert schedule.learning_rate(epoch, state) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


def test_a_plateau_after_a_warmup_starts_at_the_peak_and_counts_from_there() -> None:
    schedule = Schedule((Warmup(epochs=3.0), Plateau(metric="loss", patience=0)), PEAK, 10)
    state = START
    for epoch in (1, 2, 3, 4):
        state = schedule.after_epoch(state, epoch, {"loss": 1.0})

    assert schedule.learning_rate(4, state) == PEAK
    assert schedule.learning_rate(5, schedule.after_epoch(state, 5, {"loss": 1.0})) == pytest.approx(PEAK / 10)


def test_a_second_plateau_starts_afresh() -> None:
    schedule = Schedule((Plateau("loss", patience=0, epochs=3.0), Plateau("loss", patience=0)), PEAK, 10)
    state = START
    for epoch in (1, 2, 3):
        state = schedule.after_epoch(state, epoch, {"loss": 1.0})

    assert state.num_reductions == 2 and schedule.learning_rate(3, state) == PEAK
    assert schedule.after_epoch(state, 4, {"loss": 9.0}) == ScheduleState(phase=1, best=9.0)


def test_the_state_survives_json() -> None:
    schedule = Schedule((Plateau("loss", cooldown=2),), PEAK, 10)
    state = schedule.after_epoch(START, 1, {"loss": 0.1 + 0.2})

    assert ScheduleState(**json.loads(json.dumps(asdict(state)))) == state


def test_every_phase_of_a_recipe_has_a_rate() -> None:
    assert set(RATES) == set(PHASES.values())


def test_an_unknown_metric_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"schedule\[1\].metric must be one of loss, mean_auroc, got 'auc'"):
        Schedule((Warmup(), Plateau(metric="auc")), PEAK, 10).check(METRICS)


def test_a_phase_that_training_never_reaches_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="radspark"):
        Schedule((Warmup(epochs=10.0), Cosine()), PEAK, 5).log_unreached_phases()
        Schedule((Warmup(epochs=10.0), Cosine()), PEAK, 50).log_unreached_phases()
    assert caplog.messages == ["schedule[1] has no effect: it begins after 10 epochs, and training lasts 5"]
