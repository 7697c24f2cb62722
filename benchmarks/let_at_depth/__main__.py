"""Compare supernets with LETs, with plain identities and without, at 19 layers on garment pairs; see plan.md.

    python -m benchmarks.let_at_depth --config=benchmarks/let_at_depth/pilot.json --output=runs/pilot
    python -m benchmarks.let_at_depth --config=benchmarks/let_at_depth/pilot.json --output=runs/pilot --only=base/let/0

The config names the conditions, arms and seeds; a row is one run, CONDITION/ARM/SEED. The output folder holds a run
directory for each, and result.json, result.md, result.svg and result.png once all rows are there. To resume an
experiment that was stopped, run the same command again; `--finished` takes rows from earlier results, also of other
machines. Needs python -m benchmarks.garment_pairs first.
"""

from collections.abc import Callable

from absl import flags

from benchmarks.experiment import define_flags, run_experiment
from scarlet_tf.cli import run

define_flags(row="CONDITION/ARM/SEED")


def main() -> None:
    from benchmarks.let_at_depth.depth_config import DepthConfig

    run_experiment(DepthConfig.read(flags.FLAGS.config), _load)


def _load() -> tuple[Callable, Callable]:
    from benchmarks.let_at_depth.depth_page import write_depth
    from benchmarks.let_at_depth.depth_runs import run_row

    return run_row, write_depth


if __name__ == "__main__":
    run(main)
