"""Time fair steps against PyTorch's on a CPU, eager and compiled, in turn.

    python -m benchmarks.step_peers --torch_python=peers/bin/python
    python -m benchmarks.step_peers --torch_python=peers/bin/python --threads=1 --rounds=1 --output=runs/step

`--torch_python` is a Python with torch and numpy, which need not be this one: `python -m venv peers` and
`peers/bin/pip install torch numpy`. The network is the reduced one of benchmarks.fair_step. Every timing is a process
of its own, pinned to as many cores as it has threads. The first process with --compiled also compiles every block,
which takes long on one core; inductor caches the code for the others.
"""

from absl import flags

from scarlet_tf.cli import command_line, run

_PYTHON = flags.DEFINE_string("torch_python", None, "Python interpreter that has torch and numpy.", required=True)
_THREADS = flags.DEFINE_multi_integer("threads", [1, 2], "Number of threads; may be repeated.", lower_bound=1)
_WIDTH = flags.DEFINE_float("width", 0.5, "Width multiplier of the 19 layers.", lower_bound=0.01)
_SIZE = flags.DEFINE_integer("size", 32, "Side of the images in pixels.", lower_bound=8)
_BATCH = flags.DEFINE_integer("batch", 32, "Batch size.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 5, "Number of timed steps of a process.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of rounds.", lower_bound=1)
_COMPILED = flags.DEFINE_bool("compiled", True, "Also time PyTorch with compiled blocks.")
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/step_peers.")


def main() -> None:
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.step_peers.page import make_page
    from benchmarks.step_peers.rounds import WAYS, check_torch, time_rounds

    output = choose_output(_OUTPUT.value, "step_peers")
    torch = check_torch(_PYTHON.value)
    network = {"width": _WIDTH.value, "size": _SIZE.value, "batch": _BATCH.value, "steps": _STEPS.value}
    ways = WAYS if _COMPILED.value else WAYS[:-1]
    timed = time_rounds(_PYTHON.value, ways=ways, threads=_THREADS.value, rounds=_ROUNDS.value, network=network)
    command = f"{command_line(without=('output', 'torch_python'))} --torch_python=PYTHON_WITH_TORCH"
    made = provenance(command, packages=("tensorflow", "numpy"))
    made["versions"]["torch"] = torch
    result = made | {"network": network, "rounds": timed}
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
