"""Measure which settings of a supernet move its ranking of models, on garment pairs; see plan.md.

    python -m benchmarks.rank_settings --config=benchmarks/rank_settings/main.json --output=runs/rank_settings
    python -m benchmarks.rank_settings --config=benchmarks/rank_settings/main.json --output=runs/rank_settings \\
        --only=supernet/base

The config names supernets, and draws of models that are trained on their own for some epochs; a row is a supernet,
supernet/LABEL, or one training of each model of a draw, alone/DRAW/EPOCHS_epochs/SEED. The output folder holds a folder
for each row, and result.json, result.md, result.svg and result.png once all rows are there. To resume an experiment
that was stopped, run the same command again; `--finished` takes rows from earlier results, also of other machines.
Needs python -m benchmarks.garment_pairs first.
"""

from collections.abc import Callable

from absl import flags

from benchmarks.experiment import define_flags, run_experiment
from scarlet_tf.cli import run

define_flags(row="supernet/LABEL or alone/DRAW/EPOCHS_epochs/SEED")


def main() -> None:
    from benchmarks.rank_settings.rank_config import RankConfig

    run_experiment(RankConfig.read(flags.FLAGS.config), _load)


def _load() -> tuple[Callable, Callable]:
    from benchmarks.rank_settings.rank_page import write_ranks
    from benchmarks.rank_settings.rank_runs import run_row

    return run_row, write_ranks


if __name__ == "__main__":
    run(main)
