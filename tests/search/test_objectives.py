import numpy as np
import pytest

from scarlet_tf.arch import count, count_genomes, get_space
from scarlet_tf.search import objectives as ob


def test_defaults_are_the_papers():
    assert ob.parse_objectives("accuracy:max:0.4,madds:min:0.4,params:max:0.2") == ob.DEFAULT_OBJECTIVES
    assert ob.parse_constraints("madds<500e6,accuracy>0.4") == ob.DEFAULT_CONSTRAINTS
    assert ",".join(map(str, ob.DEFAULT_CONSTRAINTS)) == "madds<500000000,accuracy>0.4"


def test_accuracy_is_checked_last():
    names = [c.name for c in ob.parse_constraints("accuracy>0.4, params > 1e6, madds<5e8")]
    assert names == ["params", "madds", "accuracy"]
    assert ob.parse_constraints("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy:max", "expected NAME:max:WEIGHT"),
        ("accurcy:max:1", "unknown objective 'accurcy'.*nearest is 'accuracy'"),
        ("accuracy:maxx:1", "unknown direction 'maxx'.*nearest is 'max'"),
        ("accuracy:max:much", "the weight must be a number, got 'much'"),
        ("accuracy:max:-0.2,madds:min:1.2", "weight must be a number >= 0, got -0.2"),
        ("accuracy:max:0.4,madds:min:0.4", "must sum to 1.*got 0.8"),
        ("accuracy:max:nan", "weight must be a number >= 0"),
        ("accuracy:max:0.5,accuracy:max:0.5", "given 2 times"),
        ("", "invalid objective ''"),
    ],
)
def test_bad_objectives(text, message):
    with pytest.raises(ob.ObjectiveError, match=message):
        ob.parse_objectives(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("madds=500", "expected NAME<NUMBER"),
        ("madds<=500", "the bound must be a number, got '=500'"),
        ("mads<500", "unknown quantity in constraint 'mads<500'.*nearest is 'madds'"),
        ("madds<inf", "finite"),
        ("<5", "name must be an identifier"),
        ("madds<5,", "invalid constraint ''"),
        ("accuracy>40", r"'accuracy>40': .* must be in 0..1: did you mean 'accuracy>0.4'\?"),
        ("accuracy>1", r"'accuracy>1' cannot be satisfied: accuracy is in 0..1"),
        ("accuracy<0", r"'accuracy<0' cannot be satisfied"),
        ("madds<5e6,accuracy<97.5", r"did you mean 'accuracy<0.975'\?"),
        ("accuracy>-0.1", r"'accuracy>-0.1': accuracy is a fraction, so the bound must be in 0..1$"),
        ("accuracy<4000", r"'accuracy<4000': .* must be in 0..1$"),
    ],
)
def test_bad_constraints(text, message):
    with pytest.raises(ob.ObjectiveError, match=message):
        ob.parse_constraints(text)


@pytest.mark.parametrize("number", [500e6, 0.4, 1 / 3, 0.1 + 0.2, np.nextafter(0.795, 0), np.float64(2 / 7)])
def test_text_gives_the_same_number_back(number):
    constraint = ob.Constraint(name="params", op=">", bound=number)
    assert ob.parse_constraints(str(constraint)) == (constraint,)
    objectives = tuple(
        ob.Objective(name=name, direction="max", weight=weight)
        for name, weight in (("accuracy", number % 1), ("madds", 1 - number % 1))
    )
    assert ob.parse_objectives(",".join(map(str, objectives))) == objectives


@pytest.mark.parametrize("bound", [0, 0.4, 0.999])
def test_accuracy_is_a_fraction(bound):
    assert ob.Constraint(name="accuracy", op=">", bound=bound).bound == bound


def test_constraints_are_strict():
    values = np.array([1.0, 2.0, 3.0])
    assert ob.Constraint(name="madds", op="<", bound=2).satisfied(values).tolist() == [True, False, False]
    assert ob.Constraint(name="madds", op=">", bound=2).satisfied(values).tolist() == [False, False, True]


def test_costs_are_minimised():
    values = {"accuracy": np.array([0.5, 0.6]), "madds": np.array([10, 20]), "params": np.array([3, 4])}
    assert ob.costs(ob.DEFAULT_OBJECTIVES, values).tolist() == [[-0.5, 10, -3], [-0.6, 20, -4]]
    assert ob.weights(ob.DEFAULT_OBJECTIVES).tolist() == [0.4, 0.4, 0.2]


@pytest.mark.parametrize("name", ["scarlet", "small"])
def test_cost_box_holds_the_space(name):
    space = get_space(name)
    ideal, worst = ob.cost_box(space, ob.DEFAULT_OBJECTIVES, ob.cheap_quantities(space))
    madds, params = count_genomes(space, space.random(np.random.default_rng(0), 20_000))
    assert ideal[0] == -1 and worst[0] == 0
    assert ideal[1] <= madds.min() and madds.max() <= worst[1]
    assert ideal[2] <= -params.max() and -params.min() <= worst[2]
    if name == "scarlet":
        assert round(ideal[1] / 1e6, 2) == 23.16 and round(-worst[2] / 1e6, 3) == 1.306


def test_quantities_of_tables_and_of_specs():
    space = get_space("small")
    genomes = space.random(np.random.default_rng(0), 5)
    table = np.arange(6 * 13).reshape(6, 13)
    by_table = ob.from_table(table, constant=0.5)(genomes)
    assert by_table.tolist() == [0.5 + sum(table[at, gene] for at, gene in enumerate(genome)) for genome in genomes]
    by_spec = ob.from_specs(space, lambda spec: count(spec).madds)(genomes)
    np.testing.assert_array_equal(by_spec, count_genomes(space, genomes)[0])
    with pytest.raises(ValueError, match="a list of numbers for every layer, got"):
        ob.from_table(np.zeros(3))


def test_further_quantities_need_their_own_names():
    cheap = ob.cheap_quantities(get_space("small"))
    with pytest.raises(ob.ObjectiveError, match="got 'madds'"):
        ob.add_quantities(cheap, {"madds": len})
    with pytest.raises(ValueError, match="'latency' must return 2 finite numbers"):
        ob.measure({"latency": lambda genomes: [np.nan, 1.0]}, np.zeros((2, 6), int))
