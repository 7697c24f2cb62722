"""The installed package: what is in its wheel, and that its console script runs every tool from there."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import scarlet_tf
from scarlet_tf import command

ROOT = Path(__file__).parents[1]
IN_A_CHECKOUT = {"rank", "reproduce"}  # tools that a wheel leaves out
PARTS = ("scarlet_tf", "tools", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that an unpacked wheel makes, as pip would."""
    root = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        source = ROOT / part
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(source, root / part, ignore=ignored) if source.is_dir() else shutil.copy(source, root / part)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, f"--wheel-dir={root / 'dist'}", str(root)], check=True, capture_output=True)
    (wheel,) = (root / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root / "site")
    return root / "site"


def call(installed, *arguments, cwd):
    script = "from scarlet_tf.command import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    arguments = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_package_alone(installed):
    top = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"scarlet_tf"}
    ours = {p.relative_to(ROOT).as_posix() for p in (ROOT / "scarlet_tf").rglob("*") if p.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    tools = {f"scarlet_tf/tools/{p.name}" for p in (ROOT / "tools").glob("*.py") if p.stem not in IN_A_CHECKOUT}
    held = {p.relative_to(installed).as_posix() for p in (installed / "scarlet_tf").rglob("*") if p.is_file()}
    assert {name for name in held if "__pycache__" not in name} == ours | tools
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "scarlet-tf = scarlet_tf.command:main" in entry_points.read_text()


def test_every_tool_answers_with_the_same_help(installed, tmp_path):
    listed = call(installed, cwd=tmp_path)
    assert listed.returncode == 0
    assert call(installed, "--version", cwd=tmp_path).stdout == f"scarlet-tf {scarlet_tf.__version__}\n"
    for name, path in command.tools().items():
        assert (f"  {name} " in listed.stdout) == (name not in IN_A_CHECKOUT)
        if name in IN_A_CHECKOUT:
            continue
        helped = call(installed, name, "--help", cwd=tmp_path)
        assert helped.returncode == 0, helped.stderr
        there = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=True).stdout
        as_script = there.replace(f"python tools/{path.name}", f"scarlet-tf {name}")
        assert helped.stdout.split("flags:")[1] == there.split("flags:")[1]
        assert helped.stdout.splitlines()[0] == as_script.splitlines()[0]


@pytest.mark.slow
def test_tools_run_outside_the_checkout(installed, tmp_path):
    drawn = call(installed, "draw", "--model=small:3,12,1,7,11,0", "--output=a.svg", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    exported = call(installed, "export-tflite", "--model=small:3,12,1,7,11,0", "--output=a.tflite", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "a.tflite").stat().st_size > 10_000


def test_mistakes_are_one_line(installed, tmp_path):
    unknown = call(installed, "export-tflit", cwd=tmp_path)
    assert unknown.returncode == 2 and unknown.stdout == ""
    assert unknown.stderr.startswith("scarlet-tf: unknown tool 'export-tflit'") and "'export-tflite'" in unknown.stderr
    for name in IN_A_CHECKOUT:
        absent = call(installed, name, cwd=tmp_path)
        assert absent.returncode == 2 and absent.stderr.startswith(f"scarlet-tf: unknown tool {name!r}")
    missing = call(installed, "export_tflite", "--model=scarlet_a", cwd=tmp_path)
    assert missing.returncode == 2 and missing.stderr.count("\n") == 1
    assert "--output is required" in missing.stderr and "for example: scarlet-tf export-tflite" in missing.stderr


def test_importing_the_zoo_is_quiet():
    """Also where warnings are errors."""
    code = "import scarlet_tf.zoo"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
