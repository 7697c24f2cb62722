"""The instructions of the peers' files as JSON values, and their page."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from benchmarks.tflite_peers.peer_files import NetworkFile
from scarlet_tf.latency import measure_instructions
from scarlet_tf.latency.emulator import read_versions

FORMAT = "scarlet_tf.arm64_instructions"
VERSION = 1
_REFERENCE = "EfficientNetB0"


def count_files(files: Sequence[NetworkFile], *, cpus: Sequence[str], command: str, seed: int) -> dict:
    """Count the instructions of files on emulated processors.

    Args:
        files: of the networks.
        cpus: names in `scarlet_tf.latency.CPUS`.
        command: the command that runs the benchmark.
        seed: of the random inputs.

    Returns:
        format, version, command, date, seed, cpus, emulator (versions), and "files": one object per file, with
        "instructions" by processor. JSON values.
    """
    costs = measure_instructions([file.path for file in files], cpus=cpus, seed=seed)
    counts = {(cost.path, cost.cpu): cost for cost in costs}
    rows = []
    for file in files:
        own = {cpu: counts[str(file.path), cpu] for cpu in cpus}
        first = own[cpus[0]]
        rows.append(
            {
                "network": file.network,
                "format": file.format,
                "rewritten": file.rewritten,
                "bytes": file.path.stat().st_size,
                "madds": first.madds,
                "partitions": first.partitions,
                "instructions": {cpu: cost.instructions for cpu, cost in own.items()},
            }
        )
    return {
        "format": FORMAT,
        "version": VERSION,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "seed": seed,
        "cpus": list(cpus),
        "emulator": read_versions(),
        "files": rows,
    }


def make_page(result: dict) -> str:
    """Return the page with the table."""
    emulator = result["emulator"]
    columns = [column for cpu in result["cpus"] for column in (f"{cpu}: M", "/ plain", f"/ {_REFERENCE}")]
    header = ["network", "format", "file", "M MAdds", "MB", "partitions", *columns]
    rows = [header, ["---"] * len(header), *(_row(file, result) for file in result["files"])]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# Instructions of .tflite files on ARM64: SCARLET and peers

    {result["command"]}

{result["date"]}; emulated by QEMU {emulator["qemu"]}; LiteRT {emulator["litert"]}; one thread; random weights, \
seed {result["seed"]}.

Millions of instructions of one inference on an emulated processor, as `tools/benchmark_arm64.py` counts them. They are
not times. Plain: as TensorFlow's converter leaves it. Rewritten: by `scarlet_tf.tflite.optimize`. "/ {_REFERENCE}" is
relative to the cheaper of that network's plain and rewritten files of the same format.

{table}
"""


def _row(file: dict, result: dict) -> list[str]:
    cells = [file["network"], file["format"], "rewritten" if file["rewritten"] else "plain"]
    cells += [f"{file['madds'] / 1e6:.1f}", f"{file['bytes'] / 1e6:.1f}", str(file["partitions"])]
    same_format = [other for other in result["files"] if other["format"] == file["format"]]
    for cpu in result["cpus"]:
        own = file["instructions"][cpu]
        plain = [o for o in same_format if o["network"] == file["network"] and not o["rewritten"]]
        peers = [o for o in same_format if o["network"] == _REFERENCE]
        cells += [f"{own / 1e6:.1f}", *(_ratio(own, others, cpu) for others in (plain, peers))]
    return cells


def _ratio(own: int, others: Sequence[dict], cpu: str) -> str:
    """Return the ratio to the cheapest of other files; "" if there are none."""
    return f"{own / min(other['instructions'][cpu] for other in others):.3f}" if others else ""
