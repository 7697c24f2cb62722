"""tools/search.py as a user calls it: the same search whatever the strategy."""

import dataclasses
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from clusters import worker_environments
from forked import ForkedProcess

from scarlet_tf.arch.cost_table import CostTable, PartCost
from scarlet_tf.arch.parts import parts_of
from scarlet_tf.arch.space import table_1
from scarlet_tf.data import DataConfig
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE, WorkerLostError
from scarlet_tf.runs.workers import Workers
from scarlet_tf.search import ArchiveError, evaluated_models, search_history
from scarlet_tf.search.archive import read_archive
from scarlet_tf.supernet import Supernet, SupernetConfig, SupernetEvaluator, load_supernet, paths
from scarlet_tf.supernet.sharing import EvaluationImages, block_counts, multiply_adds, plan

TOOL = Path(__file__).parents[2] / "tools" / "search.py"
FLAGS = ["--supernet=supernet", "--population=6", "--generations=2", "--constraints=accuracy>0.1"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_layer_space(two_layer_space):
    """With the paper's choices: as many models as a search wants."""
    return dataclasses.replace(two_layer_space, choices=table_1())


@pytest.fixture(scope="module")
def here(tmp_path_factory, two_layer_space):
    """A folder with an untrained supernet and noisy images."""
    here, rng = tmp_path_factory.mktemp("here"), np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 1)):
        for label in range(2):
            folder = here / "images" / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                image = rng.integers(0, 256, (8, 8, 3))
                tf.io.write_file(str(folder / f"{index}.png"), tf.io.encode_png(image.astype(np.uint8)))
    data = DataConfig(name=f"folder:{here / 'images'}", image_size=8, search_validation=20)
    settings = {"steps": 1, "batch_size": 8, "learning_rate": 0.1, "warmup_steps": 0}
    config = SupernetConfig(space=two_layer_space, data=data, **settings)
    supernet = Supernet(two_layer_space, seed=1)
    towards = rng.standard_normal((8, 1))
    towards -= towards.mean()  # so that neither class is always the answer
    supernet.classifier.assign(np.concatenate([towards, -towards], axis=1))
    CheckpointStore(here / "supernet", kind="supernet", fingerprint="untrained").save(1, supernet.state())
    (here / "supernet" / "config.json").write_text(json.dumps(config.to_dict()))
    return here


def start_cluster(here, command, count):
    """Processes of a script, the chief first."""
    return [ForkedProcess(command, cwd=here, env=environment) for environment in worker_environments(count)]


def start_workers(here, output, count, *flags):
    """Processes of the tool, the chief first."""
    return start_cluster(here, [TOOL, *FLAGS, *flags, f"--output={output}", "--strategy=multi_worker"], count)


def test_two_workers_make_the_search_of_one(here, tmp_path, call_tool):
    workers = start_workers(here, tmp_path / "both", 2)
    alone = call_tool("search", *FLAGS, f"--output={tmp_path / 'alone'}", cwd=here)
    assert alone.returncode == 0, alone.stderr[-3000:]
    answers = []
    for worker in workers:
        output, errors = worker.communicate(timeout=200)
        assert worker.returncode == 0, errors[-3000:]
        answers.append(output)
    assert answers == [alone.stdout, ""]  # the chief searches, the other one evaluates
    one, both = (evaluated_models(tmp_path / name / "archive.sqlite") for name in ("alone", "both"))
    np.testing.assert_array_equal(both.genomes, one.genomes)
    np.testing.assert_array_equal(both.values["accuracy"], one.values["accuracy"])
    assert len(np.unique(one.values["accuracy"])) > 3  # they could differ
    assert len(search_history(tmp_path / "both" / "archive.sqlite").generations) == 3


def lose_worker(workers, is_time):
    """Kill worker 1 as soon as `is_time()`, check that the chief ends, and return what it printed as errors."""
    try:
        deadline = time.monotonic() + 100
        while not is_time():
            assert time.monotonic() < deadline and workers[0].poll() is None
            time.sleep(0.005)
        workers[1].kill()
        _, errors = workers[0].communicate(timeout=60)
    finally:
        for worker in workers:
            worker.kill()
    assert workers[0].returncode == TRY_AGAIN_EXIT_CODE, errors[-3000:]
    return errors


def test_a_search_whose_worker_is_lost_ends_and_says_so(here, tmp_path):
    workers = start_workers(here, tmp_path / "search", 2, "--population=3", "--generations=50")
    log = tmp_path / "search" / "log.jsonl"
    errors = lose_worker(workers, lambda: log.exists() and log.read_text())
    said = [line for line in errors.splitlines() if line.startswith("search.py: ")]
    assert len(said) == 1 and re.match(r"search\.py: worker 1 \(127.* was lost: start all workers again", said[0])
    assert 0 < len(search_history(tmp_path / "search" / "archive.sqlite").generations) < 51


def archived(path):
    """The numbers of models in an archive's generations and in its unfinished one; -1 before there is one."""
    try:
        with read_archive(path) as archive:
            return len(archive.models()), len(archive.results())
    except ArchiveError:
        return -1, -1


