import json

import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.report import ReportError, collect_results
from scarlet_tf.report.results import check_results

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
    formats = [
        {"path": "x/saved_model", "bytes": 9, "accuracy": 0.9, "top1_agreement": 1.0},
        {"path": "x/fp32.tflite", "bytes": 1000, "accuracy": 0.9, "top1_agreement": 1.0},
        {"path": "x/int8.tflite", "bytes": 500, "accuracy": 0.89, "top1_agreement": 0.98},
    ]
    (folder / "verify.json").write_text(json.dumps({"formats": formats}))
    latency = [{"median_ms": 0.2, "p10_ms": 0.1, "p90_ms": 0.3}, {"median_ms": 1.0, "p10_ms": 1.0, "p90_ms": 1.0}]
    (folder / "latency.json").write_text(json.dumps(latency))
    result = collect_results(folder)
    assert result["columns"] == {
        "keras_top1": 0.9,
        "started_from": "random weights",
        "fp32_top1": 0.9,
        "fp32_bytes": 1000,
        "int8_top1": 0.89,
        "int8_bytes": 500,
        "int8_agreement": 0.98,
        "latency_median_ms": 0.2,
        "latency_p10_ms": 0.1,
        "latency_p90_ms": 0.3,
    }
    (checked,) = check_results([result], SPACE)
    assert checked.genome == GENOME


def test_a_model_of_inherited_weights_and_lets_is_called_so(folder):
    training = {"test": {"top1": 0.9}, "inherited_weights": True, "started_from": "path 1,12 of a supernet"}
    (folder / "training.json").write_text(json.dumps(training))
    assert collect_results(folder)["columns"]["started_from"] == "path 1,12 of a supernet"
    SPACE.spec(GENOME, let=True).save(folder / "spec.json")
    assert collect_results(folder)["columns"]["started_from"] == "path 1,12 of a supernet; LETs kept"


def test_refuses_a_folder_without_a_model_or_with_a_damaged_one(tmp_path, folder):
    with pytest.raises(ReportError, match=r"absent holds no trained model: it has no training\.json"):
        collect_results(tmp_path / "absent")
    (folder / "training.json").write_text("{}")
    with pytest.raises(ReportError, match=r"model_0: a results file lacks 'test'"):
        collect_results(folder)
    (folder / "training.json").write_text("{")
    with pytest.raises(ReportError, match=r"training\.json"):
        collect_results(folder)
