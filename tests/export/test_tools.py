"""The export tools and the benchmark as a user runs them: from any directory; one line and exit code 2 when wrong."""

import json
from pathlib import Path

import pytest

from scarlet_tf.arch import get_space

SHIPPED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"
KINDS = ("float32", "float16", "dynamic", "int8", "int8_pure")
BAD = [
    ("export_tflite", ["--model=scarlet_a", "--output=a.tflite", "--quantize=int9"], "int9"),
    ("export_tflite", ["--model=scarlet_a"], "output"),
    ("benchmark_host", ["--models=missing.tflite"], "no such file: missing.tflite"),
    ("benchmark_host", ["--models=junk", "--runs=0"], "runs"),
    ("benchmark_host", ["--models=junk"], "junk: the model cannot be run"),
    ("export_tflite", ["--model=scarlet_d", "--output=a.tflite"], "nearest is 'scarlet_"),
    ("export_tflite", ["--model=junk.keras", "--output=a.tflite"], "not a .keras file, or a truncated one"),
    ("export_tflite", ["--model=scarlet_a", "--output=a.tflite", "--input_type=uint8"], "needs quantize 'int8'"),
    ("export_saved_model", ["--model=missing.json", "--output=saved"], "missing.json"),
    ("export_onnx", ["--model=scarlet_a", "--output=a.onnx", "--opset=9"], "opset must be in 14.."),
    ("export_onnx", ["--model=scarlet_d", "--output=a.onnx"], "nearest is 'scarlet_"),
    ("export_onnx", ["--model=scarlet_a", "--output=missing/junk/a.onnx", "--layout=chw"], "layout"),
    ("export_onnx", ["--model=scarlet_a", "--output=junk/a.onnx"], "junk is not a folder"),
    ("verify", ["--model=scarlet_a", "--onnx=junk"], "junk: ONNX Runtime cannot run the model"),
    ("verify", ["--model=scarlet_a", "--onnx=missing.onnx"], "no such file: missing.onnx"),
]


@pytest.mark.parametrize(("tool", "arguments", "message"), BAD)
def test_bad_input(tool, arguments, message, tmp_path, call_tool):
    for name in ("junk", "junk.keras"):
        (tmp_path / name).write_bytes(b"junk")
    result = call_tool(tool, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{tool}.py: ") and message in last
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junk", "junk.keras"]


@pytest.mark.slow
def test_export_and_benchmark(tmp_path, call_tool):
    get_space("small").spec((3, 12, 7, 12, 11, 12), let=True).save(tmp_path / "spec.json")
    result = call_tool("export_tflite", "--model=spec.json", "--output=a.tflite", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("LET of slot") == 3 and "operations, built-in only" in result.stdout
    result = call_tool("export_saved_model", "--model=spec.json", "--output=saved", cwd=tmp_path)
    assert result.returncode == 0 and (tmp_path / "saved" / "saved_model.pb").is_file()
    result = call_tool("benchmark_host", "--models=a.tflite,a.tflite", "--runs=5", "--output=a.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [row["runs"] for row in json.loads((tmp_path / "a.json").read_text())] == [5, 5]
    flags = ["--softmax", "--include_preprocessing", "--batch_size=2", "--layout=nchw", "--check_examples=4"]
    result = call_tool("export_onnx", "--model=spec.json", "--output=a.onnx", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "already ends in probabilities" in result.stdout and "opset 17, nchw" in result.stdout
    assert "against Keras on 4 images" in result.stdout and "same top-1 1.0000" in result.stdout
    names = ["a.json", "a.onnx", "a.tflite", "saved", "spec.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.slow
def test_verify_makes_the_whole_chain(tmp_path, call_tool):
    """Accuracy on 200 test images in steps of 1/200; the float formats give Keras's classes."""
    flags = ["--limit=200", "--representative_examples=50", "--folder=files", "--output=report.json"]
    result = call_tool("verify", f"--model={SHIPPED}", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {row["path"].split("/")[-1]: row for row in report["formats"]}
    assert list(rows) == ["saved_model", *(f"{kind}.tflite" for kind in KINDS), "model.onnx"]
    assert report["images"] == 200 and 0.87 <= report["keras_accuracy"] <= 0.95
    for name in ("saved_model", "model.onnx", "float32.tflite", "float16.tflite"):
        assert rows[name]["top1_agreement"] == 1.0 and rows[name]["accuracy"] == report["keras_accuracy"]
    assert max(rows[name]["relative_error"] for name in ("float32.tflite", "model.onnx")) <= 1e-5
    assert all(abs(row["accuracy"] - report["keras_accuracy"]) <= 0.02 for row in rows.values())
    assert all(rows[f"{kind}.tflite"]["partitions"] == 1 for kind in KINDS)
    assert rows["int8.tflite"]["bytes"] < 0.8 * rows["float32.tflite"]["bytes"]
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == sorted(rows)
    table = result.stdout.splitlines()
    assert sum(line.split()[0] in rows for line in table if line) == len(rows) == 7
    again = call_tool("verify", f"--model={SHIPPED}", "--limit=10", "--folder=files", cwd=tmp_path)
    assert again.returncode == 2 and "files/saved_model exists" in again.stderr
