"""The page: who is told from whom decides the rank, and nothing on it needs a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests._browser import dumped
from tests.sharing._records import records
from unlearnable.sharing.leaderboard import leaderboard, write_leaderboard
from unlearnable.sharing.ranking import ranks
from unlearnable.sharing.schema import Record, SeedRun, TaskRun, write_record


def flat(level: float, *, spread: float = 0.0, method: str, template: Record) -> Record:
    """A record whose three runs have SAL `level`, times 1 − spread, 1 and 1 + spread, in all layers and epochs."""
    figures = template.tasks["single"]
    sal = [[level] * len(figures.layers)] * len(template.epochs)
    runs = []
    for seed in range(3):
        own = TaskRun(score=0.5, sal=[[value * (1 + spread * (seed - 1)) for value in row] for row in sal])
        runs.append(SeedRun(seed=seed, tasks={"single": own}))
    distance = figures.distances["geometric"].model_copy(update={"value": level})
    tasks = {"single": figures.model_copy(update={"distances": {"geometric": distance}})}
    return template.model_copy(update={"method": method, "runs": runs, "tasks": tasks})


def test_methods_that_cannot_be_told_apart_share_a_rank(tmp_path: Path) -> None:
    (template,) = records(tmp_path / "sweep", "em")
    many = [
        flat(1.0, spread=0.02, method="far", template=template),
        flat(0.1, spread=0.02, method="best", template=template),
        flat(0.102, spread=-0.03, method="as good", template=template),  # 2 % above, runs scatter by 3 %
    ]
    found = [of["single"] for of in ranks(many)]
    assert [rank.place for rank in found] == [3, 1, 1]
    assert [list(rank.alike) for rank in found] == [[], [2], [1]]


def test_another_protocol_has_ranks_of_its_own(tmp_path: Path) -> None:
    (template,) = records(tmp_path / "sweep", "em")
    one, other = (flat(level, spread=0.02, method="m", template=template) for level in (0.1, 1.0))
    found = ranks([one, other.model_copy(update={"protocol_digest": "0" * 32})])
    assert [of["single"].place for of in found] == [1, 1]


def test_each_task_has_a_row_and_a_rank_of_its_own(tmp_path: Path) -> None:
    made = records(tmp_path / "sweep", "clean", "em", "tap", tasks=True)
    # SAL is 0.3 times clean data's for em and 1.4 times for tap; the tasks after the first have two and three times that.
    assert [{task: rank.place for task, rank in of.items()} for of in ranks(made)] == [
        {"scene": 1, "depth": 1, "segmentation": 1},
        {"scene": 2, "depth": 2, "segmentation": 2},
    ]
    page = leaderboard(made, ["a.json", "b.json"])
    for task in ("scene", "depth", "segmentation"):
        assert page.count(f'data-task="{task}"') == 2
        assert f"<option>{task}</option>" in page


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


def test_headings_sort_by_keyboard_filters_cut_and_only_the_table_is_wider_than_a_small_window(tmp_path: Path) -> None:
    made = records(tmp_path / "sweep", "clean", "em", "ops", "tap")
    probe = """<script>
      const names = () => [...document.getElementById("records").tBodies[0].rows].filter((row) => !row.hidden)
        .map((row) => row.cells[0].textContent.trim()).join(" ");
      const button = document.querySelector("thead button");
      button.focus();
      const focused = document.activeElement === button;
      button.click();
      const up = names();
      button.click();
      const select = document.querySelector('select[data-filter="norm"]');
      select.value = select.options[1].value;
      select.dispatchEvent(new Event("change"));
      document.body.dataset.seen = [focused, up, names(), document.getElementById("shown").textContent,
        document.querySelectorAll("thead th:not(:has(button))").length,
        document.documentElement.scrollWidth <= window.innerWidth].join("; ");
    </script>"""
    (page := tmp_path / "index.html").write_text(
        leaderboard(made, ["a.json"] * 3).replace("</body>", f"{probe}</body>")
    )
    seen = re.search(r'data-seen="([^"]*)"', dumped(page, tmp_path / "browser", size=(500, 900)))
    assert seen is not None
    # The two headings without a button are those of the drawings and of the files.
    assert seen[1] == "true; em ops tap; tap ops em; 3 of 3 rows; 2; true"


def test_a_record_that_was_edited_is_not_shown(tmp_path: Path) -> None:
    (record,) = records(tmp_path / "sweep", "em")
    write_record(tmp_path / "records" / "em.json", record)
    write_leaderboard(tmp_path / "records", tmp_path / "index.html")
    assert 'href="records/em.json"' in (tmp_path / "index.html").read_text()
    write_record(tmp_path / "records" / "em.json", record.model_copy(update={"method": "mine"}))
    with pytest.raises(ValueError, match=r"em\.json: `digest`"):
        write_leaderboard(tmp_path / "records", tmp_path / "index.html")