def test_a_search_whose_worker_is_killed_within_a_generation_resumes_on_one(here, tmp_path, call_tool, monkeypatch):
    flags = ["--population=20", "--portion=1"]  # 40 models in 20 portions of two workers, then twice 20
    workers = start_workers(here, tmp_path / "search", 2, *flags)
    archive = tmp_path / "search" / "archive.sqlite"
    assert "search.py: worker 1 (" in lose_worker(workers, lambda: archived(archive)[1] >= 4)
    finished, kept = archived(archive)
    assert finished == 0 and 4 <= kept < 40
    evaluated = []

    def counting(self, genomes, evaluate=SupernetEvaluator.evaluate):
        evaluated.extend(map(tuple, genomes.tolist()))
        return evaluate(self, genomes)

    monkeypatch.setattr(SupernetEvaluator, "evaluate", counting)
    resumed = call_tool("search", *FLAGS, *flags, f"--output={tmp_path / 'search'}", cwd=here)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert len(set(evaluated)) == len(evaluated) == archived(archive)[0] - kept
    alone = call_tool("search", *FLAGS, *flags[:1], f"--output={tmp_path / 'alone'}", cwd=here)
    assert alone.stdout == resumed.stdout
    one, both = (evaluated_models(tmp_path / name / "archive.sqlite") for name in ("alone", "search"))
    np.testing.assert_array_equal(both.genomes, one.genomes)
    np.testing.assert_array_equal(both.values["accuracy"], one.values["accuracy"])


def test_nothing_is_asked_of_the_others_once_one_is_lost():
    class Strategy:
        asked = 0

        def experimental_distribute_values_from_function(self, _):
            self.asked += 1
            raise tf.errors.UnavailableError(None, None, "Connection reset by peer")

    workers = Workers(None, fingerprint="ab" * 8)
    workers.count, workers._strategy = 2, Strategy()
    for _ in range(2):
        with pytest.raises(WorkerLostError, match="a worker was lost"):
            workers.broadcast(np.array([[4, 7]]))
    assert workers.lost
    workers.broadcast(np.empty((0, 2), np.int64))  # as the evaluator does when it is closed
    assert workers._strategy.asked == 1


def test_a_worker_with_another_supernet_or_other_settings_is_refused():
    chief, same, other = (Workers(None, fingerprint=name) for name in ("ab" * 8, "ab" * 8, "cd" * 8))
    sent = iter([np.array([chief._fingerprint, 1]), np.array([[4, 7]]), np.array([chief._fingerprint, 1])])
    same.add = other.add = lambda values: next(sent)
    np.testing.assert_array_equal(same.receive(2), [[4, 7]])
    with pytest.raises(ValueError, match="settings of this worker must be the chief's, got different ones"):
        other.receive(2)


def test_a_table_is_an_objective_and_a_constraint(here, tmp_path, call_tool):
    values = np.random.default_rng(0).random((2, 13))
    table, output = tmp_path / "latency.json", tmp_path / "search"
    table.write_text(json.dumps({"table": values.tolist(), "constant": 1.0}))
    more = [f"--quantity=latency_ms:{table}", "--objectives=accuracy:max:0.5,latency_ms:min:0.5"]
    flags = [*FLAGS[:-1], *more, "--constraints=latency_ms<2.2"]
    done = call_tool("search", *flags, f"--output={output}", cwd=here)
    assert done.returncode == 0, done.stderr[-3000:]
    models = evaluated_models(output / "archive.sqlite")
    sums = 1.0 + values[np.arange(2), models.genomes].sum(axis=1)
    np.testing.assert_allclose(models.values["latency_ms"], sums)
    assert len(models) == 24 and (sums < 2.2).all()
    assert all(re.search(r", latency_ms \d\.\d+$", line) for line in done.stdout.splitlines())
    # Another table makes another search; one of another space makes none.
    table.write_text(json.dumps({"table": (2 * values).tolist(), "constant": 0.0}))
    done = call_tool("search", *flags, "--generations=3", f"--output={output}", cwd=here)
    assert done.returncode == 2 and "belongs to another search: the latency_ms of model" in done.stderr
    table.write_text(json.dumps({"table": values[:1].tolist()}))
    done = call_tool("search", *flags, f"--output={tmp_path / 'no'}", cwd=here)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "2 layers of 13, got 1 layer of 13" in done.stderr and not (tmp_path / "no").exists()


SHARED = """
import json, sys, numpy as np, tensorflow as tf
from scarlet_tf.runs.distribution import is_chief
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetEvaluator, load_supernet, paths
paths._PIXELS_IN_FLIGHT = 5 * 64  # batches of 5 images
genomes, kind, devices, bn = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
strategy = make_strategy(kind, devices=[f"CPU:{n}" for n in range(devices)] if kind == "mirrored" else None)
evaluator = SupernetEvaluator(load_supernet("supernet"), bn=bn, calibration_images=6, strategy=strategy)
assert [str(device) for device, _ in evaluator._replicas] == list(strategy.extended.worker_devices)
answers = None
if is_chief(strategy):
    answers = [evaluator.evaluate(genomes).tolist(), evaluator.evaluate(genomes[:2]).tolist()]
    evaluator.close()
else:
    evaluator.serve()
print(json.dumps([evaluator.blocks, answers]))
"""


