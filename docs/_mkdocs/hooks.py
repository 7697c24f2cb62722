"""MkDocs hooks: add the pages that live outside docs/ to the site, and follow the links to them.

README.md is the home page; BUILD.md, CHANGELOG.md, the pages and pictures of zoo/ and the plans of benchmarks/ keep
their paths. Links are written so that they work in the repository: `docs/zoo.md` in README.md,
`../zoo/results/rank.md` in docs/search.md, `../../docs/search.md` in zoo/results. The site has no source files: a
plan's links to them become plain words.

The notebook docs/walkthrough.ipynb becomes a page, with the outputs of its executed copy, runs/walkthrough.ipynb.
"""

import logging
import re
from pathlib import Path

import nbformat
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
HOME = "index.md"
# A folder of the repository that a page links to as a whole is the page that stands for it in the site.
FOLDERS = {"zoo/results": "results.md", "zoo/cards": "zoo.md"}
NOTEBOOK = "walkthrough.ipynb"
NOTEBOOK_PAGE = "walkthrough.md"

log = logging.getLogger(f"mkdocs.{__name__}")


def on_files(files, config):
    files.remove(files.get_file_from_path(NOTEBOOK))
    for name, content in render_notebook().items():
        files.append(File.generated(config, name, content=content))
    files.append(File.generated(config, HOME, abs_src_path=str(ROOT / "README.md")))
    for name in ("BUILD.md", "CHANGELOG.md"):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for folder in ("zoo/results", "zoo/cards", "zoo/weights"):
        for path in sorted((ROOT / folder).glob("*")):
            if path.suffix in (".md", ".svg", ".png"):
                files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for path in sorted(ROOT.glob("benchmarks/*/plan.md")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def render_notebook() -> dict[str, str | bytes]:
    """Return the notebook's page and its pictures, by their names in the site."""
    notebook = with_outputs(nbformat.read(ROOT / "docs" / NOTEBOOK, as_version=4))
    for cell in notebook.cells:
        if cell.cell_type == "code":  # standard error is progress and warnings
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    exporter = MarkdownExporter(config=Config(CoalesceStreamsPreprocessor={"enabled": True}))
    pictures = {"output_files_dir": "walkthrough_files", "unique_key": "walkthrough"}
    page, found = exporter.from_notebook_node(notebook, resources=pictures)
    page = re.sub(r"!\[(png|svg)\]", "![picture that the cell above shows]", page)
    return {NOTEBOOK_PAGE: page} | found["outputs"]


def with_outputs(notebook):
    """Return the executed copy of a notebook; without one, or if its cells differ, the notebook itself."""
    path = ROOT / "runs" / NOTEBOOK
    if not path.exists():
        log.info("docs/%s is shown without its outputs: there is no executed copy at %s", NOTEBOOK, path)
        return notebook
    executed = nbformat.read(path, as_version=4)
    if [cell.source for cell in executed.cells] == [cell.source for cell in notebook.cells]:
        return executed
    log.warning("docs/%s is shown without its outputs: execute it again, %s has other cells", NOTEBOOK, path)
    return notebook


def on_page_markdown(markdown, page, config, files):
    if page.file.src_uri in (HOME, "BUILD.md"):
        markdown = re.sub(r"(\]\(|src=\")docs/", r"\1", markdown).replace("](README.md", f"]({HOME}")
    elif page.file.src_uri.startswith("zoo/"):
        markdown = markdown.replace("](../../docs/", "](../../")
    elif page.file.src_uri.startswith("benchmarks/"):
        markdown = re.sub(r"\[([^\]]+)\]\([^)]+\.(py|json)\)", r"\1", markdown)
    elif "/" not in page.file.src_uri:
        markdown = markdown.replace("](../README.md", f"]({HOME}").replace("](../", "](")
    markdown = markdown.replace(f"]({NOTEBOOK}", f"]({NOTEBOOK_PAGE}")
    for folder, stands_for in FOLDERS.items():
        markdown = markdown.replace(f"]({folder})", f"]({stands_for})")
    return markdown
