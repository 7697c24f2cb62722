"""Compare supernets with LETs, with plain identities and without, at 19 layers on garment pairs; see plan.md.

    python -m benchmarks.let_at_depth --config=benchmarks/let_at_depth/pilot.json --output=runs/pilot
    python -m benchmarks.let_at_depth --config=benchmarks/let_at_depth/pilot.json --output=runs/pilot --only=base/let/0

The config names the conditions, arms and seeds; a row is one run, CONDITION/ARM/SEED. The output folder holds a run
directory for each, and result.json, result.md, result.svg and result.png once all rows are there. To resume an
experiment that was stopped, run the same command again; `--finished` takes rows from earlier results, also of other
machines. Needs python -m benchmarks.garment_pairs first.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores

_CONFIG = flags.DEFINE_string("config", None, "Config file of the experiment.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the runs.", required=True)
_ONLY = flags.DEFINE_string("only", None, "Run this row only, CONDITION/ARM/SEED, and write no result.")
_SEEDS = flags.DEFINE_multi_integer("seed", [], "Use only this seed of the config; may be repeated.")
_FINISHED = flags.DEFINE_multi_string(
    "finished", [], "A result.json whose rows are taken instead of run again; may be repeated."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    from pathlib import Path

    from benchmarks.let_at_depth.depth_config import DepthConfig
    from benchmarks.rows import select_rows
    from scarlet_tf.files import check_run_folder, locked_folder
    from scarlet_tf.supernet.supernet_config import share_out_threads

    config = DepthConfig.read(_CONFIG.value).with_seeds(_SEEDS.value)
    select_rows(config.rows(), _ONLY.value)
    output = Path(_OUTPUT.value)
    check_run_folder(output)
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    from benchmarks.let_at_depth.depth_page import write_depth
    from benchmarks.let_at_depth.depth_runs import finished_rows, run_rows

    finished = finished_rows(_FINISHED.value, config)
    with locked_folder(output):
        results = run_rows(config, output, only=_ONLY.value, data_dir=_DATA_DIR.value, finished=finished)
        if _ONLY.value is None:
            print(
                write_depth(output / "result", config, results, command=command_line(without=("data_dir", "finished")))
            )


if __name__ == "__main__":
    run(main)
