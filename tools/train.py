"""Trains one network on its own and writes a folder with spec.json, model.keras and training.json.

With --qat, --prune or --cluster it fine-tunes a trained one under that compression, with the recipe's settings but for
a shorter run at a lower learning rate, without dropout and weight averages.

    python tools/train.py --model=spec.json --dataset=fashion_mnist --recipe=small --output=runs/small
    python tools/train.py --model=scarlet_a --dataset=imagenet2012 --recipe=paper --strategy=mirrored --output=runs/a
    python tools/train.py --inherit_from=runs/supernet --genome=12,1,12,6,3,8 --epochs=1 --output=runs/inherited
    python tools/train.py --model=scarlet_a --weights=a.weights.h5 --dataset=folder:flowers --recipe=finetune --output=f
    python tools/train.py --model=runs/small --prune=0.5 --output=runs/small_pruned
    python tools/train.py --model=runs/small --dataset=folder:cells --recipe=finetune --validation=0.1 --patience=5 \\
        --class_weight=balanced --output=runs/cells

With --validation, the network is evaluated after every epoch on images that it does not learn from, and the best
weights are kept. curves.png and confusion.png in the folder show the run and its result.

Run again after it was stopped or killed, it continues. SIGTERM saves and stops with exit code 143.
"""

import sys

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A zoo name, a spec's JSON file, a genome such as small:3,12,1,7,11,0, or a trained folder to go on from.",
)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Start from these: a .weights.h5 or .keras file, of any number of classes; or imagenet."
)
_INHERIT_FROM = flags.DEFINE_string("inherit_from", None, "Start from the weights of --genome in this supernet folder.")
_GENOME = flags.DEFINE_string("genome", None, "With --inherit_from: the path, such as 12,1,12,6,3,8; LETs are kept.")
_QAT = flags.DEFINE_bool("qat", False, "Quantisation-aware: learn int8's rounding and ranges; see export_tflite.py.")
_PRUNE = flags.DEFINE_float("prune", None, "Share of each kernel's weights to set to zero, such as 0.5.")
_CLUSTER = flags.DEFINE_integer("cluster", None, "Number of values that each kernel's weights share, such as 16.")
_DATASET = flags.DEFINE_string("dataset", "fashion_mnist", "A tensorflow-datasets name, or folder:PATH.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Of tensorflow-datasets; default: see tools/prepare_fashion_mnist.py."
)
_SEARCH_VALIDATION = flags.DEFINE_integer("search_validation", 0, "Training images to hold out, for a search.")
_VALIDATION = flags.DEFINE_string(
    "validation", None, "Evaluate every epoch: a share of the training images to hold out, 0.1, or a split's name."
)
_KEEP = flags.DEFINE_string(
    "keep",
    None,
    "best: the weights of the epoch with the highest validation accuracy (balanced with --class_weight=balanced), "
    "then the lowest loss; last. Default: best with --validation, else last, and last with --prune.",
)
_IMAGE_SIZE = flags.DEFINE_string("image_size", None, "Pixels, one side or HEIGHTxWIDTH; default: the network's.")
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Leave out images that do not decode, and say how many.")
_RECIPE = flags.DEFINE_string("recipe", "small", "paper, small, or finetune (first the classifier alone, then all).")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the result.")
_NAME = flags.DEFINE_string(
    "name", None, "Of the trained network; default: the output folder's where it starts from trained weights."
)
_STRATEGY = flags.DEFINE_string("strategy", "one_device", "one_device, mirrored, multi_worker or tpu.")
_TPU = flags.DEFINE_string("tpu", "", "With --strategy=tpu: a name or address, local, or what the environment names.")
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 500, "Steps between checkpoints.", lower_bound=1)
_LOG_EVERY = flags.DEFINE_integer("log_every", 50, "Steps between lines of log.jsonl.", lower_bound=1)
_OVERRIDES = {
    "epochs": flags.DEFINE_float("epochs", None, "Instead of the recipe's."),
    "frozen_epochs": flags.DEFINE_float(
        "frozen_epochs", None, "Of those the first, in which only the classifier learns."
    ),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Global batch, instead of the recipe's."),
    "learning_rate": flags.DEFINE_float(
        "learning_rate", None, "At the recipe's reference batch; scales with the batch."
    ),
    "decay_rate": flags.DEFINE_float("decay_rate", None, "Of the exponential schedule, instead of the recipe's."),
    "dropout": flags.DEFINE_float("dropout", None, "Instead of the recipe's or the spec's."),
    "augment": flags.DEFINE_string(
        "augment", None, "none, flips (along both axes), flip_crop or inception, instead of the recipe's."
    ),
    "patience": flags.DEFINE_integer("patience", None, "End after so many epochs without better weights; 0: never."),
    "class_weight": flags.DEFINE_string(
        "class_weight", None, "balanced: weight the loss by n / (k n_c), n images in k classes, n_c of one; or none."
    ),
    "seed": flags.DEFINE_integer("seed", None, "Of initial weights, order, augmentation and dropout."),
}


