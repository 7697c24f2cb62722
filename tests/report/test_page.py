"""The page holds exactly what the archive holds, is well-formed, and lets nothing that users write become code."""

import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from scarlet_tf.arch import get_space
from scarlet_tf.report import ReportError, build_page, recorded_space, write_page
from scarlet_tf.report.quantities import format_value, unit

VOID = {"meta", "input", "br", "wbr"}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u2028"


class Page(HTMLParser):
    """Checks that tags nest; collects elements, ids, texts of scripts, and everything that is shown."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.ids, self.scripts, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif self.stack and self.stack[-1] != "style":
            self.text.append(data)


def embedded(page):
    return json.loads(Page(page).scripts[0])


def result(genome, name="trained", **columns):
    return {"name": name, "genome": list(map(int, genome)), "columns": columns}


@pytest.fixture(scope="module")
def page(searched):
    return build_page(*searched)


def test_well_formed_and_offline(page):
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    for _, attributes in parsed.tags:
        assert not {"src", "href"} & set(attributes)
        assert not {"tree", "treeitem"} & {attributes.get("role")}  # they would need arrow keys
    assert not re.search(r"@import|url\(\s*['\"]?http", page)
    assert {url for url in re.findall(r"https?://[\w./]+", page)} == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xhtml",
    }


def test_every_id_that_the_script_looks_up_exists(page):
    parsed = Page(page)
    looked_up = set(re.findall(r'byId\("([^"]+)"\)', parsed.scripts[1]))
    assert looked_up and looked_up <= set(parsed.ids)


def test_embedded_data_equal_the_archive(page, searched):
    history, evaluated, _ = searched
    data = embedded(page)
    letters = np.array([int(letter, 36) for letter in data["genomes"]]).reshape(-1, data["layers"])
    np.testing.assert_array_equal(letters, evaluated.genomes)
    for name, column in evaluated.values.items():
        assert data["values"][name] == column.tolist()
    assert len(data["populations"]) == len(history.generations) == 5
    for population, members in zip(data["populations"], history.generations, strict=True):
        np.testing.assert_array_equal(evaluated.ids[population["rows"]], members.models.ids)
        assert population["ranks"] == members.ranks.tolist()
    np.testing.assert_array_equal(evaluated.ids[data["picks"]], history.picked.ids)
    assert data["hypervolume"] == history.hypervolume.tolist()
    assert data["identityShare"] == history.identity_share.tolist()
    accurate = (evaluated.values["accuracy"] > 0.4) & (evaluated.values["madds"] < 500e6)
    assert data["feasible"] == "".join("01"[ok] for ok in accurate.tolist())


@pytest.mark.parametrize(
    ("objectives", "axes"),
    [
        ("accuracy:max:0.4,madds:min:0.4,params:max:0.2", ("madds", "params")),
        ("accuracy:max:0.5,params:min:0.5", ("params", "none")),
        ("latency_ms:min:0.3,accuracy:max:0.4,madds:min:0.3", ("latency_ms", "madds")),
        ("accuracy:max:1", ("madds", "none")),
    ],
)
def test_the_front_is_first_drawn_over_the_searches_own_objectives(searched, objectives, axes):
    history, evaluated, space = searched
    settings = history.definition["settings"]
    settings = settings | {"objectives": objectives, "quantities": [*settings["quantities"], "latency_ms"]}
    history = dataclasses.replace(history, definition=history.definition | {"settings": settings})
    values = evaluated.values | {"latency_ms": evaluated.values["madds"] / 1e8}
    shown = embedded(build_page(history, dataclasses.replace(evaluated, values=values), space))["axes"]
    assert shown == {"x": axes[0], "y": "accuracy", "size": axes[1]}


def test_effort_and_operators_add_up(page, searched):
    history, evaluated, _ = searched
    data = embedded(page)
    labels, rows = data["effort"]["labels"], np.array(data["effort"]["rows"])
    assert labels[0] == "evaluated, feasible"
    assert labels[1:3] == [
        "evaluated, breaks one-shot accuracy > 40.00 %",
        "not evaluated, breaks MAdds < 500.0 M",
    ]
    assert rows.sum(axis=1).tolist() == [summary.proposed for summary in history.summaries]
    assert rows[:, :2].sum(axis=1).tolist() == [summary.evaluated for summary in history.summaries]
    operators = np.array(data["operators"]["rows"])
    assert operators.sum() == len(evaluated)
    assert dict(zip(data["operators"]["labels"], operators[0].tolist(), strict=True))["uniform"] == operators[0].sum()


def test_family_and_survivors_are_the_archives(page, searched):
    history, evaluated, _ = searched
    data = embedded(page)
    family, lineage = data["family"], history.lineage
    assert [family["operators"][made] for made in family["made"]] == list(lineage.operators)
    for rows, ids in ((family["mothers"], lineage.mothers), (family["fathers"], lineage.fathers)):
        assert [evaluated.ids[row] if row >= 0 else -1 for row in rows] == ids.tolist()
        assert min(rows) == -1 and max(rows) > 0
    # Of 24 uniform models the first population holds all; later ones only what is new in them.
    survivors, made = np.array(data["survivors"]["rows"]), np.array(data["operators"]["rows"])
    assert data["survivors"]["labels"] == data["operators"]["labels"]
    assert survivors[0].sum() == len(history.generations[0].models) and (survivors <= made).all()
    for before, after, row in zip(history.generations, history.generations[1:], survivors[1:], strict=False):
        assert row.sum() == len(set(after.models.ids.tolist()) - set(before.models.ids.tolist()))


def test_table_names_columns_and_marks_what_is_missing(searched):
    history = searched[0]
    first, second, third = history.picked.genomes.tolist()
    results = [
        result(first, "alpha", keras_top1=0.9125, int8_bytes=1234567, note="short"),
        result(second, "beta", keras_top1=None, float32_median_ms=12.34),
        result(first, "alpha", latency_p90_ms=20.0),
        result([12] * 19, "gamma", keras_top1=0.5),
    ]
    table = re.search(r"<table>.*?</table>", build_page(*searched, results=results), re.S)[0]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>.*?</tr>", table, re.S)[2:]]
    heads = re.findall(r"<th scope='col' class='[a-z]*'>(.*?)</th>", table)
    shown = ("float32 median", "float32 p90")
    assert heads == ["One\u2011shot accuracy", "MAdds", "Params", "Keras top\u20111", *shown, "int8 size", "note"]
    assert rows[0][3:] == ["91.25 %", "—", "20 ms", "1,234,567 B", "short"]
    assert rows[1][3:] == ["—", "12.3 ms", "—", "—", "—"]
    assert rows[2][3:] == ["—"] * 5
    assert rows[3] == ["—", "23.2 M", "1.31 M", "50.00 %", "—", "—", "—", "—"]
    assert rows[2][0] == f"{100 * history.picked.values['accuracy'][2]:.2f} %"
    assert third == history.picked.genomes[2].tolist() and "pick 2" in table


def test_hostile_texts_stay_texts(searched):
    genome = searched[0].picked.genomes[0]
    page = build_page(
        *searched,
        results=[result(genome, HOSTILE, **{HOSTILE: HOSTILE})],
        metadata={"title": HOSTILE, "command": HOSTILE, HOSTILE: HOSTILE},
    )
    parsed = Page(page)
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("script") == 2 and "img" not in tags
    assert json.loads(parsed.scripts[0])["names"][0] == HOSTILE
    assert "".join(parsed.text).count("<img src=x onerror=alert(1)>") >= 8
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"genome": [1, 2]}, "result 0, 'm': a genome of space 'scarlet' has 19 genes, got 2"),
        ({"genome": "1,x"}, "result 0, 'm': invalid genome '1,x'"),
        ({"genome": 3}, "genome must be a list or a string"),
        ({"name": ""}, "name must be a non-empty string"),
        ({"columns": []}, "columns must be an object"),
        ({"columns": {"keras_top1": 91.2}}, r"keras_top1 must be a fraction in \[0, 1\], got 91.2"),
        ({"columns": {"int8_bytes": "many"}}, "int8_bytes must be a finite number, got 'many'"),
        ({"columns": {"other": float("nan")}}, "other must be a finite number, got nan"),
        ({"more": 1}, "expected an object with name, genome and columns, got"),
    ],
)
def test_bad_results_are_named(searched, change, message):
    entry = {"name": "m", "genome": [0] * 19, "columns": {}, **change}
    with pytest.raises(ReportError, match=message):
        build_page(*searched, results=[entry])


def test_contradicting_results_are_refused(searched):
    with pytest.raises(ReportError, match=r"'b' conflict: keras_top1 is both 0\.5 and 0\.6"):
        build_page(*searched, results=[result([0] * 19, "a", keras_top1=0.5), result([0] * 19, "b", keras_top1=0.6)])


def test_bad_metadata_space_and_models_are_refused(searched):
    history, evaluated, space = searched
    with pytest.raises(ReportError, match="metadata 'machine' must be a string or a number"):
        build_page(history, evaluated, space, metadata={"machine": ["a"]})
    with pytest.raises(ReportError, match="ran in space 'scarlet', which differs from the given space 'small'"):
        build_page(history, evaluated, get_space("small"))
    with pytest.raises(ReportError, match=r"model \d+ of the history is not among the 5 evaluated"):
        build_page(history, evaluated.take(np.arange(5)), space)
    assert recorded_space(history) == space


def test_an_unfinished_search_has_a_page_and_an_unstarted_one_has_none(searched):
    history, evaluated, space = searched
    empty = dataclasses.replace(history, picked=history.picked.take(np.arange(0)))
    page = build_page(empty, evaluated, space)
    assert embedded(page)["picks"] == [] and "No models are picked yet" in page and ", unfinished" in page
    with pytest.raises(ReportError, match="has no finished generation"):
        build_page(dataclasses.replace(empty, generations=(), summaries=(), operators=()), evaluated, space)


def test_written_whole_or_not_at_all(searched, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_page(path, *searched)
    assert path.read_text(encoding="utf-8") == build_page(*searched)

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    before = path.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        write_page(path, *searched, metadata={"title": "other"})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["report.html"]


def test_size_of_a_full_search(searched):
    history, evaluated, space = searched
    genomes = space.random(np.random.default_rng(0), 8400)
    values = {name: np.resize(column, 8400) for name, column in evaluated.values.items()}
    many = dataclasses.replace(evaluated, ids=np.arange(8400), genomes=genomes, values=values)
    assert len(build_page(history, many, space).encode()) < 1_500_000


def test_values_are_written_without_an_exponent(written):
    assert [format_value(value, unit=unit) for value, unit, _ in written] == [text for _, _, text in written]
    assert format_value(1234.5, unit="ms") == "1230 ms"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", "percent"),
        ("madds", "millions"),
        ("latency_ms", "ms"),
        ("arm64_instructions", "millions"),
        ("depth", "plain"),
    ],
)
def test_units_come_from_names(name, expected):
    assert unit(name) == expected
