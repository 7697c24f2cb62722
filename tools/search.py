"""Search a trained supernet with constrained, weighted NSGA-II, or resume a search.

    python tools/search.py --supernet=runs/supernet --output=runs/search --constraints="madds<1.5e6,accuracy>0.4"

    python tools/search.py --supernet=runs/supernet --output=runs/fast --quantity=latency_ms:latency.json \\
        --objectives=accuracy:max:0.4,latency_ms:min:0.4,params:max:0.2 --constraints="latency_ms<5,accuracy>0.4"

The file of a --quantity is a table that latency_table.py measured on a device for this space. Or it is a JSON object,
{"table": [[...], ...], "constant": 1.5}, that says what each choice of each layer adds: one list per layer, with one
number per choice, in the order of the space's table of choices (docs/own_space.md), and an optional constant.

The run directory holds archive.sqlite (every evaluated model), evaluator.json, log.jsonl, tensorboard/ and pick_0.json
.. pick_{K-1}.json. To resume a search that was stopped, run the same command again.
"""

import contextlib
import sys

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Run directory that train_supernet.py wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Run directory of the search, local or remote.", required=True)
_POPULATION = flags.DEFINE_integer("population", 70, "Population size.")
_GENERATIONS = flags.DEFINE_integer(
    "generations",
    120,
    "Number of generations of children, after generation 0, which is twice the population, drawn at random.",
)
_OBJECTIVES = flags.DEFINE_string(
    "objectives",
    "accuracy:max:0.4,madds:min:0.4,params:max:0.2",
    "Objectives as NAME:max|min:WEIGHT, separated by commas.",
)
_QUANTITY = flags.DEFINE_multi_string(
    "quantity", [], "NAME:FILE, a table that makes NAME available as an objective or constraint; may be repeated."
)
_CONSTRAINTS = flags.DEFINE_string(
    "constraints", "madds<500e6,accuracy>0.4", "Constraints as NAME<BOUND or NAME>BOUND, separated by commas."
)
_MUTATION = flags.DEFINE_string(
    "mutation",
    "random:0.2,reinforced:0.65,roulette:0.15",
    "Shares of the kinds of mutation as NAME:SHARE, separated by commas; they sum to 1.",
)
_PICKS = flags.DEFINE_integer("picks", 3, "Number of models to pick along the final front.")
_SEED = flags.DEFINE_integer("seed", 0, "Random seed of the search.")
_BN = flags.DEFINE_string("bn", "recalibrated", "Batch normalisation statistics of a path: recalibrated or moving.")
_IMAGES = flags.DEFINE_integer("images", None, "Number of held-out images to evaluate on; default: all.", lower_bound=1)
_CALIBRATION = flags.DEFINE_integer(
    "calibration_images",
    256,
    "Number of calibration images: training images that recalibrate batch normalisation.",
    lower_bound=1,
)
_PORTION = flags.DEFINE_integer(
    "portion",
    16,
    "Number of models for each device after which accuracies are written to the archive; a search that is killed "
    "evaluates about so many for each device again.",
    lower_bound=1,
)
_STRATEGY = flags.DEFINE_string(
    "strategy", "one_device", "Distribution strategy: one_device, mirrored, multi_worker or tpu."
)
_TPU = flags.DEFINE_string(
    "tpu", "", "TPU for --strategy=tpu: a name, an address, or local; empty: the TPU named in the environment."
)
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_INPUT_WORKERS = flags.DEFINE_integer(
    "input_workers", None, "Most threads that read and decode images; default: one for each core.", lower_bound=1
)
_CACHE = flags.DEFINE_string(
    "cache", None, "Where to keep encoded images after they were first read: memory, or a folder; default: nowhere."
)


def main() -> None:
    from scarlet_tf.choices import check_known
    from scarlet_tf.data.encoded_cache import check_cache
    from scarlet_tf.files import check_contains, check_free, check_run_folder
    from scarlet_tf.runs.strategy import check_strategy, join_workers, make_strategy
    from scarlet_tf.search import SearchConfig, parse_constraints, parse_mutation, parse_objectives, parse_quantities
    from scarlet_tf.search.objectives import QUANTITIES
    from scarlet_tf.supernet.supernet_config import BN_MODES, warn_if_unfinished

    tables = parse_quantities(_QUANTITY.value)
    known = (*QUANTITIES, *tables)
    config = SearchConfig(
        population=_POPULATION.value,
        generations=_GENERATIONS.value,
        objectives=parse_objectives(_OBJECTIVES.value, known=known),
        constraints=parse_constraints(_CONSTRAINTS.value, known=known),
        mixture=parse_mutation(_MUTATION.value),
        picks=_PICKS.value,
        seed=_SEED.value,
    )
    check_strategy(_STRATEGY.value, tpu=_TPU.value)
    check_known("BN mode", _BN.value, BN_MODES)
    if _BN.value == "moving" and flags.FLAGS["calibration_images"].present:
        raise ValueError("--calibration_images belongs to --bn=recalibrated, got --bn=moving")
    check_cache(_CACHE.value)
    check_contains(_SUPERNET.value, "config.json", what="supernet")
    check_run_folder(_OUTPUT.value)
    if _STRATEGY.value != "multi_worker":  # with multi_worker only the chief locks
        check_free(_OUTPUT.value)
    warn_if_unfinished(_SUPERNET.value)
    join_workers(_STRATEGY.value)
    load_tensorflow()
    from scarlet_tf.runs.distribution import is_chief
    from scarlet_tf.runs.interrupt import SIGTERM_EXIT_CODE, StopRequest
    from scarlet_tf.search.run import describe_picks, search_into
    from scarlet_tf.supernet import SupernetEvaluator, load_supernet

    strategy = make_strategy(_STRATEGY.value, tpu=_TPU.value)  # before anything else touches TensorFlow's devices
    trained = load_supernet(_SUPERNET.value)
    cheap = {name: table.quantity(trained.space) for name, table in tables.items()}
    evaluator = SupernetEvaluator(
        trained,
        bn=_BN.value,
        images=_IMAGES.value,
        calibration_images=_CALIBRATION.value,
        data_dir=_DATA_DIR.value,
        skip_damaged=_SKIP_DAMAGED.value,
        input_workers=_INPUT_WORKERS.value,
        cache=_CACHE.value,
        strategy=strategy,
        portion=_PORTION.value,
    )
    if not is_chief(strategy):
        with StopRequest() as stop:  # after SIGTERM to all, the chief finishes its generation
            evaluator.serve()
        if stop.requested:
            sys.exit(SIGTERM_EXIT_CODE)
        return
    with contextlib.closing(evaluator):
        history = search_into(_OUTPUT.value, trained.space, config, evaluator, cheap=cheap)
    print(describe_picks(history))


if __name__ == "__main__":
    run(main)
