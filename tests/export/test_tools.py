"""The export tools and the benchmark as a user runs them: from any directory; one line and exit code 2 when wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scarlet_tf.arch import get_space

TOOLS = Path(__file__).parents[2] / "tools"


def run(tool, *arguments, cwd):
    command = [sys.executable, str(TOOLS / f"{tool}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", ["export_tflite", "export_saved_model", "benchmark_host"])
def test_help_loads_no_tensorflow(tool, tmp_path):
    path = str(TOOLS / f"{tool}.py")
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{path!r}, '--help']\n"
        f"try: runpy.run_path({path!r}, run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 'tensorflow' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "python tools/" in result.stdout


BAD = [
    ("export_tflite", ["--model=scarlet_a", "--output=a.tflite", "--quantize=int9"], "int9"),
    ("export_tflite", ["--model=scarlet_a"], "output"),
    ("benchmark_host", ["--models=missing.tflite"], "no such file: missing.tflite"),
    ("benchmark_host", ["--models=junk", "--runs=0"], "runs"),
    ("benchmark_host", ["--models=junk"], "junk: not a model that can be run"),
]
BAD_AFTER_LOADING = [
    ("export_tflite", ["--model=scarlet_d", "--output=a.tflite"], "nearest is 'scarlet_"),
    ("export_tflite", ["--model=junk.keras", "--output=a.tflite"], "not a .keras file, or a truncated one"),
    ("export_tflite", ["--model=scarlet_a", "--output=a.tflite", "--input_type=uint8"], "needs quantize 'int8'"),
    ("export_saved_model", ["--model=missing.json", "--output=saved"], "missing.json"),
]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [*BAD, *(pytest.param(*case, marks=pytest.mark.slow) for case in BAD_AFTER_LOADING)],
)
def test_bad_input(tool, arguments, message, tmp_path):
    for name in ("junk", "junk.keras"):
        (tmp_path / name).write_bytes(b"junk")
    result = run(tool, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{tool}.py: ") and message in last
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junk", "junk.keras"]


@pytest.mark.slow
def test_export_and_benchmark(tmp_path):
    get_space("small").spec((3, 12, 7, 12, 11, 12), let=True).save(tmp_path / "spec.json")
    result = run("export_tflite", "--model=spec.json", "--output=a.tflite", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("LET of slot") == 3 and "operations, built-in only" in result.stdout
    result = run("export_saved_model", "--model=spec.json", "--output=saved", cwd=tmp_path)
    assert result.returncode == 0 and (tmp_path / "saved" / "saved_model.pb").is_file()
    result = run("benchmark_host", "--models=a.tflite,a.tflite", "--runs=5", "--output=a.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [row["runs"] for row in json.loads((tmp_path / "a.json").read_text())] == [5, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.tflite", "saved", "spec.json"]
