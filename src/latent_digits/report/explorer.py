"""The two latent planes as one page for a browser, offline: `reports/explorer.html`.

Its script decodes with the study's own weights, and `decoded` is the same in NumPy, for those who
run no scripts. Both know the decoder of `models.networks` in any width and for images of any size;
of one with other layers the page says that it cannot show it. B batch, C D channels, S side of an
image.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from latent_digits.console import UserError
from latent_digits.data.storage import Arrays, Row
from latent_digits.report.dataset_info import DatasetInfo

HERE = Path(__file__).parent
TITLES = {"ae_2d": "Autoencoder", "vae_2d": "Variational autoencoder"}
OF_DIGITS = ((0, 9), (1, 7), (3, 8), (6, 4))  # paths that are worth a look
PRESETS = 4
SHOWN = 800  # validation images; with them MNIST's page has some 530 kB
PIXELS = 3_200_000  # of all these, at most
COLUMNS = 40  # of the sheet that holds their images
GRID = 16  # decoded images a side, where no script runs
WITHIN = 0.99  # of the validation images lie on the part of the plane that is shown
DEAD = 0.1  # standard deviation; a variance of 0.01, as in Burda et al. 2016
LINEAR, TRANSPOSED = ("Linear", None, None, "ReLU"), ("ConvTranspose2d", 3, 2, "ReLU")
KNOWN = [  # layer, kernel, stride and function of the decoder that can be worked out
    *(("input", None, None), LINEAR, LINEAR, ("Unflatten", None, None)),
    *(TRANSPOSED, TRANSPOSED, (*TRANSPOSED[:3], "Sigmoid")),
]


def render_explorer(arrays: Arrays, facts: Row, models: dict[str, Arrays], val: Arrays) -> str:
    """The page; `facts` are those of the arrays, `models` by the names of their files, `val` the
    validation set.

    Equal arrays give equal text. Raises UserError where an array is missing.
    """
    dataset = DatasetInfo.of(facts["data"])
    names = [f"{name}.z" for name in TITLES] + ["val.labels"] * dataset.labelled
    found = {name: needed(arrays, name, "data/arrays.safetensors", "evaluate") for name in names}
    labels = found.get("val.labels", np.array([], int))
    count = min(SHOWN, PIXELS // dataset.size**2)
    images, index = (
        needed(val, name, "data/split/val.safetensors", "prepare")[:count]
        for name in ("images", "index")
    )
    sides = sides_of(facts["layers"]["decoder"])
    planes = [
        plane(name, found[f"{name}.z"], labels, models[name], sides, count) for name in TITLES
    ]
    embedded = {
        "size": dataset.size,
        "source": "MNIST’s training file" if dataset.is_mnist else dataset.name,
        "image": dataset.image,
        "point": point(dataset),
        "classes": classes(dataset),
        "index": index.tolist(),
        "labels": labels[:count].tolist(),
        "planes": {one["name"]: one["data"] for one in planes if one["data"]},
    }
    data = json.dumps(embedded, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    style, script = ((HERE / f"explorer.{kind}").read_text("utf-8") for kind in ("css", "js"))
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explorer.html.j2").render(
        dataset=dataset,
        image=dataset.image,
        point=point(dataset),
        side=dataset.size * -(-112 // dataset.size),  # of a canvas, in whole pixels of an image
        planes=planes,
        sheet=png(images / 255, COLUMNS),
        presets=presets(facts, dataset) if dataset.labelled else [],
        shown=count,
        total=len(found["ae_2d.z"]),
        within=WITHIN,
        data=data.replace("<", "\\u003c"),  # a class's name must not end the element
        style=style,
        script=script,
        style_digest=digest(style),
        script_digest=digest(script),
    )


def needed(arrays: Arrays, name: str, path: str, stage: str) -> np.ndarray:
    if name not in arrays:
        raise UserError(f"{path} has no {name}; `dvc repro --force {stage}` makes it again.")
    return arrays[name]


def point(dataset: DatasetInfo) -> str:
    """What an image is drawn as on a plane."""
    if not dataset.labelled:
        return "dot"
    return "digit" if dataset.is_of_digits else "sign"


def classes(dataset: DatasetInfo) -> list[Row]:
    """What the script says of each class, and draws."""
    plural = "s" * dataset.is_of_digits
    return [
        {"sign": sign, "one": dataset.a(label), "many": f"{dataset.named(label)}{plural}"}
        for label, sign in enumerate(dataset.signs)
    ]


def presets(facts: Row, dataset: DatasetInfo) -> list[tuple[int, int]]:
    """Paths from one class to another by their labels, the first that of figure 6."""
    names = facts["data"]["classes"]
    first = names.index(facts["path"]["from"]), names.index(facts["path"]["to"])
    neighbours = zip(range(0, len(names), 2), range(1, len(names), 2), strict=False)
    others = OF_DIGITS if dataset.has_ten_digits else neighbours
    return [first, *(one for one in others if not {*one} & {*first})][:PRESETS]


def sides_of(decoder: Sequence[Row]) -> list[int] | None:
    """The sides of the images between the decoder's convolutions, from its layers as `evaluate` has
    them; None where these are others than the page can work out.
    """
    found = [
        (row["layer"], row.get("kernel"), row.get("stride"), *functions(row)) for row in decoder
    ]
    if found != KNOWN:
        return None
    sides = [row["shape"][-1] for row in decoder[3:]]
    return sides if all(-1 <= out - 2 * side <= 2 for side, out in pairwise(sides)) else None


def functions(row: Row) -> list[str]:
    """What follows a layer when nothing is trained any more."""
    return [name for name in row["then"] if not name.startswith("Dropout")]


def weights_of(model: Arrays, sides: Sequence[int]) -> list[np.ndarray] | None:
    """The decoder's weights, each followed by its bias, layer by layer; None where their shapes are
    not those of such a decoder.
    """
    keys = [key.split(".") for key in model if key.startswith("decoder.")]
    order = sorted(keys, key=lambda key: (int(key[1]), key[2] == "bias"))
    weights = [model[".".join(key)] for key in order]
    if len(weights) != 2 * 5:
        return None
    units, channels = len(weights[0]), [*map(len, weights[4::2]), 1]
    features = channels[0] * sides[0] ** 2
    expected: list[tuple[int, ...]] = [(units, 2), (units,), (features, units), (features,)]
    for one, other in pairwise(channels):
        expected += [(one, other, 3, 3), (other,)]
    return weights if [array.shape for array in weights] == expected else None


def plane(
    name: str,
    z: np.ndarray,
    labels: np.ndarray,
    model: Arrays,
    sides: Sequence[int] | None,
    count: int,
) -> Row:
    """What the template says of a model with latents `z` [B, 2]; under "data", what the script
    gets, with the first `count` of these, or None where the decoder has other layers than it knows.
    """
    bound = max(1.0, math.ceil(10 * np.quantile(np.abs(z).max(axis=1), WITHIN)) / 10)
    deviations = z.std(axis=0).tolist()
    said: Row = {
        "name": name,
        "title": TITLES[name],
        "bound": bound,
        "deviations": deviations,
        "dead": [number + 1 for number, one in enumerate(deviations) if one < DEAD],
        "data": None,
    }
    weights = weights_of(model, sides) if sides else None
    if not sides or not weights:
        return said
    ticks = bound * ((2 * np.arange(GRID) + 1) / GRID - 1)
    points = np.array([(x, y) for y in ticks[::-1] for x in ticks])
    return said | {
        "grid": png(decoded(weights, sides, points), GRID),
        "data": {
            "bound": bound,
            "medians": {
                str(label): np.median(z[labels == label], axis=0).round(3).tolist()
                for label in np.unique(labels)
            },
            "title": TITLES[name],
            "shapes": [array.shape for array in weights],
            "sides": sides,
            "weights": floats(np.concatenate([array.ravel() for array in weights])),
            "z": floats(z[:count]),
        },
    }


def decoded(weights: Sequence[np.ndarray], sides: Sequence[int], z: np.ndarray) -> np.ndarray:
    """Images [B, S, S] in (0, 1) from latents [B, 2]; in float64, so that no library's order of
    sums shows in a grey."""
    first, bias, second, bias_2, *convolutions = (array.astype(np.float64) for array in weights)
    x = np.maximum(z @ first.T + bias, 0)
    x = (x @ second.T + bias_2).reshape(len(z), -1, sides[0], sides[0])
    for weight, bias, side in zip(convolutions[::2], convolutions[1::2], sides[1:], strict=True):
        x = transposed(np.maximum(x, 0), weight, bias, side)
    return 1 / (1 + np.exp(-x[:, 0]))


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: int) -> np.ndarray:
    """PyTorch's ConvTranspose2d of kernel 3 and stride 2, [B, C, S, S] to [B, D, out, out].

    The size tells its padding P and output padding, 0 or 1 each: 2·S + 1 - 2·P and one more.
    """
    side = x.shape[-1]
    whole = np.tile(bias[:, None, None], (len(x), 1, 2 * side + 2, 2 * side + 2))
    for i, j in product(range(3), range(3)):
        part = np.einsum("bcyx,cd->bdyx", x, weight[:, :, i, j])
        whole[..., i : i + 2 * side : 2, j : j + 2 * side : 2] += part
    padding = 0 if out > 2 * side else 1
    return whole[..., padding : padding + out, padding : padding + out]


def floats(array: np.ndarray) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def png(images: np.ndarray, columns: int) -> str:
    """A PNG in base64 of images [B, S, S] in [0, 1], row by row; the last row may be short.

    They are ink on clear ground, in sixteen steps, and so suit light paper and dark.
    """
    rows, side = -(-len(images) // columns), images.shape[-1]
    sheet = np.zeros((rows * columns, side, side), np.uint8)
    sheet[: len(images)] = (images * 15).round()
    sheet = sheet.reshape(rows, columns, side, side).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(side * rows, side * columns), "P")
    picture.putpalette([0, 0, 0] * 16)
    file = io.BytesIO()
    picture.save(file, "PNG", bits=4, transparency=bytes(range(0, 256, 17)), optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def digest(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
