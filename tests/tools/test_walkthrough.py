"""The notebook of the documentation. CI executes it, so these tests need no Jupyter."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs" / "walkthrough.ipynb"
NOTEBOOK = json.loads(PATH.read_text(encoding="utf-8"))


def cells(kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == kind]


def test_it_is_a_notebook_of_format_4():
    assert NOTEBOOK["nbformat"] == 4
    assert NOTEBOOK["nbformat_minor"] >= 5  # cells have ids
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    assert {cell["cell_type"] for cell in NOTEBOOK["cells"]} == {"markdown", "code"}
    names = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(names)) == len(names)


def test_it_is_stored_without_outputs():
    for cell in NOTEBOOK["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), "".join(cell["source"])


def test_flags_of_its_commands_exist():
    text = "\n".join(cells("markdown") + cells("code")).replace("\\\n", " ")
    commands = re.findall(r"python (?:\.\./)*(tools/\w+\.py)(.*)", text)
    assert len(commands) >= 4
    for tool, flags in commands:
        source = (ROOT / tool).read_text()
        for flag in re.findall(r"--(\w+)", flags):
            assert f'"{flag}"' in source, f"{tool} has no --{flag}"


def test_failing_commands_stop_it():
    for cell in cells("code"):  # IPython goes on after a "!" command that fails
        assert not re.search(r"^\s*!", cell, re.MULTILINE), cell
        assert not cell.startswith("%%") or re.match(r"%%(bash\n|writefile )", cell), cell


def test_what_it_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(cells("markdown"))):
        assert (PATH.parent / target).exists(), target


def test_ci_executes_it():
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^timeout [0-9]+ jupyter nbconvert .*--execute .*docs/walkthrough\.ipynb$", script, re.MULTILINE)
