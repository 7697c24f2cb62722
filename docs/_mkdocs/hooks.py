"""MkDocs hooks: add the pages that live outside docs/ to the site, and follow the links to them.

README.md is the home page; BUILD.md, CHANGELOG.md and the pages and pictures of zoo/ keep their paths. Links are
written so that they work in the repository: `docs/zoo.md` in README.md, `../zoo/results/rank.md` in docs/search.md.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
HOME = "index.md"
# A folder of the repository that a page links to as a whole is the page that stands for it in the site.
FOLDERS = {"zoo/results": "results.md", "zoo/cards": "zoo.md"}


def on_files(files, config):
    files.append(File.generated(config, HOME, abs_src_path=str(ROOT / "README.md")))
    for name in ("BUILD.md", "CHANGELOG.md"):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for folder in ("zoo/results", "zoo/cards", "zoo/weights"):
        for path in sorted((ROOT / folder).glob("*")):
            if path.suffix in (".md", ".svg", ".png"):
                files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    if page.file.src_uri in (HOME, "BUILD.md"):
        markdown = re.sub(r"(\]\(|src=\")docs/", r"\1", markdown).replace("](README.md", f"]({HOME}")
    elif "/" not in page.file.src_uri:
        markdown = markdown.replace("](../README.md", f"]({HOME}").replace("](../", "](")
    for folder, stands_for in FOLDERS.items():
        markdown = markdown.replace(f"]({folder})", f"]({stands_for})")
    return markdown
