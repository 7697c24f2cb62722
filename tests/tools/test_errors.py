"""Bad input to any tool: one line that names the value, exit code 2, nothing half-written."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("*.py"))


def call(name, *flags, cwd):
    command = [sys.executable, str(TOOLS / f"{name}.py"), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def assert_refused(result, *, naming, folder):
    assert result.returncode == 2, result.stderr[-2000:]
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert naming in lines[0]
    assert not result.stdout
    assert not list(folder.iterdir())


# One process for all: it has at its end what any of them imported.
_HELP_OF_ALL = """
import contextlib, io, json, runpy, sys
from absl import flags

helps = {}
for tool in sys.argv[1:]:
    sys.argv, out, code = [tool, "--help"], io.StringIO(), None
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(tool, run_name="__main__")
        except SystemExit as end:
            code = end.code
    for flag in list(flags.FLAGS.flags_by_module_dict()[tool]):
        delattr(flags.FLAGS, flag.name)
    helps[tool] = [code, out.getvalue(), sorted({"tensorflow", "keras", "tensorflow_datasets"} & set(sys.modules))]
print(json.dumps(helps))
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """By tool's path: exit code and text of --help, and what it and those before it imported of TensorFlow."""
    command = [sys.executable, "-c", _HELP_OF_ALL, *(str(TOOLS / f"{name}.py") for name in NAMES)]
    folder = tmp_path_factory.mktemp("helps")
    return json.loads(subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120).stdout)


@pytest.mark.parametrize("name", NAMES)
def test_help_loads_no_tensorflow(name, helps):
    code, text, imported = helps[str(TOOLS / f"{name}.py")]
    assert code == 0 and not imported
    assert "flags:" in text and "--" in text
    assert ("(required)" in text) == ("required=True" in (TOOLS / f"{name}.py").read_text())


