"""Text that is cut to fit: whole rows, nothing left open, and never longer than allowed."""

import pytest

from latent_digits.github.cutting import cut, in_bytes

FOLDED = "start\n<details><summary>a</summary>\n\n| x |\n| - |\n| 1 |\n| 2 |\n\n</details>\nend"


def test_what_fits_is_left_as_it_is() -> None:
    assert cut(FOLDED, len(FOLDED), "cut") == FOLDED


def test_it_ends_with_a_whole_row_and_closes_what_is_unfolded() -> None:
    found = cut("row one\n<details>\nrow two\nrow three, which is long", 49, "cut")
    assert found == "row one\n<details>\nrow two\n\n</details>\n\ncut"


@pytest.mark.parametrize("size", [len, in_bytes])
def test_it_is_never_longer_and_leaves_nothing_open(size: type) -> None:
    text = FOLDED.replace("x", "ä").replace("start", "<details>\nü")
    for most in range(size("cut"), size(text)):
        found = cut(text, most, "cut", size)
        assert size(found) <= most
        assert found.endswith("cut")
        assert found.count("<details") == found.count("</details")
        rows = found.removesuffix("cut").replace("</details>", "").split()
        assert all(row in text.split() for row in rows)


def test_one_row_that_is_too_long_leaves_the_sentence() -> None:
    assert cut("x" * 1000, 100, "cut") == "cut"
