"""The page: it is parsed, its figures unpacked, and, where there is a browser, drawn."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests._browser import dumped
from tests.results._sweeps import LAYERS, METHODS, multi_task, result, write_sweep
from unlearnable.distances import layer_differences
from unlearnable.report.__main__ import main
from unlearnable.report.build import build, read
from unlearnable.report.chart import lifts
from unlearnable.report.page import LARGEST_BYTES, write_page


class _Page(HTMLParser):
    """Ids, addresses that would be loaded, text by tag, and whether tags are balanced."""

    _VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append(data)


def _unpacked(page: str, name: str) -> str:
    packed = re.search(rf'id="{name}">([^<]+)<', page)
    assert packed is not None
    return gzip.decompress(base64.b64decode(packed[1])).decode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over an ablation, a second data set and a multi-task sweep, with failed jobs."""
    root = tmp_path_factory.mktemp("report")
    seeds = (0, 1, 2)
    made = [result(poison, seed=seed, eps=eps, steps=steps) for poison in METHODS for seed in seeds for eps in (0.01, 0.05) for steps in (5, 10)]  # fmt: skip  # noqa: E501
    sweeps = [
        write_sweep(root / "ablation", *made, failed=2),
        write_sweep(
            root / "digits", *[result(poison, seed=seed, dataset="digits") for poison in METHODS for seed in seeds]
        ),
        write_sweep(root / "multi", *[multi_task(poison, seed=seed) for poison in ("clean", "em") for seed in (0, 1)]),
    ]
    records, cells = read(sweeps)
    build(root / "out", records, cells)
    return root / "out"


@pytest.fixture(scope="module")
def text(built: Path) -> str:
    return (built / "report.html").read_text()


def test_the_page_is_well_formed_and_needs_no_network(text: str) -> None:
    page = _Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    inside = {address[1:] for address in page.addresses if address.startswith("#")}
    assert inside <= set(page.ids)
    assert len(text.encode()) < LARGEST_BYTES


def test_every_figure_has_a_place_and_every_place_a_figure(text: str) -> None:
    figures: dict[str, Any] = json.loads(_unpacked(text, "figures-data"))
    places: dict[str, int] = {}
    for tag, attributes in _Page(text).tags:
        if tag == "div" and attributes.get("class") == "plot":
            places[str(attributes["data-panel"])] = places.get(str(attributes["data-panel"]), 0) + 1
    assert set(places) == set(figures)
    assert {
        "distances",
        "accuracy",
        "layers",
        "sal-maps",
        "learnable",
        "curves",
        "grid",
        "stability",
        "conflict",
    } <= set(figures)
    for panel, choices in figures.items():
        assert all(len(charts) == places[panel] for charts in choices)
        assert all(chart["data"] for charts in choices for chart in charts)


def test_the_library_that_draws_is_in_the_page(text: str) -> None:
    assert "Plotly" in _unpacked(text, "plotly-code")


def test_the_figures_hold_the_measured_numbers(text: str, built: Path) -> None:
    figures = json.loads(_unpacked(text, "figures-data"))
    _, cells = read([built.parent / "ablation"])
    expected = sorted(
        cell.ud
        for cell in cells
        if not cell.is_clean and cell.first.result["eps"] == 0.05 and cell.first.result["steps"] == 10
    )
    labelled = json.loads(_unpacked(text, "figures-data"))["distances"][0][0]
    means = next(trace for trace in labelled["data"] if trace["name"] == "mean ± standard deviation")
    assert sorted(means["x"]) == pytest.approx(expected)
    assert len(figures["distances"]) > 1  # one for each setting


def test_the_geometric_distance_stands_beside_ud_with_its_interval_and_null_band(text: str, built: Path) -> None:
    figures = json.loads(_unpacked(text, "figures-data"))
    _, cells = read([built.parent / "ablation"])
    own = {
        cell.first.label: cell
        for cell in cells
        if cell.first.result["eps"] == 0.05 and cell.first.result["steps"] == 10
    }
    ud, geometric = figures["distances"][0]
    assert (ud["layout"]["xaxis"]["type"], geometric["layout"]["xaxis"]["type"]) == ("linear", "log")
    trace = next(trace for trace in geometric["data"] if trace["name"] == "value and 95 % interval")
    for place, name in enumerate(trace["y"]):
        low, high = own[name].interval("geometric")
        assert trace["x"][place] == pytest.approx(own[name].value("geometric"))
        assert trace["x"][place] - trace["error_x"]["arrayminus"][place] == pytest.approx(low)
        assert trace["x"][place] + trace["error_x"]["array"][place] == pytest.approx(high)
    (band,) = [shape for shape in geometric["layout"]["shapes"] if shape["type"] == "rect"]
    expected = own["em"].spreads["geometric"]
    assert (band["x0"], band["x1"]) == pytest.approx((expected.clean_low, expected.clean_high))
    assert f"{trace['x'][0]:.2f} [" in text  # in the table


