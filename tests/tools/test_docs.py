"""Every command in the documents works, from a folder that is not the project's."""

import re
import shlex
from pathlib import Path

import pytest
from forked import ForkedProcess

ROOT = Path(__file__).parents[2]
# CI itself is these: it makes the environment, runs the quickstart and the tests.
RUN_BY_CI = {"bash tools/quickstart.sh", "bash tools/run_tests.sh", "bash .ci/run"}
SET_UP = {
    "python3 -m venv .venv",
    ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[test]'",
    ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[docs]'",
    ".venv/bin/jupyter nbconvert --to notebook --execute --output-dir=runs docs/walkthrough.ipynb",
    ".venv/bin/mkdocs build --strict",
}
PRINTED = {  # by the python block of the page, of which a page has one
    "README.md": ("365307392", "(4, 5, 9, 5, 11, 5) "),
    "docs/objectives.md": ("latency_ms ",),
    "docs/zoo.md": ("half ", "'P5': (None, 7, 7, ", "(None, 10)"),
}


def pages() -> dict[str, str]:
    paths = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def blocks(language: str) -> list[tuple[str, str]]:
    found = {name: re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) for name, text in pages().items()}
    return [(name, block) for name, texts in found.items() for block in texts]


def commands() -> list[str]:
    """Every command once, though several pages show it."""
    lines = [line.split("#")[0].strip() for _, block in blocks("bash") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))


def test_every_command_is_known_or_a_tool():
    for command in commands():
        plain = command.split(" -m ")[0]
        assert plain in RUN_BY_CI or command in SET_UP or command.startswith("python tools/"), command
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("bash tools/quickstart.sh", "bash tools/run_tests.sh", "'.[docs]'", "mkdocs build --strict"):
        assert command in script


def test_every_page_of_the_site_is_in_its_navigation():
    named = re.findall(r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    of_zoo = [
        path.relative_to(ROOT).as_posix() for part in ("cards", "results") for path in ROOT.glob(f"zoo/{part}/*.md")
    ]
    assert {name for name in named if name.startswith(("zoo/cards/", "zoo/results/"))} == set(of_zoo)
    in_docs = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert in_docs <= set(named)


def test_every_block_is_of_a_known_kind():
    for name, text in pages().items():
        kinds = re.findall(r"^```(\w*)$", text, re.MULTILINE)
        assert kinds[1::2] == [""] * (len(kinds) // 2), name
        assert set(kinds[::2]) <= {"bash", "json", "python", "text"}, name


def test_flags_of_commands_that_are_not_run_exist():
    for name, block in blocks("text"):
        for tool, flags in re.findall(r"python (tools/\w+\.py) (.*)", block.replace("\\\n", " ")):
            source = (ROOT / tool).read_text()
            for flag in re.findall(r"--(\w+)", flags):
                assert f'"{flag}"' in source, f"{name}: {tool} has no --{flag}"


def test_flags_in_the_text_are_some_tools():
    sources = '"help"' + "".join(path.read_text() for path in (ROOT / "tools").glob("*.py"))
    for name, text in pages().items():
        for flag in re.findall(r"`--(\w+)", text):
            assert f'"{flag}"' in sources, f"{name}: no tool has --{flag}"


def test_every_example_has_an_expected_output():
    assert [name for name, _ in blocks("python")] == list(PRINTED)


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
@pytest.mark.parametrize(("name", "code"), blocks("python"))
def test_python_examples_run(name, code, tmp_path):
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    (tmp_path / "example.py").write_text(code)
    process = ForkedProcess([tmp_path / "example.py"], cwd=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert all(text in output for text in PRINTED[name]), f"{name}\n{output}"