def main() -> None:
    if not _OUTPUT.value:
        raise ValueError("--output is required: the folder of the result")
    if bool(_MODEL.value) == bool(_INHERIT_FROM.value):
        raise ValueError("give either --model or --inherit_from with --genome")
    if bool(_INHERIT_FROM.value) != bool(_GENOME.value):
        raise ValueError("--inherit_from and --genome go together")
    if _INHERIT_FROM.value and _WEIGHTS.value:
        raise ValueError("--weights does not go with --inherit_from, which brings its own")
    from pathlib import Path

    from scarlet_tf.data import DataConfig, require_image_folder
    from scarlet_tf.data.data_config import parse_validation
    from scarlet_tf.files import require_free, require_holding, require_run_folder
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.runs.strategy import make_strategy, require_strategy
    from scarlet_tf.training.config import check_name, train_config
    from scarlet_tf.zoo import require_model

    overrides = {name: flag.value for name, flag in _OVERRIDES.items() if flag.value is not None}
    images = {
        "name": _DATASET.value,
        "data_dir": _DATA_DIR.value,
        "search_validation": _SEARCH_VALIDATION.value,
        "skip_damaged": _SKIP_DAMAGED.value,
        "validation": None if _VALIDATION.value is None else parse_validation(_VALIDATION.value),
    }
    DataConfig(image_size=parse_image_size(_IMAGE_SIZE.value) or 1, **images)
    by_default = "best" if _VALIDATION.value is not None and _PRUNE.value is None else "last"
    overrides["keep"] = by_default if _KEEP.value is None else _KEEP.value
    intervals = {"checkpoint_every": _CHECKPOINT_EVERY.value, "log_every": _LOG_EVERY.value}
    compressed = _QAT.value or _PRUNE.value is not None or _CLUSTER.value is not None
    config = _compression(overrides) if compressed else train_config(_RECIPE.value, **overrides)
    (config.training if compressed else config).check_validation(validated=_VALIDATION.value is not None)
    require_run_folder(_OUTPUT.value)
    if _NAME.value is not None:
        check_name(_NAME.value)
    require_strategy(_STRATEGY.value, tpu=_TPU.value)
    if _INHERIT_FROM.value:
        require_holding(_INHERIT_FROM.value, "config.json", what="supernet")
    else:
        require_model(_MODEL.value, weights=_WEIGHTS.value, keras_file=False)
    require_image_folder(_DATASET.value)
    ended_before = (Path(_OUTPUT.value) / "training.json").is_file()
    if not ended_before and _STRATEGY.value != "multi_worker":  # whose chief alone locks
        require_free(_OUTPUT.value)
    load_tensorflow()
    if compressed:
        line = _compress(config, images, intervals)
    else:
        strategy = make_strategy(_STRATEGY.value, tpu=_TPU.value)  # before anything else touches TensorFlow's devices
        line = _train(config, images, intervals, strategy=strategy)
    if ended_before:
        print(f"{_OUTPUT.value}: this run had ended before, and nothing was trained; its result:")
    print(line)


def _train(config, images: dict, intervals: dict, *, strategy) -> str:
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.training.messages import statistics_warning, summarize_result
    from scarlet_tf.training.trainer import train
    from scarlet_tf.zoo import StartingPoint, starting_point

    if _INHERIT_FROM.value:
        from scarlet_tf.supernet import load_supernet

        supernet = load_supernet(_INHERIT_FROM.value)
        genome = supernet.space.parse(_GENOME.value)
        start = StartingPoint(
            spec=supernet.space.spec(genome, let=True),
            weights=supernet.path_weights(genome),
            preprocessing=supernet.preprocessing,
            origin=f"path {_GENOME.value} of a supernet",
        )
    else:
        start = starting_point(_MODEL.value, weights=_WEIGHTS.value)
    if _IMAGE_SIZE.value:
        start = start.at_resolution(parse_image_size(_IMAGE_SIZE.value))
    if start.note:
        _warn([start.note])
    # The augmentation of this training decides what evaluation sees of an image; what pixels mean stays as it was.
    pixels = {"mean": start.mean, "std": start.std}
    data = open_dataset(DataConfig(image_size=start.spec.resolution, augment=config.augment, **pixels, **images))
    if not _INHERIT_FROM.value:
        start = start.for_classes(data.num_classes)
        if start.new_classifier:
            print(f"a new classifier for {data.num_classes} classes")
    _say_beforehand(data, config)
    _warn(statistics_warning(data, config))
    # A path of a supernet is named by its genome already.
    name = _name(start.spec, inherits=start.weights is not None and not _INHERIT_FROM.value)
    inherited = {"weights": start.weights, "origin": start.origin, "name": name}
    result = train(start.spec, data, config, output=_OUTPUT.value, strategy=strategy, **inherited, **intervals)
    return summarize_result(result)


def _compression(overrides: dict):
    if _INHERIT_FROM.value or _STRATEGY.value != "one_device":
        raise ValueError("--qat, --prune and --cluster take a --model, on --strategy=one_device")
    from scarlet_tf.compression import compression_config

    asked = {"qat": _QAT.value, "prune": _PRUNE.value, "cluster": _CLUSTER.value}
    return compression_config(_RECIPE.value, **asked, **overrides)


def _compress(config, images: dict, intervals: dict) -> str:
    from scarlet_tf.compression import compress, open_source, summarize
    from scarlet_tf.data import DataConfig, open_dataset

    source = open_source(_MODEL.value, weights=_WEIGHTS.value)
    if source.note:
        _warn([source.note])
    images = images | source.preprocessing.settings | {"augment": config.training.augment}
    data = open_dataset(DataConfig(image_size=source.input_shape[:2], **images))
    _say_beforehand(data, config.training)
    name = _name(source.spec, inherits=True)
    return summarize(compress(source, data, config, output=_OUTPUT.value, name=name, **intervals))


def _say_beforehand(data, config) -> None:
    from scarlet_tf.training.messages import notes_before, warnings_before

    for note in notes_before(data, config):
        print(note)
    _warn(warnings_before(data, config))


def _warn(lines) -> None:
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def _name(spec, *, inherits: bool) -> str:
    """The trained network's name: its own where it starts from the weights of another."""
    from scarlet_tf.training.folder import name_of_folder

    return _NAME.value or (name_of_folder(_OUTPUT.value) if inherits else spec.name)


if __name__ == "__main__":
    run(main)
