"""A search that was stopped, killed or ran out of room goes on as if nothing had happened."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from scarlet_tf.search import search_history
from scarlet_tf.search.archive import read_archive


def contents(path):
    """All that an archive holds, but for the clock."""
    with read_archive(path) as archive:
        models = archive._rows("SELECT * FROM models ORDER BY id")
        populations = archive._rows("SELECT * FROM populations ORDER BY generation, position")
        last = archive.last_generation
        states = [archive.mutators(generation) for generation in range(last + 1)]
        summaries = [archive.summary(generation) for generation in range(last + 1)]
        clock = [name for (_, name, *_) in archive._rows("PRAGMA table_info(models)")].index("evaluated_at")
        models = [row[:clock] + row[clock + 1 :] for row in models]
        counts = [(s.hypervolume, s.identity_share, s.evaluated, s.proposed, s.rejected) for s in summaries]
        return models, populations, states, counts, archive.picks().tolist()


@pytest.fixture(scope="module")
def uninterrupted(synthetic, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.sqlite"
    synthetic.search(path).run(synthetic.SyntheticEvaluator(19))
    return contents(path)


def test_stopped_and_resumed_at_every_generation_is_the_same(synthetic, tmp_path, uninterrupted):
    path = tmp_path / "a.sqlite"
    for generations in range(1, 13):
        synthetic.search(path, generations=generations).run(synthetic.SyntheticEvaluator(19))
    assert contents(path) == uninterrupted


def test_a_finished_search_evaluates_nothing(synthetic, tmp_path):
    path = tmp_path / "a.sqlite"
    first = synthetic.search(path, generations=2).run(synthetic.SyntheticEvaluator(19))
    evaluator = synthetic.SyntheticEvaluator(19)
    again = synthetic.search(path, generations=2).run(evaluator)
    assert evaluator.seen == [] and again.picked.ids.tolist() == first.picked.ids.tolist()


@pytest.mark.parametrize("moment", range(5))
def test_killed_at_a_random_moment_and_resumed_is_the_same(synthetic, tmp_path, uninterrupted, moment):
    path, script = tmp_path / "a.sqlite", synthetic.__file__
    delay = np.random.default_rng().uniform(0, 0.5)
    process = subprocess.Popen([sys.executable, script, str(path), "0.05"], stdout=subprocess.PIPE, text=True)
    if moment:  # the first time, anywhere in start-up too
        process.stdout.readline()
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    subprocess.run([sys.executable, script, str(path), "0"], check=True, stdout=subprocess.DEVNULL)
    assert contents(path) == uninterrupted, f"killed after {delay} s"


def test_killed_five_times_in_one_search_is_the_same(synthetic, tmp_path, uninterrupted):
    path, rng = tmp_path / "a.sqlite", np.random.default_rng()
    delays, finished = rng.uniform(0, 0.3, 5), []
    for delay in delays:
        command = [sys.executable, synthetic.__file__, str(path), "0.05"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # one more generation, or the end
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        finished.append(len(search_history(path).generations))
    assert finished == sorted(finished) and finished[0] >= 1
    synthetic.search(path).run(synthetic.SyntheticEvaluator(19))
    assert contents(path) == uninterrupted, f"killed after {delays} s"


@pytest.fixture
def killed(synthetic, tmp_path):
    """The archive of a process that killed itself as soon as generation 3 was written."""
    path = tmp_path / "killed" / "a.sqlite"
    command = [sys.executable, synthetic.__file__, str(path), "0", "die_after=3"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    return path


def test_killed_right_after_a_commit_nothing_is_lost(synthetic, killed, tmp_path, uninterrupted):
    assert sorted(path.name for path in killed.parent.iterdir()) == ["a.sqlite", "a.sqlite-shm", "a.sqlite-wal"]
    both = shutil.copytree(killed.parent, tmp_path / "both", ignore=shutil.ignore_patterns("*-shm"))
    for path in (killed, both / "a.sqlite"):
        assert len(search_history(path).generations) == 4
        assert [file.name for file in path.parent.iterdir()] == ["a.sqlite"]
        moved = shutil.copy(path, tmp_path / "copy.sqlite")
        synthetic.search(moved).run(synthetic.SyntheticEvaluator(19))
        assert contents(moved) == uninterrupted


@pytest.mark.parametrize(("kept", "generations"), [(0.0, 0), (0.4, 1), (0.9, 3)])
def test_a_log_cut_short_loses_the_last_generations_only(synthetic, killed, uninterrupted, kept, generations):
    log = killed.with_name("a.sqlite-wal")
    log.write_bytes(log.read_bytes()[: int(kept * log.stat().st_size)])
    assert len(search_history(killed).generations) == generations
    synthetic.search(killed).run(synthetic.SyntheticEvaluator(19))
    assert contents(killed) == uninterrupted


def test_the_log_of_an_archive_that_is_gone_is_not_taken(synthetic, killed):
    killed.unlink()
    fresh = synthetic.search(killed, generations=1, seed=5).run(synthetic.SyntheticEvaluator(19))
    assert len(search_history(killed).generations) == 2
    alone = synthetic.search(None, generations=1, seed=5).run(synthetic.SyntheticEvaluator(19))
    assert fresh.picked.genomes.tolist() == alone.picked.genomes.tolist()


def test_a_running_search_can_be_read(synthetic, tmp_path):
    path, seen = tmp_path / "a.sqlite", []
    synthetic.search(path, generations=4).run(
        synthetic.SyntheticEvaluator(19), progress=lambda summary: seen.append(len(search_history(path).generations))
    )
    assert seen == [1, 2, 3, 4, 5]
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]


class Portions:
    """The synthetic evaluator, in portions of 5 genomes; may fail in its call of number `fails`, counted from 1."""

    def __init__(self, synthetic, *, fails=None):
        self._evaluator, self._fails = synthetic.SyntheticEvaluator(19), fails
        self.fingerprint = self._evaluator.fingerprint
        self.calls = []

    def portions(self, genomes):
        order = np.lexsort(genomes.T[::-1])
        return [order[first : first + 5] for first in range(0, len(order), 5)]

    def evaluate(self, genomes):
        self.calls.append([tuple(genome) for genome in genomes.tolist()])
        if len(self.calls) == self._fails:
            raise ConnectionError("a worker was lost")
        return self._evaluator.evaluate(genomes)

    @property
    def returned(self):
        finished = self.calls[: self._fails - 1] if self._fails else self.calls
        return [genome for call in finished for genome in call]


@pytest.mark.parametrize("fails", [1, 2, 5, 6, 9])  # generation 0 has 24 models in 5 portions, the next 12 in 3
def test_finished_portions_are_not_evaluated_again(synthetic, tmp_path, uninterrupted, fails):
    path, lost, resumed = tmp_path / "a.sqlite", Portions(synthetic, fails=fails), Portions(synthetic)
    with pytest.raises(ConnectionError, match="a worker was lost"):
        synthetic.search(path).run(lost)
    generation, portions = (0, fails - 1) if fails <= 5 else (1 + (fails - 6) // 3, (fails - 6) % 3)
    with read_archive(path) as archive:
        assert archive.last_generation == generation - 1
        assert len(archive.results()) == 5 * portions
    synthetic.search(path).run(resumed)
    everything = lost.returned + resumed.returned
    assert len(set(everything)) == len(everything) == len(uninterrupted[0])
    assert max(map(len, resumed.calls)) == 5
    assert contents(path) == uninterrupted
    with read_archive(path) as archive:
        assert archive.results() == {}


def test_a_process_killed_between_portions_loses_none(synthetic, tmp_path, uninterrupted):
    """Killed by itself after it has written its third portion, in generation 0."""
    path = tmp_path / "a.sqlite"
    command = [sys.executable, synthetic.__file__, str(path), "0", "die_after_portions=3"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    evaluator = synthetic.SyntheticEvaluator(19)
    synthetic.search(path).run(evaluator)
    assert len(evaluator.seen) == len(uninterrupted[0]) - 3 * 4
    assert contents(path) == uninterrupted


def test_an_archive_of_a_version_without_results_is_read_and_resumed(synthetic, tmp_path, uninterrupted):
    path = tmp_path / "a.sqlite"
    synthetic.search(path, generations=3).run(synthetic.SyntheticEvaluator(19))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE results")
        connection.execute("DELETE FROM meta WHERE key = 'results'")
    assert len(search_history(path).generations) == 4
    synthetic.search(path).run(synthetic.SyntheticEvaluator(19))
    assert contents(path) == uninterrupted


@pytest.mark.parametrize("limit", [150_000, 400_000])
def test_no_more_room_for_files_keeps_what_was_written(synthetic, tmp_path, uninterrupted, limit):
    path = tmp_path / "a.sqlite"
    command = [sys.executable, synthetic.__file__, str(path), "0", f"file_limit={limit}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and f"ArchiveError: {path}: cannot be read or written" in result.stderr
    done = len(result.stdout.splitlines())
    assert done < 13 and len(search_history(path).generations) == done
    synthetic.search(path).run(synthetic.SyntheticEvaluator(19))
    assert contents(path) == uninterrupted
