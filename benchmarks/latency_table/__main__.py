"""Check cost tables of the whole `scarlet` space against networks that were exported and measured as a whole.

    python -m benchmarks.latency_table
    python -m benchmarks.latency_table --targets=host --networks=10 --output=runs/latency_table

For each target, a table is made as tools/latency_table.py makes it, and timed. Its predictions are compared with the
measured costs of SCARLET-A, -B and -C and of random networks. These are exported one by one, in ten minutes, and kept
in the user's cache, as are their instructions. On a shared machine, pin the run to a core.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_TARGETS = flags.DEFINE_list("targets", ["arm64", "host"], "Targets of the tables, arm64 and host.")
_NETWORKS = flags.DEFINE_integer("networks", 40, "Number of random networks.", lower_bound=2)
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the networks; the table's own networks have the next.", 0)
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/latency_table.")
_CACHE = flags.DEFINE_string("cache", None, "Folder of the exported networks; default: in the user's cache.")


def main() -> None:
    from pathlib import Path

    from benchmarks.latency_table.comparison import TARGETS, choose_networks, compare, export_networks
    from benchmarks.latency_table.latency_table_page import make_page
    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from scarlet_tf.arch import get_space
    from scarlet_tf.choices import check_known
    from scarlet_tf.files import user_cache

    for name in _TARGETS.value:
        check_known("target", name, tuple(TARGETS))
    output = choose_output(_OUTPUT.value, "latency_table")
    load_tensorflow()
    space = get_space("scarlet")
    networks = choose_networks(space, _NETWORKS.value, seed=_SEED.value)
    cache = Path(_CACHE.value) if _CACHE.value else user_cache() / "latency_table"
    files = export_networks(space, networks, cache)
    result = provenance(
        command_line(without=("output", "cache")), packages=("numpy", "tensorflow", "keras", "ai-edge-litert")
    )
    result["targets"] = [
        compare(space, name, networks, files, seed=_SEED.value + 1, cache=cache) for name in _TARGETS.value
    ]
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
