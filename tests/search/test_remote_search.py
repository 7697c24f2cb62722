"""Searches with a remote run directory find the models of local ones, also if they are killed while they write."""

import json

import flaky
import numpy as np
import pytest
from by_genes import ByGenes

from scarlet_tf.arch import get_space
from scarlet_tf.search import ArchiveError, SearchConfig, parse_constraints, search_history
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
