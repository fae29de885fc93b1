"""Words and signs for any data set."""

from collections.abc import Sequence

import pytest

from latent_digits.report.dataset_info import DatasetInfo, spelled

FIFTY = [f"class {n}" for n in range(50)]


def dataset(classes: Sequence[str], name: str = "name") -> DatasetInfo:
    return DatasetInfo.of({"name": name, "classes": list(classes), "size": 28})


@pytest.mark.parametrize(
    ("classes", "noun", "image"),
    [
        ("0123456789", "digit", "digit"),
        ("38", "digit", "digit"),
        ("abc", "class", "image"),
        (["10", "11"], "class", "image"),
        (["Shirt", "Bag"], "class", "image"),
        ([], "class", "image"),
    ],
)
def test_labels_are_digits_only_where_each_is_one(
    classes: Sequence[str], noun: str, image: str
) -> None:
    assert (dataset(classes).noun, dataset(classes).image) == (noun, image)


def test_the_ten_digits_are_in_their_order() -> None:
    assert dataset("0123456789").has_ten_digits
    assert not dataset("9876543210").has_ten_digits
    assert not dataset("012").has_ten_digits


def test_only_one_data_set_is_the_original_reports() -> None:
    assert dataset("0123456789", "MNIST").is_mnist
    assert not dataset("0123456789", "KMNIST").is_mnist


@pytest.mark.parametrize(
    ("classes", "signs"),
    [
        ("0123456789", "0123456789"),
        ("aжλ", "aжλ"),
        (["10", "11"], ["10", "11"]),
        (["ki", "tsu"], "AB"),
        ("+-", "AB"),
        ([f"class {n}" for n in range(10)], "ABCDEFGHJK"),
        (FIFTY, [*map(str, range(1, 51))]),
    ],
)
def test_short_names_are_signs_and_others_get_one(
    classes: Sequence[str], signs: Sequence[str]
) -> None:
    found = dataset(classes).signs
    assert found == (*signs,)
    assert len({*found}) == len(classes)


def test_a_class_in_a_sentence() -> None:
    digits, words = dataset("0123456789"), dataset(["Shirt", "Bag"])
    assert (digits.a(7), digits.the(7), digits.named(7)) == ("a 7", "the 7", "7")
    assert (words.a(1), words.the(1), words.named(1)) == ('"Bag"',) * 3


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("Ü ж λ", "Ü ж λ"),
        ("お", "hiragana letter o"),
        ("no 日", "no cjk unified ideograph-65e5"),
        ("a\n b", "a u+000a b"),
    ],
)
def test_what_fonts_do_not_have_is_spelled(name: str, plain: str) -> None:
    assert spelled(name) == plain
    assert dataset([name, "x"]).classes[0] == dataset("ab", name).name == plain
