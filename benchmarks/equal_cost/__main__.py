"""Compare a supernet's search with random search and successive halving at equal total cost; see plan.md.

    python -m benchmarks.equal_cost --config=benchmarks/equal_cost/main.json --output=runs/equal_cost
    python -m benchmarks.equal_cost --config=benchmarks/equal_cost/main.json --output=runs/equal_cost --only=supernet/0

The config names the methods and seeds; a row is one search, METHOD/SEED, and the training of the model that it picks.
A supernet's cost is the budget of the other methods with its seed, so its row comes first. The output folder holds a
folder for each row, and result.json, result.md, result.svg and result.png once all rows are there. To resume an
experiment that was stopped, run the same command again; `--finished` takes rows from earlier results, also of other
machines. Needs python -m benchmarks.garment_pairs first.
"""

from collections.abc import Callable

from absl import flags

from benchmarks.experiment import define_flags, run_experiment
from scarlet_tf.cli import run

define_flags(row="METHOD/SEED")


def main() -> None:
    from importlib.util import find_spec

    from benchmarks.equal_cost.cost_config import CostConfig
    from benchmarks.rows import select_rows

    config = CostConfig.read(flags.FLAGS.config)
    rows = select_rows(config.rows(), flags.FLAGS.only)
    if any(row.method == "halving" for row in rows.values()) and find_spec("optuna") is None:
        raise ValueError("successive halving needs the package optuna: pip install 'scarlet-tf[test]'")
    run_experiment(config, _load)


def _load() -> tuple[Callable, Callable]:
    from benchmarks.equal_cost.cost_page import write_cost
    from benchmarks.equal_cost.cost_runs import run_row

    return run_row, write_cost


if __name__ == "__main__":
    run(main)
