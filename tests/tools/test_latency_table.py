"""tools/latency_table.py as a user calls it, killed in the middle and called again."""

import json
import time
from pathlib import Path

import pytest
from forked import ForkedProcess

from scarlet_tf.arch.cost_table import CostTable

TOOL = Path(__file__).parents[2] / "tools" / "latency_table.py"


@pytest.mark.slow
def test_a_killed_table_is_resumed(tmp_path, two_layer_space):
    (tmp_path / "space.json").write_text(json.dumps(two_layer_space.to_dict()))
    command = [TOOL, "--space=space.json", "--target=host", "--quantize=int8", "--rounds=2000", "--output=table.json"]
    journal = tmp_path / "table.json.parts" / "journal.jsonl"
    process = ForkedProcess(command, cwd=tmp_path)
    deadline = time.monotonic() + 200
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 600):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert not (tmp_path / "table.json").exists()
    whole = [line for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
    header, *rounds = map(json.loads, whole)
    assert 600 <= len(rounds) < 2000
    # Measurements of the killed process are not repeated: they would replace these.
    marked = [{name: [1e6] for name in each} for each in rounds]
    journal.write_text("".join(json.dumps(line) + "\n" for line in [header, *marked]))
    again = ForkedProcess(command, cwd=tmp_path)
    output, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors[-3000:]
    assert "parts, " in output and "error on 5 held-out networks: mean " in output and "fully_quantize" not in errors
    measured = [cost for cost in CostTable.load(tmp_path / "table.json").costs.values() if not cost.estimated_from]
    assert all(cost.samples == 2000 and cost.p90 > 9e5 for cost in measured)
    assert {path.name for path in tmp_path.iterdir()} == {"space.json", "table.json"}
