import json

import numpy as np
import pytest

from benchmarks.uniform import evaluate_uniform
from scarlet_tf.arch import SearchSpace, get_space

SPACE = get_space("small")


class Counting:
    """Accuracy by the first gene; keeps how many models it was asked for."""

    def __init__(self, fingerprint="counting"):
        self.fingerprint, self.asked = fingerprint, []

    def evaluate(self, genomes):
        self.asked.append(len(genomes))
        return genomes[:, 0] / 20


def test_models_are_uniform_different_and_kept(tmp_path):
    path, evaluator, seen = tmp_path / "new" / "u.json", Counting(), []
    genomes, accuracies = evaluate_uniform(SPACE, evaluator, path=path, count=2000, seed=3, progress=seen.append)
    assert len(np.unique(genomes, axis=0)) == 2000
    np.testing.assert_array_equal(accuracies, genomes[:, 0] / 20)
    shares = np.stack([(genomes == choice).mean(axis=0) for choice in range(13)])
    assert np.abs(shares - 1 / 13).max() < 4.5 * np.sqrt(1 / 13 / 2000)
    assert sum(evaluator.asked) == 2000 and max(evaluator.asked) == 70 and seen == [0, *range(70, 2000, 70), 2000]


def test_a_seed_is_one_sequence_that_goes_on(tmp_path):
    path, first, second = tmp_path / "u.json", Counting(), Counting()
    few, _ = evaluate_uniform(SPACE, first, path=path, count=100, seed=0)
    more, accuracies = evaluate_uniform(SPACE, second, path=path, count=150, seed=0)
    np.testing.assert_array_equal(more[:100], few)
    assert sum(second.asked) == 50 and len(accuracies) == 150
    again, accuracies = evaluate_uniform(SPACE, Counting(), path=path, count=30, seed=0)
    np.testing.assert_array_equal(again, few[:30])
    assert len(accuracies) == 30
    other, _ = evaluate_uniform(SPACE, Counting(), path=tmp_path / "v.json", count=100, seed=1)
    assert not (other == few).all(axis=1).any()


def test_stopped_in_between_it_keeps_what_was_evaluated(tmp_path):
    class Stopping(Counting):
        def evaluate(self, genomes):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().evaluate(genomes)

    with pytest.raises(KeyboardInterrupt):
        evaluate_uniform(SPACE, Stopping(), path=tmp_path / "u.json", count=300, seed=0)
    rest = Counting()
    evaluate_uniform(SPACE, rest, path=tmp_path / "u.json", count=300, seed=0)
    assert sum(rest.asked) == 160


def test_a_whole_space(tmp_path):
    tiny = SearchSpace(name="tiny", out_channels=(8,), strides=(1,), resolution=8)
    genomes, _ = evaluate_uniform(tiny, Counting(), path=tmp_path / "u.json", count=13, seed=0)
    assert sorted(genomes[:, 0].tolist()) == list(range(13))
    with pytest.raises(ValueError, match=r"must be in 1..13, the size of space 'tiny', got 14"):
        evaluate_uniform(tiny, Counting(), path=tmp_path / "u.json", count=14, seed=0)


def test_another_owner_or_damage_is_refused(tmp_path):
    path = tmp_path / "u.json"
    evaluate_uniform(SPACE, Counting(), path=path, count=10, seed=0)
    before = path.read_text()
    with pytest.raises(ValueError, match=r"of another seed: 0"):
        evaluate_uniform(SPACE, Counting(), path=path, count=10, seed=1)
    with pytest.raises(ValueError, match=r"of another evaluator: 'counting'"):
        evaluate_uniform(SPACE, Counting("other"), path=path, count=10, seed=0)
    assert path.read_text() == before
    for content in (before[:-20], "[]", json.dumps({"seed": 0}), "\x00"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"u.json is damaged or has no evaluated models"):
            evaluate_uniform(SPACE, Counting(), path=path, count=10, seed=0)
