"""`radspark plan`: how large a cluster, how long, and what limits it, before anything is started; needs no Spark."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psutil
import typer

from radspark.cli.console import console, say, working
from radspark.errors import ArgumentError

if TYPE_CHECKING:
    from rich.table import Table

    from radspark.planning.machine import Machine
    from radspark.planning.sheet import Plan

JOB = "Job"
CLUSTER = "Cluster"
FIGURES = "Figures"
NIH_IMAGES = 86_524
"""Of ChestX-ray14's official list for training."""

EXAMPLES = """Examples:

  radspark plan --images 78615 --backbone resnet50 --epochs 15 --nodes 16 --cores 32 --memory 192 --network 10

  radspark plan --calibrate --backbone densenet121        measures this machine first

Formulas (docs/plan.md says where each comes from):

  an image = FLOPs of k x k convolutions, 1 x 1 and matrices, groups, each / its speed, + bytes moved / speed

  computing = images of the worker with most shards x an image;  waiting = jitter x sqrt(2 ln workers) x computing

  exchange = 2 (w - 1) / w vectors / loopback (w workers of a host) + 2 (H - 1) / H vectors / network (H hosts)

  run = images / (60 x cores) + epochs x (steps x step + validation) + rounds x (2 s + trips x state / network)"""


def plan(
    images: Annotated[int, typer.Option(help="Radiographs for training.", rich_help_panel=JOB)] = NIH_IMAGES,
    validation_images: Annotated[
        int, typer.Option(help="Scored after each epoch.", show_default="a tenth of --images", rich_help_panel=JOB)
    ] = -1,
    epochs: Annotated[int, typer.Option(help="Passes over the images.", rich_help_panel=JOB)] = 15,
    backbone: Annotated[str, typer.Option(help="Architecture, by timm's name.", rich_help_panel=JOB)] = "resnet50",
    image_size: Annotated[int, typer.Option(help="Side of the prepared images.", rich_help_panel=JOB)] = 256,
    crop_size: Annotated[int, typer.Option(help="Side of the network's input.", rich_help_panel=JOB)] = 224,
    optimizer: Annotated[str, typer.Option(help="sgd, adam, adamw or lars.", rich_help_panel=JOB)] = "adam",
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images of a step, over all workers.",
            show_default="where synchronization is at most 5%",
            rich_help_panel=JOB,
        ),
    ] = None,
    micro_batch_size: Annotated[int, typer.Option(help="Of one forward pass.", rich_help_panel=JOB)] = 16,
    shards: Annotated[
        int | None,
        typer.Option(help="Fixed parts of the samples.", show_default="as many as workers", rich_help_panel=JOB),
    ] = None,
    nodes: Annotated[int, typer.Option(help="Machines, all alike.", rich_help_panel=CLUSTER)] = 1,
    cores: Annotated[
        int | None,
        typer.Option(help="Physical cores of a node.", show_default="this machine's", rich_help_panel=CLUSTER),
    ] = None,
    memory: Annotated[
        float | None, typer.Option(help="GB of a node.", show_default="this machine's", rich_help_panel=CLUSTER)
    ] = None,
    network: Annotated[float, typer.Option(help="Gigabits per second of a node.", rich_help_panel=CLUSTER)] = 10.0,
    gpus: Annotated[int, typer.Option(help="Of a node; one worker each.", rich_help_panel=CLUSTER)] = 0,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Measure this machine first, for a minute, with all its cores.", rich_help_panel=FIGURES
        ),
    ] = False,
    machine: Annotated[
        Path | None,
        typer.Option(
            help="File of a machine's figures, which --calibrate writes and other plans read.",
            show_default="~/.cache/radspark/machine.json, else built-in figures",
            metavar="FILE",
            rich_help_panel=FIGURES,
        ),
    ] = None,
) -> None:
    """Plan a training: executors, memory, batch, speed, hours, and what synchronization costs."""
    from radspark.planning.cost import MOMENTS
    from radspark.planning.description import Cluster, Job
    from radspark.planning.layout import plan_layout
    from radspark.planning.sheet import Plan
    from radspark.planning.workload import count_workload
    from radspark.settings import ModelSettings

    if optimizer not in MOMENTS:
        raise ArgumentError(f"--optimizer must be one of {', '.join(MOMENTS)}, got {optimizer!r}.")
    job = Job(
        images=images,
        epochs=epochs,
        prepared_size=image_size,
        validation_images=images // 10 if validation_images < 0 else validation_images,
        optimizer=optimizer,
        micro_batch_size=micro_batch_size,
        batch_size=batch_size,
        num_shards=shards,
    )
    cluster = Cluster(
        nodes=nodes,
        cores=_own_cores() if cores is None else cores,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1) if memory is None else memory,
        network_gbits=network,
        gpus=gpus,
    )
    model = ModelSettings(backbone=backbone, input_size=crop_size)
    with working("counting the network's work ..."):
        load = count_workload(model, micro_batch_size=micro_batch_size)
    figures = _figures(machine, calibrate=calibrate, gpus=gpus)
    _show(Plan(job, cluster, load, figures, plan_layout(job, cluster, load, figures)), backbone)


def _own_cores() -> int:
    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _default_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "radspark" / "machine.json"


def _figures(given: Path | None, *, calibrate: bool, gpus: int) -> Machine:
    """The machine's speeds: measured now, measured before, or built in.

    Raises:
        SetupError: GPUs are planned for, and no figures of one are at hand.
    """
    from radspark.errors import SetupError
    from radspark.planning.machine import REFERENCE, load_machine, save_machine

    file = given or _default_file()
    if calibrate:
        from radspark.planning.calibration import calibrate as measure

        with working("measuring this machine ..."):
            figures = measure(workers=gpus or _own_cores(), device="cuda" if gpus else "cpu")
        save_machine(figures, file)
        say(f"figures: {file}")
        return figures
    figures = load_machine(file) if given or file.exists() else REFERENCE
    if (figures.device == "cuda") != bool(gpus):
        wanted = f"GPUs: measure one with --calibrate --gpus {gpus} there" if gpus else "processors: add --gpus"
        raise SetupError(f"the figures ({figures.measured}) are not of {wanted}, and give that file as --machine.")
    return figures


def _show(plan: Plan, backbone: str) -> None:
    from radspark.planning.layout import deck_rules

    say(f"{backbone}, {plan.job.images:,} images x {plan.job.epochs} epochs; figures: {plan.machine.measured}\n")
    console.print(_table(("", "", "formula"), [(line.name, line.value, line.formula) for line in plan.lines()]))
    say("\nshards on workers (the one with most sets the pace)")
    rows = [
        (f"{x.workers:,}", str(x.most_shards), f"{1 - x.balance:.0%}", f"{x.images_per_second:.1f}")
        for x in plan.balances()
    ]
    console.print(_table(("workers", "most shards", "idle", "images/s"), rows))
    say("\nthe 2019 talk's rules")
    rules = deck_rules(plan.job, plan.cluster, plan.layout)
    console.print(_table(("rule", "talk", "plan", ""), [(r.name, r.deck, r.plan, r.remark) for r in rules]))
    say("\nto paste:")
    words = [word for item in plan.layout.spark_conf().items() for word in ("--conf", "=".join(item))]
    words += ["--batch-size", str(plan.layout.batch_size), "--shards", str(plan.layout.num_shards)]
    words += ["--device", "cuda"] if plan.layout.on_gpus else []
    say(f"  {shlex.join(words)}")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number == 1 else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
