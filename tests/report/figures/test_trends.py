"""How errors go with latents and labels: the numbers of the evidence, and nothing made up."""

import math

import pytest

from drawn import about, study
from latent_digits.report.figures.trends import Trend, labels, latents, trends


def test_a_share_becomes_an_error_which_is_nowhere_where_it_is_0() -> None:
    points = {10: about(0.9), 100: {"value": 1.0, "low": 1.0, "high": 1.0}}
    trend = Trend("name", "black", "o", points, 100, error=True)
    assert trend.at(10) == pytest.approx(10)
    assert math.isnan(trend.at(100))


def test_bars_reach_from_the_least_to_the_most_error() -> None:
    trend = Trend("name", "black", "o", {10: about(0.9), 100: about(0.95)}, 100, error=True)
    (ax,) = trends([trend], "labels", "error").axes
    (container,) = ax.containers
    (bars,) = container[2]
    reach = [sorted(segment[:, 1]) for segment in bars.get_segments()]
    assert reach[0] == pytest.approx([100 * (1 - 1.01 * 0.9), 100 * (1 - 0.98 * 0.9)])


def test_words_have_every_number() -> None:
    assert (
        "with 2 latents 0.0400 and 0.0500; with 4 latents 0.0200 and 0.0250; with 5"
        in latents(study()).alt
    )
    assert "with 10 labels 50.0 %, 30.0 %, 40.0 %; with 1\u00a0000 labels" in labels(study()).alt


def test_a_plane_that_the_search_has_chosen_has_no_recipe_of_its_own() -> None:
    assert "Z = 2 has a recipe of its own" in latents(study()).caption
    assert "own" not in latents(study(hparams={"latent_dim": 2})).caption


def test_a_classifier_without_errors_is_told_and_not_drawn() -> None:
    perfect = {"value": 1.0, "low": 1.0, "high": 1.0}
    evidence = study().evidence | {"labels/1000/pretrained": perfect}
    drawing = labels(study(evidence=evidence))
    assert "0.0 %" in drawing.alt
    assert "nan" not in drawing.alt
    drawing.draw()
