"""Every command in the documents works, from a folder that is not the project's."""

import re
import shlex
from pathlib import Path

import pytest
from forked import ForkedProcess

ROOT = Path(__file__).parents[2]
# CI itself is these: it makes the environment, runs the quickstart and the tests.
RUN_BY_CI = {"bash tools/quickstart.sh", "bash tools/run_tests.sh", "bash .ci/run"}
SET_UP = {"python3 -m venv .venv", ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[test]'"}


def blocks(language: str) -> list[str]:
    texts = [(ROOT / name).read_text() for name in ("README.md", "BUILD.md")]
    return [block for text in texts for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_command_is_known_or_a_tool():
    for command in commands():
        plain = command.split(" -m ")[0]
        assert plain in RUN_BY_CI or command in SET_UP or command.startswith("python tools/"), command
    script = (ROOT / ".ci" / "run").read_text()
    assert "bash tools/quickstart.sh" in script and "bash tools/run_tests.sh" in script


@pytest.mark.slow
def test_tool_commands_run_in_order(tmp_path):
    for command in commands():
        if not command.startswith("python tools/"):
            continue
        tool, *flags = shlex.split(command)[1:]
        process = ForkedProcess([ROOT / tool, *flags], cwd=tmp_path)
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, f"{command}\n{errors[-2000:]}"
        assert output.strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "printed"), list(zip(blocks("python"), ("365307392", "(4, 5, 9, 5, 11, 5) ", "latency_ms "), strict=True))
)
def test_python_examples_run(code, printed, tmp_path):
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    (tmp_path / "example.py").write_text(code)
    process = ForkedProcess([tmp_path / "example.py"], cwd=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert printed in output
