"""The pages are true where a machine can tell: commands compose, names and links lead somewhere, lines are short."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object

from tests._inputs import ROOT
from unlearnable.app.commands import COMMANDS

PAGES = [path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.name != "CHANGELOG.md"]
LONGEST = 120


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(page: Path) -> Iterator[list[str]]:
    """What follows `python run.py` or `unlearnable`, in running text or in a block; continued lines are joined."""
    joined = text(page).replace("\\\n", " ")
    program = r"(?:python run\.py|unlearnable)"
    for inline, line in re.findall(rf"`{program} ([^`]+)`|^ *{program} ([^`\n]+)$", joined, flags=re.MULTILINE):
        yield shlex.split(re.sub(r"\s#.*", "", inline or line).replace("…", "somewhere"))


def jobs(words: list[str]) -> Iterator[list[str]]:
    """The overrides of a command's first job, and of one for each further value of what it sweeps over."""
    overrides = [word for word in words if re.match(r"\+{0,2}[\w/.@]+=", word)]
    choices = []
    for override in OverridesParser.create().parse_overrides(overrides):
        start = f"{'+' if override.is_add() else ''}{override.key_or_group}="
        swept = list(override.sweep_string_iterator()) if override.is_sweep_override() else []
        choices.append([f"{start}{value}" for value in swept] or [str(override.input_line)])
    choices = [values for values in choices if not values[0].startswith("hydra.")]
    first = [values[0] for values in choices]
    yield first
    for place, values in enumerate(choices):
        yield from ([*first[:place], value, *first[place + 1 :]] for value in values[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_composes(page: Path) -> None:
    for words in commands(page):
        if words[0] in COMMANDS:
            parser = argparse.ArgumentParser()
            COMMANDS[words[0]][0](parser)
            options = {option for action in parser._actions for option in action.option_strings}
            assert {word for word in words if word.startswith("-")} <= options, words
        elif not any("lab/conf" in word for word in words):  # run as it stands by `test_plugins`
            with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
                for job in jobs(words):
                    compose("config", overrides=job)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_and_every_link_leads_somewhere(page: Path) -> None:
    for name in re.findall(r"\bunlearnable(?:\.\w+)+", text(page)):
        get_object(name)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(page)):
        assert target.startswith("https://") or (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_line_of_prose_is_too_long(page: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in prose.splitlines() if len(line) > LONGEST and not line.lstrip().startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_belongs_to_an_item_of_a_list_is_indented_by_four(page: Path) -> None:
    """The site's Markdown asks for it, and for an empty line before the next item; others take it, too."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^\n {1,3}\S.*|^ {4}.*\n(?:-|\d+\.) .*", prose, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf").rglob("*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_line_of_a_configuration_is_too_long(path: Path) -> None:
    assert not [line for line in text(path).splitlines() if len(line) > LONGEST]
