"""Compares a trained model's Keras form with its SavedModel and .tflite files on real images.

    python tools/verify.py --model=runs/m --saved_model=runs/m/saved_model --tflite=runs/m/fp32.tflite

Prints a table, and writes the report as JSON: error, top-1 agreement, accuracy, bytes and operations of every file.
"""

from absl import flags

from scarlet_tf.cli import load_tensorflow, run

_MODEL = flags.DEFINE_string("model", None, "Folder that train.py wrote.", required=True)
_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "SavedModel folder; default: none.")
_TFLITE = flags.DEFINE_list("tflite", [], "The .tflite files, separated by commas.")
_DATASET = flags.DEFINE_string("dataset", None, "A tensorflow-datasets name or folder:PATH; default: as trained.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps its sets.")
_LIMIT = flags.DEFINE_integer("limit", None, "Only the first so many test images.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "A JSON file to write; default: none.")


def main() -> None:
    load_tensorflow()
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.export import verify
    from scarlet_tf.files import write_atomically
    from scarlet_tf.zoo import open_model

    loaded = open_model(_MODEL.value)
    name = _DATASET.value or (loaded.training and loaded.training["data"]["name"])
    if name is None:
        raise ValueError(f"{_MODEL.value} does not say which data set it was trained on: give --dataset")
    data = open_dataset(DataConfig(name=name, image_size=loaded.model.input_shape[1], data_dir=_DATA_DIR.value))
    images, labels = data.arrays("test", limit=_LIMIT.value)
    report = verify(loaded.model, images, labels=labels, saved_model=_SAVED_MODEL.value, tflite=tuple(_TFLITE.value))
    print(report.table())
    if _OUTPUT.value:
        write_atomically(_OUTPUT.value, report.to_json())


if __name__ == "__main__":
    run(main)
