"""Draws what `bench_scaling.py` measured beside the 2019 talk and the plan's formula, and prints the page's tables.

Run: python benchmarks/scaling/draw_scaling.py scaling.json --out docs/figures/scaling.png
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from radspark.planning.cost import StepCost, Workers, step_cost
from radspark.planning.description import Cluster, Job
from radspark.planning.machine import REFERENCE, Machine
from radspark.planning.workload import count_workload
from radspark.settings import ModelSettings

TALK = {4: 1.0, 16: 0.75}
"""3x from 4 to 16 nodes."""
FIRST = 4
"""Workers that the others are compared with, as in the talk."""
PLANNED = [2, 4, 8, 16, 32, 64, 128, 256, 512]
TOLD = [4, 16, 32, 128, 512]
NODE = 32
"""Workers of a host in the last tables."""
BATCH = 512
"""Images of a step in the last table, whatever the workers."""
LOAD = count_workload(ModelSettings(backbone="resnet50", input_size=224))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="PNG")
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text())
    images, slept = measured.pop("images"), measured.pop("slept")
    for synchronizer, trainings in measured.items():
        print_measured(synchronizer, trainings, images)
    machine = as_slept(slept, images, jitter=REFERENCE.jitter)
    print_plan("one worker a host", dict.fromkeys(TOLD, images), per_host=1, machine=machine)
    print_plan(f"{NODE} workers a host", dict.fromkeys(TOLD, images), per_host=NODE, machine=machine)
    fixed = {number: BATCH // number for number in TOLD}
    print_plan(f"{NODE} workers a host, {BATCH} images a step", fixed, per_host=NODE, machine=machine)
    draw(measured, images, slept, arguments.out)


def medians(trainings: dict[str, list[list[float]]]) -> dict[int, list[float]]:
    """Median step of each training, by number of workers."""
    return {int(n): sorted(map(statistics.median, runs)) for n, runs in trainings.items()}


def print_measured(synchronizer: str, trainings: dict[str, list[list[float]]], images: int) -> None:
    steps = medians(trainings)
    print(f"\n{synchronizer}: workers, median step and its range over trainings, images/s, beside {FIRST} workers")
    for number, runs in sorted(steps.items()):
        step = statistics.median(runs)
        beside = statistics.median(steps[FIRST]) / step
        print(f"{number:4}  {step:.3f} s ({runs[0]:.3f} to {runs[-1]:.3f})  {number * images / step:.1f}  {beside:.3f}")


def as_slept(slept: float, images: int, *, jitter: float) -> Machine:
    """The reference machine, at the speed of computing that was slept for."""
    seconds = REFERENCE.image_seconds(LOAD)
    factor = seconds / (slept / images)
    speeds = ("kernel_gflops", "matrix_gflops", "grouped_gflops", "moving_gbytes")
    return replace(REFERENCE, jitter=jitter, **{name: factor * getattr(REFERENCE, name) for name in speeds})


def cost(number: int, images: int, *, per_host: int, machine: Machine) -> StepCost:
    """The plan's formula for one number of workers, each with so many images a step."""
    per_host = min(per_host, number)
    hosts = number // per_host
    job = Job(images=78_615, epochs=15, prepared_size=256, optimizer="sgd")
    cluster = Cluster(nodes=hosts, cores=per_host, memory_gb=192, network_gbits=10)
    workers = Workers(hosts, per_host, number)
    return step_cost(job, cluster, LOAD, machine, workers=workers, batch_size=number * images)


def print_plan(title: str, images: dict[int, int], *, per_host: int, machine: Machine) -> None:
    """The formula's parts of a step, by workers and the images that each takes."""
    print(f"\nplan, {title}")
    print(f"workers, computing, waiting, exchange in a host, across, update, step, images/s, beside {FIRST} workers")
    steps = {number: cost(number, each, per_host=per_host, machine=machine) for number, each in images.items()}
    first = images[FIRST] / steps[FIRST].seconds
    for number, step in steps.items():
        parts = (step.compute, step.wait, step.exchange_inside, step.exchange_across, step.update, step.seconds)
        shown = "  ".join(f"{part:.3f}" for part in parts)
        rate = images[number] / step.seconds
        print(f"{number:4}  {shown}  {number * rate:.0f}  {rate / first:.3f}")


def draw(measured: dict[str, dict[str, list[list[float]]]], images: int, slept: float, out: Path) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for synchronizer, trainings in measured.items():
        steps = medians(trainings)
        first = statistics.median(steps[FIRST])
        numbers = sorted(steps)
        middle = [first / statistics.median(steps[n]) for n in numbers]
        spread = [[m - first / steps[n][-1] for n, m in zip(numbers, middle, strict=True)]]
        spread += [[first / steps[n][0] - m for n, m in zip(numbers, middle, strict=True)]]
        axes.errorbar(numbers, middle, yerr=spread, marker="o", capsize=3, label=f"{synchronizer}, measured")
    for jitter, style in ((0.0, "--"), (REFERENCE.jitter, ":")):
        machine = as_slept(slept, images, jitter=jitter)
        steps = {n: cost(n, images, per_host=1, machine=machine).seconds for n in PLANNED}
        label = f"collective, formula, workers that differ by {jitter:.0%}" if jitter else "collective, formula"
        axes.plot(PLANNED, [steps[FIRST] / steps[n] for n in PLANNED], style, color="C7", label=label)
    axes.plot(list(TALK), list(TALK.values()), marker="s", color="C3", label="2019 talk, 4 to 16 nodes")
    axes.set_xscale("log", base=2)
    axes.set_xticks(PLANNED)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.15)
    axes.set_xlabel("workers, 16 images of ResNet-50 each a step")
    axes.set_ylabel(f"images per second and worker, beside {FIRST} workers")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
