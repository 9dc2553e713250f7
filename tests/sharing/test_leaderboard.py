"""The page: who is told from whom decides the rank, and nothing on it needs a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.sharing._records import records
from unlearnable.sharing.leaderboard import leaderboard, write_leaderboard
from unlearnable.sharing.ranking import ranks
from unlearnable.sharing.schema import Record, SeedRun, write_record


def flat(level: float, *, spread: float = 0.0, method: str, template: Record) -> Record:
    """A record whose three runs have SAL `level`, times 1 − spread, 1 and 1 + spread, in all layers and epochs."""
    sal = [[level] * len(template.layers)] * len(template.epochs)
    runs = [
        SeedRun(seed=seed, test_acc=0.5, sal=[[value * (1 + spread * (seed - 1)) for value in row] for row in sal])
        for seed in range(3)
    ]
    distance = template.distances["geometric"].model_copy(update={"value": level})
    changed = {"method": method, "runs": runs, "distances": {"geometric": distance}}
    return template.model_copy(update=changed)


def test_methods_that_cannot_be_told_apart_share_a_rank(tmp_path: Path) -> None:
    (template,) = records(tmp_path / "sweep", "em")
    many = [
        flat(1.0, spread=0.02, method="far", template=template),
        flat(0.1, spread=0.02, method="best", template=template),
        flat(0.102, spread=-0.03, method="as good", template=template),  # 2 % above, runs scatter by 3 %
    ]
    found = ranks(many)
    assert [rank.place for rank in found] == [3, 1, 1]
    assert [list(rank.alike) for rank in found] == [[], [2], [1]]


def test_another_protocol_has_ranks_of_its_own(tmp_path: Path) -> None:
    (template,) = records(tmp_path / "sweep", "em")
    one, other = (flat(level, spread=0.02, method="m", template=template) for level in (0.1, 1.0))
    assert [rank.place for rank in ranks([one, other.model_copy(update={"protocol_digest": "0" * 32})])] == [1, 1]


def test_the_page_stands_alone_escapes_names_and_links_each_record(tmp_path: Path) -> None:
    made = records(tmp_path / "sweep", "clean", "em", "ops")
    made[0] = made[0].model_copy(update={"method": "<script>alert(1)</script>"})
    page = leaderboard(made, ["records/a.json", "records/b.json"])
    HTMLParser().feed(page)
    assert "<script>alert" not in page
    assert not re.search(r'(src|href)="https?:', page)
    assert page.count('<tr data-protocol="digits-v1"') == page.count('href="records/') == 2
    assert page.count('role="img"') == 2  # the intervals, each with its numbers in words
    assert page.count("<th scope=") == page.count("</th>")


def test_a_record_that_was_edited_is_not_shown(tmp_path: Path) -> None:
    (record,) = records(tmp_path / "sweep", "em")
    write_record(tmp_path / "records" / "em.json", record)
    write_leaderboard(tmp_path / "records", tmp_path / "index.html")
    assert 'href="records/em.json"' in (tmp_path / "index.html").read_text()
    write_record(tmp_path / "records" / "em.json", record.model_copy(update={"method": "mine"}))
    with pytest.raises(ValueError, match=r"em\.json: `digest`"):
        write_leaderboard(tmp_path / "records", tmp_path / "index.html")
