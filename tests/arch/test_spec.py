"""ArchSpec and search spaces: JSON there and back, genomes, scaling, and what is refused."""

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scarlet_tf.arch import ArchSpec, BlockSpec, SpecError, get_space, list_spaces, scale
from scarlet_tf.arch.scaling import round_filters

SMALL = get_space("small")
SPEC = SMALL.spec((3, 12, 1, 7, 11, 0))


def genomes(space):
    return st.tuples(*[st.integers(0, 12)] * space.num_layers)


@given(genomes(get_space("scarlet")), st.booleans(), st.sampled_from([0.5, 1.0, 1.4]), st.sampled_from([0.4, 1.0, 2.0]))
def test_json_round_trip(genome, let, width, depth):
    spec = scale(get_space("scarlet").spec(genome, let=let), width=width, depth=depth)
    assert ArchSpec.from_json(spec.to_json()) == spec


@given(genomes(SMALL), st.booleans())
def test_genome_round_trip(genome, let):
    assert SMALL.genome_of(SMALL.spec(genome, let=let)) == genome


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(SpecError):
        ArchSpec.from_json(text)


@given(
    st.dictionaries(st.sampled_from(["format", "version", "name", "blocks", "classes", "x"]), st.integers() | st.text())
)
def test_any_object_is_refused_clearly(fields):
    with pytest.raises(SpecError):
        ArchSpec.from_dict({**SPEC.to_dict(), **fields, "x": 1})


def test_file_round_trip(tmp_path):
    SPEC.save(tmp_path / "spec.json")
    assert ArchSpec.load(tmp_path / "spec.json") == SPEC
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_truncated_file(tmp_path, share):
    text = SPEC.to_json()
    (tmp_path / "cut.json").write_text(text[: int(share * len(text))])
    with pytest.raises(SpecError, match=r"cut\.json: not JSON"):
        ArchSpec.load(tmp_path / "cut.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "unsupported ArchSpec version 2: expected 1"),
        ({"layers": []}, "a search space, not a network: name one as SPACE.json:GENES"),
        ({"format": "other"}, "expected format .*, got 'other'"),
        ({"clases": 10}, "no field 'clases': nearest is 'classes'"),
        ({"blocks": None}, "blocks must be a list, got None"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"classes": 0}, "classes must be an integer >= 1, got 0"),
        ({"resolution": True}, "resolution must be an integer >= 1, or two of them .* got True"),
        ({"name": ""}, "non-empty string"),
        ({"first_channels": 9}, "block 0 has 8 input channels, but the layer before it outputs 9"),
    ],
)
def test_bad_fields(change, message):
    with pytest.raises(SpecError, match=message):
        ArchSpec.from_json(json.dumps({**SPEC.to_dict(), **change}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "inverted"}, "unknown block kind 'inverted'.*nearest is 'inverted_residual'"),
        ({"stride": 3}, "stride must be 1 or 2, got 3"),
        ({"kernel_size": 4}, "kernel_size must be an odd integer >= 3, got 4"),
        ({"shortcut": True, "stride": 2}, "shortcut needs stride 1"),
        ({"hidden_channels": 0}, "hidden_channels must be an integer >= 1"),
        ({"kind": "let"}, "accepts no kernel size"),
    ],
)
def test_bad_blocks(change, message):
    block = BlockSpec(kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=3, hidden_channels=24)
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(block, **change)


def test_identity_cannot_change_the_width():
    with pytest.raises(SpecError, match="cannot change the channel count, got 8 -> 16"):
        BlockSpec(kind="identity", in_channels=8, out_channels=16)


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ((1,) * 5, "has 6 genes, got 5$"),
        ((1,) * 19, "'small' has 6 genes, got 19, as space 'scarlet' has$"),
        ((13,) + (0,) * 5, "gene 0 must be"),
        ((0, 1.0) + (0,) * 4, "gene 1 must be"),
    ],
)
def test_bad_genomes(genome, message):
    with pytest.raises(SpecError, match=message):
        SMALL.spec(genome)


def test_bad_genome_text_and_space():
    with pytest.raises(SpecError, match="invalid genome '1,a'"):
        SMALL.parse("1,a")
    with pytest.raises(SpecError, match=r"unknown search space 'smal'.*nearest is 'small'"):
        get_space("smal")
    assert list_spaces() == ["scarlet", "small"] and get_space("scarlet").size == 13**19


def test_identity_passes_its_width_on():
    """The stand-alone model's next block reads c_{l-1} channels; with LETs it reads c_l (paper: Fig. 2)."""
    genome = (12, 12, 12, 0, 12, 0)
    assert [block.in_channels for block in SMALL.spec(genome).blocks] == [8, 8, 8, 8, 24, 24]
    assert [block.in_channels for block in SMALL.spec(genome, let=True).blocks] == [8, 8, 8, 24, 24, 32]


@pytest.mark.parametrize(("channels", "rounded"), [(16, 24), (32, 48), (40, 56), (80, 112), (96, 136), (1280, 1792)])
def test_round_filters(channels, rounded):
    assert round_filters(channels, 1.4) == rounded
    assert round_filters(channels, 1.0) == channels


def test_bad_scaling():
    with pytest.raises(SpecError, match="width must be a number > 0, got 0"):
        scale(SPEC, width=0)


def test_needs_no_tensorflow():
    code = "import sys, scarlet_tf.arch; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
