"""The workers of a job step that Slurm started, as TF_CONFIG."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_NEEDED = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID")
_FIRST_PORT, _PORTS = 20_000, 20_000


def is_slurm_step(environment: Mapping[str, str]) -> bool:
    """Return whether Slurm's srun started this process."""
    return all(name in environment for name in _NEEDED)


def count_tasks(environment: Mapping[str, str]) -> int:
    """Return the number of tasks of a job step, without importing TensorFlow.

    Args:
        environment: one for which `is_slurm_step` holds.

    Raises:
        ValueError: for a variable that Slurm does not write so.
    """
    text = environment["SLURM_STEP_TASKS_PER_NODE"]
    parts = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"SLURM_STEP_TASKS_PER_NODE must be such as '2,1(x3)', got {text!r}")
    return sum(int(part[1]) * int(part[2] or 1) for part in parts)


def tf_config_of_slurm(environment: Mapping[str, str]) -> str:
    """Return TF_CONFIG for this process of a job step: its tasks are the workers, in Slurm's order.

    Ports depend on the job, so that jobs that share a machine do not meet; several tasks of a machine have ports in a
    row. TensorFlow's own SlurmClusterResolver sorts machines by name, n10 before n2, and so may give a task the address
    of another; it also fails without GPUs.

    Args:
        environment: one for which `is_slurm_step` holds.

    Raises:
        ValueError: for variables that Slurm does not write so.
    """
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    nodes, tasks, rank = (environment[name] for name in _NEEDED)
    hosts, counts = slurm.expand_hostlist(nodes), slurm.expand_tasks_per_node(tasks)
    if len(hosts) != len(counts):
        raise ValueError(f"Slurm names {len(hosts)} machines ({nodes}), and tasks of {len(counts)} ({tasks})")
    port = _FIRST_PORT + int(environment.get("SLURM_JOB_ID", 0)) % _PORTS
    workers = [f"{host}:{port + number}" for host, count in zip(hosts, counts, strict=True) for number in range(count)]
    if int(rank) not in range(len(workers)):
        raise ValueError(f"Slurm's task {rank} is not among the {len(workers)} of {nodes} ({tasks})")
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": int(rank)}})
