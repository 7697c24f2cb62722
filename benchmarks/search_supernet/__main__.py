"""Compare searches of a trained supernet with uniform draws at equal evaluations, and time evaluating a generation.

    python tools/reproduce.py --figure=6 --supernet=runs/quickstart/supernet --output=runs/figure6
    OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.search_supernet \\
        --supernet=runs/quickstart/supernet --searches=runs/figure6

The accuracies of the drawn models are kept in the user's cache; to resume the benchmark, run the same command again.
Writes a .json and a .md file.
"""

from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Run directory that train_supernet.py wrote.", required=True)
_SEARCHES = flags.DEFINE_string("searches", None, "Run directory that reproduce.py --figure=6 wrote.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of rounds in which evaluation is timed.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "Output path without its ending; default: zoo/results/search_supernet.")
_CACHE = flags.DEFINE_string("cache", None, "Folder of the drawn models' accuracies; default: in the user's cache.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")


def main() -> None:
    import json

    from benchmarks.machine import provenance
    from benchmarks.result_files import choose_output, write_result
    from scarlet_tf.files import check_contains, user_cache
    from scarlet_tf.supernet.supernet_config import warn_if_unfinished

    output = choose_output(_OUTPUT.value, "search_supernet")
    figure = json.loads((Path(_SEARCHES.value) / "figure6.json").read_text(encoding="utf-8"))
    check_contains(_SUPERNET.value, "config.json", what="supernet")
    warn_if_unfinished(_SUPERNET.value)
    load_tensorflow()
    from benchmarks.figure6.figure6_searches import arm_archive, arm_name
    from benchmarks.search_supernet.search_supernet_page import make_page
    from benchmarks.search_supernet.throughput import last_children, time_evaluation
    from benchmarks.search_supernet.uniform_fronts import compare_fronts
    from scarlet_tf.supernet import SupernetEvaluator, load_supernet
    from scarlet_tf.supernet.supernet_config import BN_MODES

    trained = load_supernet(_SUPERNET.value)
    config, evaluation = figure["config"], figure["evaluation"]
    settings = {name: evaluation[name] for name in ("images", "calibration_images")} | {"data_dir": _DATA_DIR.value}
    evaluators = {bn: SupernetEvaluator(trained, bn=bn, **settings) for bn in BN_MODES}
    archives = {
        arm: [arm_archive(_SEARCHES.value, arm, seed) for seed in range(config["seeds"])] for arm in figure["arms"]
    }
    evaluations = config["population"] * config["generations"]
    cache = Path(_CACHE.value) if _CACHE.value else user_cache() / "search_supernet"
    fronts = compare_fronts(
        trained.space, evaluators[evaluation["bn"]], archives=archives, evaluations=evaluations, cache=cache
    )
    constrained = archives[arm_name(config["quantiles"][0])]
    children = last_children(constrained[0], config["population"])
    result = {
        **provenance(command_line(without=("output", "cache", "data_dir")), packages=("numpy", "tensorflow", "keras")),
        "supernet": {"fingerprint": trained.fingerprint, "step": trained.step, "config": trained.config.to_dict()},
        "evaluation": {
            "bn": evaluation["bn"],
            "images": evaluators[evaluation["bn"]].num_images,
            "calibration_images": len(evaluators[evaluation["bn"]].calibration),
        },
        "evaluations": evaluations,
        "fronts": fronts,
        "throughput": time_evaluation(trained.supernet, children, evaluators=evaluators, rounds=_ROUNDS.value),
    }
    print(write_result(output, result, make_page(result)))


if __name__ == "__main__":
    run(main)
