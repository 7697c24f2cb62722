"""Every experiment answers --help at once, by one kind of command."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FOLDER.glob("*/__main__.py")))
def test_help_loads_no_tensorflow(name, tmp_path, call_experiment):
    result = call_experiment(name, "--help", cwd=tmp_path, options=("-X", "importtime"))
    assert result.returncode == 0, result.stderr[-2000:]
    assert f"python -m benchmarks.{name}" in result.stdout and "\n  --" in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert not imported & {"tensorflow", "keras", "numpy", "matplotlib"}


def test_every_page_names_the_command_that_made_it():
    known = {f"python -m benchmarks.{path.parent.name}" for path in FOLDER.glob("*/__main__.py")}
    known |= {"python tools/reproduce.py", "python tools/rank.py"}
    for page in (FOLDER.parent / "zoo" / "results").glob("*.md"):
        assert any(command in page.read_text() for command in known), page.name
