import numpy as np
import pytest

from scarlet_tf.search.constrained import Patience, SearchStalledError, collect
from scarlet_tf.search.evaluator import evaluate_checked
from scarlet_tf.search.objectives import parse_constraints
from scarlet_tf.search.operators import Proposals, genome_key


class FirstGene:
    """Accuracy is the first gene / 10."""

    fingerprint = "first gene"

    def __init__(self):
        self.batches = []

    def evaluate(self, genomes):
        self.batches.append(genomes[:, 0].tolist())
        return genomes[:, 0] / 10


def counting_up(batch):
    """Proposals 0, 1, 2, ... (each gene 0..9, so they repeat after 100), `batch` at a time."""
    at = 0

    def propose():
        nonlocal at
        numbers = np.arange(at, at + batch) % 100
        at += batch
        genomes = np.stack([numbers // 10, numbers % 10], axis=1)
        return Proposals(genomes, np.full((batch, 2), -1), np.full(batch, "uniform", dtype=object))

    return propose


def run(wanted, constraints, *, batch=7, known=(), **patience):
    evaluator = FirstGene()
    evaluated, effort = collect(
        wanted,
        counting_up(batch),
        evaluate=evaluator.evaluate,
        cheap={"madds": lambda genomes: genomes[:, 1], "params": lambda genomes: genomes[:, 0]},
        constraints=parse_constraints(constraints),
        known={genome_key(np.array(genome)) for genome in known},
        patience=Patience(**patience),
    )
    return evaluated, effort, evaluator


def test_cheap_constraints_come_first_and_save_evaluations():
    evaluated, effort, evaluator = run(6, "accuracy>0.15,madds<3")
    # 0, 1, 2, 10, 11, 12 reach the evaluator first and are too inaccurate, then 20, 21, 22, 30, 31, 32. What was left
    # of the batch 7..13 when six had been found, 13, is dropped.
    assert evaluator.batches == [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]]
    assert evaluated.feasible.tolist() == [False] * 6 + [True] * 6
    assert effort.proposed == 32
    assert effort.rejected == {"madds<3": 20, "accuracy>0.15": 6}
    assert evaluated.values["madds"].tolist() == [0, 1, 2] * 4
    assert len(evaluated.genomes) == effort.proposed - effort.rejected["madds<3"]


def test_only_what_is_missing_is_evaluated():
    _, _, evaluator = run(5, "accuracy>0.05,madds<4")
    assert evaluator.batches == [[0, 0, 0, 0, 1], [2, 2, 2, 2]]


def test_known_models_are_not_evaluated_again():
    evaluated, effort, _ = run(3, "", known=[(0, 0), (0, 2)])
    assert evaluated.genomes.tolist() == [[0, 1], [0, 3], [0, 4]]
    assert effort.rejected == {"already evaluated": 2}


def test_stalled_by_a_cheap_constraint():
    with pytest.raises(SearchStalledError, match=r"'madds<-1' rejects 2002 of the last 2002.*closest has 0"):
        run(3, "madds<-1,accuracy>0.4", proposals=2000)


def test_stalled_by_accuracy():
    with pytest.raises(SearchStalledError, match=r"none of the last 42 evaluated.*'accuracy>0.95'.*accuracy 0.4$"):
        run(14, "accuracy>0.95", evaluations=30)


def test_stalled_by_an_exhausted_space():
    with pytest.raises(SearchStalledError, match="evaluated before: few models are left"):
        run(101, "", proposals=500)


@pytest.mark.parametrize("patience", [{"proposals": 0}, {"evaluations": 1.5}])
def test_bad_patience(patience):
    with pytest.raises(ValueError, match=next(iter(patience))):
        Patience(**patience)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5], "must return 2 accuracies"),
        ([0.5, 1.5], "got 1.5 for genome 3,4"),
        ([np.nan, 0.5], "got nan for genome 1,2"),
    ],
)
def test_the_evaluators_answer_is_checked(answer, message):
    evaluator = FirstGene()
    evaluator.evaluate = lambda genomes: answer
    with pytest.raises(ValueError, match=message):
        evaluate_checked(evaluator, np.array([[1, 2], [3, 4]]))
