"""Drawings, counted against the published genomes (paper: Fig. 5)."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from scarlet_tf.arch import SearchSpace, choices_from, get_space, scale
from scarlet_tf.report import draw_architecture, draw_legend
from scarlet_tf.report.drawing import drawing_parts

SPACE = get_space("scarlet")
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "zoo" / "weights" / "scarlet_fashion"
GENOMES = {
    "A": "4,8,2,5,7,3,7,0,5,4,2,5,0,5,7,9,1,7,11",
    "B": "1,3,1,11,0,2,11,1,12,2,1,1,11,1,9,9,12,11,9",
    "C": "3,1,3,12,12,0,11,1,1,2,5,4,1,5,1,12,7,11,9",
}


def spec(name, **settings):
    return SPACE.spec(SPACE.parse(GENOMES[name]), name=name, **settings)


def counted(picture):
    """How often each class is drawn; the picture must be well-formed XML."""
    classes = [element.get("class") for element in ET.fromstring(picture).iter()]
    return {name: classes.count(name) for name in classes if name not in (None, "arch")}


# k3, k5, k7, identity, SE frames: from the genomes by Table 1's index, by hand.
EXPECTED = {"A": (7, 5, 7, 0, 12), "B": (7, 6, 4, 2, 14), "C": (7, 4, 5, 3, 13)}


@pytest.mark.parametrize("name", GENOMES)
def test_blocks_are_as_in_the_genome(name):
    k3, k5, k7, identity, frames = EXPECTED[name]
    expected = {"block k3": k3, "block k5": k5, "block k7": k7, "identity": identity, "frame": frames, "downsample": 4}
    assert counted(draw_architecture(spec(name))) == {key: n for key, n in expected.items() if n}
    assert k3 + k5 + k7 + identity == 19


def test_height_is_the_expansion_and_colour_the_kernel():
    root = ET.fromstring(draw_architecture(spec("A")))
    blocks = [group for group in root.iter() if (group.get("class") or "").startswith("block")]
    boxes = [block.find("{*}rect") for block in blocks]
    assert [box.get("height") for box in boxes] == ["42" if gene >= 6 else "21" for gene in spec("A").genome]
    colours = {(block.get("class"), box.get("fill")) for block, box in zip(blocks, boxes, strict=True)}
    assert colours == {("block k3", "#56b4e9"), ("block k5", "#e69f00"), ("block k7", "#7b4fb5")}


def test_other_kernels_kinds_and_expansions_are_drawn_and_explained():
    choices = choices_from(["e8 k9", "fused_inverted_residual e2 k3", "e3 k11 se", "let"])
    space = SearchSpace(name="mine", out_channels=(8, 8, 8, 8), strides=(1, 1, 1, 1), choices=choices)
    picture = draw_architecture(space.spec((0, 1, 2, 3)), legend=True)
    own = picture.split("downsample")[0]
    assert [own.count(f'class="block k{kernel}"') for kernel in (3, 9, 11)] == [1, 1, 1]
    assert ">F3</text>" in picture and 'height="56"' in picture
    for text in (">9\u00d79<", ">11\u00d711 kernel<", ">fused<"):
        assert text in picture and text in draw_legend(space) and text not in draw_legend(SPACE)
    parts = drawing_parts(space)
    whole = parts["before"] + "".join(parts["blocks"][layer][gene] for layer, gene in enumerate((0, 1, 2, 3)))
    assert counted(whole + parts["after"]) == counted(draw_architecture(space.spec((0, 1, 2, 3))))


def test_dashed_lines_stand_before_the_layers_of_stride_two():
    lines = re.findall(r'class="downsample" d="M(\d+) ', draw_architecture(spec("B")))
    assert [(int(x) - 14) / 26 for x in lines] == [0, 2, 6, 14]


def test_sides_of_the_maps_are_told():
    assert re.findall(r">(\d+)\u00d7\1<", draw_architecture(spec("C"))) == ["56", "28", "14", "7"]


def test_lets_and_scaled_networks():
    assert counted(draw_architecture(spec("C", let=True)))["let"] == 3
    doubled = counted(draw_architecture(scale(spec("A"), width=1.4, depth=2, resolution=380)))
    assert doubled == {"block k3": 14, "block k5": 10, "block k7": 14, "frame": 24, "downsample": 4}


def test_every_layer_says_what_it_is():
    titles = [title.text for title in ET.fromstring(draw_architecture(spec("C"))).findall(".//{*}title")]
    assert titles[0] == "C" and len(titles) == 20
    assert titles[1] == "Layer 0: kernel 5\u00d75, expansion 3, squeeze-and-excite, stride 2"
    assert titles[4] == "Layer 3: identity"


def test_name_is_escaped():
    picture = draw_architecture(SPACE.spec((12,) * 19, name='</title><script>alert("1")</script>&'))
    assert ET.fromstring(picture).find("{*}title").text == '</title><script>alert("1")</script>&'
    assert "<script" not in picture


def test_legend_adds_one_sample_of_everything():
    ET.fromstring(draw_legend(SPACE))
    with_legend = draw_architecture(spec("A"), legend=True)
    assert "LET (1\u00d71 conv)" in with_legend and "LET" not in draw_architecture(spec("A"))
    ET.fromstring(with_legend)


@pytest.mark.parametrize("name", ["scarlet", "small"])
def test_browser_parts_make_the_same_drawing(name):
    space = get_space(name)
    parts = drawing_parts(space)
    for shift in range(13):
        genome = [(layer * 5 + shift) % 13 for layer in range(space.num_layers)]
        blocks = "".join(choices[gene] for choices, gene in zip(parts["blocks"], genome, strict=True))
        assert parts["before"] + blocks + parts["after"] == draw_architecture(space.spec(genome, name="network"))


def test_the_tool_draws_a_trained_folder_like_its_spec(tmp_path):
    for name, model in (("folder.svg", SHIPPED), ("spec.svg", SHIPPED / "spec.json")):
        command = [sys.executable, ROOT / "tools" / "draw.py", f"--model={model}", f"--output={tmp_path / name}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{tmp_path / name}\n"
    assert (tmp_path / "folder.svg").read_text() == (tmp_path / "spec.svg").read_text()
