"""A search space that a user wrote, from its file to .tflite files, by the tools alone."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.arch import ArchSpec, SearchSpace, count
from scarlet_tf.models import build
from scarlet_tf.search import search_history
from scarlet_tf.tflite import open_interpreter

PAGE = Path(__file__).parents[2] / "docs" / "own_space.md"


@pytest.fixture(scope="module")
def space_file(tmp_path_factory):
    """The file that the documentation shows, for images of 16 pixels."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    fields = json.loads(text) | {"resolution": 16}
    path = tmp_path_factory.mktemp("space") / "my_space.json"
    path.write_text(json.dumps(fields))
    return path


def test_the_documented_file_is_what_the_page_says(space_file):
    space = SearchSpace.load(space_file)
    assert space.num_choices == (4, 4, 4, 4, 3, 3, 3, 3, 3)
    genome = space.parse("0,3,1,0,2,1,0,0,2")
    assert np.flatnonzero(space.skips([genome])).tolist() == [1, 4, 8]
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.slow
def test_supernet_search_training_export_and_report(space_file, bright_images, call_tool, tmp_path):
    """With three of the documented layers, which do for every choice, and a fused block."""
    fields = json.loads(space_file.read_text())
    fields["layers"] = [fields["layers"][at] for at in (0, 4, 8)]
    fields["choices"]["late"][0] = "fused_inverted_residual e2 k3"
    space_file = tmp_path / "short.json"
    space_file.write_text(json.dumps(fields))
    data = f"--dataset=folder:{bright_images(side=16, classes=2, train=12, test=6)}"

    def tool(name, *flags):
        done = call_tool(name, *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    steps = ["--steps=3", "--batch_size=4", "--warmup_steps=1", "--search_validation=8", "--paths=2"]
    tool("train_supernet", f"--space={space_file}", data, *steps, "--output=net")
    search = ["--population=4", "--generations=2", "--constraints=madds<2e6", "--picks=1", "--calibration_images=8"]
    tool("search", "--supernet=net", *search, "--output=search")
    spec = ArchSpec.load(tmp_path / "search" / "pick_0.json")
    model = build(spec)
    weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    evaluated = search_history(tmp_path / "search" / "archive.sqlite").picked
    assert evaluated.values["params"][0] == count(spec).params == weights
    tool("report", "--archive=search/archive.sqlite", "--output=report.html")
    page = (tmp_path / "report.html").read_text()
    assert "block k9" in page and "expansion 2" in page
    tool("train", "--model=search/pick_0.json", data, "--epochs=1", "--batch_size=12", "--output=model")
    for quantize in ("none", "int8"):
        calibration = [] if quantize == "none" else [f"--representative_{data[2:]}"]
        tool("export_tflite", "--model=model", f"--quantize={quantize}", f"--output={quantize}.tflite", *calibration)
        assert open_interpreter(tmp_path / f"{quantize}.tflite").get_output_details()[0]["shape"].tolist() == [1, 2]
    genome = ",".join(map(str, spec.genome))
    tool("draw", f"--model={space_file}:{genome}", "--output=drawing.svg")
    assert (tmp_path / "drawing.svg").read_text().count('class="block') == sum(b.expands for b in spec.blocks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "layers must be a list of objects"),
        ({"strides": [2]}, "a search space with layers must set strides in each layer"),
        ({"layer": 1}, "unknown field of a search space: 'layer'.*nearest is 'layers'"),
        ({"choices": {"early": ["e4 k3"]}}, "unknown table of choices in layer 4: 'late'.*nearest is 'early'"),
        ({"choices": {"early": ["e4 k4"], "late": ["let"]}}, "layer 0: choice 'e4 k4': .*odd integer >= 3, got 4"),
        ({"choices": {"early": ["e4 k3 e5"], "late": ["let"]}}, "choice 'e4 k3 e5' sets expansion twice"),
        ({"choices": {"early": ["let", "identity"], "late": ["let"]}}, "layer 0: must have at most one identity"),
        ({"choices": {"early": ["e4 k3", "k3 e4"], "late": ["let"]}}, "layer 0: choice 'e4 k3' is listed twice"),
        ({"choices": {"early": ["e4 q3"], "late": ["let"]}}, "unknown word in choice 'e4 q3': 'q3'"),
        ({"choices": {"early": ["se"], "late": ["let"]}}, "choice 'se': .*needs an expansion ratio > 0"),
        ({"choices": {"early": ["let k3"], "late": ["let"]}}, "choice 'let k3': .*accepts no expansion ratio, kernel"),
    ],
)
def test_bad_files_are_one_line(space_file, change, message, call_tool, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps(json.loads(space_file.read_text()) | change))
    done = call_tool("train_supernet", "--space=bad.json", "--output=net", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert re.search(f"bad.json: .*{message}", done.stderr), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]
