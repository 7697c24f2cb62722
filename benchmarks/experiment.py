"""The command of an experiment whose rows can be run one at a time, on several machines: its flags and its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, usable_cores

if TYPE_CHECKING:
    from benchmarks.rows import ExperimentConfig

    Parts = tuple[Callable[..., dict], Callable[..., str]]

flags.disclaim_key_flags()  # they are those of the experiment that calls define_flags


def define_flags(*, row: str) -> None:
    """Define the flags --config, --output, --only, --finished and --data_dir.

    Args:
        row: how rows are named, for the help of --only.
    """
    flags.DEFINE_string("config", None, "Config file of the experiment.", required=True)
    flags.DEFINE_string("output", None, "Folder of the runs.", required=True)
    flags.DEFINE_string("only", None, f"Run this row only, {row}, and write no result.")
    flags.DEFINE_multi_string(
        "finished", [], "A result.json whose rows are taken instead of run again; may be repeated."
    )
    flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def run_experiment(config: ExperimentConfig, load: Callable[[], Parts]) -> None:
    """Run the rows that the flags ask for; if these are all, write the result and print its page.

    Args:
        config: the experiment.
        load: imports what needs TensorFlow, after the flags are checked. Returns `run_row`, called as `run_rows` says
            with the config before and `data_dir` after its arguments, and `write`, called with the path of the result
            without its ending, the config, the rows and the keyword `command`.

    Raises:
        ValueError: for flags that cannot be used.
    """
    from pathlib import Path

    from benchmarks.rows import finished_rows, run_rows, select_rows
    from scarlet_tf.files import check_run_folder, locked_folder
    from scarlet_tf.supernet.supernet_config import share_out_threads

    given = flags.FLAGS
    output = Path(given.output)
    select_rows(config.rows(), given.only)
    finished = finished_rows(given.finished, config)
    check_run_folder(output)
    load_tensorflow(threads=share_out_threads(len(usable_cores())))
    run_row, write = load()

    def run_one(row, folder: Path, rows: Mapping[str, dict]) -> dict:
        return run_row(config, row, folder, rows, data_dir=given.data_dir)

    with locked_folder(output):
        rows = run_rows(config, run_one, output, only=given.only, finished=finished)
        if given.only is None:
            print(write(output / "result", config, rows, command=command_line(without=("data_dir", "finished"))))
