"""Long work shows how far it is, on a terminal and in a log; short work says nothing in a log."""

import io
import re

import pytest

from scarlet_tf import progress as module
from scarlet_tf.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("items", [range(5), iter(range(5))])
def test_lines_in_a_log(items, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0)
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    assert list(progress(items, "measure", unit="round", total=5)) == list(range(5))
    lines = log.getvalue().splitlines()
    (line,) = [line for line in lines if line.startswith("measure: 3")]
    assert re.fullmatch(r"measure: 3 of 5 rounds, [\d.]+ rounds/s, 00:00 so far, 00:00 left", line)
    assert all(line.startswith("measure: ") for line in lines) and "\r" not in log.getvalue()


def test_bars_within_bars_write_lines_alone(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0)
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    for _ in progress(range(2), "outer", unit="pass"):
        list(progress(range(2), "inner", unit="run"))
    lines = log.getvalue().splitlines()
    assert {line.split(":")[0] for line in lines} == {"outer", "inner"}


def test_short_work_is_silent_in_a_log(monkeypatch):
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    with progress(label="measure", unit="run", total=3) as bar:
        bar.update(3)
    assert log.getvalue() == ""


def test_the_first_update_does_not_count_in_the_rate(monkeypatch):
    """The first step takes 60 s, because it is compiled; each later one takes half a second."""
    now = 1000.0
    monkeypatch.setattr("tqdm.std.time", lambda: now)
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    with progress(label="train", unit="step", total=122, leave=True) as bar:
        for step in range(41):
            now += 0.5 if step else 60
            bar.update(1)
    assert log.getvalue().splitlines() == [
        "train: 1 of 122 steps, ? steps/s, 01:00 so far, ? left",
        "train: 21 of 122 steps, 2.00 steps/s, 01:10 so far, 00:50 left",
        "train: 41 of 122 steps, 2.00 steps/s, 01:20 so far, 00:40 left",
        "train: 41 of 122 steps, 0.51 steps/s, 01:20 so far, 02:38 left",
    ]


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    list(progress(range(3), "profile", unit="round"))
    assert "profile:   0%" in terminal.getvalue() and terminal.getvalue().endswith("\r")


def test_batches_of_an_unknown_number_are_counted_without_a_total(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0)
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    list(progress(iter(range(3)), "evaluate", unit="batch"))
    line = next(line for line in log.getvalue().splitlines() if line.startswith("evaluate: 2"))
    assert line.startswith("evaluate: 2 batches, ") and line.endswith(" so far")


def test_processes_that_share_a_terminal_print_lines_with_their_names(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0)
    monkeypatch.setattr(module, "_process", "")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    module.name_process("worker 1")
    list(progress(range(3), "profile", unit="round"))
    lines = terminal.getvalue().splitlines()
    assert len(lines) >= 3 and all(line.startswith("worker 1: profile: ") for line in lines)
    assert "\r" not in terminal.getvalue()


def test_a_bar_that_stays_ends_with_the_last_state(monkeypatch):
    """In a log and on a terminal; 9 of 12 steps were done before."""
    monkeypatch.setattr(module, "SECONDS", 0)
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr("sys.stderr", stream)
        with progress(label="train", unit="step", total=12, initial=9, leave=True) as bar:
            bar.set_postfix(loss="0.5", refresh=False)
            bar.update(3)
        *_, last = re.split(r"[\r\n]", stream.getvalue().rstrip())
        assert last.startswith("train: ") and "loss=0.5" in last and re.search("12(/| of )12", last)
