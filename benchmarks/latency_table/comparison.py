"""Cost tables against whole networks: the networks, their files, and the errors of the predictions."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from benchmarks.network_files import hash_of, made_by, rewritten
from scarlet_tf.arch import SearchSpace, count_genomes
from scarlet_tf.arch.cost_table import CostTable
from scarlet_tf.formats import NONE
from scarlet_tf.latency.journal import Journal
from scarlet_tf.latency.table_targets import Arm64Target, HostTarget, Target
from scarlet_tf.progress import progress
from scarlet_tf.zoo import get_spec

TARGETS = {"arm64": Arm64Target, "host": HostTarget}
_NAMED = ("scarlet_a", "scarlet_b", "scarlet_c")
_WITHIN = (0.005, 0.01, 0.02, 0.05)  # relative errors whose shares are reported


@dataclasses.dataclass
class WithNetworks:
    """A target that measures other files too, in the same rounds, so that a drift of the machine affects all alike.

    Attributes:
        target: what to measure on.
        files: the other files, by name.
        samples: those of the other files by name, once they are measured.
    """

    target: Target
    files: Mapping[str, Path]
    samples: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def __getattr__(self, name: str):
        return getattr(self.target, name)

    def measure(self, files: Mapping[str, Path], journal: Journal) -> None:
        self.target.measure({**files, **self.files}, journal)
        self.samples |= {name: journal.samples[name] for name in self.files}


def choose_networks(space: SearchSpace, count: int, *, seed: int) -> dict[str, tuple[int, ...]]:
    """Return the genomes of SCARLET-A, -B and -C and of random networks, by name."""
    named = {name: get_spec(name).genome for name in _NAMED}
    drawn = space.random(np.random.default_rng(seed), count).tolist()
    return named | {f"random_{index}": tuple(genome) for index, genome in enumerate(drawn)}


def export_networks(space: SearchSpace, networks: Mapping[str, Sequence[int]], folder: Path) -> dict[str, Path]:
    """Export networks in float32 and rewrite them, unless the folder holds them already; return the files by network.

    A file's name holds a hash of the sources that make it, so that no file of an older version is measured.
    """
    from scarlet_tf.export import export_tflite
    from scarlet_tf.models import build

    key, files = made_by(space.to_dict()), {}
    for name, genome in progress(networks.items(), "export", unit="network"):
        plain = folder / f"float32_{'_'.join(map(str, genome))}_{key}.tflite"
        if not plain.exists():
            export_tflite(build(space.spec(genome)), plain, optimize_for=NONE)
        files[name] = rewritten(plain)
    return files


def compare(
    space: SearchSpace,
    name: str,
    networks: Mapping[str, Sequence[int]],
    files: Mapping[str, Path],
    *,
    seed: int,
    cache: Path,
) -> dict:
    """Make a table, measure the networks, and return JSON values.

    Times are measured in the rounds of a second table: the first one says how long a table takes without networks.

    Args:
        space: the search space.
        name: of the target.
        networks, files: genomes and files by network.
        seed: of the table's own random networks.
        cache: folder that keeps the networks' instructions.
    """
    from scarlet_tf.latency.table_maker import make_table

    target = TARGETS[name]()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        table = make_table(space, target, Path(folder) / "alone.json", seed=seed)
        seconds = time.perf_counter() - start
        if table.unit == "ms":
            both = WithNetworks(target, files)
            table = make_table(space, both, Path(folder) / "table.json", seed=seed)
            samples = both.samples
        else:
            contents = hash_of(b"".join(path.read_bytes() for path in files.values()))
            journal = Journal(cache / f"{name}_{contents}.jsonl", {**target.settings, **table.versions})
            target.measure(files, journal)
            samples = journal.samples
    genomes = np.array(list(networks.values()))
    measured = np.array([np.median(samples[network]) for network in networks])
    madds = count_genomes(space, genomes)[0].astype(np.float64)
    return {
        "target": name,
        "unit": table.unit,
        "settings": dict(table.settings),
        "versions": dict(table.versions),
        "seconds": seconds,
        "parts": len(table.costs),
        "parts_measured": sum(cost.estimated_from is None for cost in table.costs.values()),
        "scale": table.scale,
        "table_held_out": {"mean_error": table.mean_error, "max_error": table.max_error},
        "table": errors(table.quantity()(genomes), measured),
        "madds": errors(madds * _scale_of_madds(table, space), measured),
        "networks": [
            {"name": network, "genome": list(genome), "measured": cost, "predicted": predicted}
            for (network, genome), cost, predicted in zip(
                networks.items(), measured.tolist(), table.quantity()(genomes).tolist(), strict=True
            )
        ],
    }


def errors(predicted: np.ndarray, measured: np.ndarray) -> dict:
    """Return relative errors of predictions, (n,) each, and Kendall's tau between both."""
    relative = np.abs(predicted / measured - 1)
    return {
        "mean_error": float(relative.mean()),
        "max_error": float(relative.max()),
        "within": {str(limit): float((relative <= limit).mean()) for limit in _WITHIN},
        "tau": float(kendalltau(predicted, measured).statistic),
    }


def _scale_of_madds(table: CostTable, space: SearchSpace) -> float:
    """Return the cost of a multiply-add, fitted on the networks that the table's scale comes from."""
    madds = count_genomes(space, np.array([network.genome for network in table.fitted]))[0]
    return float(np.mean([network.measured for network in table.fitted] / madds))
