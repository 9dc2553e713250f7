"""Previews of texts as HTML: a paragraph a text, its changes marked."""

from __future__ import annotations

import html
import re

#: A change as `data.modality.tokens.marked` writes it; words have no spaces in them.
_CHANGE = re.compile(r"\[(?:[+−]\S+|\S+→\S+)\]")


def as_html(text: str) -> str:
    """Paragraphs with `<mark>` around `[old→new]`, `[+new]` and `[−old]`; all else is escaped.

    Args:
        text: A preview, a text a line.
    """
    return "".join(f"<p>{' '.join(map(_shown, line.split(' ')))}</p>" for line in text.splitlines())


def _shown(word: str) -> str:
    shown = html.escape(word)
    return f"<mark>{shown}</mark>" if _CHANGE.fullmatch(word) else shown
