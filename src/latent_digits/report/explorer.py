"""The two latent planes as one page for a browser, offline: `reports/explorer.html`.

Its script decodes with the study's own weights, and `decoded` is the same in NumPy, for those who
run no scripts. Both know the decoder of `models.networks` as it is; of one with other layers the
page says that it cannot show it. B batch, C D channels, S side of an image.
"""

import base64
import hashlib
import io
import json
import math
from itertools import product
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from latent_digits.console import UserError
from latent_digits.data.storage import Arrays, Row

HERE = Path(__file__).parent
TITLES = {"ae_2d": "Autoencoder", "vae_2d": "Variational autoencoder"}
PRESETS = ((0, 9), (1, 7), (3, 8), (6, 4))
SHOWN = 800  # validation images; with them the page has some 530 kB
COLUMNS = 40  # of the sheet that holds their images
GRID = 16  # decoded digits a side, where no script runs
WITHIN = 0.99  # of the validation images lie on the part of the plane that is shown
DEAD = 0.1  # standard deviation; a variance of 0.01, as in Burda et al. 2016
SHAPES = {  # of the decoder's parameters, in the order in which the page reads them
    **{"decoder.0.weight": (64, 2), "decoder.0.bias": (64,)},
    **{"decoder.3.weight": (288, 64), "decoder.3.bias": (288,)},
    **{"decoder.7.weight": (32, 16, 3, 3), "decoder.7.bias": (16,)},
    **{"decoder.10.weight": (16, 8, 3, 3), "decoder.10.bias": (8,)},
    **{"decoder.13.weight": (8, 1, 3, 3), "decoder.13.bias": (1,)},
}


def render_explorer(arrays: Arrays, models: dict[str, Arrays], val: Arrays) -> str:
    """The page; `models` by the names of their files, `val` the validation set.

    Equal arrays give equal text. Raises UserError where an array is missing.
    """
    labels, *latents = (
        needed(arrays, name, "data/arrays.safetensors", "evaluate")
        for name in ("val.labels", *(f"{name}.z" for name in TITLES))
    )
    images, index = (
        needed(val, name, "data/split/val.safetensors", "prepare")[:SHOWN]
        for name in ("images", "index")
    )
    planes = [plane(name, z, labels, models[name]) for name, z in zip(TITLES, latents, strict=True)]
    embedded = {
        "index": index.tolist(),
        "labels": labels[:SHOWN].tolist(),
        "planes": {one["name"]: one["data"] for one in planes if one["data"]},
    }
    data = json.dumps(embedded, sort_keys=True, separators=(",", ":"))
    style, script = ((HERE / f"explorer.{kind}").read_text("utf-8") for kind in ("css", "js"))
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explorer.html.j2").render(
        planes=planes,
        images=png(images / 255, COLUMNS),
        presets=[one for one in PRESETS if {*one} <= {*labels.tolist()}],
        shown=len(images),
        total=len(labels),
        within=WITHIN,
        data=data,
        style=style,
        script=script,
        style_digest=digest(style),
        script_digest=digest(script),
    )


def needed(arrays: Arrays, name: str, path: str, stage: str) -> np.ndarray:
    if name not in arrays:
        raise UserError(f"{path} has no {name}; `dvc repro --force {stage}` makes it again.")
    return arrays[name]


def plane(name: str, z: np.ndarray, labels: np.ndarray, model: Arrays) -> Row:
    """What the template says of a model with latents `z` [B, 2]; under "data", what the script
    gets, or None where the decoder has other layers than it knows."""
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
    if {key: one.shape for key, one in model.items() if key.startswith("decoder.")} != SHAPES:
        return said
    weights = [model[key] for key in SHAPES]
    ticks = bound * ((2 * np.arange(GRID) + 1) / GRID - 1)
    points = np.array([(x, y) for y in ticks[::-1] for x in ticks])
    return said | {
        "grid": png(decoded(weights, points), GRID),
        "data": {
            "bound": bound,
            "medians": {
                str(digit): np.median(z[labels == digit], axis=0).round(3).tolist()
                for digit in np.unique(labels)
            },
            "title": TITLES[name],
            "weights": floats(np.concatenate([array.ravel() for array in weights])),
            "z": floats(z[:SHOWN]),
        },
    }


def decoded(weights: list[np.ndarray], z: np.ndarray) -> np.ndarray:
    """Images [B, 28, 28] in (0, 1) from latents [B, 2]; in float64, so that no library's order of
    sums shows in a grey."""
    first, bias, second, bias_2, *convolutions = (array.astype(np.float64) for array in weights)
    x = np.maximum(z @ first.T + bias, 0)
    x = np.maximum(x @ second.T + bias_2, 0).reshape(-1, 32, 3, 3)
    x = np.maximum(transposed(x, *convolutions[:2]), 0)  # [B, 16, 7, 7]
    x = np.maximum(transposed(x, *convolutions[2:4])[..., 1:, 1:], 0)  # [B, 8, 14, 14]
    x = transposed(x, *convolutions[4:])[:, 0, 1:, 1:]  # [B, 28, 28]
    return 1 / (1 + np.exp(-x))


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """PyTorch's ConvTranspose2d of stride 2, [B, C, S, S] to [B, D, 2·S + 1, 2·S + 1].

    A padding and output padding of 1 are this without its first row and column.
    """
    side = x.shape[-1]
    whole = np.tile(bias[:, None, None], (len(x), 1, 2 * side + 1, 2 * side + 1))
    for i, j in product(range(3), range(3)):
        part = np.einsum("bcyx,cd->bdyx", x, weight[:, :, i, j])
        whole[..., i : i + 2 * side : 2, j : j + 2 * side : 2] += part
    return whole


def floats(array: np.ndarray) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def png(images: np.ndarray, columns: int) -> str:
    """A PNG in base64 of images [B, 28, 28] in [0, 1], row by row; the last row may be short.

    They are ink on clear ground, in sixteen steps, and so suit light paper and dark.
    """
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * columns, 28, 28), np.uint8)
    sheet[: len(images)] = (images * 15).round()
    sheet = sheet.reshape(rows, columns, 28, 28).swapaxes(1, 2)
    picture = Image.fromarray(sheet.reshape(28 * rows, 28 * columns), "P")
    picture.putpalette([0, 0, 0] * 16)
    file = io.BytesIO()
    picture.save(file, "PNG", bits=4, transparency=bytes(range(0, 256, 17)), optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def digest(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
