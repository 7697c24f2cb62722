"""The command-line tool."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "report.py"


def report(*arguments, cwd):
    return subprocess.run([sys.executable, TOOL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def page(archive, tmp_path_factory):
    """A page that the tool has made."""
    folder = tmp_path_factory.mktemp("tool")
    (folder / "about.json").write_text(json.dumps({"title": "A <b>search</b>", "machine": "2 cores", "date": "then"}))
    done = report(f"--archive={archive}", "--output=report.html", "--metadata=about.json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    head, *numbers, last = done.stdout.splitlines()
    assert head.split() == ["pick", "0", "pick", "1", "pick", "2"]
    assert [line.split("  ")[0] for line in numbers] == ["One-shot accuracy", "MAdds", "Params"]
    assert re.fullmatch(r"report\.html: \d+ models, 5 generations", last)
    return folder / "report.html"


def test_footer_tells_how_the_page_was_made(page):
    text = page.read_text(encoding="utf-8")
    assert "--output=report.html --metadata=about.json</code>" in text
    assert "<dt>Machine</dt><dd>2 cores</dd>" in text and "<dt>Date</dt><dd>then</dd>" in text
    assert "<dt>Evaluator</dt><dd>synthetic</dd>" in text and "<dt>Seed</dt><dd>0</dd>" in text


@pytest.mark.parametrize(
    "files, message",
    [
        ({"archive": b"no archive"}, "archive: "),
        ({"results": b"{"}, "results: not JSON"),
        ({"results": b"{}"}, "results: expected a JSON list of results, got dict"),
        ({"metadata": b"[]"}, "metadata must be a JSON object of strings and numbers, got list"),
        ({"metadata": b"\xff"}, "metadata: not JSON"),
    ],
)
def test_bad_files_are_one_line_and_leave_nothing(archive, tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    given = {"archive": archive, **{name: tmp_path / name for name in files}}
    done = report(*(f"--{name}={path}" for name, path in given.items()), "--output=out.html", cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


def test_the_archive_is_not_written_over(archive, tmp_path):
    own = tmp_path / "own.sqlite"
    own.write_bytes(archive.read_bytes())
    done = report("--archive=own.sqlite", "--output=./own.sqlite", cwd=tmp_path)
    assert done.returncode == 2 and "--output=./own.sqlite is the archive: expected the name of a page" in done.stderr
    assert own.read_bytes() == archive.read_bytes()
