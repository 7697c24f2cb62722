"""Searches a trained supernet by constrained, weighted NSGA-II, or goes on with a search that was stopped.

    python tools/search.py --supernet=runs/supernet --output=runs/search --constraints="madds<1.5e6,accuracy>0.4"

    python tools/search.py --supernet=runs/supernet --output=runs/fast --quantity=latency_ms:latency.json \\
        --objectives=accuracy:max:0.4,latency_ms:min:0.4,params:max:0.2 --constraints="latency_ms<5,accuracy>0.4"

A --quantity is a table of what each choice of each layer adds, as JSON: {"table": [[...], ...], "constant": 1.5}. One
list a layer, with a number for every choice in the order of the space's table (`tools/draw.py --space=small` prints
it); the constant, for stem and tail, may be left out.

Writes archive.sqlite (every model evaluated), evaluator.json, log.jsonl, tensorboard/ and pick_0.json ..
pick_{K-1}.json.
"""

import contextlib

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_SUPERNET = flags.DEFINE_string("supernet", None, "Folder that train_supernet.py wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the search.", required=True)
_POPULATION = flags.DEFINE_integer("population", 70, "Members of a population.")
_GENERATIONS = flags.DEFINE_integer(
    "generations", 120, "Generations of children, after generation 0: twice the population, drawn."
)
_OBJECTIVES = flags.DEFINE_string(
    "objectives", "accuracy:max:0.4,madds:min:0.4,params:max:0.2", "name:max|min:weight,..."
)
_QUANTITY = flags.DEFINE_multi_string(
    "quantity", [], "NAME:FILE, a table that makes NAME an objective or constraint; may be given several times."
)
_CONSTRAINTS = flags.DEFINE_string("constraints", "madds<500e6,accuracy>0.4", "name<bound or name>bound, ...")
_MUTATION = flags.DEFINE_string(
    "mutation", "random:0.2,reinforced:0.65,roulette:0.15", "name:share, ...: of the mutations, which sum to 1."
)
_PICKS = flags.DEFINE_integer("picks", 3, "Models picked along the final front.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the search.")
_BN = flags.DEFINE_string("bn", "recalibrated", "BN statistics of a path: recalibrated or moving.")
_IMAGES = flags.DEFINE_integer("images", None, "Held-out images to evaluate on; default: all.", lower_bound=1)
_CALIBRATION = flags.DEFINE_integer("calibration_images", 256, "Training images that recalibrate BN.", lower_bound=1)
_STRATEGY = flags.DEFINE_string("strategy", "one_device", "one_device, mirrored, multi_worker or tpu.")
_TPU = flags.DEFINE_string("tpu", "", "With --strategy=tpu: a name or address, local, or what the environment names.")
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Leave out images that do not decode, and say how many.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps its sets.")


def main() -> None:
    from scarlet_tf.choices import require_known
    from scarlet_tf.files import require_free, require_holding, require_run_folder
    from scarlet_tf.runs.strategy import make_strategy, require_strategy
    from scarlet_tf.search import SearchConfig, parse_constraints, parse_mutation, parse_objectives, parse_quantities
    from scarlet_tf.search.objectives import QUANTITIES
    from scarlet_tf.supernet.settings import BN_MODES
    from scarlet_tf.supernet.unfinished import warn_if_unfinished

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
    require_strategy(_STRATEGY.value, tpu=_TPU.value)
    require_known("BN mode", _BN.value, BN_MODES)
    require_holding(_SUPERNET.value, "config.json", what="supernet")
    require_run_folder(_OUTPUT.value)
    if _STRATEGY.value != "multi_worker":  # whose chief alone locks
        require_free(_OUTPUT.value)
    warn_if_unfinished(_SUPERNET.value)
    load_tensorflow()
    from scarlet_tf.runs.distribution import is_chief
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
        strategy=strategy,
    )
    if not is_chief(strategy):
        evaluator.serve()
        return
    with contextlib.closing(evaluator):
        history = search_into(_OUTPUT.value, trained.space, config, evaluator, cheap=cheap)
    print(describe_picks(history))


if __name__ == "__main__":
    run(main)
