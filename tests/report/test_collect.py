import json

import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.report import COLUMNS, ReportError, collect_results
from scarlet_tf.report.results import merge_results

SPACE = get_space("small")
GENOME = (1, 12, 3, 4, 12, 9)


@pytest.fixture
def folder(tmp_path):
    model = tmp_path / "model_0"
    model.mkdir()
    SPACE.spec(GENOME).save(model / "spec.json")
    training = {"test": {"top1": 0.9, "top5": 0.99}, "inherited_weights": False, "started_from": None}
    (model / "training.json").write_text(json.dumps(training))
    return model


def test_reads_what_is_there(folder):
    columns = {"keras_top1": 0.9, "started_from": "random weights"}
    assert collect_results(folder) == {"name": "model_0", "genome": list(GENOME), "columns": columns}
    kinds = ("saved_model", "float32", "float16", "dynamic", "int8", "int8_pure")
    formats = [
        {"path": f"x/{kind}.tflite", "bytes": 1000 - n, "accuracy": 0.9 - n / 100, "top1_agreement": 1.0 - n / 100}
        for n, kind in enumerate(kinds)
    ]
    (folder / "verify.json").write_text(json.dumps({"formats": formats}))
    times = {"x/other.tflite": 7.0, "x/m_int8_pure.tflite": 1.0, "y/float32.tflite": 0.2}
    latency = [{"path": path, "median_ms": ms, "p10_ms": ms, "p90_ms": 2 * ms} for path, ms in times.items()]
    (folder / "latency.json").write_text(json.dumps(latency))
    result = collect_results(folder)
    for n, kind in enumerate(kinds):
        columns |= {f"{kind}_top1": 0.9 - n / 100, f"{kind}_agreement": 1.0 - n / 100, f"{kind}_bytes": 1000 - n}
    for kind, ms in (("int8_pure", 1.0), ("float32", 0.2)):
        columns |= {f"{kind}_median_ms": ms, f"{kind}_p10_ms": ms, f"{kind}_p90_ms": 2 * ms}
    assert result["columns"] == columns
    (checked,) = merge_results([result], SPACE)
    assert checked.genome == GENOME
    assert set(columns) - set(COLUMNS) == {"started_from"}


def test_a_recorded_format_counts_more_than_the_name(folder):
    """A plain file has columns of its own; of two files of one format the first counts."""
    row = {"bytes": 1, "accuracy": None, "top1_agreement": 1.0}
    named = (("float32.tflite", "int8"), ("p.tflite", "int8, plain"), ("int8.tflite", "int8"), ("edgetpu.tflite", None))
    formats = [row | {"path": path, "format": kind, "bytes": n} for n, (path, kind) in enumerate(named)]
    (folder / "verify.json").write_text(json.dumps({"formats": formats}))
    columns = collect_results(folder)["columns"]
    assert {key: value for key, value in columns.items() if key.endswith("_bytes")} == {
        "int8_bytes": 0,
        "int8_plain_bytes": 1,
    }
    assert COLUMNS["int8_plain_bytes"].label == "int8, plain size"


def test_results_of_former_names_are_read(folder):
    """Files called fp32.tflite, and pages' results that say fp32 and latency."""
    row = {"path": "x/fp32.tflite", "bytes": 1000, "accuracy": 0.9, "top1_agreement": 1.0}
    (folder / "verify.json").write_text(json.dumps({"formats": [row]}))
    latency = [{"path": "m_int8.tflite"}, {"path": "x/fp32.tflite"}]
    for ms, entry in enumerate(latency):
        entry |= {"median_ms": ms, "p10_ms": ms, "p90_ms": ms}
    (folder / "latency.json").write_text(json.dumps(latency))
    columns = collect_results(folder)["columns"]
    assert (columns["float32_bytes"], columns["float32_median_ms"], columns["int8_median_ms"]) == (1000, 1, 0)
    old = {"fp32_top1": 0.9, "fp32_bytes": 1000, "latency_median_ms": 1, "latency_p10_ms": 2, "latency_p90_ms": 3}
    (result,) = merge_results([{"name": "m", "genome": list(GENOME), "columns": old}], SPACE)
    assert result.columns == {
        "float32_top1": 0.9,
        "float32_bytes": 1000,
        "float32_median_ms": 1,
        "float32_p10_ms": 2,
        "float32_p90_ms": 3,
    }


def test_a_model_of_inherited_weights_and_lets_is_called_so(folder):
    training = {"test": {"top1": 0.9}, "inherited_weights": True, "started_from": "path 1,12 of a supernet"}
    (folder / "training.json").write_text(json.dumps(training))
    assert collect_results(folder)["columns"]["started_from"] == "path 1,12 of a supernet"
    SPACE.spec(GENOME, let=True).save(folder / "spec.json")
    assert collect_results(folder)["columns"]["started_from"] == "path 1,12 of a supernet; LETs kept"


def test_refuses_a_folder_without_a_model_or_with_a_damaged_one(tmp_path, folder):
    with pytest.raises(ReportError, match=r"no trained model in .*absent: there is no such folder"):
        collect_results(tmp_path / "absent")
    with pytest.raises(ReportError, match=r"no trained model in .*: it has no training\.json"):
        collect_results(tmp_path)
    (folder / "training.json").write_text("{}")
    with pytest.raises(ReportError, match=r"model_0: a results file lacks 'test'"):
        collect_results(folder)
    (folder / "training.json").write_text("{")
    with pytest.raises(ReportError, match=r"training\.json"):
        collect_results(folder)


def test_files_that_could_not_be_measured_have_no_columns(folder):
    timed = {"path": "float32.tflite", "median_ms": 1.0, "p10_ms": 1.0, "p90_ms": 1.0, "error": "it cannot be cut"}
    latency = [{"path": "int8.tflite", "error": "operator 0, Mine, failed to prepare"}, timed]
    (folder / "latency.json").write_text(json.dumps(latency))
    columns = collect_results(folder)["columns"]
    assert {name for name in columns if name.endswith("_ms")} == {
        f"float32_{name}_ms" for name in ("median", "p10", "p90")
    }
