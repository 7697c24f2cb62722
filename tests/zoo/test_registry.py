"""The registry: names, counts, the paper's figures."""

import json
import re

import numpy as np
import pytest

from scarlet_tf import zoo
from scarlet_tf.arch import ArchSpec, get_space

# MAdds in millions to two digits, params in millions to three.
COUNTS = {
    "scarlet_a": ("365.31", "6.708", 224, 0.2),
    "scarlet_b": ("326.85", "6.532", 224, 0.2),
    "scarlet_c": ("280.08", "6.074", 224, 0.2),
    "scarlet_a2": ("1047.56", "12.507", 260, 0.3),
    "scarlet_a4": ("4183.71", "27.862", 380, 0.4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_model_info(name):
    info = zoo.model_info(name)
    assert (f"{info.madds / 1e6:.2f}", f"{info.params / 1e6:.3f}", info.resolution, info.dropout) == COUNTS[name]
    assert abs(info.madds - info.paper_madds) <= 0.05 * info.paper_madds
    assert abs(info.params - info.paper_params) <= 0.013 * info.paper_params


def test_a_genome_may_name_its_space(tmp_path):
    small = get_space("small")
    (tmp_path / "mine.json").write_text(json.dumps(small.to_dict() | {"name": "mine"}))
    genome = (3, 12, 1, 7, 11, 0)
    assert zoo.resolve_spec("small:3,12,1,7,11,0") == small.spec(genome)
    mine = zoo.resolve_spec(f"{tmp_path}/mine.json:3, 12,1,7,11,0")
    assert mine.name.startswith("mine_") and mine.blocks == small.spec(genome).blocks
    for model, error, message in (
        ("smal:3,12,1,7,11,0", ValueError, "unknown search space 'smal'.*nearest is 'small'"),
        ("small:3,12", ValueError, "invalid genome '3,12': .* has 6 genes, got 2"),
        ("nowhere.json:3,12", FileNotFoundError, "no such file: nowhere.json"),
    ):
        with pytest.raises(error, match=message):
            zoo.resolve_spec(model)


def test_the_difference_of_b_is_stated():
    info = zoo.model_info("scarlet_b")
    assert info.paper_madds == 329_000_000
    assert round((info.paper_madds - info.madds) / 1e6) == 2
    assert "329 M" in info.note and "326.85 M" in info.note
    assert [name for name in zoo.list_models() if zoo.model_info(name).note] == ["scarlet_b"]


def test_papers_accuracies():
    accuracies = {name: (zoo.model_info(name).paper_top1, zoo.model_info(name).paper_top5) for name in COUNTS}
    assert accuracies == {
        "scarlet_a": (76.9, 93.4),
        "scarlet_b": (76.3, 93.0),
        "scarlet_c": (75.6, 92.6),
        "scarlet_a2": (79.5, 94.8),
        "scarlet_a4": (82.3, 96.0),
    }


def test_list_models_takes_a_pattern():
    assert zoo.list_models() == ["scarlet_a", "scarlet_a2", "scarlet_a4", "scarlet_b", "scarlet_c"]
    assert zoo.list_models("scarlet_a?") == ["scarlet_a2", "scarlet_a4"]
    assert zoo.list_models("resnet*") == []


def test_a4_has_every_block_twice_with_the_copy_at_stride_1():
    a2, a4 = zoo.get_spec("scarlet_a2"), zoo.get_spec("scarlet_a4")
    assert len(a4.blocks) == 38 and a4.blocks[0::2] == a2.blocks[:1] + a4.blocks[2::2]
    assert [block.stride for block in a4.blocks[0::2]] == [block.stride for block in a2.blocks]
    assert {block.stride for block in a4.blocks[1::2]} == {1}
    assert (a4.stem_channels, a4.first_channels, a4.tail_channels) == (48, 24, 1792)


@pytest.mark.parametrize("function", [zoo.get_spec, zoo.model_info, zoo.create_model, zoo.open_model])
def test_unknown_names_get_the_nearest(function):
    with pytest.raises(ValueError, match=re.escape("unknown model 'scarlet_a3'") + ".*nearest is 'scarlet_a"):
        function("scarlet_a3")


def test_resolve_spec(tmp_path):
    spec = zoo.get_spec("scarlet_c")
    spec.save(tmp_path / "spec.json")
    for model in (spec, "scarlet_c", str(tmp_path / "spec.json"), tmp_path / "spec.json"):
        assert zoo.resolve_spec(model) == spec
    for genome in (spec.genome, list(spec.genome), np.array(spec.genome), ",".join(map(str, spec.genome))):
        assert zoo.resolve_spec(genome).blocks == spec.blocks


def test_resolve_spec_refuses(tmp_path):
    with pytest.raises(ValueError, match="19 genes, got 2"):
        zoo.resolve_spec((1, 2))
    with pytest.raises(ValueError, match="got int"):
        zoo.resolve_spec(3)
    with pytest.raises(FileNotFoundError):
        zoo.resolve_spec(str(tmp_path / "missing.json"))
    (tmp_path / "cut.json").write_text(zoo.get_spec("scarlet_a").to_json()[:100])
    with pytest.raises(ValueError, match=r"cut\.json: not JSON"):
        zoo.resolve_spec(tmp_path / "cut.json")


@pytest.mark.parametrize("function", [zoo.resolve_spec, zoo.model_info, zoo.create_model, zoo.open_model])
def test_what_looks_like_a_path_is_none_or_another_thing(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("runs/absent", "absent.tflite", tmp_path / "absent"):
        with pytest.raises(FileNotFoundError, match=f"no such file or folder: {path}$"):
            function(path)
    (tmp_path / "notes").touch()
    with pytest.raises(ValueError, match=r"notes is a file: expected a model's name, a spec's \.json file"):
        function("notes")


def test_a_folder_where_a_spec_is_asked_for(tmp_path):
    zoo.get_spec("scarlet_a").save(tmp_path / "spec.json")
    with pytest.raises(ValueError, match=rf"is a folder: expected .* file, such as {tmp_path}/spec\.json, or a genome"):
        zoo.resolve_spec(tmp_path)


def test_model_info_of_whatever_create_model_takes(tmp_path):
    spec = zoo.get_spec("scarlet_b")
    spec.save(tmp_path / "b.json")
    genome = ",".join(map(str, spec.genome))
    infos = [zoo.model_info(model) for model in (genome, spec.genome, tmp_path / "b.json")]
    assert {info.madds for info in infos} == {zoo.model_info("scarlet_b").madds}
    assert [info.genome for info in infos] == [spec.genome] * 3 and infos[0].paper_top1 is None
    with pytest.raises(ValueError, match="19 genes, got 2"):
        zoo.model_info("1,2")


def test_specs_are_of_the_search_space():
    for name in ("scarlet_a", "scarlet_b", "scarlet_c"):
        spec = zoo.get_spec(name)
        assert isinstance(spec, ArchSpec) and get_space("scarlet").genome_of(spec) == spec.genome


def test_preprocessing_constants():
    constants = zoo.IMAGENET_PREPROCESSING
    assert (constants.mean, constants.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (constants.resize, constants.crop, constants.divisor, constants.channel_order) == (256, 224, 255.0, "RGB")
