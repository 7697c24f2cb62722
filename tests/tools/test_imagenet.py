"""Every command of docs/imagenet.md, on tars in ImageNet's layout, at 224 px with few steps."""

import itertools
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forked import ForkedProcess
from miniature_imagenet import validation_images, write_tars

from scarlet_tf.data.imagenet_tars import PUBLISHED
from scarlet_tf.training.config import PAPER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "imagenet.md").read_text()
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("python ")
]
# Of a flag that is given twice, the last counts. The bound on accuracy is left out: one step learns nothing. After so
# few steps the trainings measure batch normalisation on all training images, so most are held out.
FEWER = {
    "prepare_imagenet": ["--tars=tars"],
    "train_supernet": ["--search_validation=10", "--steps=1", "--batch_size=2", "--paths=0"],
    "search": ["--population=4", "--generations=1", "--calibration_images=4", "--constraints=madds<500e6"],
    "train": ["--search_validation=1980", "--batch_size=4", "--epochs=0.4"],
    "evaluate": [],
}


def test_the_numbers_on_the_page():
    train, validation = (PUBLISHED[split].num_images for split in ("train", "validation"))
    supernet_steps = (train - 50_000) // 256
    assert f"60 epochs, of {supernet_steps:,} steps of 256 images" in PAGE
    assert f"{60 * supernet_steps:,} steps" in PAGE
    paper = f"{PAPER.epochs} epochs of {train // PAPER.batch_size} steps of {PAPER.batch_size:,} images"
    assert f"all {train:,} training images: {paper}" in PAGE
    for tar in PUBLISHED.values():
        assert f"| `{tar.name}` | {tar.num_bytes:,} | {tar.num_images:,} |" in PAGE
    assert f"writes {256 + validation // 250} files" in PAGE and f"at most {-(-train // 256):,} images" in PAGE


@pytest.mark.slow
def test_every_command_runs_on_a_miniature(tmp_path):
    write_tars(tmp_path / "tars", validation=validation_images(20))

    def run(command):
        _, tool, *flags = command
        call = [ROOT / tool, *flags, *FEWER[Path(tool).stem]]
        process = ForkedProcess(call, cwd=tmp_path, env={"SCARLET_TF_DATA": str(tmp_path / "data")})
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, f"{call}\n{errors[-2000:]}"
        return output

    outputs = []
    with ThreadPoolExecutor(2) as pool:  # the trainings two at a time
        for _, commands in itertools.groupby(COMMANDS, key=lambda command: command[1]):
            outputs += pool.map(run, commands)
    runs = tmp_path / "runs" / "imagenet"
    supernet = json.loads((runs / "supernet" / "config.json").read_text())
    assert supernet["space"]["resolution"] == 224 and supernet["data"]["search_validation"] == 10
    assert json.loads((runs / "search" / "evaluator.json").read_text())["images"] == 10
    for pick, output in enumerate(outputs[-3:]):
        training = json.loads((runs / f"pick_{pick}" / "training.json").read_text())
        assert training["averaged_weights"] and training["data"]["augment"] == "inception"
        assert training["steps"] == 2 and training["data"]["crop_share"] == 224 / 256
        evaluated = json.loads(output)
        assert (evaluated["dataset"], evaluated["split"]) == ("imagenet2012", "test")
        assert evaluated["loss"] == pytest.approx(training["test"]["loss"], rel=1e-3)
