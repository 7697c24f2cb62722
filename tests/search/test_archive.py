import concurrent.futures
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.search import ArchiveError, MutationMixture, evaluated_models, search_history
from scarlet_tf.search.archive import APPLICATION_ID, open_archive, read_archive
from scarlet_tf.search.operators import genome_key

IDENTITY = {"space": get_space("small").to_dict(), "evaluator": "e", "settings": {"seed": 0}}


@pytest.fixture(scope="module")
def finished(synthetic, tmp_path_factory):
    """The archive of a short search; copy it before writing to it."""
    path = tmp_path_factory.mktemp("archive") / "search.sqlite"
    synthetic.search(path, generations=2).run(synthetic.SyntheticEvaluator(19))
    return path


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copy(finished, tmp_path / "copy.sqlite")


def test_every_model_is_there_with_where_it_came_from(finished):
    models = evaluated_models(finished)
    assert models.ids.tolist() == list(range(len(models)))
    assert len(np.unique(models.genomes, axis=0)) == len(models)
    with sqlite3.connect(finished) as connection:
        rows = connection.execute("SELECT generation, mother, father, operator, seed, evaluator, id FROM models")
        for generation, mother, father, operator, seed, evaluator, model in rows:
            assert (seed, evaluator) == (0, "synthetic")
            if generation == 0:
                assert (mother, father, operator) == (None, None, "uniform")
            else:
                assert operator in ("crossover", "random", "reinforced", "roulette") and max(mother, father) < model


def test_one_file_is_left(finished):
    assert [path.name for path in finished.parent.iterdir()] == ["search.sqlite"]


def refused(path, message):
    for attempt in (search_history, evaluated_models):
        with pytest.raises(ArchiveError, match=message) as caught:
            attempt(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_missing_and_no_file(tmp_path):
    refused(tmp_path / "none.sqlite", "no such archive file")
    refused(tmp_path, "no such archive file")


@pytest.mark.parametrize("content", [b"", b"x", b"a text file\n" * 1000])
def test_not_an_archive(tmp_path, content):
    path = tmp_path / "other.sqlite"
    path.write_bytes(content)
    refused(path, "not a search archive")


def test_another_sqlite_file(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE models (id)")
    refused(path, "not a search archive")


def test_another_version(copy):
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        connection.execute("PRAGMA user_version = 9")
    refused(copy, "version 9, this program reads version 1")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(copy, share):
    content = copy.read_bytes()
    copy.write_bytes(content[: int(share * len(content))])
    refused(copy, "damaged|not a search archive")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE models SET accuracy = accuracy + 0.001 WHERE id = 30",
        "UPDATE populations SET rank = 1 WHERE generation = 2 AND position = 0",
        "UPDATE generations SET mutators = '{}' WHERE generation = 2",
        "DELETE FROM models WHERE id = 5",
        "DELETE FROM generations WHERE generation = 1",
        "UPDATE picks SET model = 0 WHERE position = 2",
        "UPDATE meta SET value = 'nothing' WHERE key = 'identity'",
    ],
)
def test_changed_content(copy, statement):
    with sqlite3.connect(copy) as connection:
        assert connection.execute(statement).rowcount == 1
    refused(copy, "is damaged")


def test_changed_results(tmp_path):
    path, genomes = tmp_path / "a.sqlite", np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
    with open_archive(path, identity=IDENTITY) as archive:
        archive.record(genomes[:1], np.array([0.25]))
        archive.record(genomes[1:], np.array([1 / 3]))
        with pytest.raises(ArchiveError, match="another process has written to it"):
            archive.record(genomes[:1], np.array([0.25]))
    with open_archive(path, identity=IDENTITY) as archive:
        assert archive.results() == {genome_key(genomes[0]): 0.25, genome_key(genomes[1]): 1 / 3}
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE results SET accuracy = 0.5 WHERE accuracy = 0.25")
    refused(path, "is damaged: its results were changed")


def test_flipped_bytes_are_refused_or_harmless(copy, finished):
    content, rng = finished.read_bytes(), np.random.default_rng(0)
    original, refusals = _plain(search_history(finished)), 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        copy.write_bytes(damaged)
        try:
            assert _plain(search_history(copy)) == original
        except ArchiveError:
            refusals += 1
    assert refusals > 50


def _plain(history):
    columns = [(m.models.ids.tolist(), m.ranks.tolist(), m.models.genomes.tolist()) for m in history.generations]
    return columns, history.summaries, history.picked.values["accuracy"].tolist(), history.definition


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": 10}, "settings.population was 12, is 10"),
        ({"population": 10, "seed": 3}, "settings.population was 12, is 10; settings.seed was 0, is 3"),
        ({"constraints": ()}, "settings.constraints was 'madds<500000000,accuracy>0.4', is ''"),
        ({"fingerprint": "other"}, "evaluator was 'synthetic', is 'other'"),
    ],
)
def test_another_search(synthetic, copy, change, message):
    evaluator = synthetic.SyntheticEvaluator(19)
    evaluator.fingerprint = change.pop("fingerprint", evaluator.fingerprint)
    before = copy.read_bytes()
    with pytest.raises(ArchiveError, match=f"another search: its {message}; use the same settings, or another .*$"):
        synthetic.search(copy, generations=2, **change).run(evaluator)
    assert copy.read_bytes() == before and evaluator.seen == []


