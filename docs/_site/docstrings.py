"""Docstrings are in reStructuredText's inline marks, which editors know; the site's pages are in Markdown."""

import re

from griffe import Extension

MARKS = (
    (re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`"), r"`\1`"),  # :class:`~package.Name`
    (re.compile(r":\w+:`([^`<]+?)\s*<[^`]+>`"), r"`\1`"),  # :meth:`Name <package.Name>`
    (re.compile(r"`([^`<]+?)\s*<(https?:[^`>]+)>`_"), r"[\1](\2)"),
)


class Markdown(Extension):
    """Turns the marks of each object's docstring."""

    def on_object(self, *, obj, **_):
        """Is called once an object."""
        if obj.docstring is not None:
            for mark, instead in MARKS:
                obj.docstring.value = mark.sub(instead, obj.docstring.value)
