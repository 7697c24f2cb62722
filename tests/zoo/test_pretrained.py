"""Where converted ImageNet weights are looked for."""

import shlex
from pathlib import Path

import pytest

from scarlet_tf.zoo.weights import MissingWeightsError, imagenet_weights


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("SCARLET_TF_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scarlet_tf" / "weights"


def test_user_cache(cache):
    cache.mkdir(parents=True)
    (cache / "scarlet_c.weights.h5").touch()
    assert imagenet_weights("scarlet_c") == cache / "scarlet_c.weights.h5"


def test_home_without_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "scarlet_tf" / "weights"
    folder.mkdir(parents=True)
    (folder / "scarlet_a.weights.h5").touch()
    assert imagenet_weights("scarlet_a") == folder / "scarlet_a.weights.h5"


def test_chosen_folder_goes_first(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("SCARLET_TF_WEIGHTS", str(tmp_path))
    (tmp_path / "scarlet_a4.weights.h5").touch()
    assert imagenet_weights("scarlet_a4") == tmp_path / "scarlet_a4.weights.h5"


@pytest.mark.parametrize("name", ["scarlet_a", "scarlet_b", "scarlet_c"])
def test_missing_weights_say_where_from_and_the_command(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SCARLET_TF_WEIGHTS", str(tmp_path / "my weights"))
    with pytest.raises(MissingWeightsError) as missing:
        imagenet_weights(name)
    message = str(missing.value)
    assert "https://github.com/xiaomi-automl/SCARLET-NAS" in message and "\n" not in message
    command = shlex.split(message.split("then: ")[1])
    path = tmp_path / "my weights" / f"{name}.weights.h5"
    tool = "tools/convert_torch.py"
    assert command == ["python", tool, f"--model={name}", "--checkpoint=FILE", f"--output={path}"]
    assert (Path(__file__).parents[2] / tool).is_file()
    assert isinstance(missing.value, FileNotFoundError) and not (tmp_path / "my weights").exists()


@pytest.mark.parametrize("name", ["scarlet_a2", "scarlet_a4"])
def test_networks_without_a_released_checkpoint(name):
    with pytest.raises(MissingWeightsError, match="not known to have released any, only those of scarlet_a") as missing:
        imagenet_weights(name)
    assert "convert_torch" not in str(missing.value)


def test_unknown_name():
    with pytest.raises(ValueError, match="nearest is 'scarlet_a'"):
        imagenet_weights("scarlet_aa")
