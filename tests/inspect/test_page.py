"""The attention page in a browser, as a learner has it: without a network.

The browser is that of MINIBERT_BROWSER, or Debian's chromium-headless-shell or chromium.
"""

import os
import shutil
from contextlib import contextmanager
from urllib.parse import parse_qs

import numpy as np
import pytest

import minibert
from minibert.inspect import attention_page, attentions
from tests.conftest import small_model
from tests.inspect.test_page_file import HOSTILE

api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'"
)
BROWSER = os.environ.get("MINIBERT_BROWSER") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="needs a browser: apt-get install chromium-headless-shell"
)
TEXT = "The animal did not cross the street, for it was unaffordably tired."
PAIR = ("The animal slept.", "It was tired of the street.")


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def minilm_model():
    return minibert.BertModel.from_pretrained("minilm-l6")


@pytest.fixture(scope="module")
def one(minilm_model, tokenizer):
    return attentions(minilm_model, tokenizer, [TEXT])[0]


@pytest.fixture(scope="module")
def two(minilm_model, tokenizer):
    return attentions(minilm_model, tokenizer, [PAIR])[0]


@pytest.fixture()
def opened(browser, tmp_path):
    """A function that opens the page of an attention; at the end it has asked for nothing else and
    said nothing."""
    said = []
    with contextmanager(_pages)(browser, tmp_path, said) as open_page:
        yield open_page
    assert said == []


def _pages(browser, folder, said):
    contexts = []

    def open_page(attention, address="", settings=None, **look):
        file = folder / "page.html"
        file.write_text(attention_page(attention, **(settings or {})).html, encoding="utf-8")
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **look)
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda asked: asked.url.startswith(file.as_uri()) or said.append(asked))
        page.goto(file.as_uri() + address)
        return settled(page)

    yield open_page
    for context in contexts:
        context.close()


def settled(page):
    """Once it shows what it was asked for."""
    page.wait_for_selector("#reading[aria-busy=false]")
    return page


def go(page, **wanted):
    """Another address of the page, as a link or a bookmark has it."""
    page.evaluate(
        """address => new Promise(done => {
            addEventListener("hashchange", done, { once: true });
            location.hash = address;
        })""",
        "&".join(f"{key}={value}".replace(" ", "+") for key, value in wanted.items()),
    )
    return settled(page)


def weights(page):
    """What the bars show, (T,)."""
    read = "all => all.map(one => Number(one.style.getPropertyValue('--weight')))"
    return np.array(page.eval_on_selector_all(".token", read))


def pressed(page):
    """The token that is looked at, from 0."""
    return page.eval_on_selector_all(
        ".token", "all => all.findIndex(one => one.ariaPressed === 'true')"
    )


def sentence(page):
    return page.inner_text("#sentence")


def address(page):
    return {key: values[0] for key, values in parse_qs(page.url.partition("#")[2]).items()}


def test_pointing_at_a_token_lights_up_what_it_attends_to(opened, one):
    """Layer 1, head 3 of minilm-l6 is a head of previous tokens."""
    page = opened(one, "#layer=1&head=3")
    for place in (2, 5, 11):
        page.hover(f".token >> nth={place}")
        assert pressed(page) == place
        assert weights(page).argmax() == place - 1 and weights(page).max() > 0.99
        token = page.locator(".token").nth(place - 1)
        assert token.locator(".number").inner_text() == "1.00"
        assert f"“{one.tokens[place - 1]}”" in sentence(page).split(" attends most to ")[1]
    assert page.locator(".token").nth(one.tokens.index("una")).inner_text().split() == ["una"]
    assert "##ff" in page.locator(".token bdi").all_inner_texts()  # as the model has it


def test_the_chosen_token_is_back_when_the_mouse_leaves(opened, one):
    page = opened(one)
    page.click(".token >> nth=4")
    page.hover(".token >> nth=7")
    assert pressed(page) == 7
    page.hover("h1")
    assert pressed(page) == 4 and address(page)["token"] == "5"


def test_random_weights_are_the_models(opened, one):
    page, random = opened(one), np.random.default_rng(0)
    layers, heads, length, _ = one.weights.shape
    for _ in range(10):
        layer, head, token = (int(random.integers(n)) for n in (layers, heads, length))
        go(page, layer=layer + 1, head=head + 1, token=token + 1)
        for other in random.integers(length, size=5):
            assert abs(weights(page)[other] - one.weights[layer, head, token, other]) <= 0.004
        go(page, view="who attends to it")
        assert np.abs(weights(page) - one.weights[layer, head, :, token]).max() <= 0.004
        assert "is attended to" in sentence(page)
        go(page, view="what it attends to", head="mean of all")
        assert np.abs(weights(page) - one.weights[layer, :, token].mean(axis=0)).max() <= 0.004


def test_a_model_whose_weights_it_is_not_is_noticed(opened, one):
    """The same comparison with another head fails."""
    page = opened(one, "#layer=1&head=3&token=4")
    assert np.abs(weights(page) - one.weights[0, 3, 3]).max() > 0.1


