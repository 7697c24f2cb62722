import numpy as np
import pytest

from scarlet_tf.runs.checkpoints import CheckpointError, CheckpointStore, fingerprint, read_checkpoint

ARRAYS = {"layer/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.int64(3)}


def store(path, **changes):
    return CheckpointStore(path, **{"kind": "test", "fingerprint": "f", "keep": 3} | changes)


def test_round_trip_is_exact(tmp_path):
    store(tmp_path).save(7, ARRAYS, {"note": "x"})
    checkpoint = store(tmp_path).restore()
    assert checkpoint.step == 7 and checkpoint.metadata == {"note": "x", "fingerprint": "f"}
    assert checkpoint.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert checkpoint.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(checkpoint.arrays[name], value)


def test_newest_are_kept_and_nothing_else_is_left(tmp_path):
    for step in (1, 5, 20, 300):
        store(tmp_path, keep=2).save(step, ARRAYS)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["checkpoint-0000000020.npz", "checkpoint-0000000300.npz"]


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "flipped", "empty"])
def test_damaged_newest_is_passed_over_with_a_warning(tmp_path, damage):
    store(tmp_path).save(1, ARRAYS)
    path = store(tmp_path).save(2, {"big": np.random.default_rng(0).random(4096)})
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"truncated": data[:-100], "zeroed": bytes(len(data)), "flipped": data, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=r"checkpoint-0000000002.npz is damaged.*trying the previous checkpoint"):
        assert store(tmp_path).restore().step == 1


def test_all_damaged_is_an_error_and_none_is_not(tmp_path):
    assert store(tmp_path / "nothing").restore() is None
    store(tmp_path).save(1, ARRAYS).write_bytes(b"x")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"no usable checkpoint in"):
        store(tmp_path).restore()


def test_other_settings_kind_or_version_are_refused(tmp_path, monkeypatch):
    path = store(tmp_path).save(1, ARRAYS)
    with pytest.raises(CheckpointError, match=r"saved with other settings"):
        store(tmp_path, fingerprint="g").restore()
    assert store(tmp_path, fingerprint=None).restore().step == 1
    store(tmp_path, settings={"rate": 0.1, "steps": 5}).save(2, ARRAYS)
    with pytest.raises(CheckpointError, match=r"with other settings \(rate was 0.1, is 0.2\): use the same flags"):
        store(tmp_path, fingerprint="g", settings={"rate": 0.2, "steps": 5}).restore()
    with pytest.raises(CheckpointError, match=r"of kind 'test', expected 'other'"):
        read_checkpoint(path, kind="other")
    monkeypatch.setattr("scarlet_tf.runs.checkpoints.FORMAT_VERSION", 2)
    with pytest.raises(CheckpointError, match=r"has version 1, expected 2"):
        read_checkpoint(path, kind="test")
    with pytest.raises(CheckpointError, match=r"no checkpoint at"):
        read_checkpoint(tmp_path / "absent.npz", kind="test")


def test_objects_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("executed",))

    path = tmp_path / "checkpoint-0000000001.npz"
    np.savez(path, __record__=np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"is damaged"):
        read_checkpoint(path, kind="test")


def test_failed_write_leaves_the_old_state(tmp_path, monkeypatch):
    store(tmp_path).save(1, ARRAYS)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OSError, match=r"No space left"):
        store(tmp_path).save(2, ARRAYS)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-0000000001.npz"]


def test_fingerprint_depends_on_content_not_on_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 2, "b": [2]})


def test_what_the_run_resumed_before_and_what_was_cut_short_is_deleted(tmp_path):
    store = CheckpointStore(tmp_path, kind="t", fingerprint="f", keep=2)
    for step in (10, 15):
        store.save(step, {"x": np.arange(step)})
    (tmp_path / "checkpoint-0000000015.npz").write_bytes(b"damaged")
    (tmp_path / ".checkpoint-0000000020.npz.0a1b2c3d.tmp").write_bytes(b"half")
    (tmp_path / ".other.tmp").write_bytes(b"not a checkpoint's")
    store.save(12, {"x": np.arange(12)})
    names = ["checkpoint-0000000010.npz", "checkpoint-0000000012.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.tmp", *names]
    assert store.restore().step == 12
