"""Rounding errors of Keras, ONNX Runtime and a float32 .tflite file, and the page with them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

from benchmarks.machine import describe
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.export import export_onnx, export_tflite, prepare
from scarlet_tf.layers import BatchNorm
from scarlet_tf.models import build, get_weights, set_weights
from scarlet_tf.onnx_file import OnnxModel
from scarlet_tf.tflite import open_interpreter
from scarlet_tf.zoo import read_training


def float64_outputs(spec, weights, images, *, activation):
    """Return the outputs (n, classes) of a spec's network with these weights, computed in float64."""
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
    every: dict = {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        source = prepare(model, examples=max(images, 8), seed=seed)
        for network in (source.original, source.model):
            network.get_layer("classifier").activation = keras.activations.linear
        for name, values in errors(source, source.images[:images]).items():
            every.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in every.items()}


def open_trained(folder: str, *, limit: int):
    """Return a trained model ready for export, and the first test images of the dataset it was trained on."""
    source = prepare(folder, examples=1)
    pixels = {name: source.record["input"][name] for name in ("mean", "std")}
    name, size = read_training(folder)["data"]["name"], source.model.input_shape[1]
    data = open_dataset(DataConfig(name=name, image_size=size, **pixels))
    return source, data.arrays("test", limit=limit)[0]


def summarize(errors: dict) -> dict:
    """Return the number of images, and by implementation the "mean" and "max" of what `errors` returned."""
    summary = {name: {"mean": float(values.mean()), "max": float(values.max())} for name, values in errors.items()}
    return {"images": len(errors["keras"])} | summary


def make_page(result: dict) -> str:
    """Return the Markdown page with the table of a result."""
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
