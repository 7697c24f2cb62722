"""Model cards of named networks and trained models' folders, from the registry and measured results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from scarlet_tf.arch import ArchSpec
from scarlet_tf.formats import PLAIN
from scarlet_tf.paths import local_copy
from scarlet_tf.report.card import Card
from scarlet_tf.zoo.files import check_file, read_training
from scarlet_tf.zoo.preprocessing import ASSUMED_PREPROCESSING, IMAGENET_PREPROCESSING, read_preprocessing
from scarlet_tf.zoo.registry import model_info, resolve_spec
from scarlet_tf.zoo.weights import OFFICIAL, RELEASED

PEER = "EfficientNetB0"


def make_card(model: str | os.PathLike, *, results: str | os.PathLike | None = None) -> Card:
    """Return the card of a zoo name, a trained model's folder, a spec's JSON file or a genome.

    Args:
        results: a folder with tflite_peers.json, arm64_instructions.json and verify_NAME.json, for published networks;
            the card leaves out what is missing.

    Raises:
        ValueError: for an unknown name (with the nearest), or a damaged file.
        FileNotFoundError: for a folder without a trained model.
    """
    folder = local_copy(model)
    if folder.is_dir():
        training = read_training(folder)
        preprocessing = read_preprocessing(folder) or ASSUMED_PREPROCESSING
        name = folder.resolve().name  # also of "."
        return Card(
            model=os.fspath(model),
            name=name,
            spec=ArchSpec.load(check_file(folder / "spec.json")),
            weights=f"In `{name}/model.keras`.",
            mean=preprocessing.mean,
            std=preprocessing.std,
            training=training,
            verification=_read(folder / "verify.json"),
        )
    if folder.name.endswith(".keras"):
        raise ValueError(
            f"{os.fspath(model)!r} does not record its network: expected a trained model's folder, a zoo name or a spec"
        )
    spec, results = resolve_spec(model), Path(results) if results else None
    info = model_info(spec)
    published = info.paper_top1 is not None
    peers = _read(results / "tflite_peers.json") if results else None
    counted = _read(results / "arm64_instructions.json") if results else None
    return Card(
        model=os.fspath(model),
        name=info.name,
        spec=spec,
        weights=_weights(info.name) if published else "The spec alone has none; `tools/train.py` trains them.",
        mean=IMAGENET_PREPROCESSING.mean,
        std=IMAGENET_PREPROCESSING.std,
        published=vars(info) if published else None,
        verification=_read(results / f"verify_{info.name}.json") if results else None,
        **(_latency(info.name, peers) if peers else {}),
        **(_instructions(info.name, counted) if counted else {}),
    )


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error


def _weights(name: str) -> str:
    if name not in RELEASED:
        return "The authors are not known to have released any; `tools/train.py` trains them."
    return (
        "The authors provide a PyTorch checkpoint to those who fill in a questionnaire, to which\n"
        f"{OFFICIAL} links. Then, with the extra `torch` installed:\n\n"
        f"```text\npython tools/convert_torch.py --model={name} --checkpoint=FILE --output={name}.weights.h5\n```"
    )


def _latency(name: str, peers: Mapping) -> dict:
    """Return a network's rows in the comparison with peers: time over that of the peer's plain file of that format."""
    network = _network(name)
    rows = []
    for file in peers["files"]:
        if file["network"] != network:
            continue
        form = "rewritten" if file["rewritten"] else PLAIN
        wanted = ([network, file["format"], form], [PEER, file["format"], PLAIN])
        ratios = [r["median"] for r in peers["ratios"] if (r["numerator"], r["denominator"]) == wanted]
        rows += [(f"{file['format']}, {form}", file["partitions"], ratio) for ratio in ratios]
    machine = peers["machine"]
    source = (
        f"Relative to keras.applications' {PEER} in a plain file of the same format: medians of the ratios of "
        f"{peers['rounds']}\ninterleaved rounds by `{peers['command']}`, {peers['date']}, {machine['cpu']}, threads "
        f"{peers['threads']}, seed {peers['seed']},\nby that day's version of the rewriting."
    )
    return {"latency": tuple(rows), "latency_source": source} if rows else {}


def _instructions(name: str, counted: Mapping) -> dict:
    """Return a network's rows in the instructions on ARM64: its rewritten files, against the peer's cheapest ones."""
    network, rows = _network(name), []
    for file in counted["files"]:
        if file["network"] != network or not file["rewritten"]:
            continue
        peers = [f for f in counted["files"] if (f["network"], f["format"]) == (PEER, file["format"])]
        for cpu, instructions in file["instructions"].items() if peers else ():
            ratio = instructions / min(peer["instructions"][cpu] for peer in peers)
            rows.append((f"{file['format']}, rewritten", cpu, instructions, ratio))
    source = (
        f"Instructions of one inference on emulated processors, which are not times, relative to the cheaper of\n"
        f"{PEER}'s plain and rewritten files of the same format: `{counted['command']}`,\n"
        f"{counted['date']}, LiteRT {counted['emulator']['litert']}, seed {counted['seed']}."
    )
    return {"instructions": tuple(rows), "instructions_source": source} if rows else {}


def _network(name: str) -> str:
    """Return a zoo name as the results spell it: "SCARLET-A" for "scarlet_a"."""
    return name.upper().replace("_", "-")
