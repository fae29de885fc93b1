"""The data set that a report is about, and the words and signs that it takes to speak of it."""

import string
import unicodedata
from dataclasses import dataclass
from typing import Self

from latent_digits.data.storage import Row

DIGITS = tuple(string.digits)
LETTERS = string.ascii_uppercase.replace("I", "")  # which looks like a mere stroke
SHORT = 2  # characters of a name that is a sign itself
KNOWN = 0x0526  # Latin, Greek and Cyrillic below: the characters that all fonts used here have


@dataclass(frozen=True)
class DatasetInfo:
    """Its name, its classes by label (none where nothing is labelled), and the pixels of a side."""

    name: str
    classes: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, facts: Row) -> Self:
        """From the entry "data" in the facts of `data/arrays.safetensors`."""
        return cls(spelled(facts["name"]), tuple(map(spelled, facts["classes"])), facts["size"])

    @property
    def is_mnist(self) -> bool:
        """Whether it is the original report's: what that says, and what we saw, is of no other."""
        return self.name == "MNIST"

    @property
    def labelled(self) -> bool:
        return bool(self.classes)

    @property
    def has_ten_digits(self) -> bool:
        return self.classes == DIGITS

    @property
    def is_of_digits(self) -> bool:
        return self.labelled and {*self.classes} <= {*DIGITS}

    @property
    def noun(self) -> str:
        """What a label names."""
        return "digit" if self.is_of_digits else "class"

    @property
    def nouns(self) -> str:
        return "digits" if self.is_of_digits else "classes"

    @property
    def image(self) -> str:
        """What an image shows, in one word that is true of all of them."""
        return "digit" if self.is_of_digits else "image"

    @property
    def images(self) -> str:
        return f"{self.image}s"

    def named(self, label: int) -> str:
        """A class's name in a sentence: '5', or '"Shirt"'."""
        return self.classes[label] if self.is_of_digits else f'"{self.classes[label]}"'

    def a(self, label: int) -> str:
        """One of a class, in a sentence: 'a 5', or '"Shirt"'."""
        return f"{'a ' * self.is_of_digits}{self.named(label)}"

    def the(self, label: int) -> str:
        """A class in a sentence: 'the 5', or '"Shirt"'."""
        return f"{'the ' * self.is_of_digits}{self.named(label)}"

    @property
    def signs(self) -> tuple[str, ...]:
        """What is drawn for an image of each class: the names where all are short, else letters, or
        numbers where the letters do not suffice.
        """
        if all(len(one) <= SHORT and one.isalnum() for one in self.classes):
            return self.classes
        if len(self.classes) <= len(LETTERS):
            return tuple(LETTERS[: len(self.classes)])
        return tuple(str(number) for number in range(1, len(self.classes) + 1))


def spelled(name: str) -> str:
    """The name on one line, other scripts' characters by what Unicode calls them: "お" is
    "hiragana letter o".
    """
    parts = [
        one
        if ord(one) < KNOWN and one.isprintable()
        else f" {unicodedata.name(one, f'U+{ord(one):04X}').lower()} "
        for one in unicodedata.normalize("NFC", name)
    ]
    return " ".join("".join(parts).split())
