"""The page of the latent planes: what it is made of, and what a person sees in a real browser."""

import base64
import io
import json
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from drawn import FASHION
from latent_digits.console import UserError
from latent_digits.data.storage import Arrays, Row, read_tensors
from latent_digits.evaluation.arrays import layers_of
from latent_digits.models.networks import Decoder
from latent_digits.models.weights import arrays_of
from latent_digits.report import explorer
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.explorer import (
    COLUMNS,
    GRID,
    SHOWN,
    decoded,
    digest,
    render_explorer,
    sides_of,
    transposed,
    weights_of,
)
from smoke import PROJECT

SECONDS = 20  # for the page to start

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
IMAGES = 310  # the last row of the sheet is not full
PLANES = ("ae_2d", "vae_2d")
ARRAYS, VAL = "data/arrays.safetensors", "data/split/val.safetensors"
FILES = {name: f"data/models/{name}.safetensors" for name in PLANES}


SIDES = (3, 7, 14, 28)  # of the images between the convolutions


def decoder(
    seed: int, sides: Sequence[int] = SIDES, widths: Sequence[int] = (64, 32, 16, 8)
) -> Any:
    """As `models.networks` has it, of any size and widths; untrained, with weights large enough for
    black and white.
    """
    units, *channels = *widths, 1
    torch.manual_seed(seed)
    layers: list[nn.Module] = [
        *(nn.Linear(2, units), nn.ReLU(), nn.Dropout(0.0)),
        *(nn.Linear(units, channels[0] * sides[0] ** 2), nn.ReLU(), nn.Dropout(0.0)),
        nn.Unflatten(1, (channels[0], sides[0], sides[0])),
    ]
    for (one, other), (side, out) in zip(pairwise(channels), pairwise(sides), strict=True):
        padding = int(out <= 2 * side)
        rest = out - (2 * side + 1 - 2 * padding)
        layers.append(nn.ConvTranspose2d(one, other, 3, 2, padding, output_padding=rest))
        layers += [nn.ReLU(), nn.Dropout(0.0)] if other > 1 else [nn.Sigmoid()]
    network = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    return network


def arrays_with(networks: dict[str, Any]) -> dict[str, Arrays]:
    return {
        name: {f"decoder.{key}": array for key, array in arrays_of(network).items()}
        for name, network in networks.items()
    }


DECODERS = {name: decoder(seed) for seed, name in enumerate(PLANES)}
MODELS = arrays_with(DECODERS)


def facts(
    network: Any = DECODERS["ae_2d"],
    name: str = "MNIST",
    classes: Sequence[str] = DIGITS,
    size: int = 28,
) -> Row:
    """What `evaluate` says of the arrays."""
    return {
        "data": {"name": name, "classes": list(classes), "size": size},
        "path": {"from": classes[0], "to": classes[-1]} if classes else {},
        "layers": {"decoder": list(layers_of(network, torch.zeros(1, 2)))},
    }


