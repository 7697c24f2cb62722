"""Flags, names and paths are checked before TensorFlow is loaded, which takes most of a tool's time to say no."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"
OUTPUT = "--output=o"
SVG, TFLITE, KERAS, PTH = (f"--output=o.{ending}" for ending in ("svg", "tflite", "keras", "pth"))
DISTRIBUTED = [("search", ["--supernet=absent"]), ("train", ["--model=scarlet_a"]), ("train_supernet", [])]
CACHES = [
    ("memroy", "expected memory or a folder, nearest is 'memory'; for a new folder, ./memroy"),
    ("there/file.keras/images", "expected memory or a folder, but "),
    ("s3://bucket/images", "expected memory or a folder on a local disk, got a remote path"),
]
WRITING = [
    ("convert_torch", ["--model=scarlet_a", "--checkpoint=there/file.keras"]),
    ("export_saved_model", ["--model=scarlet_a"]),
    ("export_tflite", ["--model=scarlet_a"]),
    ("export_torch", [f"--model={SHIPPED}"]),
    ("report", ["--archive=absent.sqlite"]),
]
SELECTING = [
    (["--validation=0"], "validation must be a share of the training images between 0 and 1"),
    (["--validation=nan"], "or the name of another split such as 'test', got nan"),
    (["--validation=train"], "got 'train'"),
    (["--validation=0.1", "--keep=bset"], "nearest is 'best'"),
    (["--keep=best"], "keep=best needs validation images: add --validation=0.1"),
    (["--patience=3"], "patience=3 needs validation images"),
    (["--qat", "--patience=3"], "patience=3 needs validation images"),
    (["--validation=0.1", "--patience=-1"], "patience must be an integer >= 0, got -1"),
    (["--validation=0.1", "--prune=0.5", "--keep=best"], "keep=best and patience cannot be combined with prune"),
    (["--class_weight=balancd"], "nearest is 'balanced'"),
    (
        ["--name=a/b"],
        "name must start with a letter or digit and consist of letters, digits, '_', '-' and '.', got 'a/b'",
    ),
]
TABLES = [
    (["--space=small"], "--target is required"),
    (["--target=host"], "expected one of --space and --supernet"),
    (["--space=small", "--supernet=absent", "--target=host"], "expected one of --space and --supernet"),
    (["--supernet=absent", "--target=host"], "no supernet in absent"),
    (["--space=smal", "--target=host"], "nearest is 'small'"),
    (["--space=small", "--target=arm"], "nearest is 'arm64'"),
    (["--space=small", "--target=host", "--quantize=int9"], "nearest is 'int8'"),
    (["--space=small", "--target=host", "--cpu=cortex-a72"], "--cpu needs --target=arm64, got 'host'"),
    (["--space=small", "--target=arm64", "--rounds=3"], "--rounds needs --target=host or android, got 'arm64'"),
    (["--space=small", "--target=arm64", "--cpu=cortex-a75"], "nearest is 'cortex-a76'"),
    (["--space=small", "--target=android"], "LiteRT's benchmark_model is needed: --benchmark_binary=PATH"),
    (["--space=small", "--target=android", "--cpu_mask=xyz", "--benchmark_binary=b"], "cpu_mask must be hexadecimal"),
]
PURE = ["--quantize=int8_pure", "--representative_dataset=fashion_mnist"]
CASES = [
    ("benchmark_android", ["--models=a.tflite", "--output=o.json", "--delegate=gppu"], "nearest is 'gpu'"),
    ("benchmark_arm64", ["--models=a.tflite", "--cpu=cortex-a77"], "nearest is 'cortex-a7"),
    ("benchmark_host", ["--models=absent.tflite"], "no such file: absent.tflite"),
    *[(tool, [*flags, "--output=there/file.keras/o.keras"], "file.keras is not a folder") for tool, flags in WRITING],
    ("convert_torch", ["--model=scarlet_d", "--checkpoint=a.pth", KERAS], "nearest is 'scarlet_"),
    ("convert_torch", ["--model=scarlet_a", "--checkpoint=absent.pth", KERAS], "no such file: absent.pth"),
    ("draw", ["--model=scarlet_d", SVG], "nearest is 'scarlet_"),
    ("draw", ["--model=runs/absent", SVG], "no such file or folder: runs/absent"),
    ("draw", ["--model=there", SVG], "there is a folder: expected a model's name"),
    ("draw", ["--model=scarlet_a", "--output=o.png"], "ending of --output must be '.svg', got 'o.png'"),
    ("draw", ["--model=scarlet_a", "--output=o"], "ending of --output must be '.svg', got 'o'"),
    ("evaluate", ["--model=scarlet_d"], "nearest is 'scarlet_"),
    ("evaluate", ["--model=runs/absent"], "no such file or folder: runs/absent"),
    ("evaluate", ["--model=scarlet_a", "--split=tset"], "nearest is 'test'"),
    ("evaluate", ["--model=scarlet_a"], "--dataset is required"),
    ("evaluate", [f"--model={SHIPPED}", "--split=search_validation", "--skip_damaged"], "holds out other images than"),
    ("evaluate", ["--model=scarlet_a", "--confusion=c.gif"], "unknown ending of --confusion '.gif'"),
    ("evaluate", ["--model=scarlet_a", "--confusion=there/file.keras/c.png"], "file.keras is not a folder"),
    ("export_onnx", ["--model=scarlet_d", "--output=o.onnx"], "nearest is 'scarlet_"),
    ("export_onnx", ["--model=scarlet_a", "--output=there"], "there is a folder"),
    ("export_saved_model", ["--model=scarlet_d", OUTPUT], "nearest is 'scarlet_"),
    ("export_saved_model", ["--model=scarlet_a", "--output=there"], "there exists and is not an empty folder"),
    (
        "export_saved_model",
        ["--model=there", OUTPUT],
        "there is not the folder of a trained model",
    ),
    ("export_tflite", ["--model=scarlet_a", "--output=there"], "there is a folder"),
    ("export_tflite", ["--model=scarlet_d", TFLITE], "nearest is 'scarlet_"),
    ("export_tflite", ["--model=absent.keras", TFLITE], "no such file: absent.keras"),
    ("export_tflite", ["--model=absent.tflite", TFLITE], "no such file or folder: absent.tflite"),
    ("export_onnx", ["--model=scarlet_a", TFLITE], "ending of --output must be '.onnx', got 'o"),
    ("export_tflite", ["--model=scarlet_a", "--output=o.onnx"], "ending of --output must be '.tflite', got 'o.onnx'"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, "--quantize=flaot16"], "nearest is 'float16'"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, "--quantize=int8"], "needs a representative dataset"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, "--weights=absent.keras"], "no such file: absent.keras"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, "--representative_examples=9"], "needs --representative_dataset"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, *PURE, "--max_growth=1.5"], "got max_growth 1.5"),
    ("export_tflite", ["--model=scarlet_a", TFLITE, *PURE, "--optimize_for=size"], "got optimize_for 'size'"),
    ("export_torch", ["--model=scarlet_d", PTH], "nearest is 'scarlet_"),
    ("export_torch", ["--model=scarlet_a", PTH], "only initial weights"),
    ("make_cards", ["--models=scarlet_a,scarlet_d", OUTPUT], "nearest is 'scarlet_"),
    ("measure_forms", ["--target=cortex-a77"], "nearest is 'cortex-a7"),
    ("measure_forms", ["--target=host", "--models=absent.tflite"], "no such file: absent.tflite"),
    ("optimize_tflite", ["absent.tflite", "o.tflite"], "no such file: absent.tflite"),
    ("measure_forms", ["--target=host", "--models=absent.tflite"], "no such file: absent.tflite"),
    ("measure_forms", ["--target=host", "--serial=a"], "--serial needs --target=android, got 'host'"),
    ("measure_forms", ["--target=cortex-a75"], "unknown target 'cortex-a75'"),
    ("rank", ["--supernet=absent", OUTPUT], "no supernet in absent: there is no such folder"),
    ("rank", ["--supernet=absent", OUTPUT, "--draw=dept"], "nearest is 'depth'"),
    ("report", ["--archive=absent.sqlite", "--output=o.html"], "absent.sqlite"),
    ("reproduce", ["--figure=1", OUTPUT, "--arms=let,plan"], "nearest is 'plain'"),
    ("reproduce", ["--figure=1", OUTPUT, "--space=smal"], "nearest is 'small'"),
    ("reproduce", ["--figure=1", OUTPUT, "--steps=301"], "do not divide 301 steps: the nearest number is 300"),
    ("reproduce", ["--figure=1", OUTPUT, "--search_validation=-1"], "search_validation must be an integer >= 0"),
    ("reproduce", ["--figure=4", OUTPUT, "--dataset=folder:absent"], "no image folder at absent"),
    ("reproduce", ["--figure=6", "--supernet=there", OUTPUT, "--population=1"], "integer >= 2, got 1"),
    ("reproduce", ["--figure=6", "--supernet=there", OUTPUT, "--quantiles=1"], "between 0 and 1, got 1.0"),
    ("reproduce", ["--figure=6", "--supernet=there", OUTPUT, "--quantiles=0.5,0.5000001"], "differ in six digits"),
    ("reproduce", ["--figure=6", "--supernet=there", OUTPUT, "--calibration_images=0"], "calibration_images=0"),
    *[("latency_table", [*flags, "--output=o.json"], message) for flags, message in TABLES],
    ("latency_table", ["--space=small", "--target=host", "--output=o.tflite"], "ending of --output must be '.json'"),
    (
        "latency_table",
        ["--space=small", "--target=host", "--output=there/file.keras/o.json"],
        "file.keras is not a folder",
    ),
    ("scale", ["--space=smal"], "nearest is 'small'"),
    ("scale", ["--device=a10"], "nearest is 'a100'"),
    ("scale", ["--precision=bfloat16"], "nearest is 'mixed_bfloat16'"),
    ("scale", ["--devices=3"], "batch_size must be a multiple of the 3 devices, got 256: use 255"),
    ("scale", ["--utilisation=2"], "utilisation must be a share in (0, 1], got 2.0"),
    ("search", ["--supernet=absent", OUTPUT], "no supernet in absent"),
    ("search", ["--supernet=there", OUTPUT, "--images=0"], "images=0"),
    ("search", ["--supernet=absent", OUTPUT, "--quantity=latency"], "expected NAME:FILE"),
    ("search", ["--supernet=absent", OUTPUT, "--quantity=madds:t.json"], "a new identifier such as 'latency_ms'"),
    (
        "search",
        ["--supernet=absent", OUTPUT, "--quantity=ms:absent.json"],
        "search.py: absent.json: No such file or directory",
    ),
    ("search", ["--supernet=absent", OUTPUT, "--constraints=latency_ms<5"], "unknown quantity in constraint"),
    ("search", ["--supernet=absent", OUTPUT, "--bn=movin"], "nearest is 'moving'"),
    ("search", ["--supernet=absent", OUTPUT, "--bn=moving", "--calibration_images=9"], "belongs to --bn=recalibrated"),
    ("search", ["--supernet=absent", OUTPUT, "--seed=9223372036854775808"], "search: seed must be below 2**63"),
    ("search", ["--supernet=absent", OUTPUT, "--constraints=accuracy>40"], "did you mean 'accuracy>0.4'?"),
    ("train", ["--model=scarlet_d", OUTPUT], "nearest is 'scarlet_"),
    ("train", ["--model=absent.json", OUTPUT], "no such file: absent.json"),
    ("train", ["--model=there/file.keras", OUTPUT], "file.keras does not record its network"),
    ("train", ["--model=scarlet_a", OUTPUT, "--recipe=papr"], "nearest is 'paper'"),
    ("train", ["--model=scarlet_a", OUTPUT, "--prune=2.0"], "sparsity must be in (0, 1), got 2.0"),
    ("train", ["--model=scarlet_a", OUTPUT, "--strategy=mirored"], "nearest is 'mirrored'"),
    ("train", ["--model=scarlet_a", OUTPUT, "--dataset=folder:absent"], "no image folder at absent"),
    ("train", ["--model=scarlet_a", OUTPUT, "--dataset=Folder=a"], "for an image folder, use 'folder:a'"),
    *[("train", ["--model=scarlet_a", OUTPUT, *flags], message) for flags, message in SELECTING],
    ("train", ["--model=scarlet_a", "--output=there/file.keras"], "file.keras is a file: expected a folder"),
    ("train", ["--inherit_from=absent", "--genome=1,2", OUTPUT], "no supernet in absent"),
    ("train_supernet", ["--space=smal", OUTPUT], "nearest is 'small'"),
    ("train_supernet", ["--let_init=identiy", OUTPUT], "nearest is 'identity'"),
    ("train_supernet", ["--shared_gradient=meen", OUTPUT], "nearest is 'mean'"),
    ("train_supernet", ["--batch_size=0", OUTPUT], "batch_size"),
    (
        "train_supernet",
        ["--search_validation=0", OUTPUT],
        "needs held-out images, got --search_validation=0",
    ),
    ("train_supernet", ["--seed=9223372036854775808", OUTPUT], "seed must be below 2**63"),
    ("train_supernet", ["--residual_gamma=-1", OUTPUT], "residual_gamma must be >= 0, got -1.0"),
    ("train_supernet", ["--steps=5", "--warmup_steps=5", OUTPUT], "warmup_steps must be fewer than the 5 steps, got 5"),
    ("train_supernet", ["--output=there/file.keras"], "file.keras is a file: expected a folder"),
    ("reproduce", ["--figure=1", "--output=there/file.keras"], "file.keras is a file: expected a folder"),
    *[
        (tool, [*flags, OUTPUT, "--tpu=t"], "tpu 't' needs strategy 'tpu', got 'one_device'")
        for tool, flags in DISTRIBUTED
    ],
    ("prepare_imagenet", ["--tars=there"], "no ILSVRC2012_img_train.tar and no ILSVRC2012_img_val.tar in there"),
    ("train_supernet", ["--precision=float16", OUTPUT], "nearest is 'mixed_float16'"),
    *[
        (tool, [*flags, OUTPUT, "--strategy=multi_worker"], "needs the environment variable TF_CONFIG")
        for tool, flags in DISTRIBUTED
    ],
    *[
        (tool, [*flags, OUTPUT, f"--cache={value}"], f"--cache={value}: {message}")
        for tool, flags in DISTRIBUTED
        for value, message in CACHES
    ],
    ("verify", ["--model=scarlet_d"], "nearest is 'scarlet_"),
    ("verify", ["--model=scarlet_a"], "set --dataset"),
    ("verify", [f"--model={SHIPPED}", "--tflite=absent.tflite"], "no such file: absent.tflite"),
    ("verify", [f"--model={SHIPPED}", "--saved_model=there"], "no SavedModel in there: it has no saved_model.pb"),
    ("verify", [f"--model={SHIPPED}", "--formats=int9"], "nearest is 'int8'"),
]

# One process for all: what a tool has imported, the next finds; and none may ask for what is barred.
_CALL_ALL = """
import contextlib, io, json, runpy, sys
from absl import flags

