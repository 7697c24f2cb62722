"""Compare the mixture of mutations with each alone and with pymoo's NSGA-II at equal evaluations; time a generation.

    OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.search
    python -m benchmarks.search --seeds=3 --methods=mixture,random --output=runs/search
    python -m benchmarks.search --part=overhead

Searches the whole `scarlet` space with synthetic accuracies whose best model is known. A run is one objective, method
and seed. Finished runs are kept in the user's cache until the code of the search changes; to resume the benchmark, run
the same command again. Writes a .json and a .md file; --part=overhead times a generation again and leaves the rest of
both files unchanged.
"""

from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, run

_SEEDS = flags.DEFINE_integer(
    "seeds", 20, "Number of seeds for each method and objective, counted from --first_seed.", 1
)
_FIRST_SEED = flags.DEFINE_integer("first_seed", 0, "The first seed.", lower_bound=0)
_METHODS = flags.DEFINE_list(
    "methods",
    ["mixture", "random", "roulette", "pymoo_point", "pymoo_sbx"],
    "Methods to compare, of mixture, random, roulette, pymoo_point and pymoo_sbx, separated by commas.",
)
_OBJECTIVES = flags.DEFINE_list(
    "objectives", ["separable", "epistatic"], "Objectives to search, of separable and epistatic, separated by commas."
)
_POPULATION = flags.DEFINE_integer("population", 70, "Population size.", lower_bound=2)
_EVALUATIONS = flags.DEFINE_integer("evaluations", 8400, "Number of models that each run evaluates.", lower_bound=1)
_TIMED = flags.DEFINE_integer("timed", 60, "Number of generations over which the overhead is measured.", lower_bound=1)
_PART = flags.DEFINE_enum("part", "all", ["all", "overhead"], "Part of the benchmark to run.")
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/search.")
_CACHE = flags.DEFINE_string("cache", None, "Folder of finished runs; default: in the user's cache.")


def main() -> None:
    import json

    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from benchmarks.search.overhead import measure_overhead
    from benchmarks.search.search_page import make_page
    from scarlet_tf.arch import get_space

    output = choose_output(_OUTPUT.value, "search")
    measured = provenance(command_line(without=("output", "cache")), packages=("numpy", "pymoo"))
    if _PART.value == "all":
        result = {**measured, **_compare()}
    else:
        result = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
    result["overhead_measured"] = measured
    result["overhead"] = measure_overhead(
        get_space("scarlet"), population=result["population"], generations=_TIMED.value
    )
    print(write_result(output, result, make_page(result)))


def _compare() -> dict:
    """Run every method on every objective with every seed, and summarise the runs."""
    from benchmarks.search.methods import METHODS, OBJECTIVES, RunStore, run_method
    from benchmarks.search.search_page import summarise
    from scarlet_tf.arch import get_space
    from scarlet_tf.choices import check_known
    from scarlet_tf.files import user_cache
    from scarlet_tf.progress import progress

    for what, given, known in (("method", _METHODS, METHODS), ("objective", _OBJECTIVES, OBJECTIVES)):
        for value in given.value:
            check_known(what, value, known)
    size = {"population": _POPULATION.value, "evaluations": _EVALUATIONS.value}
    if size["evaluations"] % size["population"] or size["evaluations"] < 3 * size["population"]:
        raise ValueError(f"evaluations must be a multiple of the population, at least three times it, got {size}")
    space, seeds = get_space("scarlet"), range(_FIRST_SEED.value, _FIRST_SEED.value + _SEEDS.value)
    store = RunStore(Path(_CACHE.value) if _CACHE.value else user_cache() / "search_benchmark", **size)
    wanted = [(o, method, seed) for seed in seeds for o in _OBJECTIVES.value for method in _METHODS.value]
    runs = []
    for objective, method, seed in progress(wanted, "search", unit="run"):
        finished = store.read(objective, method, seed)
        if finished is None:
            finished = run_method(space, objective, method, seed=seed, **size)
            store.write(finished)
        runs.append(finished)
    return {**size, "seeds": list(seeds), "summary": summarise(runs), "runs": runs}


if __name__ == "__main__":
    run(main)
