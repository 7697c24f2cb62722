"""Measure which settings of a supernet move its ranking of models, on garment pairs; see plan.md.

    python -m benchmarks.rank_settings --config=benchmarks/rank_settings/main.json --output=runs/rank_settings
    python -m benchmarks.rank_settings --config=benchmarks/rank_settings/main.json --output=runs/rank_settings \
        --only=supernet/base

The config names supernets, and draws of models that are trained on their own; a row is a supernet, supernet/LABEL, or
one training of each model of a draw, alone/DRAW/SEED. The output folder holds a folder for each row, and result.json,
result.md, result.svg and result.png once all rows are there. To resume an experiment that was stopped, run the same
command again; `--finished` takes rows from earlier results, also of other machines. Needs python -m
benchmarks.garment_pairs first.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores

_CONFIG = flags.DEFINE_string("config", None, "Config file of the experiment.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the runs.", required=True)
_ONLY = flags.DEFINE_string("only", None, "Run this row only, supernet/LABEL or alone/DRAW/SEED, and write no result.")
_FINISHED = flags.DEFINE_multi_string(
    "finished", [], "A result.json whose rows are taken instead of run again; may be repeated."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    from pathlib import Path

    from benchmarks.rank_settings.rank_config import RankConfig
    from benchmarks.rows import select_rows
    from scarlet_tf.files import check_run_folder, locked_folder
    from scarlet_tf.supernet.supernet_config import share_out_threads

    config = RankConfig.read(_CONFIG.value)
    select_rows(config.rows(), _ONLY.value)
    output = Path(_OUTPUT.value)
    check_run_folder(output)
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    from benchmarks.rank_settings.rank_page import write_ranks
    from benchmarks.rank_settings.rank_runs import finished_rows, run_rows

    finished = finished_rows(_FINISHED.value, config)
    with locked_folder(output):
        results = run_rows(config, output, only=_ONLY.value, data_dir=_DATA_DIR.value, finished=finished)
        if _ONLY.value is None:
            command = command_line(without=("data_dir", "finished"))
            print(write_ranks(output / "result", config, results, command=command))


if __name__ == "__main__":
    run(main)
