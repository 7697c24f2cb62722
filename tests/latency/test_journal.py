import json

import pytest

from scarlet_tf.latency.journal import Journal, JournalError

HEADER = {"target": "host", "settings": {"threads": 1}}


def test_samples_are_there_again(tmp_path):
    journal = Journal(tmp_path / "j", HEADER)
    journal.add({"a": [1.5], "b": [2.0, 3.0]})
    journal.add({"a": [0.1]})
    assert Journal(tmp_path / "j", HEADER).samples == journal.samples == {"a": [1.5, 0.1], "b": [2.0, 3.0]}


@pytest.mark.parametrize("kept", range(1, 12))
def test_an_incomplete_last_line_is_cut_off(tmp_path, kept):
    journal = Journal(tmp_path / "j", HEADER)
    journal.add({"a": [1.0]})
    whole = (tmp_path / "j").read_bytes()
    journal.add({"a": [2.0]})
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes()[: len(whole) + kept])
    again = Journal(tmp_path / "j", HEADER)
    assert again.samples == {"a": [1.0]} and (tmp_path / "j").read_bytes() == whole
    again.add({"a": [3.0]})
    assert Journal(tmp_path / "j", HEADER).samples == {"a": [1.0, 3.0]}


def test_a_killed_start_begins_anew(tmp_path):
    (tmp_path / "j").write_text(json.dumps(HEADER)[:9])
    assert Journal(tmp_path / "j", HEADER).samples == {}
    assert (tmp_path / "j").read_text() == json.dumps(HEADER) + "\n"


def test_another_measurement_is_refused(tmp_path):
    Journal(tmp_path / "j", HEADER)
    with pytest.raises(JournalError, match=r"of another measurement: its settings\.threads was 1, is 2; delete"):
        Journal(tmp_path / "j", {"target": "host", "settings": {"threads": 2}})


@pytest.mark.parametrize("line", ["\0" * 20, "[3]", '{"a": 3}'])
def test_a_damaged_journal_is_named(tmp_path, line):
    (tmp_path / "j").write_text(f"{json.dumps(HEADER)}\n{line}\n")
    with pytest.raises(JournalError, match=r"/j is damaged \(.*\); delete its folder to begin anew"):
        Journal(tmp_path / "j", HEADER)
