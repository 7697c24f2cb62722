"""Searches with a remote run directory find the models of local ones, also if they are killed while they write."""

import json
import sys

import flaky
import numpy as np
import pytest
from by_genes import ByGenes

from scarlet_tf.arch import get_space
from scarlet_tf.cli import run
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE
from scarlet_tf.search import ArchiveError, SearchConfig, parse_constraints, search_history
from scarlet_tf.search.archive import read_archive
from scarlet_tf.search.run import search_into

SPACE = get_space("small")
OUTPUT = "flaky://bucket/search"

pytestmark = pytest.mark.filterwarnings("ignore:.*trying the previous checkpoint")


def config(generations: int) -> SearchConfig:
    return SearchConfig(population=8, generations=generations, constraints=parse_constraints("madds<2e6,accuracy>0.3"))


@pytest.mark.parametrize("lives", [2000, 150_000, 400_000])
def test_a_killed_search_resumes_and_finds_the_same(tmp_path, flaky_store, lives):
    whole = search_into(tmp_path / "whole", SPACE, config(4), ByGenes())
    flaky_store.bytes_to_live = lives
    with pytest.raises(flaky.Killed):
        search_into(OUTPUT, SPACE, config(4), ByGenes())
    flaky_store.revive()
    flaky_store.read = flaky_store.write = 0.05
    history = search_into(OUTPUT, SPACE, config(4), ByGenes())
    np.testing.assert_array_equal(history.final.models.genomes, whole.final.models.genomes)
    folder = tmp_path / "store" / "bucket" / "search"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    for name in ("pick_0.json", "pick_1.json", "pick_2.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(search_history(folder / "archive.sqlite").generations) == 5
    assert len(list(folder.glob("checkpoint-*.npz"))) == 2


def test_the_archive_is_read_from_there_and_errors_name_it(flaky_store):
    search_into(OUTPUT, SPACE, config(1), ByGenes())
    assert len(search_history(f"{OUTPUT}/archive.sqlite").generations) == 2

    class Other(ByGenes):
        fingerprint = "other"

    with pytest.raises(ArchiveError, match=r"^flaky://bucket/search/archive.sqlite: belongs to another search"):
        search_into(OUTPUT, SPACE, config(1), Other())


class FailsFrom(ByGenes):
    """Makes writes to files with this ending fail halfway, once it has evaluated this number of models."""

    def __init__(self, models, ending, monkeypatch):
        super().__init__()
        self.writes, pipe_file = [], flaky.FlakyFileSystem.pipe_file

        def failing(system, path, value, **how):
            if self.evaluated < models or not path.endswith(ending):
                return pipe_file(system, path, value, **how)
            pipe_file(system, path, value[: len(value) // 2], **how)
            self.writes.append(path)
            raise ConnectionResetError("connection lost")

        monkeypatch.setattr(flaky.FlakyFileSystem, "pipe_file", failing)


@pytest.mark.parametrize(
    ("ending", "generation", "saved"),
    [
        ("/.log.jsonl", 1, "flaky://bucket/search is saved up to generation 1 of 4"),
        ("-0000000003.npz", 1, "flaky://bucket/search is saved up to generation 1 of 4"),
        ("-0000000003.npz.complete", 1, "flaky://bucket/search is saved up to generation 1 of 4"),
        ("/pick_1.json", 4, "flaky://bucket/search is saved up to generation 4 of 4"),
        ("/archive.sqlite", 4, "all generations are saved"),
    ],
)
def test_a_search_whose_save_fails_ends_with_one_line_and_loses_nothing_saved(
    ending, generation, saved, tmp_path, flaky_store, monkeypatch, capsys
):
    whole = ByGenes()
    expected = search_into(tmp_path / "whole", SPACE, config(4), whole)
    with read_archive(tmp_path / "whole" / "archive.sqlite") as archive:
        evaluated = [len(archive.models("generation <= ?", (generation,))) for generation in range(5)]
    assert evaluated[-1] == whole.evaluated
    monkeypatch.setattr(sys, "argv", ["search.py"])
    capsys.readouterr()
    with monkeypatch.context() as patch:
        failing = FailsFrom(evaluated[2], ending, patch)
        with pytest.raises(SystemExit) as end:
            run(lambda: search_into(OUTPUT, SPACE, config(4), failing))
    assert end.value.code == TRY_AGAIN_EXIT_CODE and len(failing.writes) >= 5
    assert failing.evaluated == evaluated[min(generation + 1, 4)]
    warning, *lines = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: flaky://bucket/search cannot be locked")
    path = failing.writes[0].removeprefix("flaky://")
    assert lines == [f"search.py: flaky://{path}: ConnectionResetError: connection lost (tried 5 times); {saved}"]
    resumed = ByGenes()
    history = search_into(OUTPUT, SPACE, config(4), resumed)
    assert resumed.evaluated == evaluated[4] - evaluated[generation]
    assert len(history.generations) == 5
    for found, wanted in zip(history.generations, expected.generations, strict=True):
        np.testing.assert_array_equal(found.models.genomes, wanted.models.genomes)
    assert len(search_history(f"{OUTPUT}/archive.sqlite").generations) == 5
