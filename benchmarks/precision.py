"""Measure rounding errors of Keras, ONNX Runtime and a float32 .tflite file against the same network in float64.

    python benchmarks/precision.py --output=runs/precision

The error of an image is the largest difference of an output, as a share of the largest output of the float64 network.
Single errors scatter, so the benchmark compares means over images and over networks of several seeds. Networks with
random weights, whose batch normalisation is measured on a few images, are ill-conditioned: they show what an
implementation adds to Keras's own error. Trained weights show how much of that remains in use.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from scarlet_tf.cli import command_line, load_tensorflow, run

_MODELS = flags.DEFINE_list("models", ["scarlet_a", "scarlet_b", "scarlet_c"], "Zoo names, separated by commas.")
_TRAINED = flags.DEFINE_string("trained", None, "A trained model's folder; default: zoo/weights/scarlet_fashion.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of random networks of each model.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 8, "Number of random images for each random network.", lower_bound=1)
_LIMIT = flags.DEFINE_integer("limit", 200, "Number of test images for the trained model.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Output path without its ending, for .json and .md; default: zoo/results/precision."
)
_ROOT = Path(__file__).resolve().parents[1]


def float64_outputs(spec, weights, images, *, activation):
    """Return the outputs (n, classes) of a spec's network with these weights, computed in float64."""
    import keras
    import numpy as np

    from scarlet_tf.layers import BatchNorm
    from scarlet_tf.models import build, set_weights

    weights, epsilon = weights
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = build(spec, classifier_activation=activation, bn=BatchNorm(epsilon=epsilon))
    finally:
        keras.config.set_dtype_policy(before)
    set_weights(model, weights)
    outputs = np.asarray(model(images, training=False))
    assert outputs.dtype == np.float64
    return outputs


def errors(source, images) -> dict:
    """Return each image's error (n,) by implementation: keras, onnx and tflite (float32, rewritten for XNNPACK).

    Args:
        source: an `export.Exportable` with a spec; the files are made from its folded model.
        images: float32 (n, H, W, C), as the model takes them.
    """
    import tempfile

    import numpy as np

    from scarlet_tf.export import export_onnx, export_tflite
    from scarlet_tf.models import get_weights
    from scarlet_tf.onnx_file import OnnxModel
    from scarlet_tf.tflite import open_interpreter

    original = source.original
    weights = get_weights(original), original.get_layer("stem_bn").epsilon
    activation = original.get_layer("classifier").activation
    exact = float64_outputs(source.spec, weights, images, activation=activation)
    outputs = {"keras": np.concatenate([original(image[np.newaxis], training=False) for image in images])}
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(source.model, Path(folder) / "model.onnx")
        outputs["onnx"] = OnnxModel(Path(folder) / "model.onnx")(images)
        export_tflite(source.model, Path(folder) / "model.tflite")
        interpreter = open_interpreter(Path(folder) / "model.tflite")
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        results = []
        for image in images:
            interpreter.set_tensor(taken["index"], image[np.newaxis])
            interpreter.invoke()
            results.append(interpreter.get_tensor(given["index"]))
        outputs["tflite"] = np.concatenate(results)
    largest = np.abs(exact).max(-1)
    return {name: np.abs(values - exact).max(-1) / largest for name, values in outputs.items()}


def random_errors(model: str, *, seeds: int, images: int) -> dict:
    """Return `errors` of a model's networks with random weights, concatenated over the seeds.

    Errors are those of logits: the probabilities of a random network hardly differ, which hides its errors.
    """
    import keras
    import numpy as np

    from scarlet_tf.export import prepare

    every: dict = {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        source = prepare(model, examples=max(images, 8), seed=seed)
        for network in (source.original, source.model):
            network.get_layer("classifier").activation = keras.activations.linear
        for name, values in errors(source, source.images[:images]).items():
            every.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in every.items()}


def main() -> None:
    import json

    from scarlet_tf.files import check_output_file, write_atomically
    from scarlet_tf.machine import provenance
    from scarlet_tf.onnx_file import check_onnx
    from scarlet_tf.zoo import check_model

    trained = _TRAINED.value or str(_ROOT / "zoo" / "weights" / "scarlet_fashion")
    output = _OUTPUT.value or str(_ROOT / "zoo" / "results" / "precision")
    check_onnx()
    for model in (*_MODELS.value, trained):
        check_model(model)
    check_output_file(f"{output}.json")
    load_tensorflow()

    rows = {}
    for model in _MODELS.value:
        rows[f"{model}, random weights"] = random_errors(model, seeds=_SEEDS.value, images=_IMAGES.value)
    source, images = open_trained(trained, limit=_LIMIT.value)
    rows[f"{source.model.name}, trained"] = errors(source, images)
    packages = ("keras", "tensorflow", "onnxruntime", "ai-edge-litert")
    result = provenance(command_line(without=("output",)), packages=packages) | {"errors": {}}
    for model, found in rows.items():
        summary = {name: {"mean": float(v.mean()), "max": float(v.max())} for name, v in found.items()}
        result["errors"][model] = {"images": len(found["keras"])} | summary
    write_atomically(f"{output}.json", json.dumps(result, indent=1) + "\n")
    page = make_page(result)
    write_atomically(f"{output}.md", page)
    print(page)


def open_trained(folder: str, *, limit: int):
    """Return a trained model ready for export, and the first test images of the dataset it was trained on."""
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.export import prepare
    from scarlet_tf.zoo import read_training

    source = prepare(folder, examples=1)
    pixels = {name: source.record["input"][name] for name in ("mean", "std")}
    name, size = read_training(folder)["data"]["name"], source.model.input_shape[1]
    data = open_dataset(DataConfig(name=name, image_size=size, **pixels))
    return source, data.arrays("test", limit=limit)[0]


def make_page(result: dict) -> str:
    """Return the Markdown page with the table of a result."""
    from scarlet_tf.machine import describe

    lines = [
        "# Rounding errors against float64",
        "",
        "The largest difference of a logit, as a share of the network's largest logit in float64: its mean over the",
        "images (its maximum), and the mean as a multiple of that of Keras in float32.",
        "",
        "| network | images | Keras float32 | ONNX Runtime | times Keras | .tflite float32 | times Keras |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, row in result["errors"].items():
        keras, onnx, tflite = (row[name] for name in ("keras", "onnx", "tflite"))
        cells = [model, str(row["images"]), _error(keras)]
        for found in (onnx, tflite):
            cells += [_error(found), f"{found['mean'] / keras['mean']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Made by `{result['command']}` ({describe(result)}).", ""])


def _error(found: dict) -> str:
    return f"{found['mean']:.1e} ({found['max']:.1e})"


if __name__ == "__main__":
    run(main)