def test_ahead_of_what_is_asked(synthetic, copy):
    with pytest.raises(ArchiveError, match="has generation 2 already, expected at most 1"):
        synthetic.search(copy, generations=1).run(synthetic.SyntheticEvaluator(19))


def test_two_searches_in_one_archive_do_not_mix(synthetic, copy):
    def other_search(summary):
        if summary.generation == 3:
            synthetic.search(copy, generations=5).run(synthetic.SyntheticEvaluator(19))

    with pytest.raises(ArchiveError, match="another process has written to it"):
        synthetic.search(copy, generations=5).run(synthetic.SyntheticEvaluator(19), progress=other_search)
    assert len(search_history(copy).generations) == 6


def test_a_full_disk_keeps_the_last_good_generation(synthetic, tmp_path, monkeypatch):
    path = tmp_path / "full.sqlite"
    real_connect = sqlite3.connect

    def connect_small(*args, **kwargs):
        connection = real_connect(*args, **kwargs)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_small)
    done, mixture = [], MutationMixture(reinforced=0.0)  # a controller's state would not fit in at all
    with pytest.raises(ArchiveError, match="full"):
        synthetic.search(path, mixture=mixture).run(
            synthetic.SyntheticEvaluator(19), progress=lambda s: done.append(s.generation)
        )
    monkeypatch.undo()
    assert 0 < len(done) < 12
    assert len(search_history(path).generations) == len(done)
    assert len(search_history(path).picked) == 0
    resumed = synthetic.search(path, mixture=mixture).run(synthetic.SyntheticEvaluator(19))
    whole = synthetic.search(None, mixture=mixture).run(synthetic.SyntheticEvaluator(19))
    assert resumed.picked.genomes.tolist() == whole.picked.genomes.tolist()


def test_a_place_that_cannot_be_written(synthetic, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be written"):
        synthetic.search(tmp_path / "file" / "a.sqlite").run(synthetic.SyntheticEvaluator(19))


def test_no_such_generation(finished):
    with read_archive(finished) as archive, pytest.raises(ArchiveError, match="has no generation 7; its last one is 2"):
        archive.members(7)


def test_a_new_archive_is_empty(tmp_path):
    with open_archive(tmp_path / "deep" / "new.sqlite", identity=IDENTITY) as archive:
        assert archive.last_generation == -1 and len(archive.models()) == 0 and archive.picks().size == 0


def test_of_searches_that_start_together_one_creates_the_archive(tmp_path):
    names = [f"evaluator {n}" for n in range(4)]
    together = threading.Barrier(len(names))

    def start(name):
        together.wait()
        try:
            with open_archive(tmp_path / "a.sqlite", identity=IDENTITY | {"evaluator": name}) as archive:
                archive.write_picks(np.array([7]))
        except ArchiveError as error:
            return str(error)
        return name

    for _ in range(5):
        with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
            results = list(threads.map(start, names))
        (first,) = set(results) & set(names)
        assert [result == first or f"its evaluator was '{first}', is" in result for result in results] == [True] * 4
        with read_archive(tmp_path / "a.sqlite") as kept:
            assert kept.identity["evaluator"] == first and kept.picks().tolist() == [7]
        assert os.listdir(tmp_path) == ["a.sqlite"]
        os.remove(tmp_path / "a.sqlite")


def test_a_reader_sees_the_archive_as_it_was_opened(tmp_path):
    path = tmp_path / "a.sqlite"
    with open_archive(path, identity=IDENTITY) as writer:
        with read_archive(path) as reader:
            writer.write_picks(np.array([7]))
            assert reader.picks().tolist() == []
        with read_archive(path) as reader:
            assert reader.picks().tolist() == [7]


def test_killed_while_creating(tmp_path):
    """The next search creates the archive; the one that was killed has left nothing in it."""
    path = tmp_path / "a.sqlite"
    code = (
        "import os, sys; from scarlet_tf.search import archive\n"
        "archive._replace_picks = lambda *_: os.kill(os.getpid(), 9)\n"
        "archive.open_archive(sys.argv[1], identity={})"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert path.exists()
    refused(path, "not a search archive")
    with open_archive(path, identity=IDENTITY) as archive:
        assert archive.identity["evaluator"] == "e" and archive.last_generation == -1
    assert os.listdir(tmp_path) == ["a.sqlite"]


@pytest.mark.parametrize(("mode", "log"), [("WAL", "-wal"), ("DELETE", "-journal")])
def test_the_log_of_a_deleted_archive_is_not_applied_to_a_new_one(copy, tmp_path, mode, log):
    path = tmp_path / "a.sqlite"
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode = {mode}")
        writer.execute("BEGIN")
        writer.execute("UPDATE models SET accuracy = 0.5")
        if mode == "WAL":
            writer.execute("COMMIT")
        shutil.copy(f"{copy}{log}", f"{path}{log}")
    with open_archive(path, identity=IDENTITY) as archive:
        assert archive.last_generation == -1 and len(archive.models()) == 0
    assert len(search_history(path).generations) == 0
