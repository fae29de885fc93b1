"""The confusion matrix stays legible, from two classes to more than fifty."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from drawn import FASHION, study
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.figures.confusion import confusion
from latent_digits.report.figures.style import SMALL, STYLE, WIDTH

MANY = [f"species number {n}" for n in range(50)]


def drawn(classes: Sequence[str]) -> Figure:
    """The figure as it is saved, with everything in its place."""
    with matplotlib.rc_context(STYLE):
        figure = confusion(study("name", classes)).draw()
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("classes", [("on", "off"), DIGITS, FASHION, MANY, [*MANY, *MANY]])
def test_names_do_not_lie_over_each_other(classes: Sequence[str]) -> None:
    figure = drawn(classes)
    assert figure.get_size_inches()[0] <= WIDTH
    labels = figure.axes[0].get_yticklabels()
    heights = [one.get_window_extent().y0 / figure.dpi for one in labels]
    assert np.diff(heights[::-1]).min() >= SMALL / 72
    assert {one.get_size() for one in labels} == {SMALL}


def test_names_give_way_to_signs_where_there_is_no_room() -> None:
    assert [one.get_text() for one in drawn(FASHION).axes[0].get_yticklabels()] == [*FASHION]
    found = drawn(MANY).axes[0].get_yticklabels()
    assert [one.get_text() for one in found] == [str(n) for n in range(1, 51)]
    assert confusion(study("name", MANY)).caption.endswith("Classes have their signs of figure 9.")
    assert "signs" not in confusion(study("name", FASHION)).caption


def test_counts_stand_only_where_they_have_room() -> None:
    def numbers(classes: Sequence[str]) -> set[str]:
        return {one.get_text() for one in drawn(classes).axes[0].texts} & {"1", "10"}

    assert numbers(DIGITS) == {"1", "10"}
    assert numbers([*"abcdefghijklmnopqrstuvwxyz"]) == {"1", "10"}
    assert numbers(MANY) == set()


def test_a_sentence_names_classes_by_word_or_digit() -> None:
    assert "The most frequent error is a 0 that is read as 1 (1 times); the 0 is" in (
        confusion(study()).alt
    )
    assert 'is "T-shirt/top" that is read as "Trouser" (1 times); "T-shirt/top" is' in (
        confusion(study("Fashion-MNIST", FASHION)).alt
    )
