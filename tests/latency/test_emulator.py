"""Counting instructions on emulated processors; what runs QEMU is left out where the emulator is not set up."""

import json

import numpy as np
import pytest

from scarlet_tf.latency import CPUS, EmulatorError, check_emulator, count_instructions
from scarlet_tf.latency.emulator import VERSIONS, emulator_folder


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "arm64"))
    return tmp_path / "arm64"


def test_folder_is_in_the_cache_or_as_chosen(empty_folder, monkeypatch):
    assert emulator_folder() == empty_folder
    monkeypatch.delenv("SCARLET_TF_ARM64")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(emulator_folder()) == "/cache/scarlet_tf/arm64"


def test_without_a_set_up(empty_folder, tflite_file):
    with pytest.raises(EmulatorError, match=r"no emulator in .*arm64: run python tools/benchmark_arm64.py --set_up"):
        count_instructions([tflite_file])


def test_with_another_litert(empty_folder):
    empty_folder.mkdir()
    (empty_folder / VERSIONS).write_text(json.dumps({"litert": "1.0"}))
    with pytest.raises(EmulatorError, match=r"has LiteRT 1\.0, but \d+\.\d+\.\d+ is installed here: run python"):
        check_emulator()
    (empty_folder / VERSIONS).write_text("{")
    with pytest.raises(EmulatorError, match=r"versions.json is damaged"):
        check_emulator()


def test_unknown_cpu_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"unknown cpu 'cortex-a75': .* nearest is 'cortex-a7[26]'"):
        count_instructions([], cpu="cortex-a75")
    with pytest.raises(FileNotFoundError, match=r"no such file: .*absent.tflite"):
        count_instructions([tmp_path / "absent.tflite"])


def test_counts_depend_on_the_processor(emulator, network, tflite_file):
    """A call of the interpreter takes some thousand instructions, 1,296 multiply-adds few."""
    _, _, fast = network
    counts = {cpu: count_instructions([fast, tflite_file], cpu=cpu) for cpu in CPUS}
    assert len({large for large, _ in counts.values()}) == len(CPUS), counts
    assert all(3_000 < small < 20_000 for _, small in counts.values()), counts


def test_counts_of_contents_are_the_same_each_time(emulator, network):
    _, plain, fast = network
    contents = [plain.read_bytes(), fast.read_bytes(), plain.read_bytes()]
    counts = count_instructions(contents)
    assert counts[1] < 0.99 * counts[0]
    np.testing.assert_allclose(counts[2], counts[0], rtol=2e-3)
    assert count_instructions(contents) == counts


def test_names_the_file_that_cannot_be_run(emulator, tflite_file, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(tflite_file.read_bytes()[:500])
    with pytest.raises(EmulatorError, match=r"damaged.tflite: cannot be run on an emulated cortex-a76: .*Flatbuffer"):
        count_instructions([tflite_file, damaged])
    with pytest.raises(EmulatorError, match="model 1: cannot be run"):
        count_instructions([tflite_file.read_bytes(), b"nothing"])
