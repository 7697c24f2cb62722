"""TF_CONFIG: the workers of a cluster, and which of them this process is. Imports no TensorFlow."""

from __future__ import annotations

import json
import re

from scarlet_tf.choices import check_known

TASK_TYPES = ("chief", "worker")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>[0-9]+)", re.ASCII)  # the first: IPv6
_EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": NUMBER OF THIS WORKER}}'
EXPECTED = f"expected {_EXAMPLE}, see docs/several_machines.md"


def parse_tf_config(text: str) -> dict:
    """Return the content of TF_CONFIG.

    Args:
        text: JSON with "cluster", the addresses by task type, and "task", the type and index of this process.

    Returns:
        The same, with `["task"]["index"]` as an int.

    Raises:
        ValueError: naming what is wrong: the text is not a JSON object, the cluster or task is missing, an address is
            invalid or listed twice, or the task is not one of the cluster's.
    """
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG is not JSON ({error}): got {text!r}, {EXPECTED}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"TF_CONFIG is not a JSON object: got {text!r}, {EXPECTED}")
    for entry in ("cluster", "task"):
        if not isinstance(settings.get(entry), dict) or not settings[entry]:
            found = f"{entry!r} is {settings[entry]!r}" if entry in settings else f"{entry!r} is missing"
            raise ValueError(f"TF_CONFIG: {found}: {EXPECTED}")
    cluster, task = settings["cluster"], settings["task"]
    _check_cluster(cluster)
    return settings | {"task": task | {"index": _checked_index(task, cluster)}}


def count_workers(text: str) -> int:
    """Return how many processes TF_CONFIG names, including a chief; raise ValueError as `parse_tf_config`."""
    return sum(map(len, parse_tf_config(text)["cluster"].values()))


def _check_cluster(cluster: dict) -> None:
    seen = set()
    for kind, addresses in cluster.items():
        check_known("task type in 'cluster' of TF_CONFIG:", kind, TASK_TYPES)
        if not isinstance(addresses, list):
            raise ValueError(f"TF_CONFIG: {kind!r} in 'cluster' is {addresses!r}: {EXPECTED}")
        for address in addresses:
            if not _is_address(address):
                raise ValueError(
                    f"TF_CONFIG: {address!r} of {kind!r} in 'cluster' is not an address: expected 'HOST:PORT', with a "
                    "port in 1..65535"
                )
            if address in seen:
                raise ValueError(f"TF_CONFIG: {address!r} is twice in 'cluster': expected another port for each worker")
            seen.add(address)
    if len(cluster.get("chief", ())) > 1:
        raise ValueError(f"TF_CONFIG: 'chief' in 'cluster' is {cluster['chief']!r}: expected one address at most")


def _is_address(text: object) -> bool:
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    return match is not None and 0 < int(match["port"]) < 2**16


def _checked_index(task: dict, cluster: dict) -> int:
    """Return the index of a task; raise ValueError unless the cluster has it."""
    for entry in ("type", "index"):
        if entry not in task:
            raise ValueError(f"TF_CONFIG: {entry!r} is missing in 'task', which is {task!r}: {EXPECTED}")
    check_known("task type in 'task' of TF_CONFIG:", task["type"], TASK_TYPES)
    addresses = cluster.get(task["type"], ())
    if not addresses:
        raise ValueError(
            f"TF_CONFIG: 'task' is a {task['type']!r}, but 'cluster' lists none: expected one of {tuple(cluster)}"
        )
    index = task["index"]
    if isinstance(index, bool) or not str(index).isdecimal() or int(index) >= len(addresses):
        last = len(addresses) - 1
        expected = f"an integer in 0..{last}" if last else "0"
        raise ValueError(
            f"TF_CONFIG: 'index' in 'task' is {index!r}: expected {expected}, as 'cluster' lists {len(addresses)} of "
            f"type {task['type']!r}"
        )
    return int(index)