BARRED = {"tensorflow", "keras", "tf_keras", "tensorflow_datasets", "torch"}

class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BARRED:
            raise RuntimeError(f"{name} was asked for")

sys.meta_path.insert(0, Bar())
results = []
for tool, arguments in json.load(sys.stdin):
    sys.argv, err, code = [tool, *arguments], io.StringIO(), None
    with contextlib.redirect_stderr(err):
        try:
            runpy.run_path(tool, run_name="__main__")
        except SystemExit as end:
            code = end.code
        except RuntimeError as error:
            print(error, file=err)
    for flag in list(flags.FLAGS.flags_by_module_dict()[tool]):
        delattr(flags.FLAGS, flag.name)
    results.append([code, err.getvalue()])
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """By case: (exit code, standard error)."""
    folder = tmp_path_factory.mktemp("checks")
    (folder / "there").mkdir()
    (folder / "there" / "file.keras").touch()
    calls = [[str(TOOLS / f"{tool}.py"), arguments] for tool, arguments, _ in CASES]
    command = [sys.executable, "-c", _CALL_ALL]
    alone = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, cwd=folder, env=alone, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in folder.iterdir()] == ["there"]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]}-{number}")
def test_refused_without_tensorflow(number, results):
    code, errors = results[number]
    assert code == 2 and len(errors.splitlines()) == 1, errors
    assert CASES[number][2] in errors


def test_every_tool_that_takes_names_or_paths_is_among_them():
    assert {path.stem for path in TOOLS.glob("*.py")} - {case[0] for case in CASES} == {"prepare_fashion_mnist"}
