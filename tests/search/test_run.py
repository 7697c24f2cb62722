import dataclasses
import json
import os
import signal

import numpy as np
import pytest

from scarlet_tf.arch import ArchSpec, get_space
from scarlet_tf.search import (
    ArchiveError,
    Search,
    SearchConfig,
    SearchStalledError,
    parse_constraints,
    search_history,
)
from scarlet_tf.search.run import describe_picks, search_into

SPACE = get_space("small")


class ByGenes:
    """More identity, less accuracy."""

    fingerprint = "by-genes"

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        return 0.9 - 0.1 * (genomes == 12).mean(1) - 0.01 * (genomes[:, 0] / 12)


def config(generations: int) -> SearchConfig:
    return SearchConfig(population=8, generations=generations, constraints=parse_constraints("madds<2e6,accuracy>0.5"))


def test_folder_holds_archive_log_and_picks(tmp_path):
    history = search_into(tmp_path, SPACE, config(3), ByGenes())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["hypervolume"] == pytest.approx(history.hypervolume[-1])
    shares = {name: share for name, share in lines[-1].items() if name.startswith("survivors/")}
    assert sum(shares.values()) == pytest.approx(1) and set(shares) <= {
        f"survivors/{name}" for name in ("crossover", "random", "reinforced", "roulette")
    }
    picks = [ArchSpec.load(tmp_path / f"pick_{k}.json") for k in range(3)]
    assert [spec.genome for spec in picks] == [tuple(map(int, genome)) for genome in history.picked.genomes]
    assert picks[0] == SPACE.spec(picks[0].genome)
    text = describe_picks(history)
    assert text.splitlines()[0].startswith(f"pick 0: {','.join(map(str, picks[0].genome))}  one-shot accuracy 0.")


def test_goes_on_with_more_generations_and_logs_only_these(tmp_path):
    whole = search_into(tmp_path / "whole", SPACE, config(4), ByGenes())
    search_into(tmp_path / "parts", SPACE, config(2), ByGenes())
    parts = search_into(tmp_path / "parts", SPACE, config(4), ByGenes())
    np.testing.assert_array_equal(parts.final.models.genomes, whole.final.models.genomes)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert len(search_history(tmp_path / "parts" / "archive.sqlite").generations) == 5


@pytest.mark.parametrize("impossible", ["madds<1", "accuracy>0.99"])
def test_a_search_that_stalls_at_first_leaves_nothing(tmp_path, impossible):
    (tmp_path / "own.txt").write_text("")
    wrong = dataclasses.replace(config(2), constraints=parse_constraints(impossible))
    with pytest.raises(SearchStalledError):
        search_into(tmp_path, SPACE, wrong, ByGenes())
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {"own.txt"}
    assert len(search_into(tmp_path, SPACE, config(1), ByGenes()).generations) == 2


def test_picks_of_an_earlier_end_do_not_stay(tmp_path):
    def picked(count, generations):
        search_into(tmp_path, SPACE, dataclasses.replace(config(generations), picks=count), ByGenes())
        return sorted(path.name for path in tmp_path.glob("*.json"))

    assert picked(4, 1) == [f"pick_{k}.json" for k in range(4)]
    (tmp_path / "pick_3_notes.json").touch()  # not the search's own
    assert picked(2, 1) == ["pick_0.json", "pick_1.json", "pick_3_notes.json"]
    with pytest.raises(KeyboardInterrupt):
        Search(SPACE, config(3), archive=tmp_path / "archive.sqlite").run(ByGenes(), progress=_interrupt)
    history = search_history(tmp_path / "archive.sqlite")
    assert len(history.generations) == 3 and len(history.picked) == 0


class Stops(ByGenes):
    """Raises a signal in the call of this number."""

    def __init__(self, number: int, call: int) -> None:
        self.number, self.calls = number, call

    def evaluate(self, genomes: np.ndarray) -> np.ndarray:
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)
        return super().evaluate(genomes)


@pytest.fixture
def heard():
    """Ctrl-C is heard also where this process was started in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_sigterm_ends_the_generation_and_ctrl_c_does_not(tmp_path, heard):
    whole = search_into(tmp_path / "whole", SPACE, config(5), ByGenes())
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt, match=r"^nothing is saved yet$"):
        search_into(folder, SPACE, config(5), Stops(signal.SIGINT, 1))
    with pytest.raises(SystemExit) as stopped:
        search_into(folder, SPACE, config(5), Stops(signal.SIGTERM, 2))
    assert stopped.value.code == 143 and stopped.value.saved == f"{folder} is saved up to generation 1 of 5"
    with pytest.raises(KeyboardInterrupt, match=r"parts is saved up to generation 2 of 5$"):
        search_into(folder, SPACE, config(5), Stops(signal.SIGINT, 2))
    parts = search_into(folder, SPACE, config(5), ByGenes())
    np.testing.assert_array_equal(parts.final.models.genomes, whole.final.models.genomes)


def test_ctrl_c_counts_the_models_of_the_unfinished_generation(tmp_path, heard):
    class InPairs(Stops):
        def portions(self, genomes):
            return np.split(np.arange(len(genomes)), len(genomes) // 2)

    whole = search_into(tmp_path / "whole", SPACE, config(2), ByGenes())
    for call, saved in ((4, "6 models of generation 0 of 2"), (8, "4 models of generation 1 of 2")):
        with pytest.raises(KeyboardInterrupt, match=f"parts is saved up to {saved}$"):
            search_into(tmp_path / "parts", SPACE, config(2), InPairs(signal.SIGINT, call))
    parts = search_into(tmp_path / "parts", SPACE, config(2), ByGenes())
    np.testing.assert_array_equal(parts.final.models.genomes, whole.final.models.genomes)


def _interrupt(summary):
    raise KeyboardInterrupt


def test_another_evaluator_is_refused(tmp_path):
    search_into(tmp_path, SPACE, config(1), ByGenes())
    other = ByGenes()
    other.fingerprint = "another"
    with pytest.raises(ArchiveError, match=r"archive\.sqlite"):
        search_into(tmp_path, SPACE, config(1), other)


def test_what_an_evaluator_was_set_to_is_named(tmp_path):
    def search(**settings):
        evaluator = ByGenes()
        evaluator.settings = settings
        evaluator.fingerprint = str(settings)
        return search_into(tmp_path, SPACE, config(1), evaluator)

    search(bn="moving", images=500)
    assert json.loads((tmp_path / "evaluator.json").read_text()) == {"bn": "moving", "images": 500}
    assert len(search(bn="moving", images=500).generations) == 2
    with pytest.raises(ArchiveError, match=r"archive.sqlite: .* its evaluator's images was 500, is 600; use the same"):
        search(bn="moving", images=600)
    (tmp_path / "evaluator.json").write_text('{"bn": "mov')
    with pytest.raises(ArchiveError, match=r"evaluator.json is damaged"):
        search(bn="moving", images=500)