def test_layers_that_differ_are_marked_at_a_false_discovery_rate(text: str, built: Path) -> None:
    _, cells = read([built.parent / "ablation"])
    (ops,) = [c for c in cells if (c.first.label, c.first.axis("eps"), c.first.axis("steps")) == ("ops", 0.05, 10)]
    expected = layer_differences({run.seed: run.sal for run in ops.runs}, ops.clean)
    heat, dots = json.loads(_unpacked(text, "figures-data"))["layers"][0][0]["data"]
    column = heat["x"].index("ops")
    assert [10 ** row[column] for row in heat["z"]] == pytest.approx(np.exp(expected.log_ratio), rel=2e-3)
    marked = {layer for method, layer in zip(dots["x"], dots["y"], strict=True) if method == "ops"}
    assert marked == {layer for layer, differs in zip(LAYERS, expected.differs, strict=True) if differs}


def test_failures_and_repeats_are_said(text: str) -> None:
    said = " ".join(_Page(text).texts)
    assert "What is missing" in said
    assert "<code>poison.radius</code> must be positive; got -1." in text
    assert "2 failed" in said


def test_tables_can_be_sorted_by_keyboard_and_figures_are_named(text: str) -> None:
    page = _Page(text)
    headings = sum(tag == "th" and attributes.get("scope") == "col" for tag, attributes in page.tags)
    buttons = sum(tag == "button" for tag, _ in page.tags)
    assert headings == buttons > 0
    plots = [attributes for tag, attributes in page.tags if tag == "div" and attributes.get("class") == "plot"]
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in plots)


def test_the_papers_figures_stand_beside_cifar10s_only(tmp_path: Path) -> None:
    made = [result("tap", seed=seed, dataset=dataset) for dataset in ("cifar10", "digits") for seed in (0, 1)]
    for dataset, shown in (("cifar10", True), ("digits", False)):
        own = [entry for entry in made if entry["dataset"] == dataset]
        records, cells = read([write_sweep(tmp_path / dataset, *own)])
        write_page(tmp_path / dataset, records, cells)
        assert ("1.639" in (tmp_path / dataset / "report.html").read_text()) is shown


def test_published_figures_say_what_they_are(tmp_path: Path) -> None:
    made = [result("em"), result("tap")]
    rem = {**result("ops"), "poison": "rem"}
    records, cells = read([write_sweep(tmp_path, *made, rem)])
    build(tmp_path, records, cells)
    page = (tmp_path / "report.html").read_text()
    assert "1.639, unverified" in page
    assert "17.5 %, not comparable" in page
    assert "The published test accuracy of rem is not comparable: APBench&#39;s REM is another algorithm" in page
    assert "as reported (unverified) em &lt; tap" in page
    (trace,) = [
        trace
        for trace in json.loads(_unpacked(page, "figures-data"))["distances"][0][0]["data"]
        if "reported" in (trace.get("name") or "")
    ]
    assert trace["name"] == "as reported, unverified"


def test_any_measure_is_shown_clean_beside_poisoned(tmp_path: Path) -> None:
    made = [result(poison) for poison in ("em", "ops")]
    for factor, entry in enumerate(made, 1):
        values = [[factor * 1.0, -2.0], [3.0, 4.0]]
        entry["measures"] = {
            "made_up": {"layers": ["a", "b"], "epochs": [2, 4], "values": values, "clean_values": [[1.0, 1.0]] * 2}
        }
    records, cells = read([write_sweep(tmp_path, *made)])
    build(tmp_path, records, cells)
    charts = json.loads(_unpacked((tmp_path / "report.html").read_text(), "figures-data"))["measure-0"]
    clean, poisoned = charts[0][0]["data"][0], charts[0][1]["data"][0]  # of ops, whose UD is lower
    assert clean["z"] == [[1.0, 1.0], [1.0, 1.0]]
    assert poisoned["z"] == [[2.0, 3.0], [-2.0, 4.0]]  # layers from the top, epochs to the right
    assert (poisoned["x"], poisoned["y"]) == (["2", "4"], ["a", "b"])
    assert (poisoned["zmin"], poisoned["zmax"]) == (clean["zmin"], clean["zmax"]) == (-4.0, 4.0)
    assert (tmp_path / "figures" / "made_up.png").exists()