def test_help_answers_at_once(tmp_path):
    """Within a second, or, where that is slower, within five starts of Python with NumPy."""

    def quickest(command):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            assert subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60).returncode == 0
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    start = quickest([sys.executable, "-c", "import numpy"])
    assert quickest([sys.executable, str(TOOLS / "search.py"), "--help"]) < max(1.0, 5 * start)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_flag(name, tmp_path, call_tool):
    assert_refused(call_tool(name, "--moddel=x", cwd=tmp_path), naming="moddel", folder=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_stray_argument(name, tmp_path, call_tool):
    result = call_tool(name, "stray", cwd=tmp_path)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1


BAD_VALUES = [
    (
        "train_supernet",
        [],
        "--output is required: Folder of the run; for example: python tools/train_supernet.py --space=",
    ),
    ("report", [], "--archive and --output are required; for example: python tools/report.py"),
    ("train_supernet", ["--space=smal", "--output=o"], "nearest is 'small'"),
    ("train_supernet", ["--dataset=fashion_mnits", "--output=o"], "fashion_mnist"),
    ("train_supernet", ["--shared_gradient=meen", "--output=o"], "nearest is 'mean'"),
    ("train_supernet", ["--let_init=identiy", "--output=o"], "nearest is 'identity'"),
    ("train_supernet", ["--strategy=mirored", "--output=o"], "nearest is 'mirrored'"),
    ("train_supernet", ["--steps=many", "--output=o"], "many"),
    ("train_supernet", ["--learning_rate=-1", "--output=o"], "-1"),
    ("rank", ["--supernet=absent", "--output=o"], "absent"),
    ("reproduce", ["--figure=2", "--output=o"], "figure"),
    ("reproduce", ["--figure=1", "--output=o", "--steps=401"], "5 measurements do not divide 401 steps"),
    ("reproduce", ["--figure=6", "--output=o"], "expected --supernet, a run directory"),
    ("reproduce", ["--figure=6", "--output=o", "--supernet=absent"], "absent"),
    ("reproduce", ["--figure=6", "--output=o", "--supernet=absent", "--quantiles=half"], "got 'half'"),
    ("search", ["--supernet=absent", "--output=o"], "absent"),
    ("search", ["--supernet=absent", "--output=o", "--objectives=acuracy:max:1"], "accuracy"),
    ("search", ["--supernet=absent", "--output=o", "--constraints=madds=5"], "madds=5"),
    ("search", ["--supernet=absent", "--output=o", "--mutation=random:0.2,reinforcd:0.8"], "nearest is 'reinforced'"),
    ("search", ["--supernet=absent", "--output=o", "--mutation=random:0.2"], "must sum to 1, got 0.2"),
    ("train", ["--model=scarlet_d", "--output=o"], "scarlet_"),
    ("train", ["--model=scarlet_a", "--recipe=papr", "--output=o"], "nearest is 'paper'"),
    ("train", ["--model=absent.json", "--output=o"], "absent.json"),
    ("evaluate", ["--model=absent"], "absent"),
    ("export_saved_model", ["--model=scarlet_d", "--output=o"], "scarlet_"),
    ("export_tflite", ["--model=scarlet_d", "--output=o.tflite"], "scarlet_"),
    ("export_tflite", ["--model=scarlet_a", "--output=o.tflite", "--quantize=int9"], "int9"),
    ("export_tflite", ["--model=scarlet_a", "--output=o.tflite", "--weights=absent.weights.h5"], "absent.weights.h5"),
    ("verify", ["--model=absent"], "absent"),
    ("benchmark_host", ["--models=absent.tflite"], "absent.tflite"),
    ("benchmark_android", ["--models=absent.tflite", "--output=o.json"], "benchmark_model is needed"),
    ("benchmark_android", ["--models=a.tflite", "--output=o.json", "--delegate=gppu"], "nearest is 'gpu'"),
    ("benchmark_arm64", [], "--models is required"),
    ("benchmark_arm64", ["--models=a.tflite", "--cpu="], "--cpu is empty, expected names out of cortex-a72"),
    ("benchmark_arm64", ["--models=a.tflite", "--cpu=cortex-a77"], "nearest is 'cortex-a7"),
    ("benchmark_arm64", ["--models=a.tflite", "--images=5"], "--images and --dataset need each other"),
    ("benchmark_arm64", ["--models=a.tflite", "--costliest=5"], "--costliest needs --operators"),
    ("convert_torch", ["--model=scarlet_d", "--checkpoint=a.pth", "--output=o.keras"], "scarlet_"),
    ("convert_torch", ["--model=scarlet_a", "--checkpoint=absent.pth", "--output=o.weights.h5"], "absent.pth"),
    ("convert_torch", ["--model=scarlet_a", "--checkpoint=a.pth", "--output=o.h5"], "ends in .weights.h5 or .keras"),
    ("export_torch", ["--model=absent.keras", "--output=o.pth"], "absent.keras"),
    ("export_torch", ["--model=scarlet_a", "--output=o.pth"], "only initial weights"),
    ("optimize_tflite", ["absent.tflite", "o.tflite"], "no such file: absent.tflite"),
    ("optimize_tflite", ["absent.tflite"], "expected in.tflite out.tflite, got absent.tflite"),
    ("report", ["--archive=absent.sqlite", "--output=o.html"], "absent.sqlite"),
    ("report", ["--archive=absent.sqlite", "--output=o.html", "--models=m"], "no trained model in"),
]


@pytest.mark.parametrize(("name", "flags", "naming"), BAD_VALUES)
def test_bad_value(name, flags, naming, tmp_path, call_tool):
    assert_refused(call_tool(name, *flags, cwd=tmp_path), naming=naming, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "flags", "naming"), BAD_VALUES[::6])
def test_bad_value_in_a_process_of_its_own(name, flags, naming, tmp_path):
    assert_refused(call(name, *flags, cwd=tmp_path), naming=naming, folder=tmp_path)


DAMAGED = [
    ("evaluate", "m/model.keras", ["--model=m"]),
    ("export_tflite", "m.keras", ["--model=m.keras", "--output=o.tflite"]),
    ("export_tflite", "spec.json", ["--model=spec.json", "--output=o.tflite"]),
    ("export_saved_model", "m.keras", ["--model=m.keras", "--output=o"]),
    ("benchmark_host", "m.tflite", ["--models=m.tflite"]),
    ("search", "s/config.json", ["--supernet=s", "--output=o"]),
    ("report", "a.sqlite", ["--archive=a.sqlite", "--output=o.html"]),
]


@pytest.mark.parametrize(("name", "damaged", "flags"), DAMAGED)
def test_damaged_file_is_named_and_refused(name, damaged, flags, tmp_path, call_tool):
    path = tmp_path / damaged
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"PK\x03\x04 cut short")
    result = call_tool(name, *flags, cwd=tmp_path)
    assert result.returncode == 2, result.stderr[-2000:]
    assert len([line for line in result.stderr.splitlines() if line.strip()]) == 1, result.stderr
    assert damaged.split("/")[0].split(".")[0] in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [damaged.split("/")[0]]
