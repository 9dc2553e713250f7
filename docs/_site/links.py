"""Pages link to each other, and to files of the repository, by relative paths. This makes them lead somewhere in the site.

README.md is the site's start page. What pages link to outside of docs/ goes into the site too: Markdown as pages, other
files as they are.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(?!https?:)[^)#\s]+")


def on_files(files, config):
    """Adds README.md and, from link to link, the files outside of docs/."""
    waiting = ["README.md", *(page.src_uri for page in files.documentation_pages())]
    while waiting:
        uri = waiting.pop()
        if files.get_file_from_path(uri) is None:
            files.append(File(uri, str(ROOT), config.site_dir, config.use_directory_urls))
        if uri.endswith(".md"):
            text = (ROOT / _in_repository(uri)).read_text(encoding="utf-8")
            found = {_in_site(uri, link) for link in LINK.findall(text)}
            waiting += [uri for uri in found if (ROOT / uri).is_file() and files.get_file_from_path(uri) is None]
    return files


def on_page_markdown(markdown, page, **_):
    """Turns links between places of the repository into links between places of the site."""
    uri = page.file.src_uri
    return LINK.sub(lambda link: posixpath.relpath(_in_site(uri, link[0]), posixpath.dirname(uri) or "."), markdown)


def _in_repository(uri: str) -> str:
    """Where a file of the site lies: in docs/ if it is there, else at the top."""
    return f"docs/{uri}" if (ROOT / "docs" / uri).is_file() else uri


def _in_site(uri: str, link: str) -> str:
    """What a page's link leads to, as a path of the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_in_repository(uri)), link))
    return path.removeprefix("docs/")
