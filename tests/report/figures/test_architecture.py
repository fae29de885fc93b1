"""A layer that is changed shows."""

from drawn import LAYERS, study
from latent_digits.report.figures.architecture import about, architecture


def test_a_layer_in_words() -> None:
    assert [about(row) for row in LAYERS] == [
        ["image"],
        ["convolution", "3×3, stride 2", "80 params", "ReLU"],
        ["linear", "30 params", "ReLU"],
    ]


def test_a_layer_that_nobody_foresaw_has_its_own_name() -> None:
    row = {**LAYERS[1], "layer": "BatchNorm2d", "kernel": None, "then": ["GELU"]}
    assert about(row) == ["BatchNorm2d", "80 params", "GELU"]
    encoder = [*LAYERS[:2], row, LAYERS[2]]
    facts = study().facts
    layers = {**facts["layers"], "encoder": encoder}
    drawing = architecture(study(facts={**facts, "layers": layers}))
    assert drawing.alt != architecture(study()).alt
    assert {text.get_text() for text in drawing.draw().axes[0].texts} >= {"BatchNorm2d", "GELU"}
