"""Instructions of the peers' files: numbers, page and card with recorded counts, and tiny files on the emulator."""

import json

import pytest

from benchmarks.arm64_instructions import counts
from benchmarks.arm64_instructions.counts import count_files, make_page
from benchmarks.tflite_peers.peer_files import NetworkFile
from scarlet_tf.latency import InstructionCost
from scarlet_tf.zoo.cards import make_card

KINDS = [(name, rewritten) for name in ("SCARLET-A", "EfficientNetB0") for rewritten in (False, True)]
INSTRUCTIONS = {"cortex-a72": (400e6, 100e6, 125e6, 150e6), "cortex-a76": (300e6, 90e6, 80e6, 75e6)}


@pytest.fixture
def result(tmp_path, monkeypatch):
    files = []
    for number, (network, rewritten) in enumerate(KINDS):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(bytes(2_000_000 + number))
        files.append(NetworkFile(network=network, format="int8", rewritten=rewritten, path=path))

    def measure(paths, *, cpus, seed):
        return [
            InstructionCost(
                path=str(path),
                cpu=cpu,
                instructions=int(count),
                madds=10**8,
                per_madd=count / 1e8,
                ratio=1.0,
                partitions=2,
            )
            for cpu in cpus
            for path, count in zip(paths, INSTRUCTIONS[cpu], strict=True)
        ]

    monkeypatch.setattr(counts, "measure_instructions", measure)
    monkeypatch.setattr(counts, "read_versions", lambda: {"qemu": "7.2", "litert": "2.3.0"})
    return count_files(files, cpus=[*INSTRUCTIONS], command="python -m benchmarks.arm64_instructions", seed=0)


def test_page(result):
    assert json.loads(json.dumps(result)) == result
    assert result["files"][1]["instructions"] == {"cortex-a72": 100_000_000, "cortex-a76": 90_000_000}
    table = [line for line in make_page(result).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    facts = ["100.0", "2.0", "2"]
    assert cells[2] == ["SCARLET-A", "int8", "plain", *facts, "400.0", "1.000", "3.200", "300.0", "1.000", "4.000"]
    assert cells[3] == ["SCARLET-A", "int8", "rewritten", *facts, "100.0", "0.250", "0.800", "90.0", "0.300", "1.200"]


def test_card(result, tmp_path):
    (tmp_path / "arm64_instructions.json").write_text(json.dumps(result))
    card = make_card("scarlet_a", results=tmp_path)
    assert card.instructions == (
        ("int8, rewritten", "cortex-a72", 100_000_000, 0.8),
        ("int8, rewritten", "cortex-a76", 90_000_000, 1.2),
    )
    text = card.markdown()
    assert "## Instructions on ARM64\n" in text and "| int8, rewritten | cortex-a76 | 90.0 | 1.20 |" in text
    assert "## Instructions" not in make_card("scarlet_b", results=tmp_path).markdown()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--networks=SCARLET-D"], "unknown network 'SCARLET-D'"),
        (["--cpus=cortex-a77"], "nearest is 'cortex-a7"),
        (["--output=/dev/null/arm64"], "/dev/null is not a folder"),
        ([], "no emulator in"),
    ],
)
def test_refuses(flags, message, tmp_path, call_experiment, monkeypatch):
    monkeypatch.setenv("SCARLET_TF_ARM64", str(tmp_path / "absent"))
    result = call_experiment("arm64_instructions", "--output=arm64", "--cache=cache", *flags, cwd=tmp_path)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 1 and message in lines[0]
    assert not result.stdout and not list(tmp_path.iterdir())
