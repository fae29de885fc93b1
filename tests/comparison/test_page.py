"""The comparison's page in a real browser, offline; and what is drawn where."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latent_digits.comparison.page import PLOT_HEIGHT, interval, lines, page
from latent_digits.comparison.pictures import Picture, png
from latent_digits.comparison.values import (
    Comparison,
    Curve,
    Difference,
    Gate,
    Image,
    MetricRow,
    Side,
    StageRow,
    Stale,
)
from smoke import PROJECT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FIGURE = PROJECT / "reports/figures/fig04_denoising.png"
EVIL = "<img src=x onerror=\"document.title='evil'\"><script>document.title='evil'</script>"


def row(**values: Any) -> MetricRow:
    usual: dict[str, Any] = {
        "name": "ae_mse_e3",
        "title": "Autoencoder",
        "better": "lower",
        "base": 4.0,
        "head": 4.2,
        "change": 0.2,
        "low": 0.15,
        "high": 0.25,
        "tolerance": 0.1,
        "beyond": True,
        "verdict": "worse",
        "apart": [],
        "note": "",
    }
    return MetricRow(**usual | values)


def comparison(words: str = "words", stale: bool = False) -> Comparison:
    side = Side(
        revision=words, commit="a" * 40, subject=words, changes=True, seeds=1, test_images=""
    )
    difference = Difference(name=words, base=words, head=None)
    return Comparison(
        sentence=words,
        base=side,
        head=side,
        notes=[words],
        stale=[Stale(stage=words, causes=[words])] if stale else [],
        gate=Gate(exit=1, neutral=False, reasons=[words], changes=[difference]),
        metrics=[row(note=words), row(name=words, tolerance=None, better=None, verdict="changed")],
        parameters=[difference],
        stages=[StageRow(stage=words, causes=[words], same_bytes=True)],
        others=[difference],
        classes=[],
        worsened=[Image(name="ae_mse_e3", index=3, label=7, base=1.0, head=2.0)],
        curves=[Curve(name=words, base=[3.0, 2.0, 1.0], head=[3.0, 1.5])],
    )


@pytest.mark.skipif(not BROWSER, reason="no chromium here; Debian has it as a package")
def test_the_page_needs_nothing_else_and_runs_nobodys_script(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    html = tmp_path / "compare.html"
    figures = {FIGURE.name: (FIGURE, FIGURE)}
    html.write_text(page(comparison(EVIL), figures, [Picture(3, (png(np.eye(28)),) * 3)]))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1000, "height": 800})
        asked: list[str] = []
        faults: list[str] = []
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: faults.append(str(error)))
        shown.goto(html.as_uri())
        shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert [one for one in asked if not one.startswith("data:")] == [html.as_uri()]
        assert faults == []
        assert shown.title() == EVIL
        assert shown.locator("script").count() == 0
        pictures = shown.locator("img")
        assert pictures.count() == 5
        assert all(pictures.nth(n).evaluate("it => it.naturalWidth") > 0 for n in range(5))
        assert shown.locator("svg").count() == 2
        width = shown.evaluate("document.documentElement.scrollWidth")
        assert width <= 1000  # nothing to scroll for but within tables
        browser.close()


def test_old_verdicts_are_struck_out() -> None:
    assert re.search(r'class="worse old">\s*worse', page(comparison(stale=True), {}))
    assert ' old">' not in page(comparison(), {})


def test_worse_is_to_the_right_whichever_direction_is_better() -> None:
    lower, higher = interval(row()), interval(row(better="higher"))
    assert lower is not None and higher is not None
    assert lower["at"] > lower["limit"] > 50 > higher["at"]
    assert lower["low"] < lower["at"] < lower["high"]
    assert interval(row(change=None)) is None
    unknown = interval(row(low=None, high=None))
    assert unknown is not None and unknown["low"] == unknown["at"] == unknown["high"]
    far = interval(row(change=100.0, low=90.0, high=110.0))
    assert far is not None and far["at"] == 98  # within the plot


def test_two_curves_share_a_scale() -> None:
    found = lines(Curve(name="ae", base=[9.0, 5.0, 4.0, 2.0], head=[9.0, 5.0, 3.0, 1.0]))
    heights = [float(one.split(",")[1]) for one in found["base"].split()]
    assert heights == sorted(heights)
    assert float(found["head"].split()[-1].split(",")[1]) == PLOT_HEIGHT  # the least of all
    assert lines(Curve(name="ae", base=[], head=[1.0]))["base"] == ""
