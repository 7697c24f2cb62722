"""Making of a cost table: measure the parts of networks, fit a scale on whole networks, and check it on others."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import scarlet_tf
from scarlet_tf.arch.cost_table import CostTable, CostTableError, NetworkCost, PartCost
from scarlet_tf.arch.parts import SpaceParts, parts_of, sum_of_parts
from scarlet_tf.arch.space import SearchSpace
from scarlet_tf.choices import check_known
from scarlet_tf.files import check_output_file, locked_folder, user_cache
from scarlet_tf.formats import QUANTIZATIONS
from scarlet_tf.latency.journal import Journal
from scarlet_tf.latency.part_files import PartFiles
from scarlet_tf.latency.table_targets import Target
from scarlet_tf.paths import as_path
from scarlet_tf.progress import progress
from scarlet_tf.runs.interrupt import saying_what_is_saved

if TYPE_CHECKING:
    from scarlet_tf.remote import RemotePath

NETWORKS = 10  # of which the scale is fitted on half
_CALL = "call"  # the name of a file that computes nothing: what remains is the interpreter's call


def make_table(
    space: SearchSpace, target: Target, output: str | os.PathLike, *, quantize: str = "float32", seed: int = 0
) -> CostTable:
    """Measure what the parts of a space's networks cost on a target, and write the table.

    Measured are the stem, every choice of every layer after a layer that is not skipped, the pools of skipped layers,
    the tails, and random networks as a whole. After a skipped layer, which has another input width, one choice of every
    kernel size is measured, and the others are estimated from it, see `Estimate`. The scale of the sum of parts comes
    from half of the networks; the others check it.

    Files and measurements are kept in a folder beside the output, or for a remote output in the user's cache, until it
    is written, so that a process that was killed goes on from there when it is called again with the same arguments.

    Args:
        space: the search space.
        target: what to measure on.
        output: JSON file to write.
        quantize: format of the measured files, as for `scarlet_tf.export.convert`.
        seed: of the random networks, and of inputs for int8 calibration.

    Returns:
        The table, as `CostTable.load` reads it.

    Raises:
        CostTableError: for a space of one network, which leaves nothing to search.
        JournalError: if the folder beside the output is of another table.
        FolderInUseError: if another process writes this table.
        ValueError: for an unknown format, or a target that cannot measure.
        OSError: if the output cannot be written.

    Example:
        >>> table = make_table(get_space("small"), HostTarget(), "table.json")
        >>> table.mean_error < 0.1
        True
    """
    output = as_path(output)
    check_known("quantize", quantize, QUANTIZATIONS)
    check_output_file(output)
    genomes = _random_genomes(space, seed=seed)
    device, versions = target.describe()
    versions = {
        "scarlet-tf": scarlet_tf.__version__,
        "tensorflow": importlib.metadata.version("tensorflow"),
        **versions,
    }
    header = {
        "target": target.name,
        "quantize": quantize,
        "settings": {**target.settings, "seed": seed},
        "device": device,
        "versions": versions,
        "space": space.to_dict(),
    }
    work = _work_folder(output)
    with locked_folder(work), saying_what_is_saved(lambda: f"measurements are kept in {work}"):
        journal = Journal(work / "journal.jsonl", header)
        paths = _write_files(PartFiles(space, work / "files", quantize=quantize, seed=seed), parts_of(space), genomes)
        target.measure(paths, journal)
        table = _fit(space, journal.samples, genomes, unit=target.unit, header=header)
        table.save(output)
        shutil.rmtree(work / "files", ignore_errors=True)
        (work / "journal.jsonl").unlink()
    shutil.rmtree(work, ignore_errors=True)
    return table


def _work_folder(output: Path | RemotePath) -> Path:
    """Return the folder of what was measured so far: beside the output, or for a remote one in the user's cache."""
    if isinstance(output, Path):
        return output.with_name(f"{output.name}.parts")
    return user_cache() / "tables" / f"{output.name}.{hashlib.sha256(str(output).encode()).hexdigest()[:16]}"


def _random_genomes(space: SearchSpace, *, seed: int) -> list[tuple[int, ...]]:
    """Return up to NETWORKS different genomes."""
    if space.size < 2:
        raise CostTableError(f"space {space.name!r} has a single network: a table needs at least 2")
    rng, found = np.random.default_rng(seed), {}
    while len(found) < min(NETWORKS, space.size):
        found[tuple(space.random(rng, 1)[0].tolist())] = None
    return list(found)


def _write_files(files: PartFiles, parts: SpaceParts, genomes: Sequence[tuple[int, ...]]) -> dict[str, Path]:
    """Return the paths of all files to measure, by the name of the part or network."""
    measured = [part for part in parts if part not in parts.estimates]
    files.convert(dict.fromkeys([*measured, *(part for genome in genomes for part in parts.of(genome))]))
    paths = {_CALL: files.write_call()}
    for part in progress(measured, "write", unit="part"):
        paths[part.name] = files.write_part(part)
    for genome in progress(genomes, "write", unit="network"):
        paths[_network(genome)] = files.write_network(genome)
    return paths


def _network(genome: Sequence[int]) -> str:
    return "network_" + "_".join(map(str, genome))


def _fit(
    space: SearchSpace,
    samples: Mapping[str, Sequence[float]],
    genomes: Sequence[tuple[int, ...]],
    *,
    unit: str,
    header: Mapping,
) -> CostTable:
    """Return the table of these samples, by the names of `_write_files`."""
    call, parts, costs = float(np.median(samples[_CALL])), parts_of(space), {}
    for part in parts:
        if part not in parts.estimates:
            costs[part.name] = _part_cost(samples[part.name], call=call)
    for part, estimate in parts.estimates.items():
        same_choice, same_input, neither = (costs[other.name].value for other in estimate)
        value = same_choice * same_input / neither if neither else same_choice
        costs[part.name] = PartCost(value=value, estimated_from=estimate.same_choice.name)
    measured = np.array([np.median(samples[_network(genome)]) for genome in genomes])
    sums = sum_of_parts(space, {name: cost.value for name, cost in costs.items()})(np.array(genomes))
    fitted = (len(genomes) + 1) // 2
    scale = float(np.mean((measured[:fitted] - call) / sums[:fitted]))
    networks = tuple(
        NetworkCost(genome=genome, measured=float(cost), predicted=float(call + scale * total))
        for genome, cost, total in zip(genomes, measured, sums, strict=True)
    )
    return CostTable(
        **{name: header[name] for name in ("target", "quantize", "device", "versions", "settings")},
        unit=unit,
        space=space,
        call=call,
        costs=costs,
        scale=scale,
        fitted=networks[:fitted],
        held_out=networks[fitted:],
    )


def _part_cost(samples: Sequence[float], *, call: float) -> PartCost:
    """Return the cost of a part without the interpreter's call, of which a network has only one."""
    p10, median, p90 = (float(value) for value in np.percentile(samples, (10, 50, 90)) - call)
    return PartCost(value=max(0.0, median), p10=p10, p90=p90, samples=len(samples))
