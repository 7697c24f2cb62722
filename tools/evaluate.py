"""Evaluate a trained network on a split and print one line of JSON.

    python tools/evaluate.py --model=runs/small
    python tools/evaluate.py --model=scarlet_a --weights=a.weights.h5 --dataset=imagenet2012 --augment=inception

The line holds top-1, balanced accuracy (the mean recall of the classes), top-5 if there are more than five classes,
loss, recall by class and, for up to 100 classes, the confusion matrix, with one row per true class and one column per
predicted class.

A folder that tools/train.py wrote records its dataset and its classes; flags override them. The classes of another
dataset are matched by name, and may be a subset of the model's.
"""

import json
import sys
from pathlib import Path

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model", None, "A trained model's folder, a .keras file, a zoo name or a spec's JSON file."
)
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights for a name or spec: a .weights.h5 or .keras file.")
_DATASET = flags.DEFINE_string(
    "dataset", None, "Dataset: a tensorflow-datasets name or folder:PATH; default: as trained."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Data folder of tensorflow-datasets; default: see tools/prepare_fashion_mnist.py."
)
_SPLIT = flags.DEFINE_string("split", "test", "Split to evaluate: train, search_validation, validation or test.")
_AUGMENT = flags.DEFINE_string(
    "augment",
    None,
    "Preprocessing: inception (centre crop, 224 of 256) or none (the whole image); default: as trained.",
)
_SEARCH_VALIDATION = flags.DEFINE_integer(
    "search_validation", None, "Number of held-out training images; default: as trained, or 0."
)
_DATA_SEED = flags.DEFINE_integer(
    "data_seed", None, "Random seed that decides which images are held out; default: as trained, or 0."
)
_IMAGE_SIZE = flags.DEFINE_string(
    "image_size", None, "Image size in pixels: one side, or HEIGHTxWIDTH; default: the model's."
)
_SKIP_DAMAGED = flags.DEFINE_bool(
    "skip_damaged", None, "Skip images that cannot be decoded, and report how many; default: as trained."
)
_INPUT_WORKERS = flags.DEFINE_integer(
    "input_workers", None, "Most threads that read and decode images; default: one for each core.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 500, "Batch size.", lower_bound=1)
_CONFUSION = flags.DEFINE_string(
    "confusion", None, "File to write the confusion matrix to: a picture (.png, .svg, .pdf) or numbers (.json)."
)
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Number of images to evaluate, from the first; default: all.", lower_bound=1
)

_MOST_CLASSES = 100  # above this the line has no confusion matrix


def main() -> None:
    if not _MODEL.value:
        raise ValueError(
            "--model is required: a trained model's folder, a .keras file, a zoo name or a spec's JSON file"
        )
    from scarlet_tf.choices import check_known
    from scarlet_tf.data import DataConfig, check_image_folder
    from scarlet_tf.data.data_config import AUGMENTATIONS, SPLITS
    from scarlet_tf.files import check_output_file, write_atomically
    from scarlet_tf.image_size import parse_image_size
    from scarlet_tf.training.pictures import FORMATS, draw_confusion, write_figure
    from scarlet_tf.zoo import check_model, read_training

    if _CONFUSION.value is not None:
        check_known("ending of --confusion", Path(_CONFUSION.value).suffix.lower(), (*FORMATS, ".json"))
        check_output_file(_CONFUSION.value)
    check_known("split", _SPLIT.value, SPLITS)
    if _AUGMENT.value is not None:
        check_known("augment", _AUGMENT.value, AUGMENTATIONS)
    check_model(_MODEL.value, weights=_WEIGHTS.value)
    config = _trained_on(_MODEL.value, read_training(_MODEL.value))
    by_share = _SPLIT.value == "search_validation" or (
        _SPLIT.value == "validation" and not isinstance(config.get("validation"), str)
    )
    same_set = config and _DATASET.value in (None, config["name"])
    if _SKIP_DAMAGED.value and by_share and same_set and not config["skip_damaged"]:
        raise ValueError(
            f"--skip_damaged holds out other images than the training of {_MODEL.value} did, which saw some of them: "
            f"evaluate --split={_SPLIT.value} without it"
        )
    flagged = {
        "name": _DATASET.value,
        "augment": _AUGMENT.value,
        "search_validation": _SEARCH_VALIDATION.value,
        "seed": _DATA_SEED.value,
        "image_size": parse_image_size(_IMAGE_SIZE.value),
        "skip_damaged": _SKIP_DAMAGED.value,
        "data_dir": _DATA_DIR.value,
        "input_workers": _INPUT_WORKERS.value,
    }
    config |= {name: value for name, value in flagged.items() if value is not None}
    if "name" not in config:
        raise ValueError(f"--dataset is required: {_MODEL.value} does not record its dataset")
    check_image_folder(config["name"])
    load_tensorflow()
    from scarlet_tf.data import open_dataset
    from scarlet_tf.training.evaluation import evaluate
    from scarlet_tf.zoo import open_model

    loaded = open_model(_MODEL.value, weights=_WEIGHTS.value)
    if loaded.note:
        print(f"warning: {loaded.note}", file=sys.stderr)
    model, settings = loaded.model, loaded.preprocessing.settings
    if _AUGMENT.value is not None:
        del settings["crop_share"]  # the flag says what evaluation sees
    settings = {"image_size": model.input_shape[1:3]} | settings | config
    data = open_dataset(DataConfig(**settings), splits=[_SPLIT.value])
    class_names = (loaded.training or {}).get("class_names")
    extent = {"batch_size": _BATCH_SIZE.value, "limit": _LIMIT.value}
    metrics = evaluate(model, data, _SPLIT.value, class_names=class_names, **extent)
    class_names = list(metrics.recall)
    line = {"model": _MODEL.value, "dataset": config["name"], "split": _SPLIT.value, **metrics.to_dict()}
    if _CONFUSION.value is not None and _CONFUSION.value.lower().endswith(".json"):
        numbers = {"class_names": class_names, "confusion": metrics.confusion}
        write_atomically(_CONFUSION.value, json.dumps(numbers) + "\n")
    elif _CONFUSION.value is not None:
        write_figure(_CONFUSION.value, draw_confusion(metrics.confusion, class_names=class_names))
    if len(class_names) > _MOST_CLASSES:
        del line["confusion"]
    print(json.dumps(line))


def _trained_on(model: str, training: dict | None) -> dict:
    """Return the data settings in a folder's training.json; empty without that file."""
    if training is None:
        return {}
    try:
        data = training["data"]
        trained_on = {name: data[name] for name in ("name", "image_size", "search_validation", "augment", "seed")}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{model}/training.json is damaged: in data, {error} is missing") from error
    held_out = data.get("validation") if _SPLIT.value in ("train", "validation") else None
    return trained_on | {"validation": held_out, "skip_damaged": data.get("skip_damaged", False)}


if __name__ == "__main__":
    run(main)