def made_up(
    spread: tuple[float, float] = (2.0, 1.0), classes: int = 10, size: int = 28
) -> tuple[Arrays, Arrays]:
    """Arrays and a validation set of as many clouds as there are classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % max(classes, 1)
    turns = 2 * np.pi * labels / max(classes, 1)
    clouds = np.stack([np.cos(turns), np.sin(turns)], axis=1) + rng.normal(0, 0.1, (IMAGES, 2))
    z = (clouds * spread).astype(np.float32)
    images = rng.integers(0, 256, (IMAGES, size, size), dtype=np.uint8)
    val = {"images": images, "labels": labels, "index": np.arange(IMAGES) + 100}
    named = {"val.labels": labels} if classes else {}
    return {"ae_2d.z": z, "vae_2d.z": z / 2, **named}, val


def page(models: dict[str, Arrays] = MODELS, spread: tuple[float, float] = (2.0, 1.0)) -> str:
    arrays, val = made_up(spread)
    return render_explorer(arrays, facts(), models, val)


def page_of(name: str, classes: Sequence[str], sides: Sequence[int] = SIDES) -> str:
    """The page of another data set, with decoders for its images."""
    networks = {plane: decoder(seed, sides) for seed, plane in enumerate(PLANES)}
    arrays, val = made_up(classes=len(classes), size=sides[-1])
    about = facts(networks["ae_2d"], name, classes, sides[-1])
    return render_explorer(arrays, about, arrays_with(networks), val)


def embedded(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def pixels(png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def grid_of(text: str, name: str) -> str:
    found = re.search(rf'id="{name}".*?<img class="grid".*?base64,([^"]+)"', text, re.DOTALL)
    assert found
    return found[1]


def places(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-3, 3, (count, 2))


def by_pytorch(name: str, z: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return DECODERS[name](torch.tensor(z, dtype=torch.float32))[:, 0].numpy()


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("output_padding", [0, 1])
def test_a_transposed_convolution_is_pytorchs(padding: int, output_padding: int) -> None:
    layer = torch.nn.ConvTranspose2d(3, 4, 3, 2, padding=padding, output_padding=output_padding)
    x = torch.randn(2, 3, 5, 5)
    expected = layer(x).detach().numpy()
    weight, bias = (one.detach().numpy() for one in layer.parameters())
    found = transposed(x.numpy(), weight, bias, expected.shape[-1])
    np.testing.assert_allclose(found, expected, atol=1e-5)


SIZES = {  # the sides between a decoder's convolutions, and its widths
    "as it was": (SIDES, (64, 32, 16, 8)),
    "twelve": ((1, 3, 6, 12), (64, 32, 16, 8)),
    "wide": ((3, 7, 14, 28), (100, 48, 20, 9)),
    "all paddings": ((2, 6, 11, 23), (7, 5, 4, 3)),
}


@pytest.mark.parametrize("name", SIZES)
def test_numpy_decodes_as_the_network_does(name: str) -> None:
    sides, widths = SIZES[name]
    network, z = decoder(0, sides, widths), places(50)
    layers = facts(network)["layers"]["decoder"]
    weights = weights_of(arrays_with({"ae_2d": network})["ae_2d"], sides)
    assert sides_of(layers) == list(sides)
    assert weights
    with torch.no_grad():
        expected = network(torch.tensor(z, dtype=torch.float32))[:, 0].numpy()
    np.testing.assert_allclose(decoded(weights, sides, z), expected, atol=1e-5)


def test_the_decoder_of_the_study_is_known() -> None:
    network = Decoder(2, 0.1).eval()
    assert sides_of(facts(network)["layers"]["decoder"]) == [*SIDES]
    assert weights_of(arrays_with({"ae_2d": network})["ae_2d"], SIDES)


def test_equal_arrays_give_equal_text_with_what_it_shows() -> None:
    text = page()
    assert text == page()
    found = embedded(text)
    arrays, val = made_up()
    assert found["labels"] == arrays["val.labels"].tolist()
    assert found["index"][:2] == [100, 101]
    assert set(found["planes"]) == set(PLANES)
    points = np.frombuffer(base64.b64decode(found["planes"]["ae_2d"]["z"]), "<f4").reshape(-1, 2)
    assert np.array_equal(points, arrays["ae_2d.z"])
    weights = np.frombuffer(base64.b64decode(found["planes"]["vae_2d"]["weights"]), "<f4")
    assert len(weights) == sum(parameter.numel() for parameter in DECODERS["ae_2d"].parameters())
    images = re.search(r'id="images" alt="" hidden src="data:image/png;base64,([^"]+)"', text)
    assert images
    rows = pixels(images[1]).reshape(-1, 28, COLUMNS, 28).swapaxes(1, 2)
    ink = rows.reshape(-1, 28, 28)[:IMAGES]
    assert np.abs(ink / 15 - val["images"] / 255).max() <= 0.5 / 15 + 1e-9


def test_without_scripts_there_is_what_the_decoder_draws() -> None:
    grid = pixels(grid_of(page(), "ae_2d"))
    bound = embedded(page())["planes"]["ae_2d"]["bound"]
    corner = bound * (1 - 1 / GRID)
    upper_left, lower_right = by_pytorch("ae_2d", np.array([(-corner, corner), (corner, -corner)]))
    assert np.abs(grid[:28, :28] / 15 - upper_left).max() < 0.04
    assert np.abs(grid[-28:, -28:] / 15 - lower_right).max() < 0.04


def test_only_the_own_style_and_script_may_be_used() -> None:
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and policy[1].startswith("default-src 'none'; img-src data:; ")
    for element, words in (("style", "<style>"), ("script", '<script type="module">')):
        inside = text.partition(words)[2].partition(f"</{element}>")[0]
        assert f"{element}-src '{digest(inside)}'" in policy[1]
    assert not re.search(r"https?://|\son\w+=|\sstyle=", text)


def test_a_dead_latent_is_said_in_words() -> None:
    assert "is dead" not in page()
    text = " ".join(page(spread=(2.0, 0.001)).split())
    assert text.count("Latent 2 is dead: its standard deviation over the validation images") == 2


def test_of_a_decoder_with_other_layers_the_page_says_so() -> None:
    other = MODELS["vae_2d"] | {"decoder.7.weight": np.zeros((32, 16, 5, 5), np.float32)}
    more = MODELS["vae_2d"] | {"decoder.16.bias": np.zeros(1, np.float32)}
    for model in (other, more):
        text = page({"ae_2d": MODELS["ae_2d"], "vae_2d": model})
        assert "has other layers than this page can work out" in text
        assert set(embedded(text)["planes"]) == {"ae_2d"}


@pytest.mark.parametrize(
    ("place", "layer"),
    [
        (1, nn.GELU()),
        (7, nn.ConvTranspose2d(32, 16, 5, 2, padding=1)),
        (14, nn.Tanh()),
    ],
)
def test_of_other_functions_and_kernels_too(place: int, layer: nn.Module) -> None:
    network = decoder(0)
    network[place] = layer
    arrays, val = made_up()
    text = render_explorer(arrays, facts(network), MODELS, val)
    assert text.count("has other layers than this page can work out") == 2
    assert embedded(text)["planes"] == {}


@pytest.mark.parametrize("name", ["ae_2d.z", "vae_2d.z", "val.labels"])
def test_a_missing_array_is_a_sentence(name: str) -> None:
    arrays, val = made_up()
    del arrays[name]
    with pytest.raises(UserError, match=rf"has no {name}; `dvc repro --force evaluate` makes"):
        render_explorer(arrays, facts(), MODELS, val)


def test_the_studys_own_page_is_small() -> None:
    text = (PROJECT / "reports/explorer.html").read_text()
    assert len(text.encode()) < 1_000_000
    found = embedded(text)
    assert len(found["labels"]) == len(found["index"]) == SHOWN
    assert set(found["planes"]) == set(PLANES)


def presets_of(text: str) -> list[str]:
    return re.findall(r'class="preset" value="([\d,]+)"', text)


def buttons_of(text: str) -> list[str]:
    """The words of the buttons that filter, without their sign."""
    found = re.findall(r'class="label-button.*?<b>(.*?)</b>(.*?)</button>', text)
    return [name.strip() or sign for sign, name in found]


def test_digits_have_paths_that_are_worth_a_look() -> None:
    assert presets_of(page()) == ["0,9", "1,7", "3,8", "6,4"]
    assert buttons_of(page()) == [*DIGITS]


def test_words_have_signs_and_names() -> None:
    text = page_of("Fashion-MNIST", FASHION)
    assert buttons_of(text) == [*FASHION]
    assert presets_of(text) == ["0,9", "2,3", "4,5", "6,7"]
    assert ">T-shirt/top → Ankle boot</button>" in text
    words = re.sub(r"<style>.*?</style>|<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"digit|[^-]MNIST", words)
    assert "Two numbers draw an image" in words
    first = embedded(text)["classes"][0]
    assert first == {"sign": "A", "one": '"T-shirt/top"', "many": '"T-shirt/top"'}


def test_two_classes_of_small_images_are_enough() -> None:
    text = page_of("switches", ["on", "off"], (1, 3, 6, 12))
    assert presets_of(text) == ["0,1"]
    assert embedded(text)["size"] == 12
    assert embedded(text)["planes"]["ae_2d"]["sides"] == [1, 3, 6, 12]
    assert pixels(grid_of(text, "ae_2d")).shape == (GRID * 12, GRID * 12)
    assert 'width="120" height="120"' in text  # ten pixels for each of an image


def test_without_labels_there_is_nothing_to_filter() -> None:
    text = page_of("faces", [])
    assert presets_of(text) == buttons_of(text) == []
    assert "each as\na dot" in text
    found = embedded(text)
    assert (found["classes"], found["labels"], len(found["index"])) == ([], [], IMAGES)
    assert "label" not in text.partition("<header>")[2].partition("<script")[0].replace(
        "<label", ""
    ).replace("</label", "").replace("aria-label", "").replace('class="label"', "")


def test_large_images_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "PIXELS", 100 * 28**2)
    assert len(embedded(page())["index"]) == 100
    assert len(embedded(page_of("faces", [], (1, 3, 6, 12)))["index"]) == IMAGES


def test_a_name_cannot_end_what_holds_it() -> None:
    text = page_of("</script><b>", ["</script><i>", "b"])
    assert "<i>" not in text
    assert embedded(text)["classes"][0]["one"] == '"</script><i>"'


# ---- In a browser ----

needs_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no chromium here; Debian has it as a package"),
]


class Shown:
    """The page in a tab of its own, without a network; what it asked for and did wrong is kept."""

    def __init__(self, browser: Any, file: Path, hash: str = "", **how: Any):
        self.file = file
        self.context = browser.new_context(**{"offline": True, "accept_downloads": True} | how)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.goto(file.as_uri() + hash)
        if how.get("java_script_enabled", True):
            # Not `wait_for_function`, which polls by an `eval` that the page forbids.
            deadline = time.monotonic() + SECONDS
            while not self.page.evaluate("Boolean(globalThis.latentPlanes)"):
                assert time.monotonic() < deadline, "the page's script does not start"
                self.page.wait_for_timeout(20)

    def of(self, plane: str, selector: str) -> Any:
        return self.page.locator(f"#{plane} {selector}")

    def says(self, plane: str) -> str:
        return self.of(plane, ".says").inner_text()

    def z(self, plane: str) -> tuple[float, float]:
        """Where the plane stands, as the link has it."""
        self.page.wait_for_timeout(400)  # until the address is settled
        found = re.search(rf"[#&]{plane}=([^&]+)", self.hash())
        assert found
        x, y = map(float, found[1].split(","))
        return x, y

    def decoded(self, plane: str, z: np.ndarray) -> np.ndarray:
        """What the script makes of latents [B, 2]: [B, 784]."""
        every = "([name, all]) => all.map((z) => [...latentPlanes[name](z)])"
        return np.array(self.page.evaluate(every, [plane, z.tolist()]))

    def hash(self) -> str:
        return unquote(self.page.evaluate("location.hash"))

    def at(self, plane: str, z: tuple[float, float]) -> tuple[float, float]:
        """A place of the plane in pixels of the window."""
        self.of(plane, ".map").scroll_into_view_if_needed()
        box = self.of(plane, ".map").bounding_box()
        bound = embedded(self.file.read_text())["planes"][plane]["bound"]
        scale = (box["width"] / 2 - 15) / bound
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        return middle[0] + scale * z[0], middle[1] - scale * z[1]

    def ink(self, plane: str, selector: str) -> int:
        """How much there is on a canvas."""
        return self.of(plane, selector).evaluate(
            """it => {
              const copy = new OffscreenCanvas(it.width, it.height);
              const pen = copy.getContext("2d", { willReadFrequently: true });
              pen.drawImage(it, 0, 0);
              const { data } = pen.getImageData(0, 0, it.width, it.height);
              return data.reduce((sum, value, i) => (i % 4 === 3 ? sum + value : sum), 0);
            }"""
        )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(page())
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers forbid the browser's own sandbox; it opens nothing but this page.
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def show(browser: Any, file: Path) -> Iterator[Callable[..., Shown]]:
    """Opens the page; at the end it has asked for nothing else and done nothing wrong."""
    opened: list[Shown] = []

    def opens(hash: str = "", **how: Any) -> Shown:
        opened.append(Shown(browser, file, hash, **how))
        return opened[-1]

    yield opens
    for one in opened:
        one.context.close()
        assert one.faults == []
        others = [url for url in one.asked if not url.startswith(("data:", "blob:"))]
        assert {url.partition("#")[0] for url in others} == {file.as_uri()}


class TestInABrowser:
    pytestmark = needs_browser

    @pytest.mark.parametrize("name", PLANES)
    def test_the_script_decodes_as_the_network_does(
        self, show: Callable[..., Shown], name: str
    ) -> None:
        z = places(200)
        expected = by_pytorch(name, z).reshape(200, -1)
        np.testing.assert_allclose(show().decoded(name, z), expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [320, 1400])
    def test_it_fits_and_has_colours_for_light_and_dark(
        self, show: Callable[..., Shown], width: int, scheme: str
    ) -> None:
        shown = show(viewport={"width": width, "height": 800}, color_scheme=scheme)
        assert shown.page.evaluate("document.documentElement.scrollWidth") == width
        paper = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) > 380) == (scheme == "light")
        for name in PLANES:
            assert shown.of(name, ".grid").is_hidden()
            assert shown.ink(name, ".map") > 0
            assert shown.ink(name, ".strip") > 0

    def test_a_mouse_decodes_at_once_chooses_and_draws_a_path(
        self, show: Callable[..., Shown]
    ) -> None:
        shown = show(reduced_motion="reduce", viewport={"width": 1400, "height": 900})
        before = shown.ink("ae_2d", ".decoded-here")
        shown.page.mouse.move(*shown.at("ae_2d", (-1.0, 0.4)))
        assert re.match(r"z −(1|0\.99|1\.01), 0\.(39|4|41); \d of 5 nearest", shown.says("ae_2d"))
        assert shown.ink("ae_2d", ".decoded-here") != before
        shown.page.mouse.move(5, 5)  # and back where it was
        assert shown.ink("ae_2d", ".decoded-here") == before

        arrays, _ = made_up()
        shown.page.mouse.click(*shown.at("ae_2d", tuple(arrays["ae_2d.z"][7].tolist())))
        found = re.search(r"image=(\d+)", shown.z("ae_2d") and shown.hash())
        assert found
        image = int(found[1])
        for name in PLANES:
            label = shown.of(name, ".label").inner_text()
            assert label.startswith(f"A {image % 10}, image {image + 100} of")
            assert shown.ink(name, ".image") > 0
            assert shown.ink(name, ".again") > 0

        shown.page.mouse.move(*shown.at("vae_2d", (-0.5, -0.3)))
        shown.page.mouse.down()
        shown.page.mouse.move(*shown.at("vae_2d", (0.5, 0.2)), steps=4)
        shown.page.mouse.up()
        shown.z("vae_2d")
        path = re.search(r"vae_2d\.path=([^&]+)", shown.hash())
        assert path
        ends = [float(one) for one in path[1].split(",")]
        assert ends == pytest.approx([-0.5, -0.3, 0.5, 0.2], abs=0.02)

    def test_a_finger_decodes_where_it_moves(self, show: Callable[..., Shown]) -> None:
        shown = show(has_touch=True, is_mobile=True, viewport={"width": 320, "height": 700})
        shown.page.touchscreen.tap(*shown.at("vae_2d", (0.1, 0.0)))
        assert shown.z("vae_2d") == pytest.approx((0.1, 0.0), abs=0.02)
        touch = shown.context.new_cdp_session(shown.page)
        moves = [("touchStart", (0.0, 0.0)), ("touchMove", (-0.2, 0.1)), ("touchMove", (-0.3, 0.1))]
        for kind, z in moves:
            x, y = shown.at("vae_2d", z)
            points = [{"x": x, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        shown.of("vae_2d", ".says").filter(has_text=re.compile("^z −0.3")).wait_for()
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert shown.z("vae_2d") == pytest.approx((-0.3, 0.1), abs=0.02)

    def test_keys_move_and_the_live_region_says_where(self, show: Callable[..., Shown]) -> None:
        shown = show()
        shown.of("ae_2d", ".map").focus()
        shown.page.keyboard.press("Home")
        assert shown.z("ae_2d") == (0, 0)
        bound = embedded(shown.file.read_text())["planes"]["ae_2d"]["bound"]
        shown.page.keyboard.press("ArrowRight")
        shown.page.keyboard.press("Shift+ArrowDown")
        step = 2 * bound / 40
        assert shown.z("ae_2d") == pytest.approx((step, -step / 10), abs=1e-3)
        said = shown.page.get_by_role("status").inner_text()
        assert re.fullmatch(r"Autoencoder: z 0\.\d+, −0\.\d+; \d of 5 nearest points are \ds", said)
        shown.page.keyboard.press("Enter")
        assert shown.of("vae_2d", ".label").inner_text().startswith("A ")
        shown.z("ae_2d")
        said = shown.page.get_by_role("status").inner_text()
        assert re.match(r"Autoencoder: a \d, image \d+ of MNIST’s training file; z ", said)
        shown.page.keyboard.press("Escape")
        assert shown.of("vae_2d", ".label").inner_text().startswith("Press")
        for _ in range(60):
            shown.page.keyboard.press("ArrowLeft")
        assert shown.z("ae_2d")[0] == -bound  # and no further

    def test_sliders_do_what_the_pointer_does(self, show: Callable[..., Shown]) -> None:
        shown = show()
        slider = shown.page.get_by_role("slider", name="Latent 2").first
        slider.fill("0.5")
        assert shown.z("ae_2d")[1] == 0.5
        assert slider.get_attribute("aria-valuetext") == "0.5"
        assert ", 0.5;" in shown.says("ae_2d")

    def test_buttons_make_a_path_and_the_film_plays(self, show: Callable[..., Shown]) -> None:
        shown = show()
        slider = shown.page.get_by_role("slider", name="Latent 1").first
        slider.fill("-1")
        shown.of("ae_2d", ".start").click()
        slider.fill("1")
        shown.of("ae_2d", ".end").click()
        shown.of("ae_2d", ".play").click()
        assert shown.of("ae_2d", ".play").inner_text() == "Pause"
        shown.page.wait_for_timeout(500)
        assert float(shown.of("ae_2d", ".playhead").input_value()) > 0
        shown.of("ae_2d", ".play").click()
        assert -1 < shown.z("ae_2d")[0] < 1
        shown.of("ae_2d", ".playhead").fill("1")
        assert shown.z("ae_2d")[0] == 1

    def test_a_preset_plays_in_both_and_stands_still_for_who_wants_it(
        self, show: Callable[..., Shown]
    ) -> None:
        for motion in ("no-preference", "reduce"):
            shown = show(reduced_motion=motion)
            shown.page.get_by_role("button", name="0 → 9").click()
            for name in PLANES:
                playing = shown.of(name, ".play").inner_text() == "Pause"
                assert playing == (motion == "no-preference")
                assert "11 decoded digits from" in (
                    shown.of(name, ".strip").get_attribute("aria-label") or ""
                )

    def test_digits_are_filtered(self, show: Callable[..., Shown]) -> None:
        shown = show()
        everything = shown.ink("vae_2d", ".map")
        shown.page.locator(".label-button[value='3']").click()
        shown.page.locator(".label-button[value='8']").click()
        assert shown.ink("vae_2d", ".map") < everything
        assert re.search(r"points are [38]s", shown.says("vae_2d"))
        shown.z("vae_2d")
        assert "labels=3,8" in shown.hash()
        shown.page.get_by_role("button", name="All").click()
        assert shown.ink("vae_2d", ".map") == everything

    def test_a_link_restores_what_was_seen(self, show: Callable[..., Shown]) -> None:
        link = (
            "#labels=3,8&image=13&show=decoded&ae_2d=0.5,-0.25&ae_2d.path=-1,0,1,0.5"
            "&ae_2d.view=2,0.25,0.1&vae_2d=0.1,0.2"
        )
        shown = show(link)
        assert shown.says("ae_2d").startswith("z 0.5, −0.25; ")
        assert shown.page.get_by_role("radio", name="Decoded digits").is_checked()
        assert shown.of("ae_2d", ".label").inner_text().startswith("A 3, image 113 of")
        pressed = shown.page.locator(".label-button[aria-pressed=true]").all_inner_texts()
        assert pressed == ["3", "8"]
        assert shown.of("vae_2d", ".play").is_disabled()
        shown.z("ae_2d")
        assert shown.hash() == link

    def test_a_link_that_makes_no_sense_harms_nothing(self, show: Callable[..., Shown]) -> None:
        shown = show("#labels=x,99&image=9999&ae_2d=NaN,1e99&vae_2d=1e9,0&ae_2d.view=3,0,0&q=<b>")
        assert shown.says("ae_2d").startswith("z 0, 0")
        bound = embedded(shown.file.read_text())["planes"]["vae_2d"]["bound"]
        assert shown.z("vae_2d") == (bound, 0)
        assert shown.hash() == f"#ae_2d=0,0&vae_2d={bound},0"

    def test_a_picture_is_saved(self, show: Callable[..., Shown], tmp_path: Path) -> None:
        shown = show()
        with shown.page.expect_download() as download:
            shown.of("vae_2d", ".save").click()
        assert download.value.suggested_filename == "latent-plane-vae_2d.png"
        download.value.save_as(tmp_path / "saved.png")
        with Image.open(tmp_path / "saved.png") as saved:
            assert saved.width == 1232
            assert len(saved.getcolors(10**6) or []) > 50

    def test_without_scripts_the_grids_are_there(self, show: Callable[..., Shown]) -> None:
        shown = show(java_script_enabled=False, viewport={"width": 320, "height": 700})
        for name in PLANES:
            assert shown.of(name, ".grid").is_visible()
            assert shown.of(name, ".map").is_hidden()
        assert shown.page.locator("noscript p").is_visible()

    def test_paper_is_white(self, show: Callable[..., Shown], tmp_path: Path) -> None:
        shown = show(color_scheme="dark")
        shown.page.evaluate(
            "addEventListener('beforeprint', () => { globalThis.paper ="
            " getComputedStyle(document.documentElement).getPropertyValue('--sheet') })"
        )
        shown.page.pdf(path=tmp_path / "page.pdf")
        assert shown.page.evaluate("paper") == "#ffffff"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing_to_object_to(
        self, show: Callable[..., Shown], axe: str, scheme: str
    ) -> None:
        shown = show(color_scheme=scheme, viewport={"width": 800, "height": 900})
        shown.page.evaluate(axe)  # past the policy, which lets no other script in
        found = shown.page.evaluate("axe.run()")
        said = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
        assert said == []

    @pytest.mark.parametrize("name", SIZES)
    def test_images_of_other_sizes_are_decoded_too(
        self, browser: Any, tmp_path: Path, name: str
    ) -> None:
        sides, widths = SIZES[name]
        networks = {plane: decoder(seed, sides, widths) for seed, plane in enumerate(PLANES)}
        arrays, val = made_up(size=sides[-1])
        about = facts(networks["ae_2d"], "letters", "abcdefghij", sides[-1])
        file = tmp_path / "explorer.html"
        file.write_text(render_explorer(arrays, about, arrays_with(networks), val))
        shown, z = Shown(browser, file), places(100)
        for plane, network in networks.items():
            with torch.no_grad():
                expected = network(torch.tensor(z, dtype=torch.float32)).numpy().reshape(100, -1)
            np.testing.assert_allclose(shown.decoded(plane, z), expected, rtol=0, atol=1e-5)
            assert shown.ink(plane, ".decoded-here") > 0
        shown.page.mouse.click(*shown.at("ae_2d", tuple(arrays["ae_2d.z"][7].tolist())))
        assert shown.ink("vae_2d", ".image") > 0
        assert shown.faults == []
        shown.context.close()

    def test_words_are_filtered_and_told_by_their_names(self, browser: Any, tmp_path: Path) -> None:
        file = tmp_path / "explorer.html"
        file.write_text(page_of("Fashion-MNIST", FASHION))
        shown = Shown(browser, file)
        shown.page.get_by_role("button", name="K Ankle boot").click()
        assert shown.says("ae_2d").endswith('5 of 5 nearest points are "Ankle boot"')
        shown.z("ae_2d")
        assert "labels=9" in shown.hash()
        shown.of("ae_2d", ".map").focus()
        shown.page.keyboard.press("Enter")
        label = shown.of("vae_2d", ".label").inner_text()
        assert re.fullmatch(r'"Ankle boot", image \d+ of Fashion-MNIST', label)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert shown.faults == []
        shown.context.close()

    def test_dots_without_labels_can_be_pressed(self, browser: Any, tmp_path: Path) -> None:
        file = tmp_path / "explorer.html"
        file.write_text(page_of("faces", []))
        shown = Shown(browser, file)
        assert shown.says("ae_2d") == "z 0, 0"
        assert shown.ink("ae_2d", ".map") > 0
        shown.of("ae_2d", ".map").focus()
        shown.page.keyboard.press("Enter")
        assert re.fullmatch(r"Image \d+ of faces", shown.of("vae_2d", ".label").inner_text())
        assert shown.ink("vae_2d", ".image") > 0
        assert shown.faults == []
        shown.context.close()

    def test_the_studys_own_models_are_decoded_too(self, browser: Any, tmp_path: Path) -> None:
        """Their weights are larger than those of the tests' networks."""
        if not all((PROJECT / one).exists() for one in (ARRAYS, VAL, *FILES.values())):
            pytest.skip("the study's data are not here; `dvc checkout` restores them")
        models = {name: read_tensors(PROJECT / path)[0] for name, path in FILES.items()}
        (arrays, about), (val, _) = (read_tensors(PROJECT / path) for path in (ARRAYS, VAL))
        file = tmp_path / "explorer.html"
        file.write_text(render_explorer(arrays, facts() | about, models, val))
        shown = Shown(browser, file)
        sides = sides_of(about["layers"]["decoder"])
        assert sides
        for name, model in models.items():
            weights = weights_of(model, sides)
            assert weights
            network = decoder(0, sides, (len(weights[0]), *map(len, weights[4::2])))
            state = zip(network.state_dict(), map(torch.from_numpy, weights), strict=True)
            network.load_state_dict(dict(state))
            z = arrays[f"{name}.z"][:200]
            with torch.no_grad():
                expected = network(torch.from_numpy(z)).numpy().reshape(200, -1)
            np.testing.assert_allclose(shown.decoded(name, z), expected, rtol=0, atol=1e-5)
        shown.context.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker's script, from npm's registry."""
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"):
        pytest.skip("no npm here, to fetch axe-core with")
    command = ["npm", "pack", "--silent", "axe-core@4.14.1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    if done.returncode:
        pytest.skip("axe-core cannot be fetched from npm's registry")
    with tarfile.open(folder / "axe-core-4.14.1.tgz") as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file
        return file.read().decode()
