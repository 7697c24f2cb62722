"""Compare a supernet's search with random search and successive halving at equal total cost; see plan.md.

    python -m benchmarks.equal_cost --config=benchmarks/equal_cost/main.json --output=runs/equal_cost
    python -m benchmarks.equal_cost --config=benchmarks/equal_cost/main.json --output=runs/equal_cost --only=supernet/0

The config names the methods and seeds; a row is one search, METHOD/SEED, and the training of the model that it picks.
A supernet's cost is the budget of the other methods with its seed, so its row comes first. The output folder holds a
folder for each row, and result.json, result.md, result.svg and result.png once all rows are there. To resume an
experiment that was stopped, run the same command again; `--finished` takes rows from earlier results, also of other
machines. Needs python -m benchmarks.garment_pairs first.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run, usable_cores

_CONFIG = flags.DEFINE_string("config", None, "Config file of the experiment.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the runs.", required=True)
_ONLY = flags.DEFINE_string("only", None, "Run this row only, METHOD/SEED, and write no result.")
_FINISHED = flags.DEFINE_multi_string(
    "finished", [], "A result.json whose rows are taken instead of run again; may be repeated."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    import importlib.util
    from pathlib import Path

    from benchmarks.equal_cost.cost_config import CostConfig
    from benchmarks.rows import select_rows
    from scarlet_tf.files import check_run_folder, locked_folder
    from scarlet_tf.supernet.supernet_config import share_out_threads

    config = CostConfig.read(_CONFIG.value)
    output = Path(_OUTPUT.value)
    check_run_folder(output)
    rows = select_rows(config.rows(), _ONLY.value)
    if any(row.method == "halving" for row in rows.values()) and importlib.util.find_spec("optuna") is None:
        raise ValueError("successive halving needs the package optuna: pip install 'scarlet-tf[test]'")
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    from benchmarks.equal_cost.cost_page import write_cost
    from benchmarks.equal_cost.cost_runs import finished_rows, run_rows

    finished = finished_rows(_FINISHED.value, config)
    with locked_folder(output):
        results = run_rows(config, output, only=_ONLY.value, data_dir=_DATA_DIR.value, finished=finished)
        if _ONLY.value is None:
            command = command_line(without=("data_dir", "finished"))
            print(write_cost(output / "result", config, results, command=command))


if __name__ == "__main__":
    run(main)
