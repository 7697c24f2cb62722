"""The command-line tool, and the page in a browser where there is one."""

import json
import re
import shutil
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
    assert re.fullmatch(r"report\.html: \d+ models, 5 generations\n", done.stdout)
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
        ({"metadata": b"[]"}, "metadata must be an object of texts and numbers, got list"),
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


@pytest.fixture
def browse(tmp_path):
    """Function (page, flags) -> the finished run of headless Chromium on it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the program 'chromium' is not installed, so the page's script cannot be run")
    usual = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=3000 --dump-dom"
    )

    def browse(page):
        command = [chromium, *usual.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return browse


def test_opens_in_chromium(page, browse):
    shown = browse(page)
    assert 'data-ready="true"' in shown
    assert shown.count('<circle class="pick"') == 3
    assert len(re.findall(r'<circle class="(?:front|population)"', shown)) == 12
    assert shown.count('<path class="series"') == 2
    assert "Generation 4 of 4" in shown


# What a user does: slider to the start, the last point by the keyboard, Enter, its mother, room
# for the population alone, the other colours.
ACTIONS = """<script>
addEventListener("load", () => setTimeout(() => {
  const members = () => [...document.querySelectorAll("circle.population, circle.front")];
  const places = () => members().map((circle) => circle.getAttribute("cx")).join();
  const told = (name, value) => document.body.setAttribute(`data-${name}`, value);
  const last = places(), slider = byId("generation");
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  told("moved", last !== places());
  told("members", members().length);
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  const press = (key) => byId("pareto").dispatchEvent(new KeyboardEvent("keydown", { key }));
  press("End");
  press("Enter");
  const opened = state.selected;
  told("opened", byId("h-panel").textContent === nameOf(opened) && byId("panel-body").querySelectorAll("svg").length);
  told("genome", byId("commands").textContent.includes(`--genome=${genesOf(opened).join(",")}`));
  const child = [...data.family.mothers.keys()].find((row) => data.family.mothers[row] >= 0);
  update({ selected: child });
  byId("family").querySelectorAll("button")[1].click();
  told("mother", state.selected === data.family.mothers[child]);
  byId("range").value = "population";
  byId("range").dispatchEvent(new Event("change"));
  told("range", last !== places());
  const theme = document.documentElement.dataset.theme;
  byId("theme").click();
  told("theme", theme !== document.documentElement.dataset.theme);
}, 500));
</script></body>"""


def test_slider_points_family_and_colours_work(page, browse, tmp_path):
    driven = tmp_path / "driven.html"
    driven.write_text(page.read_text().replace("</body>", ACTIONS))
    body = re.search(r"<body[^>]*>", browse(driven))[0]
    told = dict(re.findall(r'data-(\w+)="([^"]*)"', body))
    assert told == {
        "moved": "true",
        "members": "24",
        "opened": "1",
        "genome": "true",
        "mother": "true",
        "range": "true",
        "theme": "true",
    }
