"""A job, a cluster and a machine with round figures, so that sums can be done by hand."""

from __future__ import annotations

from dataclasses import replace

from radspark.planning.description import Cluster, Job, Workload
from radspark.planning.machine import REFERENCE

LOAD = Workload(
    kernel_flops=1e9,
    matrix_flops=2e9,
    grouped_flops=0.0,
    moved_bytes=1e8,
    kept_bytes=5e7,
    forward_share=0.25,
    num_weights=25_000_000,
    num_statistics=0,
)
MACHINE = replace(
    REFERENCE, kernel_gflops=10, matrix_gflops=20, moving_gbytes=1, update_gbytes=10, loopback_gbytes=1, jitter=0
)
JOB = Job(images=8000, epochs=2, prepared_size=256, optimizer="sgd")
CLUSTER = Cluster(nodes=4, cores=2, memory_gb=16, network_gbits=10)
