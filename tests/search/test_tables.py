import json

import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.search import ObjectiveError, Search, SearchConfig, parse_constraints, parse_objectives
from scarlet_tf.search.run import describe_picks
from scarlet_tf.search.tables import parse_quantities, read_table

SPACE = get_space("small")


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def table(tmp_path):
    """(values, path) of a good one."""
    values = np.random.default_rng(0).random((SPACE.num_layers, max(SPACE.num_choices)))
    return values, write(tmp_path / "latency.json", {"table": values.tolist(), "constant": 0.5})


def test_a_file_is_a_quantity(table):
    values, path = table
    genomes = SPACE.random(np.random.default_rng(1), 7)
    measured = parse_quantities([f"latency_ms:{path}"])["latency_ms"].quantity(SPACE)(genomes)
    np.testing.assert_allclose(measured, [0.5 + sum(values[at, gene] for at, gene in enumerate(g)) for g in genomes])


def test_the_constant_may_be_left_out(tmp_path):
    path = write(tmp_path / "t.json", {"table": [[1, 2]]})
    assert read_table(path).constant == 0 and read_table(path).values == ((1, 2),)


def test_a_search_bounds_and_minimises_it(table, synthetic):
    values, path = table
    (name, read), *_ = parse_quantities([f"latency_ms:{path}"]).items()
    known = ("accuracy", "madds", "params", name)
    config = SearchConfig(
        population=10,
        generations=3,
        objectives=parse_objectives("accuracy:max:0.5,latency_ms:min:0.5", known=known),
        constraints=parse_constraints("latency_ms<3.5", known=known),
    )
    history = Search(SPACE, config, cheap={name: read.quantity(SPACE)}).run(synthetic.SyntheticEvaluator(6))
    final = history.final.models
    assert (final.values[name] < 3.5).all() and history.summaries[0].saved_evaluations > 0
    np.testing.assert_allclose(final.values[name], 0.5 + values[np.arange(6), final.genomes].sum(axis=1))
    lines = describe_picks(history).splitlines()
    assert len(lines) == 3 and lines[0].endswith(f", latency_ms {history.picked.values[name][0]:.4g}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ([[1.0]], "got list"),
        ({"tabel": [[1.0]]}, r"got an object of \['tabel'\]"),
        ({"table": [[1.0]], "unit": "ms"}, r"got an object of \['table', 'unit'\]"),
        ({"table": [1.0]}, "got a table that is not a list of lists"),
        ({"table": [[1.0]], "constant": [1]}, r"its constant must hold finite numbers only, got \[1\]"),
        ({"table": [[1.0], []]}, "got a table that is not a list of lists"),
        ({"table": [["1.0"]]}, "its table must hold finite numbers"),
        ({"table": [[None]]}, "its table must hold finite numbers"),
        ({"table": [[True]]}, "its table must hold finite numbers"),
        ('{"table": [[NaN]]}', "its table must hold finite numbers"),
        ({"table": [[1.0]], "constant": "1"}, "its constant must hold finite numbers"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = write(tmp_path / "t.json", content)
    with pytest.raises(ObjectiveError, match=f"t.json: .*{message}"):
        parse_quantities([f"latency:{path}"])


@pytest.mark.parametrize("name", ["accuracy", "madds", "params", "latency ms", "", "latency"])
def test_names_are_words_of_their_own(name, table):
    _, path = table
    with pytest.raises(ObjectiveError, match="must be a new identifier"):
        parse_quantities([f"latency:{path}", f"{name}:{path}"])


def test_of_another_space(table):
    _, path = table
    with pytest.raises(
        ObjectiveError, match=r"latency.json: .*'scarlet' must have .*, 19 layers of 13, got 6 layers of 13$"
    ):
        read_table(path).quantity(get_space("scarlet"))