@pytest.mark.parametrize(
    ("kind", "replicas", "bn"),
    [
        ("mirrored", 2, "moving"),
        ("mirrored", 4, "recalibrated"),
        ("multi_worker", 2, "recalibrated"),
        ("multi_worker", 4, "moving"),
    ],
)
def test_replicas_give_the_accuracies_of_one_and_compute_the_planned_blocks(
    here, tmp_path, two_layer_space, monkeypatch, kind, replicas, bn
):
    monkeypatch.setattr(paths, "_PIXELS_IN_FLIGHT", 5 * 64)
    genomes = two_layer_space.random(np.random.default_rng(0), 30)
    np.save(tmp_path / "genomes.npy", genomes)
    (tmp_path / "shared.py").write_text(SHARED)
    mirrored = kind == "mirrored"
    command = [tmp_path / "shared.py", tmp_path / "genomes.npy", kind, replicas if mirrored else 1, bn]
    if mirrored:
        processes = [ForkedProcess(command, cwd=here)]
    else:
        processes = start_cluster(here, command, replicas)
    blocks, answers = [], []
    for process in processes:
        output, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors[-3000:]
        own, answer = json.loads(output.splitlines()[-1])
        blocks += own
        answers.append(answer)
    alone = SupernetEvaluator(load_supernet(here / "supernet"), bn=bn, calibration_images=6)
    assert answers[0] == [alone.evaluate(genomes).tolist(), alone.evaluate(genomes[:2]).tolist()]
    assert answers[1:] == [None] * (len(processes) - 1)
    images = EvaluationImages(batches=(5,) * 4, calibration=6 if bn == "recalibrated" else 0)
    costs = {"costs": multiply_adds(two_layer_space), "images": images}
    planned = np.zeros(replicas, int)
    for some in (genomes, genomes[:2]):
        shares = plan(some, replicas, **costs)
        planned += [share.work(some, costs=block_counts(two_layer_space), images=images) for share in shares]
    assert blocks == planned.tolist()
    if bn == "moving":  # only the images are divided: nothing is computed twice
        assert blocks == [alone.blocks[0] // replicas] * replicas
    else:
        assert sum(blocks) > alone.blocks[0]


def write_table(path, space, *, unit_cost):
    """Costs by multiply-adds, as latency_table.py writes them."""
    costs = {part.name: PartCost(value=unit_cost * (1 + part.madds), samples=1) for part in parts_of(space)}
    facts = {"target": "host", "quantize": "float32", "unit": "ms", "device": {}, "versions": {}, "settings": {}}
    CostTable(**facts, space=space, call=0.0, costs=costs, scale=1.0, fitted=(), held_out=()).save(path)


def test_a_measured_table_bounds_and_ranks_a_search(here, tmp_path, call_tool):
    space = load_supernet(here / "supernet").space
    write_table(tmp_path / "t.json", space, unit_cost=1e-3)
    latency = CostTable.load(tmp_path / "t.json").quantity()
    genomes = space.random(np.random.default_rng(0), 500)
    bound = float(np.median(latency(genomes)))
    flags = [
        "--supernet=supernet",
        "--population=6",
        "--generations=2",
        f"--quantity=latency_ms:{tmp_path / 't.json'}",
        "--objectives=accuracy:max:0.5,latency_ms:min:0.5",
        f"--constraints=latency_ms<{bound}",
        f"--output={tmp_path / 'search'}",
    ]
    done = call_tool("search", *flags, cwd=here)
    assert done.returncode == 0 and ", latency_ms " in done.stdout, done.stderr[-3000:]
    models = evaluated_models(tmp_path / "search" / "archive.sqlite")
    np.testing.assert_array_equal(models.values["latency_ms"], latency(models.genomes))
    assert len(models) > 10 and (models.values["latency_ms"] < bound).all()
    archive, page = tmp_path / "search" / "archive.sqlite", tmp_path / "search.html"
    done = call_tool("report", f"--archive={archive}", f"--output={page}", cwd=here)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '{"name":"latency_ms","label":"latency ms","unit":"ms"}' in page.read_text()
    write_table(tmp_path / "t.json", space, unit_cost=1e-3 + 1e-9)
    done = call_tool("search", *flags, cwd=here)
    assert done.returncode == 2 and "belongs to another search: the latency_ms of model" in done.stderr
    write_table(tmp_path / "t.json", dataclasses.replace(space, classes=7), unit_cost=1e-3)
    done = call_tool("search", *flags, cwd=here)
    assert done.returncode == 2 and "of another space than 'tiny': classes was 7, is 2" in done.stderr