def test_leaving_out_the_frame_shares_its_weight_among_the_others(opened, one):
    page = opened(one, "#layer=4&head=2&token=11")
    page.check("#bare")
    settled(page)
    expected = (np.rint(255 * np.sqrt(one.weights[3, 1, 10])) / 255) ** 2  # as the page has them
    expected[[0, -1]] = 0
    assert np.abs(weights(page) - expected / expected.sum()).max() <= 0.0001
    assert page.eval_on_selector_all(".token", "all => all.map(one => one.disabled)") == [
        place in (0, len(one.tokens) - 1) for place in range(len(one.tokens))
    ]
    kept = f"{expected.sum():.2f}".lstrip("0")
    assert f"Left out: [CLS] and [SEP]; the other tokens have {kept} of its att" in sentence(page)
    go(page, token=1)  # which is left out
    assert pressed(page) == 1


def test_the_weights_on_one_text_of_a_pair(opened, two):
    page = opened(two, "#layer=3&head=5&token=3")
    page.select_option("#part", "the second text")
    second = two.tokens.index("[SEP]") + 1
    assert not weights(page)[:second].any()
    expected = two.weights[2, 4, 2, second:]
    assert np.abs(weights(page)[second:] - expected).max() <= 0.004
    assert f"On the second text altogether: {expected.sum():.2f}".replace(" 0.", " .") in (
        sentence(page)
    )
    assert page.locator(".text").count() == 2
    page.select_option("#part", "the first text")
    assert not weights(page)[second:].any() and weights(page)[:second].any()


def test_a_text_alone_has_no_choice_of_texts(opened, one):
    page = opened(one, "#part=the+second+text")
    assert not page.is_visible("#part") and weights(page).sum() > 0.9
    assert address(page)["part"] == "the second text"  # nobody touches what was not chosen here


def test_with_the_keyboard_alone(opened, one):
    page = opened(one)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "token":
            break
    assert pressed(page) == 1  # the first after [CLS]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    settled(page)
    assert pressed(page) == 2 and sentence(page).startswith("Layer 2, mean of all heads: “animal”")
    page.keyboard.press("End")
    assert pressed(page) == len(one.tokens) - 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    settled(page)
    assert (pressed(page), address(page)["layer"]) == (0, "1")
    page.keyboard.press("Tab")  # one press leaves the tokens
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    settled(page)
    assert sentence(page).startswith("Layer 2, head 2: “[CLS]”")
    focused = page.evaluate("document.activeElement.ariaLabel")
    assert focused == "layer 2, head 2"
    assert page.get_attribute("#sentence", "aria-live") == "polite"


def test_a_square_of_the_grid_chooses_its_head(opened, one):
    page = opened(one)
    page.click("#grid button >> nth=26")
    assert address(page) | {"layer": "3", "head": "3"} == address(page)
    assert (page.input_value("#layer"), page.input_value("#head")) == ("3", "3")
    assert settled(page).locator("#grid [aria-pressed=true]").count() == 1


def pixels(page, square):
    """The picture of a head as the screen has it, (T, T, 4): red, green, blue, alpha."""
    page.wait_for_selector("#grid[aria-busy=false]")
    read = """canvas => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        return Array.from(copy.getImageData(0, 0, canvas.width, canvas.height).data);
    }"""
    values = np.array(page.locator("#grid canvas").nth(square).evaluate(read))
    side = round((len(values) / 4) ** 0.5)
    return values.reshape(side, side, 4)


def test_squares_show_the_weights(opened, one):
    page = opened(one, settings={"layers": [2, 5]})
    assert page.locator("#grid canvas").count() == 24
    shown = (pixels(page, 12 + 9)[..., 3] / 255) ** 2
    assert np.abs(shown - one.weights[4, 9]).max() <= 0.004


def test_the_address_restores_all_of_it(opened, two):
    page = opened(two)
    page.select_option("#layer", "5")
    page.select_option("#head", "7")
    page.select_option("#view", "who attends to it")
    page.select_option("#part", "the first text")
    page.check("#bare")
    page.click(".token >> nth=8")
    before = (address(page), weights(settled(page)).tolist(), sentence(page))
    page.reload()
    settled(page)
    assert (address(page), weights(page).tolist(), sentence(page)) == before
    assert before[0] == {
        "layer": "5",
        "head": "7",
        "view": "who attends to it",
        "part": "the first text",
        "bare": "true",
        "token": "9",
    }
    assert page.is_checked("#bare") and page.input_value("#head") == "7"


def test_an_address_of_nonsense_changes_nothing(opened, one):
    page = opened(one)
    before = weights(page)
    go(page, layer="9", head="13", view="x", part="<b>", token="0", bare="maybe", more="%")
    go(page, layer="1.5", head="__proto__", token="NaN")
    assert (weights(page) == before).all()


def test_options_are_called_as_they_read(opened, two):
    """So that what is chosen, read, and in the address is one."""
    pairs = opened(two).eval_on_selector_all("option", "all => all.map(o => [o.value, o.text])")
    assert pairs and all(value == text for value, text in pairs)


