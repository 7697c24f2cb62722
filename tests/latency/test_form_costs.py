"""Measuring forms of operators on a target, and rewriting by what was measured."""

import dataclasses

import pytest

from scarlet_tf.latency import EmulatorError, form_costs
from scarlet_tf.latency.form_costs import Device, measure_forms
from scarlet_tf.tflite import optimize
from scarlet_tf.tflite.costs import FormCosts, FormCostsError, cached_path, read_table, runtime_version, write_table
from scarlet_tf.tflite.forms.signature import Signature, operator_file

SWISH = Signature(kind="HARD_SWISH", type="int8", shape=(1, 14, 14, 16))
DEPTHWISE = Signature(kind="DEPTHWISE_CONV_2D", type="int8", shape=(1, 9, 9, 16), kernel=(5, 5, 16))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def swish(tmp_path):
    path = tmp_path / "swish.tflite"
    path.write_bytes(operator_file(SWISH))
    return path


def test_a_device_decides_what_is_chosen_for_android(cache, device, binary, swish, monkeypatch):
    quick = dataclasses.replace(form_costs._ANDROID, cooldown=0.0, min_seconds=0.0)
    monkeypatch.setattr(form_costs, "_ANDROID", quick)
    device.set(times_us={"model0.tflite": [5000], "model1.tflite": [1000]})  # plain, float
    table, path = measure_forms("android", models=[swish], device=Device(binary=binary, adb=device.adb))
    assert table.costs == {str(SWISH): {"plain": 5.0, "float": 1.0}} and table.unit == "ms"
    assert read_table(path) == table and path == cached_path("android", runtime=runtime_version())
    (choice,) = optimize(swish.read_bytes(), label="swish", optimize_for="android").choices
    assert str(choice).startswith("HARD_SWISH 14x14x16: float; android 5 -> 1 ms; +")
    runs = len(device.runs)
    assert measure_forms("android", models=[swish], device=Device(binary=binary, adb=device.adb))[0] == table
    assert len(device.runs) == runs


def test_the_host_into_a_file(swish, tmp_path):
    table, path = measure_forms("host", models=[swish], output=tmp_path / "host.json")
    assert path == tmp_path / "host.json" and read_table(path) == table
    assert set(table.costs[str(SWISH)]) == {"plain", "float"} and table.runtime == runtime_version()


def test_a_table_of_another_runtime_is_made_anew(swish, tmp_path):
    old = FormCosts(
        target="host",
        unit="ms",
        runtime="0.1",
        cpu="old",
        costs={str(SWISH): {"plain": 77.0}, str(DEPTHWISE): {"plain": 1.0}},
    )
    write_table(old, tmp_path / "host.json")
    table, _ = measure_forms("host", models=[swish], output=tmp_path / "host.json")
    assert set(table.costs) == {str(SWISH)} and table.costs[str(SWISH)]["plain"] < 77.0


def test_counts_of_forms(emulator, swish, tmp_path):
    table, _ = measure_forms("cortex-a76", models=[swish], output=tmp_path / "a.json")
    costs = table.costs[str(SWISH)]
    assert table.unit == "instructions" and 3_000 < costs["float"] < costs["plain"] < 30_000


def test_what_cannot_be_measured(cache, swish, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"unknown target 'cortex-a75': .* nearest is 'cortex-a7[26]'"):
        measure_forms("cortex-a75", models=[swish])
    with pytest.raises(FileNotFoundError, match=r"no such file: .*absent\.tflite"):
        measure_forms("host", models=[tmp_path / "absent.tflite"])
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "arm64"))
    with pytest.raises(EmulatorError, match="no emulator in"):
        measure_forms("cortex-a76", models=[swish])
    monkeypatch.setattr(form_costs, "cpu_name", lambda: "a CPU avx2")
    with pytest.raises(ValueError, match="target 'x86-vnni' needs a machine with AVX-512 VNNI, this is a CPU avx2"):
        measure_forms("x86-vnni", models=[swish])


def test_a_table_of_another_target_is_left_alone(tmp_path, swish):
    path = tmp_path / "host.json"
    table = FormCosts(
        target="host", unit="ms", runtime=runtime_version(), cpu="here", costs={str(SWISH): {"plain": 1.0}}
    )
    write_table(table, path)
    with pytest.raises(
        FormCostsError, match=r"host.json: has costs on host, expected a table of android, or a new file"
    ):
        measure_forms("android", models=[swish], output=path)
    assert read_table(path) == table
