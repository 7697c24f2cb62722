import json

import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.arch.cost_table import CostTable, PartCost
from scarlet_tf.arch.parts import parts_of
from scarlet_tf.search import ObjectiveError, Search, SearchConfig, parse_constraints, parse_objectives
from scarlet_tf.search.run import describe_picks
from scarlet_tf.search.tables import parse_quantities, read_table

SPACE = get_space("small")


def cost_table(space, rng) -> CostTable:
    """A table of random costs, as tools/latency_table.py writes it."""
    costs = {part.name: PartCost(value=rng.random(), samples=1) for part in parts_of(space)}
    facts = {"target": "host", "quantize": "float32", "unit": "ms", "device": {}, "versions": {}, "settings": {}}
    return CostTable(**facts, space=space, call=0.25, costs=costs, scale=1.5, fitted=(), held_out=())


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
        ({"table": [[10**400]]}, "its table must hold finite numbers"),
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


def test_a_measured_table_is_a_quantity(tmp_path):
    measured = cost_table(SPACE, np.random.default_rng(0))
    measured.save(tmp_path / "t.json")
    genomes = SPACE.random(np.random.default_rng(1), 7)
    read = parse_quantities([f"latency_ms:{tmp_path / 't.json'}"])["latency_ms"]
    np.testing.assert_array_equal(read.quantity(SPACE)(genomes), measured.quantity()(genomes))


def test_a_measured_table_follows_widths_through_identities(tmp_path):
    cost_table(SPACE, np.random.default_rng(0)).save(tmp_path / "t.json")
    latency = read_table(tmp_path / "t.json").quantity(SPACE)
    pairs = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 5, 0, 0], [0, 0, 12, 0, 0, 0], [0, 0, 12, 5, 0, 0]])
    kept, kept_other, skipped, skipped_other = latency(pairs)
    assert abs((kept_other - kept) - (skipped_other - skipped)) > 1e-3  # layer 3 has another input width


def test_a_measured_table_of_another_space_or_damaged(tmp_path):
    path = tmp_path / "t.json"
    cost_table(SPACE, np.random.default_rng(0)).save(path)
    with pytest.raises(ObjectiveError, match=r"t\.json: the table is of another space than 'scarlet': "):
        read_table(path).quantity(get_space("scarlet"))
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(ObjectiveError, match=r"t\.json: unsupported version 9 of a cost table: expected 1"):
        parse_quantities([f"latency_ms:{path}"])