def test_a_hostile_text_is_shown_as_it_is(opened, tokenizer):
    (attention,) = attentions(
        small_model(max_position_embeddings=200), tokenizer, [(HOSTILE, HOSTILE)]
    )
    page = opened(attention, "#head=<img src=x onerror=alert(3)>", {"name": HOSTILE})
    tokens = page.eval_on_selector_all(".token bdi", "all => all.map(one => one.textContent)")
    assert tokens == attention.tokens
    assert page.text_content("#model") == HOSTILE
    assert page.locator("img").count() == 0
    assert (
        page.locator("script").count() == 1 + 1 + 3 + 1
    )  # its own, what it says, layers, pictures


def test_other_scripts_are_not_run(browser, one, tmp_path):
    """What would happen if a text did become code."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    html = attention_page(one).html
    (tmp_path / "page.html").write_text(
        html.replace("</main>", "<script>window.harmed = 1</script></main>"), encoding="utf-8"
    )
    page.goto((tmp_path / "page.html").as_uri())
    settled(page)
    assert page.evaluate("window.harmed") is None
    assert any("Content Security Policy" in line for line in said)
    page.close()


def test_a_file_that_is_not_whole_says_so(browser, one, tmp_path):
    page = browser.new_page()
    html = attention_page(one).html
    broken = html.replace('id="layer-1">H4sI', 'id="layer-1">H4sJ')
    assert broken != html
    (tmp_path / "page.html").write_text(broken, encoding="utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("#trouble:visible")
    assert "cannot be unpacked" in page.inner_text("#trouble")
    page.close()


@pytest.mark.parametrize("length", [128, 512])
def test_it_is_quick(opened, tokenizer, length):
    """The quickest of some tries: other programs may be at work on this machine."""
    model = small_model(num_hidden_layers=12, num_attention_heads=12, max_position_embeddings=512)
    text = "joy " * (length - 2)
    (attention,) = attentions(model, tokenizer, [text])
    page = opened(attention, settings={"cut": 1})
    hover = """tokens => Math.min(...tokens.slice(1, 30).map(token => {
        const start = performance.now();
        token.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
        document.body.getBoundingClientRect();
        return performance.now() - start;
    }))"""
    assert page.eval_on_selector_all(".token", hover) < 50  # ms
    asked = "unpacked.size"  # only what was looked at is unpacked
    assert page.evaluate(asked) == 1
    page.select_option("#layer", "12")
    assert settled(page).evaluate(asked) == 2
    assert sentence(page).startswith("Layer 12")
    assert "cut off: 1." in page.inner_text("#cut")


LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"forced_colors": "active"},
}
# Of an element: the contrast of its text with what is behind it (WCAG 2.2, relative luminance).
CONTRAST = """element => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const luminance = (colour) => {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = Array.from(context.getImageData(0, 0, 1, 1).data)
            .map((v) => (v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const style = getComputedStyle(element);
    const behind = [element, element.parentElement, document.body]
        .map((one) => getComputedStyle(one).backgroundColor)
        .find((colour) => !colour.endsWith(", 0)"));  // transparent
    const [low, high] = [luminance(style.color), luminance(behind)].sort((a, b) => a - b);
    return (high + .05) / (low + .05);
}"""


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_every_theme_can_be_read(opened, one, look):
    page = opened(one, "#layer=1&head=3&token=6", **look)  # with a weight of 1, the strongest shade
    for selector in (".token >> nth=4", ".token >> nth=9", "#sentence", ".hint >> nth=0", "#layer"):
        assert page.locator(selector).evaluate(CONTRAST) >= 4.5, selector
    bar = """bar => [getComputedStyle(bar, "::before").backgroundColor,
                     getComputedStyle(bar.parentElement).backgroundColor]"""
    colours = page.locator(".bar").nth(4).evaluate(bar)
    assert len(set(colours)) == 2 and "rgba(0, 0, 0, 0)" not in colours[:1]


def test_pictures_follow_the_theme(opened, one):
    page = opened(one, color_scheme="light")
    light = pixels(page, 2)[1, 0]
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(f"#grid:not([data-ink='{page.get_attribute('#grid', 'data-ink')}'])")
    dark = pixels(page, 2)[1, 0]
    assert light[3] == dark[3] > 250 and light[:3].sum() + 200 < dark[:3].sum()


@pytest.mark.parametrize(("motion", "seconds"), [("reduce", "0s"), ("no-preference", "0.12s")])
def test_motion_is_reduced_where_it_is_asked_for(opened, one, motion, seconds):
    page = opened(one, reduced_motion=motion)
    read = "bar => getComputedStyle(bar, '::before').transitionDuration"
    assert page.locator(".bar").first.evaluate(read) == seconds


def test_nothing_is_cut_off_or_overlaps_on_a_phone(opened, one):
    page = opened(one)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [token.bounding_box() for token in page.locator(".token").all()]
    for left, right in zip(boxes, boxes[1:], strict=False):
        beside = right["y"] == left["y"]
        assert right["x"] >= left["x"] + left["width"] if beside else right["y"] > left["y"]
    page.hover(".token >> nth=10")
    assert [token.bounding_box() for token in page.locator(".token").all()] == boxes  # stay put
