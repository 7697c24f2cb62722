"""Compare searches of a trained supernet under multiply-adds and under instructions, by measured instructions.

    python -m benchmarks.latency_search --supernet=runs/quickstart/supernet

A table predicts the instructions of int8 files on a Cortex-A76, as tools/latency_table.py makes it. Models along the
front of each search are exported and counted one by one, and their accuracies compared are those on the test images,
which no search sees. The emulator must be set up: python tools/benchmark_arm64.py --set_up

The table, the searches and the counts are kept in the user's cache; to resume, run the same command again. Writes a
.json, an .md, an .svg and a .png file.
"""

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Run directory that train_supernet.py wrote.", required=True)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of searches under each cost.", lower_bound=1)
_POPULATION = flags.DEFINE_integer("population", 70, "Population of each search.", lower_bound=2)
_GENERATIONS = flags.DEFINE_integer("generations", 20, "Number of generations of each search.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 1000, "Number of held-out images that searches evaluate on.", lower_bound=1)
_MODELS = flags.DEFINE_integer("models", 40, "Number of models to measure along each front, at most.", lower_bound=2)
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/latency_search.")
_CACHE = flags.DEFINE_string("cache", None, "Folder of what is kept; default: latency_search in the user's cache.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    from benchmarks.result_files import choose_output, write_result
    from scarlet_tf.files import check_contains, expand_user, user_cache
    from scarlet_tf.latency import check_emulator
    from scarlet_tf.supernet.supernet_config import warn_if_unfinished

    output = choose_output(_OUTPUT.value, "latency_search")
    check_contains(_SUPERNET.value, "config.json", what="supernet")
    warn_if_unfinished(_SUPERNET.value)
    check_emulator()
    load_tensorflow()
    from benchmarks.latency_search.comparison import compare_searches, describe_comparison
    from benchmarks.latency_search.fronts import Searches
    from benchmarks.latency_search.latency_search_page import draw_fronts, make_page
    from benchmarks.latency_search.measured_files import MeasuredFiles, get_table, measure_test_accuracies
    from benchmarks.machine import provenance
    from scarlet_tf.supernet import SupernetEvaluator, load_supernet

    cache = expand_user(_CACHE.value) if _CACHE.value else user_cache() / "latency_search"
    trained = load_supernet(_SUPERNET.value)
    evaluator = SupernetEvaluator(trained, images=_IMAGES.value, data_dir=_DATA_DIR.value)
    table = get_table(trained.space, cache)
    searches = Searches(table, population=_POPULATION.value, generations=_GENERATIONS.value)
    files = MeasuredFiles(trained, calibration=evaluator.calibration, cache=cache)
    fronts = compare_searches(
        searches,
        evaluator,
        seeds=range(_SEEDS.value),
        most=_MODELS.value,
        cache=cache,
        count=files.count,
        test=lambda genomes: measure_test_accuracies(trained, evaluator.calibration, genomes, data_dir=_DATA_DIR.value),
    )
    result = {
        **provenance(
            command_line(without=("output", "cache", "data_dir")),
            packages=("numpy", "tensorflow", "keras", "ai-edge-litert"),
        ),
        "supernet": {"fingerprint": trained.fingerprint, "step": trained.step, "config": trained.config.to_dict()},
        "evaluation": evaluator.settings,
        **describe_comparison(searches, fronts, most=_MODELS.value),
    }
    print(write_result(output, result, make_page(result), chart=draw_fronts(result)))


if __name__ == "__main__":
    run(main)