def test_both_renderers_draw_one_description(tmp_path: Path) -> None:
    from unlearnable.report import render_matplotlib, render_plotly
    from unlearnable.report.papers import sheets

    _, cells = read([write_sweep(tmp_path, *[result(p, seed=s) for p in METHODS for s in (0, 1)])])
    for chart, name in zip(sheets(cells)["ud"], ("mean", "value"), strict=True):
        means = next(one for one in chart.series if one.name.startswith(name))
        drawn = next(trace for trace in render_plotly.draw(chart).data if trace.name == means.name)
        assert list(drawn.x) == pytest.approx(list(means.x))
        figure = render_matplotlib.draw([chart])
        places = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]
        assert set(means.x) <= set(places)
        bars = [bar.get_segments()[0][:, 0] for bar in figure.axes[0].collections]
        assert sorted(bar[0] for bar in bars) == pytest.approx(sorted(low for low, _ in means.x_range))
        assert sorted(bar[1] for bar in bars) == pytest.approx(sorted(high for _, high in means.x_range))


def test_labels_of_points_that_are_close_stand_above_one_another() -> None:
    # Points in pixels, 35 at least for a label, 7 high; it is lifted pixel by pixel from 3.5 above its point.
    assert lifts([(0, 0), (100, 0), (10, 2)], near=35, line=7) == [3.5, 3.5, 8.5]
    assert lifts([(10, 2), (0, 0)], near=35, line=7) == [8.5, 3.5]  # the upper one, whichever comes first
    assert lifts([], near=35, line=7) == []


def test_epochs_are_whole_numbers_on_both_renderers(tmp_path: Path) -> None:
    from unlearnable.report import render_matplotlib, render_plotly
    from unlearnable.report.papers import sheets

    for epochs, step in ((4, 1), (30, 5)):
        _, cells = read([write_sweep(tmp_path / str(epochs), *[result(p, epochs=epochs) for p in ("clean", "em")])])
        chart = sheets(cells)["curves"][0]
        drawn = render_plotly.draw(chart).layout.xaxis
        assert (drawn.tick0, drawn.dtick) == (0, step)
        figure = render_matplotlib.draw([chart])
        assert all(tick == int(tick) for tick in figure.axes[0].get_xticks())


def test_the_distribution_of_sal_names_several_places_on_both_renderers(tmp_path: Path) -> None:
    from unlearnable.report import render_matplotlib, render_plotly
    from unlearnable.report.figures.maps import distribution
    from unlearnable.report.style import looks
    from unlearnable.results.comparison import comparisons

    _, cells = read([write_sweep(tmp_path, *[result(p) for p in ("clean", "em")])])
    chart = distribution(comparisons(cells)[0], looks(["clean", "em"]))
    axes = render_matplotlib.draw([chart]).axes[0]
    (low, high), ticks = axes.get_ylim(), list(axes.get_yticks())
    assert len([tick for tick in ticks if low <= tick <= high]) > 1  # within one power of ten, too
    assert ticks == list(render_plotly.draw(chart).layout.yaxis.tickvals)


