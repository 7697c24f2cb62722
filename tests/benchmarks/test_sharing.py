"""The experiment that counts the work of path evaluation: its efficiencies by definition, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sharing.efficiency import Setting, measure, parse_counts, searched_calls
from benchmarks.sharing.sharing_page import make_page
from scarlet_tf.arch import get_space

ROOT = Path(__file__).parents[2]
SPACE = get_space("small")
BEFORE = "runs of equally many models, before"
IN_GUIDE = {  # for each way, what docs/search.md calls it
    "equal counts of models": {"recalibrated": BEFORE, "moving": BEFORE},
    "plan, in portions": {"recalibrated": "runs of equal work, and batches", "moving": "batches"},
}
SETTING = Setting(images=40, batch_size=10, calibration_images=8, portion=2)


def test_efficiencies_of_a_call_counted_by_hand():
    genomes = np.zeros((5, 6), int)
    genomes[1, 5], genomes[2, 5], genomes[3, 4], genomes[4, 0] = 1, 2, 1, 1
    found = measure(SPACE, [[genomes]], replicas=(2,), setting=SETTING)
    blocks = {
        (row["bn"], row["way"]): row["efficiency"]
        for row in found["rows"]
        if row["unit"] == "blocks" and row["part"] == "whole search"
    }
    alone = 6 + 1 + 1 + 2 + 6
    # Equal counts: the first three, then 6 + 6. Two shards of 2 batches: all, on 20 of 40 images.
    for bn, calibration in (("moving", 0), ("recalibrated", 8)):
        assert blocks[bn, "equal counts of models"]["2"] == pytest.approx(alone / (2 * 12))
        shards = alone * (40 + calibration) / (2 * alone * (20 + calibration))
        assert blocks[bn, "images only"]["2"] == blocks[bn, "plan"]["2"] == pytest.approx(shards)
        assert blocks[bn, "plan"]["1"] == 1 > blocks[bn, "plan, in portions"]["1"]
    assert (found["models"], found["generations"]) == (5, 0)


def test_models_are_those_of_the_search():
    calls = searched_calls(SPACE, population=6, generations=2, seed=0)
    assert len(calls) == 3
    models = np.concatenate([genomes for generation in calls for genomes in generation])
    assert len(np.unique(models, axis=0)) == len(models) >= 6 * 4


def test_the_recorded_page_and_the_guide_have_the_recorded_numbers():
    result = json.loads((ROOT / "zoo" / "results" / "sharing.json").read_text())
    assert (ROOT / "zoo" / "results" / "sharing.md").read_text() == make_page(result)
    guide = (ROOT / "docs" / "search.md").read_text()
    for row in result["rows"]:
        if (row["part"], row["unit"]) == ("whole search", "multiply-adds") and row["way"] in IN_GUIDE:
            numbers = " | ".join(f"{row['efficiency'][n]:.3f}" for n in ("2", "4", "8", "16"))
            assert f"| {row['bn']} | {IN_GUIDE[row['way']][row['bn']]} | {numbers} |" in guide


def test_the_search_and_the_divisions_show_their_progress(monkeypatch, capsys):
    monkeypatch.setattr("scarlet_tf.progress.SECONDS", 0)
    calls = searched_calls(SPACE, population=6, generations=2, seed=0)
    measure(SPACE, calls, replicas=(2,), setting=SETTING)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("search a formula: 3 of 3 generations") for line in lines)
    counts = {int(line.split()[2]) for line in lines if line.startswith("divide calls: ")}
    # BN statistics, ways, and numbers of replicas, times the calls of the parts of the search.
    total = 2 * 5 * 2 * (len(calls[0]) + len(calls[-1]) + sum(map(len, calls)))
    assert max(counts) == total and len(counts) > 10


def test_the_command_writes_the_numbers_and_a_page(call_experiment, tmp_path):
    flags = ["--space=small", "--generations=2", "--population=12", "--replicas=2,4", "--images=40", "--batch_size=10"]
    done = call_experiment("sharing", *flags, "--calibration_images=4", "--output=page", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "page.json").read_text())
    page = (tmp_path / "page.md").read_text()
    assert page == done.stdout.removesuffix("\n") or page == done.stdout
    assert len(result["rows"]) == 2 * 3 * 5 * 2  # statistics, parts of the search, ways, units
    for row in result["rows"]:
        assert list(row["efficiency"]) == ["1", "2", "4"]
        assert all(0 < value <= 1 for value in row["efficiency"].values())
        shown = " | ".join(f"{value:.3f}" for value in row["efficiency"].values())
        assert f"| {row['part']} | {row['way']} | {shown} |" in page
    planned = {(r["bn"], r["part"], r["way"]): r["efficiency"] for r in result["rows"] if r["unit"] == "multiply-adds"}
    for bn, part, way in planned:
        for replicas in ("2", "4"):
            assert planned[bn, part, "plan"][replicas] >= planned[bn, part, way][replicas] or "portions" in way


@pytest.mark.parametrize("texts", [["0"], ["2", "two"], ["-1"]])
def test_replicas_that_are_none_are_refused(texts):
    with pytest.raises(ValueError, match=f"--replicas must be integers >= 1, got {','.join(texts)}"):
        parse_counts(texts)
