import json
from pathlib import Path

import pytest

from scarlet_tf.supernet.supernet_config import warn_if_unfinished

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def folder(tmp_path):
    """Of a supernet with checkpoints of steps 50 and 100."""
    for step in (50, 100):
        (tmp_path / f"checkpoint-{step:010d}.npz").touch()
    return tmp_path


@pytest.mark.parametrize(("steps", "lines"), [(120, 1), (100, 0)])
def test_one_line_where_steps_are_missing(folder, capsys, steps, lines):
    (folder / "config.json").write_text(json.dumps({"steps": steps}))
    warn_if_unfinished(folder)
    err = capsys.readouterr().err
    assert err.count("\n") == lines
    assert not lines or err.endswith(f"warning: the supernet in {folder} is unfinished: step 100 of 120\n")


@pytest.mark.parametrize("config", ["{", "[]", "{}", '{"steps": null}'])
def test_silent_about_what_is_damaged(folder, capsys, config):
    (folder / "config.json").write_text(config)
    warn_if_unfinished(folder)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("tool", ["search", "rank"])
def test_tools_warn_before_anything_else(folder, tool, call_tool):
    (folder / "config.json").write_text(json.dumps({"steps": 120}))
    lines = call_tool(tool, f"--supernet={folder}", "--output=o", cwd=folder).stderr.splitlines()
    assert lines[0] == f"{tool}.py: warning: the supernet in {folder} is unfinished: step 100 of 120"
    assert "is damaged" in lines[1] and len(lines) == 2
