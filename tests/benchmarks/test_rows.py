"""Which rows of an experiment are run and which are read, and that rows with other settings are refused."""

import dataclasses
import json

import pytest

from benchmarks.rows import finished_rows, run_rows


@dataclasses.dataclass(frozen=True)
class Row:
    number: int

    @property
    def name(self):
        return f"row/{self.number}"


@dataclasses.dataclass(frozen=True)
class Config:
    numbers: tuple[int, ...] = (1, 2, 3)
    factor: int = 10

    def rows(self):
        return map(Row, self.numbers)

    def settings(self, row):
        return {"factor": self.factor, "number": row.number}


CONFIG = Config()


class Runs:
    """A `run_row` whose first `failures` calls are interrupted; the others return 10 times the number of the row."""

    def __init__(self, failures=0):
        self.rows, self._failures = [], failures

    def __call__(self, row, folder, rows):
        if self._failures:
            self._failures -= 1
            raise KeyboardInterrupt
        self.rows.append(row.name)
        return {"value": 10 * row.number, "there": sorted(rows)}


def test_rows_are_run_in_order_and_once(tmp_path):
    first, second = Runs(), Runs()
    single = run_rows(CONFIG, first, tmp_path, only="row/2")
    assert first.rows == list(single) == ["row/2"] and (single["row/2"]["value"], single["row/2"]["there"]) == (20, [])
    results = run_rows(CONFIG, second, tmp_path)
    assert second.rows == ["row/1", "row/3"] and list(results) == ["row/1", "row/2", "row/3"]
    assert results["row/3"]["there"] == ["row/1", "row/2"] and results["row/2"] == single["row/2"]
    assert results["row/1"]["settings"] == {"factor": 10, "number": 1}
    assert set(results["row/1"]["made"]) == {"date", "machine"}
    assert json.loads((tmp_path / "row/1/row.json").read_text()) == results["row/1"]
    with pytest.raises(ValueError, match=r"unknown row 'row/4': expected one of .'row/1', 'row/2', 'row/3'"):
        run_rows(CONFIG, second, tmp_path, only="row/4")


def test_a_row_that_was_stopped_is_run_again(tmp_path):
    runs = Runs(failures=1)
    with pytest.raises(KeyboardInterrupt):
        run_rows(CONFIG, runs, tmp_path)
    started = (tmp_path / "row/1/settings.json").read_text()
    results = run_rows(CONFIG, runs, tmp_path)
    assert runs.rows == ["row/1", "row/2", "row/3"]
    assert json.loads(started).items() <= results["row/1"].items()


def test_rows_of_earlier_results_are_taken(tmp_path):
    earlier, runs = run_rows(Config(numbers=(2, 3, 7)), Runs(), tmp_path / "elsewhere"), Runs()
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"rows": earlier}))
    finished = finished_rows([path], CONFIG)
    assert finished == {name: earlier[name] for name in ("row/2", "row/3")}
    results = run_rows(CONFIG, runs, tmp_path / "here", finished=finished)
    assert runs.rows == ["row/1"] and results["row/3"] == earlier["row/3"]
    assert results["row/1"]["there"] == ["row/2", "row/3"] and not (tmp_path / "here/row/2").exists()


def test_rows_with_other_settings_are_refused(tmp_path):
    other, path = Config(factor=9), tmp_path / "result.json"
    with pytest.raises(KeyboardInterrupt):
        run_rows(CONFIG, Runs(failures=1), tmp_path / "stopped")
    path.write_text(json.dumps({"rows": run_rows(CONFIG, Runs(), tmp_path / "finished", only="row/2")}))
    for folder, name in (("stopped", "row/1"), ("finished", "row/2")):
        with pytest.raises(ValueError, match=rf"{name} has rows with other settings \(factor was 10, is 9\)"):
            run_rows(other, Runs(), tmp_path / folder)
    with pytest.raises(ValueError, match=r"result\.json: row/2 has rows with other settings \(factor was 10, is 9\)"):
        finished_rows([path], other)
    for text in ("[]", "{", '{"rows": {"row/1": 3}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"result\.json is not a result of this experiment"):
            finished_rows([path], CONFIG)
    path.write_text(json.dumps({"rows": {"row/1": {"settings": CONFIG.settings(Row(1))}}}))
    with pytest.raises(ValueError, match=r"result\.json is not a result of this experiment: it lacks made"):
        finished_rows([path], CONFIG)
    for rows, had in (({"random/0": {}, "random/1": {}}, "random/0, ..."), ({}, "no rows")):
        path.write_text(json.dumps({"rows": rows}))
        with pytest.raises(ValueError, match=f"none of this experiment's rows: it has {had}; expected row/1, ..."):
            finished_rows([path], CONFIG)


def test_a_config_with_a_row_twice_is_refused(tmp_path):
    # One run would count as two, with an interval of width 0.
    with pytest.raises(ValueError, match="the config has the row row/2 twice"):
        run_rows(Config(numbers=(1, 2, 2)), Runs(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["row.json", "settings.json"])
@pytest.mark.parametrize(
    ("text", "why"), [("", "Expecting value"), ("{}", "it lacks made, settings"), ("[]", "'list' object")]
)
def test_a_damaged_row_is_named(tmp_path, name, text, why):
    run_rows(CONFIG, Runs(), tmp_path, only="row/2")
    (tmp_path / "row/2/row.json").unlink()
    (tmp_path / "row/2" / name).write_text(text)
    with pytest.raises(ValueError, match=rf"row/2/{name} is damaged \({why}.*\): delete it to make the row again"):
        run_rows(CONFIG, Runs(), tmp_path)
