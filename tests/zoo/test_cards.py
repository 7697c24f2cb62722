"""Cards say what the registry and the measurements say, and are up to date."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from scarlet_tf import zoo
from scarlet_tf.report import draw_architecture
from scarlet_tf.zoo.cards import make_card

ROOT = Path(__file__).parents[2]
CARDS, RESULTS = ROOT / "zoo" / "cards", ROOT / "zoo" / "results"
TRAINED = "zoo/weights/scarlet_fashion"


@pytest.mark.parametrize("model", [*zoo.list_models("scarlet*"), TRAINED])
def test_card_is_up_to_date(model, monkeypatch):
    """If not: python tools/make_cards.py, as the README says."""
    monkeypatch.chdir(ROOT)
    card = make_card(model, results=RESULTS)
    assert (CARDS / f"{card.name}.md").read_text() == card.markdown()
    assert (CARDS / card.picture).read_text() == draw_architecture(card.spec)


def test_every_card_has_a_model():
    names = {path.stem for path in CARDS.glob("*.md")}
    assert names == {*zoo.list_models("scarlet*"), "scarlet_fashion"}


def test_content_of_a_published_networks_card():
    text = make_card("scarlet_b", results=RESULTS).markdown()
    genome = "1,3,1,11,0,2,11,1,12,2,1,1,11,1,9,9,12,11,9"
    for fact in ("326.85 M", "6,531,556", "329 M, 6.5 M", "76.3 %, 93.0 %", genome):
        assert fact in text
    assert "--model=scarlet_b --checkpoint=FILE" in text and "arXiv:1908.06022" in text
    checked = json.loads((RESULTS / "verify_scarlet_b.json").read_text())
    partitions = {row["path"]: row["partitions"] for row in checked["formats"]}
    assert partitions["saved_model"] is None and partitions["model.onnx"] is None
    assert {name: count for name, count in partitions.items() if name.endswith(".tflite")} == dict.fromkeys(
        (f"{name}.tflite" for name in ("float32", "float16", "dynamic", "int8", "int8_pure")), 1
    )
    assert all(f"{row['bytes']:,}" in text for row in checked["formats"])


def test_a_card_lists_twenty_classes(monkeypatch):
    monkeypatch.chdir(ROOT / TRAINED)
    card = make_card(".")
    many = {"class_names": [f"a|{n}" for n in range(123)], "inherited_weights": True}
    text = dataclasses.replace(card, training=card.training | many).markdown()
    assert card.name == "scarlet_fashion" and "a\\|0, a\\|1, " in text and "a\\|19 and 103 more |" in text
    assert "| started from | unnamed weights |" in text


def test_card_of_a_trained_folder(tmp_path, call_tool):
    shutil.copytree(ROOT / TRAINED, tmp_path / "mine")
    path = tmp_path / "mine" / "training.json"
    training = json.loads(path.read_text())
    path.write_text(json.dumps(training | {"started_from": "scarlet_a, the weights in a.weights.h5"}))
    report = {"images": 10, "keras_accuracy": 0.9, "formats": []}
    (tmp_path / "mine" / "verify.json").write_text(json.dumps(report))
    result = call_tool("make_cards", "--models=mine", "--output=cards", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "cards" / "mine.md").read_text()
    assert text.startswith("# mine\n\n![mine: ") and "(mine.svg)" in text and "--output=mine_int8.tflite" in text
    assert "| network | `scarlet_fashion` |" in text and "| classes | 10: T-shirt/top, Trouser, " in text
    assert "| started from | scarlet_a, the weights in a.weights.h5 |" in text
    assert "0.9038 on 10,000 images" in text and "| Keras | | | | | | 0.9000 |" in text and "0.286, 0.286" in text
    assert (tmp_path / "cards" / "mine.svg").read_text().startswith("<svg")
    (tmp_path / "mine" / "verify.json").write_text("{")
    result = call_tool("make_cards", "--models=mine", "--output=other", cwd=tmp_path)
    assert result.returncode == 2 and "verify.json: not JSON" in result.stderr
    assert not (tmp_path / "other").exists()
