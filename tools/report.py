"""Write the report of a search: one HTML page that works offline, with fronts, populations and networks.

    python tools/report.py --archive=runs/search/archive.sqlite --output=report.html --models=runs/model_0,runs/model_1
    python tools/report.py --archive=search.sqlite --output=report.html --results=trained.json --metadata=about.json

--models takes folders that train.py wrote. --results takes JSON lists of {"name", "genome", "columns": {"keras_top1":
0.91, ...}}. The metadata is a JSON object of texts for the footer, such as {"title": ..., "dataset": ..., "machine":
..., "search_command": ...}.
"""

from datetime import date

from absl import flags

from scarlet_tf.cli import command_line, run

_ARCHIVE = flags.DEFINE_string("archive", None, "The archive.sqlite of a search.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The HTML file to write.", required=True)
_RESULTS = flags.DEFINE_list("results", [], "JSON files with results of trained models, separated by commas.")
_MODELS = flags.DEFINE_list("models", [], "Folders of trained models, separated by commas.")
_METADATA = flags.DEFINE_string("metadata", None, "JSON file of texts for the footer; default: none.")


def main() -> None:
    from pathlib import Path

    from scarlet_tf.files import check_output_file
    from scarlet_tf.report import (
        check_metadata,
        collect_results,
        load_json,
        load_results,
        recorded_space,
        summarize,
        write_page,
    )
    from scarlet_tf.search import evaluated_models, search_history

    check_output_file(_OUTPUT.value)
    if Path(_OUTPUT.value).resolve() == Path(_ARCHIVE.value).resolve():
        raise ValueError(f"--output={_OUTPUT.value} is the archive: expected the name of a page, such as report.html")
    results = [result for path in _RESULTS.value for result in load_results(path)]
    results += [collect_results(folder) for folder in _MODELS.value]
    metadata = check_metadata(load_json(_METADATA.value) if _METADATA.value else {})
    made = {"date": date.today().isoformat(), "command": command_line()}
    # Read the history first: models that a running search adds in between are then just additional points.
    history = search_history(_ARCHIVE.value)
    evaluated, space = evaluated_models(_ARCHIVE.value), recorded_space(history)
    write_page(_OUTPUT.value, history, evaluated, space, results=results, metadata={**made, **metadata})
    if numbers := summarize(history, evaluated, space, results=results):
        print(numbers)
    print(f"{_OUTPUT.value}: {len(evaluated):,} models, {len(history.generations)} generations")


if __name__ == "__main__":
    run(main)