def test_text_from_jobs_cannot_become_markup(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", result("em"), failed=1)
    record = json.loads((sweep / "1-rem" / "failed.json").read_text())
    (sweep / "1-rem" / "failed.json").write_text(json.dumps({**record, "error": "<script>alert(1)</script>"}))
    records, cells = read([sweep])
    write_page(sweep, records, cells)
    assert "<script>alert(1)" not in (sweep / "report.html").read_text()


def test_a_sweep_of_failures_has_a_page_that_says_so(tmp_path: Path) -> None:
    records, cells = read([write_sweep(tmp_path / "sweep", failed=2)])
    write_page(tmp_path / "sweep", records, cells)
    assert "No poisoned job has a result yet." in (tmp_path / "sweep" / "report.html").read_text()


def test_a_large_sweep_stays_below_six_megabytes(tmp_path: Path) -> None:
    made = [result(poison, seed=seed, epochs=50) for poison in METHODS for seed in range(6)]
    for entry in made:  # 21 layers, as a ResNet-18 has
        entry["layers"] = [f"layer{place}" for place in range(21)]
        for name in ("sal", "clean_sal"):
            entry[name] = [[*row, *row, *row] for row in entry[name]]
    records, cells = read([write_sweep(tmp_path / "sweep", *made)])
    write_page(tmp_path / "sweep", records, cells)
    assert (tmp_path / "sweep" / "report.html").stat().st_size < LARGEST_BYTES


def test_figures_for_papers_are_whole_pngs_and_pdfs(built: Path) -> None:
    names = {path.stem for path in (built / "figures").iterdir()}
    assert {
        "ud",
        "ud_accuracy",
        "sal",
        "learnable_layers",
        "layers",
        "curves",
        "ud_over_eps",
        "rank_stability",
        "transfer",
        "tasks",
    } <= names
    for path in (built / "figures").iterdir():
        head = path.read_bytes()[:5]
        assert head.startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")


def test_the_command_builds_over_several_sweeps_and_refuses_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps = [write_sweep(tmp_path / name, result(name)) for name in ("em", "ops")]
    assert main([*map(str, sweeps), "--out", str(tmp_path / "both"), "--title", "Both"]) == 0
    assert "<h1>Both</h1>" in (tmp_path / "both" / "report.html").read_text()
    assert main([str(tmp_path / "absent")]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_a_browser_draws_every_figure(built: Path, tmp_path: Path) -> None:
    drawn = dumped(built / "report.html", tmp_path, size=(1280, 30000), query="?all")
    assert 'data-ready="yes"' in drawn
    plots = re.findall(r'<div class="plot( js-plotly-plot)?"', drawn)
    assert len(plots) > 10
    assert all(plots)


def test_compact_results_hold_an_epoch_of_several_tasks_once(tmp_path: Path) -> None:
    entry = result("em", seed=0)
    entry["task"] = "depth"
    entry["epochs"] = [{"test/depth/rmse": 1.0, "test/scene/acc": 0.5, "train/loss": 2.0}]
    assert main([str(write_sweep(tmp_path / "sweep", entry)), "--out", str(tmp_path / "kept"), "--compact"]) == 0
    (run,) = json.loads((tmp_path / "kept" / "runs.json").read_text())
    assert run["epochs"] == [{"test/depth/rmse": 1.0, "train/loss": 2.0}]


def test_compact_results_hold_every_run_and_no_folder_of_the_machine(tmp_path: Path) -> None:
    made = [result(poison, seed=seed) for poison in ("em", "ops") for seed in (0, 1)]
    for entry in made:
        entry["config"]["dataset"] = {"subset": 100, "data_dir": "/home/someone/data"}
        entry["config"]["store"] = {"dir": "/home/someone/store"}
    sweep = write_sweep(tmp_path / "sweep", *made)
    assert main([str(sweep), "--out", str(tmp_path / "kept"), "--compact"]) == 0
    runs = json.loads((tmp_path / "kept" / "runs.json").read_text())
    assert [run["ud"] for run in runs] == pytest.approx([entry["ud"] for entry in made], rel=1e-4)
    assert {"summary.csv", "aggregates.csv", "ud.png", "configuration.json"} <= {
        p.name for p in (tmp_path / "kept").iterdir()
    }
    assert not list((tmp_path / "kept").glob("*.pdf"))
    for path in (tmp_path / "kept").glob("*.[jc]s*"):
        assert "/home/someone" not in path.read_text()


def test_each_way_of_training_has_learning_curves_of_its_own(tmp_path: Path) -> None:
    from unlearnable.report.sections import curves_section
    from unlearnable.report.style import looks
    from unlearnable.results.comparison import comparisons

    made = [result(poison, data={"subset": subset}) for poison in ("clean", "em") for subset in (300, 1000)]
    for one in made:
        if one["config"]["dataset"]["subset"] == 300:
            one["epochs"] = [{**epoch, "test/acc": 0.2} for epoch in one["epochs"]]
    _, cells = read([write_sweep(tmp_path / "sweep", *made)])
    panel = next(one for one in curves_section(comparisons(cells), looks(["clean", "em"])).panels if one.id == "curves")
    drawn = {choice.label: choice.charts[0].series for choice in panel.choices if choice.label.startswith("test/acc")}
    assert set(drawn) == {"test/acc · dataset.subset=300", "test/acc · dataset.subset=1000"}
    for name, series in drawn.items():
        assert all(({*line.y} == {0.2}) == name.endswith("=300") for line in series)


def test_a_metric_that_is_no_number_in_one_epoch_is_a_gap_in_its_curve(tmp_path: Path) -> None:
    made = [result(poison) for poison in ("clean", "em")]
    made[1]["epochs"][3]["train/loss"] = None
    sweep = write_sweep(tmp_path / "sweep", *made)
    write_page(sweep, *read([sweep]))
    assert (sweep / "report.html").exists()
