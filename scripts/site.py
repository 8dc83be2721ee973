"""A hook of mkdocs (mkdocs.yml): what pages of docs/ show or link outside of it goes into the site, beside them."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = re.compile(r"\]\(\.\./((?:logs|tests|shared)/[^)#]+)\)")


def on_files(files, config):
    """The files that any page names as ../PATH, where they are there."""
    named = set()
    for file in files.documentation_pages():
        named |= set(OUTSIDE.findall(Path(file.abs_src_path).read_text()))
    for path in sorted(named):
        if (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, **_):
    return OUTSIDE.sub(r"](\1)", markdown)
