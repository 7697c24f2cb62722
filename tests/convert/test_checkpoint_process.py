"""What is refused before PyTorch sees a file."""

import zipfile

import pytest

from scarlet_tf.convert import CheckpointFileError, checkpoint_process, read_checkpoint


def archive(path, *, compression=zipfile.ZIP_STORED, size=1000):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\0" * size)
    return path


def check(path):
    checkpoint_process.check_zip(path, checkpoint_process.check_size(path))


def test_stored_members_pass(tmp_path):
    check(archive(tmp_path / "a.pth"))


def test_other_files_are_left_to_pytorch(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"\x80\x02 no zip")
    check(tmp_path / "a.pth")


def test_zip_bomb(tmp_path):
    path = archive(tmp_path / "bomb.pth", compression=zipfile.ZIP_DEFLATED, size=50_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(checkpoint_process.Refused, match=r"'archive/data\.pkl' is compressed"):
        check(path)


def test_members_that_declare_more_than_the_file_holds(tmp_path):
    """Two entries of the list that share one member's bytes."""
    path = archive(tmp_path / "a.pth")
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[start:end]
    tail = bytearray(content[end:])
    tail[8:12] = (2).to_bytes(2, "little") * 2
    tail[12:16] = (2 * len(entry)).to_bytes(4, "little")
    path.write_bytes(content[:end] + entry + bytes(tail))
    with pytest.raises(checkpoint_process.Refused, match="declare 2,000 bytes, the file has"):
        check(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_truncated_zip(kept, tmp_path):
    path = archive(tmp_path / "a.pth")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(checkpoint_process.Refused, match="damaged zip file"):
        check(path)


def test_a_changed_byte(tmp_path):
    path = archive(tmp_path / "a.pth")
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(checkpoint_process.Refused, match=r"checksum of 'archive/data\.pkl' is wrong"):
        check(path)


def test_file_of_more_than_a_gibibyte(tmp_path):
    path = tmp_path / "large.pth"
    with open(path, "wb") as file:
        file.truncate((1 << 30) + 1)  # takes no room on the disk
    with pytest.raises(checkpoint_process.Refused, match="1,073,741,825 bytes"):
        check(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        read_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(CheckpointFileError, match="expected a file"):
        read_checkpoint(tmp_path)


def test_without_pytorch_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointFileError, match="install the extra 'torch', or pip install") as refused:
        read_checkpoint(archive(tmp_path / "a.pth"))
    assert "\n" not in str(refused.value)
