"""Figures that are measured: how they are fitted, kept, and taken."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from small_job import LOAD

from radspark.errors import DataError
from radspark.planning.calibration import calibrate, fit_speeds
from radspark.planning.machine import REFERENCE, load_machine, save_machine


def test_speeds_are_found_again_from_the_times_that_they_make() -> None:
    machine = replace(REFERENCE, kernel_gflops=100, matrix_gflops=200, grouped_gflops=10, moving_gbytes=5)
    loads = [
        replace(LOAD, kernel_flops=k * 1e9, matrix_flops=m * 1e9, grouped_flops=g * 1e9, moved_bytes=b * 1e9)
        for k, m, g, b in ((5, 0, 0, 0.1), (0, 3, 1, 0.2), (1, 4, 0, 0.5), (2, 2, 2, 0.1), (1, 1, 0, 1))
    ]
    speeds = fit_speeds(loads, [machine.image_seconds(load) for load in loads])
    assert speeds == pytest.approx((100, 200, 10, 5), rel=1e-6)


def test_figures_are_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "machine.json"
    save_machine(REFERENCE, file)
    assert load_machine(file) == REFERENCE


@pytest.mark.parametrize("text", ["[1]", "{", "3", '{"format_version": 99}'])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "machine.json"
    file.write_text(text)
    with pytest.raises(DataError, match="measure anew with --calibrate"):
        load_machine(file)


@pytest.mark.cluster
def test_two_processes_measure_this_machine() -> None:
    machine = calibrate(workers=2, micro_batch_size=2, networks=("mobilenetv3_small_050",), max_seconds=1)
    assert (machine.workers, machine.device) == (2, "cpu")
    speeds = {name: value for name, value in asdict(machine).items() if name.endswith(("gflops", "gbytes"))}
    assert all(speed > 0 for speed in speeds.values()), speeds
