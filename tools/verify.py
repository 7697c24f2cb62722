"""Compare every exported format of a model with its Keras model on real images; print a table, and write JSON.

    python tools/verify.py --model=runs/m --output=verify.json
    python tools/verify.py --model=runs/m --saved_model=runs/m/saved_model --tflite=runs/m/float32.tflite
    python tools/verify.py --model=scarlet_a --weights=a.weights.h5 --checkpoint=a.pth --dataset=folder:photos

If no files are given, every format is made and run: Keras, SavedModel, ONNX if its packages are installed, and .tflite
in float32, float16, dynamic, int8 and int8_pure. With --checkpoint, the official network runs in PyTorch as well. The
table gives each one's error, top-1 agreement, accuracy, bytes, operations and XNNPACK partitions. A model without
weights gets random ones. If a .tflite file cannot be run, an error line names it, the others are still checked, and the
exit code is 2.
"""

from absl import flags

from scarlet_tf.cli import fail, load_tensorflow, run

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A folder that train.py wrote, a zoo name, a spec's JSON file, a genome (4,8,2,... or SPACE:GENES) or a "
    ".keras file.",
    required=True,
)
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights for a name, spec or genome: a .weights.h5 or .keras file.")
_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "The SavedModel folder to check.")
_TFLITE = flags.DEFINE_list("tflite", [], "The .tflite files to check, separated by commas.")
_ONNX = flags.DEFINE_list("onnx", [], "The .onnx files to check, separated by commas.")
_FORMATS = flags.DEFINE_list(
    "formats",
    None,
    "Formats to make and check: saved_model, onnx, float32, float16, dynamic, int8, int8_pure; default: all, "
    "or none if files are given.",
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The official PyTorch checkpoint of the weights, to run in PyTorch."
)
_CHECKPOINT_KEY = flags.DEFINE_string(
    "checkpoint_key", None, "Key of the weights in the checkpoint; see --key of convert_torch.py."
)
_FOLDER = flags.DEFINE_string("folder", None, "Folder to keep the files that are made; default: they are not kept.")
_DATASET = flags.DEFINE_string(
    "dataset", None, "Dataset of the test images: a tensorflow-datasets name or folder:PATH; default: as trained."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data folder of tensorflow-datasets.")
_SKIP_DAMAGED = flags.DEFINE_bool("skip_damaged", False, "Skip images that cannot be decoded, and report how many.")
_LIMIT = flags.DEFINE_integer("limit", None, "Number of test images, from the first; default: all.", lower_bound=1)
_EXAMPLES = flags.DEFINE_integer(
    "representative_examples", 100, "Number of calibration images for int8, from the training images.", lower_bound=1
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write; default: none.")
_CARD = flags.DEFINE_string("card", None, "Model card to write with the results, NAME.md; default: none.")


def main() -> None:
    import contextlib
    import dataclasses
    import json
    import tempfile

    from scarlet_tf.data import check_image_folder
    from scarlet_tf.files import check_contains, check_output_file, write_atomically
    from scarlet_tf.formats import parse_format
    from scarlet_tf.latency import find_failures
    from scarlet_tf.onnx_file import OnnxModel, check_onnx
    from scarlet_tf.paths import as_path, check_local
    from scarlet_tf.report import draw_architecture
    from scarlet_tf.zoo import check_model, read_training, skipped_damaged
    from scarlet_tf.zoo.cards import make_card
    from scarlet_tf.zoo.files import check_file

    if "onnx" in (_FORMATS.value or ()):
        check_onnx()
    if _FOLDER.value:
        check_local(_FOLDER.value, why="the files in it are run from there: copy it afterwards")
    asked = _FORMATS.value and [parse_format("format", wanted) for wanted in _FORMATS.value]
    check_model(_MODEL.value, weights=_WEIGHTS.value, saved_model=True)
    failures = find_failures(_TFLITE.value)  # before the slow part
    tflite = [path for path in _TFLITE.value if path not in failures]
    if failures and not (tflite or asked or _SAVED_MODEL.value or _ONNX.value or _CHECKPOINT.value):
        fail(*failures.values())
    for path in _ONNX.value:
        OnnxModel(path)
    if _CHECKPOINT.value:
        check_file(_CHECKPOINT.value)
    elif _CHECKPOINT_KEY.value:
        raise ValueError("--checkpoint_key needs --checkpoint")
    if _SAVED_MODEL.value:
        check_contains(_SAVED_MODEL.value, "saved_model.pb", what="SavedModel")
    for path in filter(None, (_OUTPUT.value, _CARD.value)):
        check_output_file(path)
    card = make_card(_MODEL.value) if _CARD.value else None
    training = read_training(_MODEL.value)
    try:
        name = _DATASET.value or (training and training["data"]["name"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{_MODEL.value}/training.json is damaged: it has no data's name ({error})") from error
    if name is None:
        raise ValueError(f"{_MODEL.value} does not record its dataset: set --dataset")
    check_image_folder(name)
    load_tensorflow()
    import numpy as np

    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.export import export_chain, output_name, possible_formats, prepare, verify

    skip_damaged = _SKIP_DAMAGED.value or skipped_damaged(training)
    source = prepare(
        _MODEL.value,
        weights=_WEIGHTS.value,
        dataset=name,
        data_dir=_DATA_DIR.value,
        skip_damaged=skip_damaged,
        examples=_EXAMPLES.value,
    )
    notes, others = [*source.notes], {}
    if _CHECKPOINT.value and source.spec is None:
        raise ValueError(f"--checkpoint needs the network's spec, which {_MODEL.value} does not record")
    if _CHECKPOINT.value:
        from scarlet_tf.convert import checkpoint_function

        softmax = output_name(source.model) == "probabilities"
        others[_CHECKPOINT.value] = checkpoint_function(
            source.spec, _CHECKPOINT.value, key=_CHECKPOINT_KEY.value, softmax=softmax
        )
    formats = asked
    if formats is None:
        formats = ()
        if not (_SAVED_MODEL.value or _TFLITE.value or _ONNX.value):
            formats, left_out = possible_formats(source.model)
            notes += left_out
    settings = source.preprocessing.settings if source.preprocessing else {}
    settings |= {"data_dir": _DATA_DIR.value, "skip_damaged": skip_damaged}
    config = DataConfig(name=name, image_size=source.original.input_shape[1:3], **settings)
    data = open_dataset(config, splits=["test"])
    if source.trained and (class_names := source.record.get("class_names")):
        outputs = data.outputs_of("test", class_names)
    else:
        outputs = np.arange(data.num_classes)
    images, labels = data.arrays("test", limit=_LIMIT.value)
    with contextlib.nullcontext(_FOLDER.value) if _FOLDER.value else tempfile.TemporaryDirectory() as folder:
        made = export_chain(source, folder, formats=formats)
        report = verify(
            source.original,
            images,
            labels=outputs[labels] if source.trained else None,
            preprocessing=source.preprocessing,
            saved_model=[*made.saved_model, *([_SAVED_MODEL.value] if _SAVED_MODEL.value else [])],
            onnx=(*made.onnx, *_ONNX.value),
            tflite=(*made.tflite, *tflite),
            others=others,
        )
    if not _FOLDER.value:
        report = report.without(folder)  # the temporary folder is deleted by now
    for line in (*notes, *(check.note for check in report.formats if check.note)):
        print(line)
    print(report.table())
    if _OUTPUT.value:
        write_atomically(_OUTPUT.value, report.to_json())
    if card:
        card = dataclasses.replace(card, verification=json.loads(report.to_json()))
        write_atomically(as_path(_CARD.value).with_name(card.picture), draw_architecture(card.spec))
        write_atomically(_CARD.value, card.markdown())
    if failures:
        fail(*failures.values())


if __name__ == "__main__":
    run(main)
