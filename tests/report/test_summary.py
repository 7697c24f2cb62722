"""The numbers of the models as text."""

import dataclasses

import numpy as np

from scarlet_tf.report import summarize


def test_every_model_has_a_column(searched):
    history, evaluated, _ = searched
    genome = history.picked.genomes[1].tolist()
    columns = {"keras_top1": 0.91, "int8_top1": 0.905, "int8_bytes": 123_456, "note": "one"}
    lines = summarize(*searched, results=[{"name": "second", "genome": genome, "columns": columns}]).splitlines()
    cells = [[line[:17].strip(), *line[17:].split("  ")] for line in lines]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in cells]
    assert cells[0] == ["pick 0", "second", "pick 2"]
    row = int(np.flatnonzero((evaluated.genomes == genome).all(axis=1))[0])
    accuracy, madds = (evaluated.values[name][row] for name in ("accuracy", "madds"))
    assert [line[0] for line in cells[1:4]] == ["One-shot accuracy", "MAdds", "Params"]
    assert cells[1][2] == f"{100 * accuracy:.2f} %" and cells[2][2] == f"{madds / 1e6:.1f} M"
    assert cells[4:] == [
        ["Keras top-1", "—", "91.00 %", "—"],
        ["int8 top-1", "—", "90.50 %", "—"],
        ["int8 size", "—", "123,456 B", "—"],
        ["note", "—", "one", "—"],
    ]


def test_without_models_there_is_no_table(searched):
    history, evaluated, space = searched
    none = dataclasses.replace(history, picked=history.picked.take(np.array([], int)))
    assert summarize(none, evaluated, space) == ""
