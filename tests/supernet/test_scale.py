"""The model of a fair step's cost, against the variables, graphs, checkpoints and memory of real ones."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from counted_flops import count_flops
from spaces import THREE_LAYER_SPACE

from scarlet_tf.arch import choices_from, count, get_space
from scarlet_tf.runs.checkpoints import CheckpointStore
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import Supernet
from scarlet_tf.supernet.fair_step import make_fair_step
from scarlet_tf.supernet.mixed import variable_key
from scarlet_tf.supernet.optimizer import LossScale, MomentumSgd
from scarlet_tf.supernet.process_memory import process_bytes
from scarlet_tf.supernet.sampler import fair_paths, routes
from scarlet_tf.supernet.scale import FairStep, share_of_batch
from scarlet_tf.supernet.scale_stages import Method, get_device, mean_madds, stage_flops, step_seconds
from scarlet_tf.supernet.stacking import variable_shapes

ROOT = Path(__file__).parents[2]
MIXED_SPACE = dataclasses.replace(
    THREE_LAYER_SPACE,
    name="mixed",
    choices=choices_from(
        ["e3 k3", "e6 k5 se", "let"],
        ["fused_inverted_residual e2 k3 se", "identity"],
        ["e3 k7", "fused_inverted_residual e3 k3"],
    ),
    resolution=(15, 18),
)
SPACES = (THREE_LAYER_SPACE, MIXED_SPACE)


@pytest.fixture(scope="module", params=SPACES, ids=lambda space: space.name)
def supernet(request):
    return Supernet(request.param)


def test_variables_are_the_supernets(supernet):
    step = FairStep(space=supernet.space, batch_size=1)
    assert variable_shapes(supernet.space) == {variable_key(v): tuple(v.shape) for v in supernet.variables}
    assert set(step.trainable) == {variable_key(v) for v in supernet.trainable_variables}
    assert step.weight_bytes == sum(variable.numpy().nbytes for variable in supernet.variables)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_checkpoint_has_the_bytes(supernet, precision, tmp_path):
    scale = LossScale() if precision == "mixed_float16" else None
    optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.0, loss_scale=scale)
    path = CheckpointStore(tmp_path, kind="supernet", fingerprint="f").save(1, supernet.state() | optimizer.state())
    predicted = FairStep(space=supernet.space, batch_size=1, precision=precision).checkpoint_bytes
    # Left out: the settings, and the record's own entry, with a header of 30 + 20 + 128 bytes and one of 46, and the
    # end of the file, 22 bytes.
    assert 0 < path.stat().st_size - predicted < 600


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
def test_operations_are_those_of_the_graph(supernet, recompute):
    space, batch = supernet.space, 2
    strategy = make_strategy("one_device")
    optimizer = MomentumSgd(supernet.trainable_variables, momentum=0.9, weight_decay=0.0)
    step = make_fair_step(supernet, optimizer, strategy, shared_gradient="mean", recompute=recompute)
    paths = fair_paths(0, 0, num_choices=space.num_choices)
    fair_routes = tuple(map(tf.constant, routes(paths, num_choices=space.num_choices)))
    images = tf.zeros((batch, *FairStep(space=space, batch_size=1).image_shape))
    traced = step.__wrapped__.get_concrete_function(images, tf.zeros(batch, tf.int32), fair_routes, tf.constant(0.1))
    assert count_flops(traced) == FairStep(space=space, batch_size=batch, recompute=recompute).flops


def test_multiply_adds_are_those_of_the_paths():
    # Every path has one stem of its own, the step has one for all.
    space = THREE_LAYER_SPACE
    paths = [count(space.spec((gene,) * 3, let=True)).madds for gene in range(4)]
    stem = 8 * 8 * (3 * 9 * 8 + 9 * 8 + 8 * 8)
    assert FairStep(space=space, batch_size=7).madds == sum(paths) - 3 * stem


def test_kept_maps_of_one_layer(one_layer_space):
    # 8 px: the stem's padded input and its three maps, then layer 0 with stride 2 from 4 x 4 to 2 x 2 pixels.
    stem = 10 * 10 * 3 + 4 * 4 * (8 + 8 + 4)
    first_input = 4 * 4 * 4
    blocks = sum(4 * 4 * hidden + 2 * 2 * hidden + 2 * 2 * 8 for hidden in (12, 24, 12))
    pooled = 2 * 2 * 4
    tails = 4 * 2 * 2 * (8 + 8)
    step = FairStep(space=one_layer_space, batch_size=5)
    assert step.kept_bytes == 4 * 5 * (stem + first_input + blocks + pooled + tails)
    again = dataclasses.replace(step, recompute=True, precision="mixed_bfloat16")
    assert again.kept_bytes == 2 * 5 * (stem + first_input + pooled + tails)


def test_ring_sends_gradients_and_statistics(one_layer_space):
    one = FairStep(space=one_layer_space, batch_size=5)
    assert one.all_reduce_bytes == 0
    channels = (8 + 8 + 4) + 4 * 8 + sum(2 * hidden + 8 for hidden in (12, 24, 12))
    four = dataclasses.replace(one, replicas=4)
    assert four.all_reduce_bytes == 2 * 3 * 4 * (one.params + 4 * channels) // 4


def test_largest_batch_fits_and_the_next_does_not():
    step = FairStep(space=get_space("scarlet"), batch_size=1)
    largest = step.largest_batch(32e9)
    bytes_of = lambda batch: dataclasses.replace(step, batch_size=batch).peak_bytes  # noqa: E731
    assert bytes_of(largest) <= 32e9 < bytes_of(largest + 1)
    assert step.largest_batch(1e6) == 0


def test_stages_of_the_paper():
    step, method = FairStep(space=get_space("scarlet"), batch_size=256), Method()
    flops = stage_flops(step, method)
    assert flops["supernet"] == pytest.approx(step.flops / 256 * 60 * 1_231_167)
    assert flops["search"] == pytest.approx(2 * mean_madds(step.space) * 8_400 * 50_000)
    shared = stage_flops(step, dataclasses.replace(method, sharing=0.5))
    assert shared["search"] == pytest.approx(flops["search"] / 2)
    assert 300e6 < mean_madds(step.space) < 400e6  # between SCARLET-C's 280 M and the largest network's 557 M


def test_time_is_operations_at_a_share_of_the_peak_and_bytes_at_the_bandwidth():
    step = FairStep(space=get_space("small"), batch_size=32, precision="mixed_float16")
    by_flops, by_bytes = step_seconds(step, get_device("v100"), utilisation=0.5)
    assert by_flops == pytest.approx(step.flops / 62.5e12)
    assert by_bytes == pytest.approx(step.moved_bytes / 900e9)


def test_page_says_what_fits(call_tool, tmp_path):
    flags = ["--space=scarlet", "--device=v100", "--batch_size=512", "--devices=4", "--memory=32"]
    page = call_tool("scale", *flags, cwd=tmp_path).stdout
    assert "13 paths, 128 images a device, float32" in page
    assert "A batch of 128 does not fit into the 32 GB of v100: the largest batch is 101 images a device." in page
    assert "(paper, V100: 10)" in page
    page = call_tool("scale", *flags, "--recompute", "--precision=mixed_bfloat16", cwd=tmp_path).stdout
    assert "A batch of 128 fits into the 32 GB of v100" in page
    assert "no peak of v100 is known for mixed_bfloat16, only for float32, mixed_float16" in page


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: share_of_batch(256, 3), "multiple of the 3 devices, got 256: use 255"),
        (lambda: get_device("a10"), "nearest is 'a100'"),
        (lambda: get_device("cpu", memory_gb=-1), "above 0, got -1"),
        (lambda: FairStep(space=MIXED_SPACE, batch_size=0), "batch_size must be an integer >= 1, got 0"),
        (lambda: Method(images=10, search_validation=10), "fewer than the 10 images, got 10"),
        (lambda: Method(sharing=1.5), r"share in \(0, 1\], got 1.5"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def measure(space, tmp_path, *, batch, precision="float32", recompute=False) -> int:
    """Return the peak resident bytes of a process that takes two fair steps."""
    file = tmp_path / "space.json"
    file.write_text(json.dumps(space.to_dict()))
    command = [sys.executable, "-m", "benchmarks.fair_step", f"--space={file}", f"--size={space.resolution}"]
    command += [f"--batch={batch}", f"--precision={precision}", f"--recompute={str(recompute).lower()}"]
    done = subprocess.run([*command, "--threads=1", "--steps=1"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)["peak_rss_gb"] * 2**30


WIDE = dataclasses.replace(THREE_LAYER_SPACE, name="wide", resolution=64, out_channels=(24, 24, 40), tail_channels=160)
MEASURED = [
    (WIDE, {"batch": 8}),
    (WIDE, {"batch": 64}),
    (WIDE, {"batch": 192}),
    (WIDE, {"batch": 192, "recompute": True}),
    (WIDE, {"batch": 96, "precision": "mixed_bfloat16"}),
    (dataclasses.replace(WIDE, resolution=112), {"batch": 48}),
    (get_space("small"), {"batch": 256}),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(MEASURED)))
def test_process_memory_is_within_15_percent(number, tmp_path):
    space, how = MEASURED[number]
    how = {"precision": "float32", "recompute": False} | how
    step = FairStep(space=space, batch_size=how["batch"], precision=how["precision"], recompute=how["recompute"])
    assert process_bytes(step) == pytest.approx(measure(space, tmp_path, **how), rel=0.15)
