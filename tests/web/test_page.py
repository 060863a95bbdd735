"""The page in a real browser, over a real server: what people draw and give, and what they see."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM
from PIL import Image, ImageDraw
from served import Served, serving
from support import change_manifest
from web.written_digits import HOUSE, WRITTEN, moved

pytest.importorskip("playwright", reason="needs Playwright: pip install -e '.[test]'")

from playwright.sync_api import Browser, Route, expect
from web.page_visits import Visit, Visitor, browsing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

SEVEN = WRITTEN[7]["with a bar"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def examples(repository: Path) -> Path:
    return repository / "digitflow" / "web" / "page" / "examples"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that takes corrections."""
    return tmp_path_factory.mktemp("store") / "corrections"


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = tmp_path_factory.mktemp("models")
    with serving(models, "--feedback", store, DIGITFLOW_MODELS=str(models)) as server:
        yield server


@pytest.fixture(scope="module")
def browser(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser whose camera looks at a 2 on ruled paper."""
    camera = tmp_path_factory.mktemp("camera") / "two.mjpeg"
    with Image.open(examples(repository) / "photo.jpg") as photo:
        photo.save(camera, "JPEG")
    with browsing(camera) as browser:
        yield browser


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def visitor(browser: Browser, server: Served, screenshots: Path) -> Iterator[Visitor]:
    """Return what opens the page; afterwards nothing may have left the machine."""
    visits = []

    def visit(address: str | None = None, **surroundings: object) -> Visit:
        visits.append(Visit(browser, address or server.url, screenshots, **surroundings))
        return visits[-1]

    yield visit
    for each in visits:
        each.leave()


@pytest.fixture
def visit(visitor: Visitor) -> Visit:
    return visitor()


# ---- drawing ----


@pytest.mark.parametrize("digit", WRITTEN)
def test_each_digit_is_read_as_it_is_drawn(visit: Visit, digit: int):
    for name, strokes in WRITTEN[digit].items():
        visit.draw(strokes)
        assert visit.read() == ("ok", str(digit)), name
        visit.page.keyboard.press("Delete")
        assert visit.read() == ("none", "?")


def test_the_answer_changes_while_a_stroke_is_drawn(visit: Visit):
    for x, y in [(0.3, 0.22), (0.5, 0.22), (0.7, 0.21), (0.59, 0.45), (0.48, 0.82)]:
        visit.press((x, y))
    visit.wait_for("#sentence", "Most likely")
    visit.page.mouse.up()
    assert visit.read() == ("ok", "7")


def hold_first_question(visit: Visit) -> list[Route]:
    """Hold the first question of a page back, and return where it is then found."""
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    visit.page.route("**/v1/predict?*", hold_first)
    return held


def test_an_answer_that_comes_too_late_is_not_shown(visit: Visit):
    late = hold_first_question(visit)
    with visit.page.expect_request("**/v1/predict?*"):
        visit.draw([[(0.5, 0.5)]])  # a dot
    visit.page.keyboard.press("Delete")
    visit.draw(SEVEN)
    assert visit.read() == ("ok", "7")
    with visit.page.expect_response("**/v1/predict?*") as answered:
        visit["#several"].check()
    late[0].fulfill(json=answered.value.json() | {"digits": []})  # would be an error, if taken
    visit.page.evaluate("fetch('livez').then((alive) => alive.json())")
    assert visit.read() == ("ok", "7")


def test_an_answer_about_an_earlier_drawing_is_not_shown(visit: Visit):
    held = hold_first_question(visit)
    visit.page.clock.install()
    visit.page.clock.pause_at(time.time() + 3600)
    with visit.page.expect_request("**/v1/predict?*explain=true*"):
        visit.draw(SEVEN[:1])
        visit.page.clock.run_for(1000)
    visit.draw(SEVEN[1:])
    held[0].fulfill(json={"digits": []})  # would be an error, if taken
    visit.page.evaluate("fetch('livez').then((alive) => alive.json())")
    expect(visit["#answer"]).to_have_attribute("aria-busy", "true")
    expect(visit["#headline"]).to_have_text("Nothing yet")
    visit.page.clock.run_for(1000)
    visit.wait_for("#headline", "It is a 7")


def test_bars_words_and_reasons_of_an_answer(visit: Visit):
    visit.draw(SEVEN)
    visit.settle()
    bars = visit["#bars li"]
    assert bars.count() == 10
    assert [text.split()[0] for text in bars.all_inner_texts()] == list("0123456789")
    assert "best" in bars.nth(7).get_attribute("class")
    visit.wait_for("#headline", "It is a 7")
    sentence = visit["#sentence"].inner_text()
    assert re.fullmatch(r"Most likely 7 \(.+ %\), then \d \(.+ %\) and \d \(.+ %\)\.", sentence)
    captions = visit["#stages li"].all_inner_texts()
    assert captions[0] == "The picture"
    assert captions[-2:] == ["What the model sees", "What the answer rests on"]
    seen = visit["#stages .small"]
    assert seen.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
    glow = (
        "map => map.getContext('2d').getImageData(0, 0, 224, 224).data"
        ".some((red, i, all) => i % 4 === 0 && red > all[i + 2] + 60)"
    )
    expect(visit["#stages canvas"]).to_be_visible()
    assert visit["#stages canvas"].evaluate(glow)
    visit.wait_for("#announcement", "It is a 7")
    visit.picture("light")


def test_undo_redo_and_clear_by_keys_and_buttons(visit: Visit):
    visit.draw(SEVEN)
    expect(visit["#drawing"]).to_have_attribute("aria-label", re.compile("2 strokes"))
    visit.page.keyboard.press("Control+z")
    expect(visit["#drawing"]).to_have_attribute("aria-label", re.compile("one stroke"))
    visit.page.keyboard.press("Control+Shift+Z")
    expect(visit["#drawing"]).to_have_attribute("aria-label", re.compile("2 strokes"))
    assert visit.read() == ("ok", "7")
    visit["#clear"].click()
    assert visit.read() == ("none", "?")
    expect(visit["#clear"]).to_be_disabled()
    visit["#undo"].click()
    assert visit.read() == ("ok", "7")
    expect(visit["#redo"]).to_be_enabled()
    visit["#redo"].click()
    assert visit.read() == ("none", "?")


def test_not_a_digit_and_unsure_are_said(visit: Visit):
    visit.draw(HOUSE)
    assert visit.read() == ("rejected", "×")
    visit.wait_for("#headline", "Not a digit")
    visit.picture("not-a-digit")
    visit["[data-example='unsure.png']"].click()
    visit.wait_for("#headline", "Unsure, perhaps a 7")


def test_a_blank_picture_is_said_and_nothing_can_be_wrong_about_it(visit: Visit, tmp_path: Path):
    Image.new("L", (60, 80), 240).save(tmp_path / "blank.png")
    visit.give(tmp_path / "blank.png")
    visit.wait_for("#headline", "Blank")
    expect(visit["#why"]).to_be_visible()
    expect(visit["#glow-note"]).to_be_hidden()
    expect(visit["#feedback"]).to_be_hidden()


def test_two_digits_read_as_one_point_to_the_switch(visit: Visit):
    two = moved(SEVEN, 0.5, 0, 0.2) + moved(WRITTEN[3]["round"], 0.5, 0.45, 0.2)
    visit.draw(two)
    visit.wait_for("#sentence", "Switch on “Several digits”")
    visit["#several"].check()
    visit.settle()
    visit.wait_for("#figure", "73")
    assert visit["#boxes rect"].count() == 2
    visit["#digits button"].nth(1).click()
    expect(visit["#digits button"].nth(1)).to_have_attribute("aria-pressed", "true")
    visit.wait_for("#bars-title", "digit 2")
    assert "best" in visit["#bars li"].nth(3).get_attribute("class")
    assert visit["#boxes rect"].nth(1).get_attribute("class") == "ok chosen"


# ---- pictures ----


def test_an_example_with_several_digits(visit: Visit):
    visit["[data-example='number.png']"].click()
    visit.wait_for("#headline", "5 digits")
    assert visit["#figure"].inner_text() == "40193"
    visit.wait_for("#announcement", "5 digits: 4 0 1 9 3")
    visit.picture("several")


def upright_two(repository: Path) -> Image.Image:
    with Image.open(examples(repository) / "photo.jpg") as photo:
        return photo.convert("RGB").resize((1200, 900))


def test_a_phone_photo_lies_upright_with_its_box(visit: Visit, repository: Path, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    stored = upright_two(repository).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "IMG_0001.jpg", exif=exif)
    visit.give(tmp_path / "IMG_0001.jpg")
    assert visit.read() == ("ok", "2")
    visit.wait_for("#facts", "JPEG of 1200 × 900 px")
    assert visit["#boxes"].get_attribute("viewBox") == "0 0 1200 900"
    shown = visit["#picture"].evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert shown == [1200, 900]


def test_real_phone_photos(visit: Visit, shared_data: Path):
    photos = sorted((shared_data / "real-digits" / "c").glob("*.jpg"))[:2]
    labels = (shared_data / "real-digits" / "labels.csv").read_text().splitlines()
    label = dict(line.split(",")[:2] for line in labels)
    for photo in photos:
        visit.give(photo)
        assert visit.read() == ("ok", label[f"c/{photo.name}"])
    visit.picture("phone-photo")


@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_transparent_canvas(visit: Visit, tmp_path: Path, colour: str):
    canvas = Image.new("RGBA", (280, 280))
    pen = ImageDraw.Draw(canvas)
    for stroke in WRITTEN[4]["open, two strokes"]:
        pen.line([(280 * x, 280 * y) for x, y in stroke], colour, 20, "curve")
    canvas.save(tmp_path / "canvas.png")
    visit.give(tmp_path / "canvas.png")
    assert visit.read() == ("ok", "4")


def test_a_format_that_browsers_do_not_show(visit: Visit, repository: Path, tmp_path: Path):
    upright_two(repository).save(tmp_path / "scan.tif")
    visit.give(tmp_path / "scan.tif")
    assert visit.read() == ("ok", "2")
    expect(visit["#picture"]).to_have_attribute("src", re.compile("^data:image/png"))
    expect(visit["#unviewable"]).to_be_hidden()


def test_a_pasted_picture(visitor: Visitor):
    visit = visitor(permissions=["clipboard-read", "clipboard-write"])
    copy = """async () => {
        const picture = await (await fetch("examples/seven.png")).blob();
        await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    }"""
    visit.page.evaluate(copy)
    visit.page.keyboard.press("Control+v")
    expect(visit["#picture"]).to_be_visible()
    assert visit.read() == ("ok", "7")
    visit.page.evaluate("navigator.clipboard.writeText('seven')")
    visit.page.keyboard.press("Control+v")
    visit.wait_for("#notice", "That held no picture")


def test_dropped_pictures_are_read_in_few_requests(visit: Visit, repository: Path, tmp_path: Path):
    for name in ("seven.png", "chalk.png", "star.png"):
        shutil.copy(examples(repository) / name, tmp_path)
    (tmp_path / "notes.png").write_text("no picture")
    drop = """async (names) => {
        const transfer = new DataTransfer();
        for (const name of names) {
            const answered = await fetch(`examples/${name}`);
            const content = answered.ok ? await answered.blob() : "no picture";
            transfer.items.add(new File([content], name, { type: "image/png" }));
        }
        document.body.dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    visit.page.evaluate(drop, ["chalk.png", "seven.png", "star.png"])
    assert visit.read() == ("ok", "5")
    items = visit["#picture-list button"]
    expect(items.nth(2)).to_contain_text("not a digit")
    assert [text.splitlines()[0] for text in items.all_inner_texts()] == ["5", "7", "not a digit"]
    visit.give(tmp_path / "seven.png", tmp_path / "notes.png")
    expect(items.nth(1)).to_contain_text("cannot be read")
    assert sum("/v1/predict/batch" in request for request in visit.requests) == 2
    visit.expected.append("422")
    items.nth(1).click()
    visit.wait_for("#headline", "Cannot be read")
    visit.wait_for("#sentence", "Not a PNG, JPEG")
    visit.wait_for("#announcement", "Cannot be read. Not a PNG, JPEG")
    expect(visit["#notice"]).to_be_hidden()  # once is enough
    visit.give(*[tmp_path / "seven.png"] * 17)  # more than go into one request
    expect(items).to_have_text([re.compile("^7")] * 17)
    assert sum("/v1/predict/batch" in request for request in visit.requests) == 4


def test_a_still_from_the_camera(visit: Visit):
    visit["#camera"].click()
    expect(visit["#take"]).to_be_enabled()
    visit["#take"].click()
    expect(visit["#camera-dialog"]).to_be_hidden()
    assert visit.read() == ("ok", "2")
    assert visit["#video"].evaluate("video => video.srcObject") is None


def test_no_camera_is_said(visit: Visit):
    visit.page.evaluate(
        "Object.defineProperty(Navigator.prototype, 'mediaDevices', { value: undefined })"
    )
    visit["#camera"].click()
    visit.wait_for("#camera-problem", "only to pages from this computer or over https")
    visit.page.keyboard.press("Escape")
    expect(visit["#camera-dialog"]).to_be_hidden()


# ---- screens, keys, readers ----


def test_a_finger_on_a_phone(visitor: Visitor):
    visit = visitor(**PHONE)
    visit.touch(SEVEN)
    assert visit.read() == ("ok", "7")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    assert visit.page.evaluate("scrollY") == 0
    visit.picture("phone")


def test_a_narrow_screen_needs_no_sideways_scrolling(visitor: Visitor):
    visit = visitor(viewport={"width": 320, "height": 640})
    visit["[data-example='number.png']"].click()
    visit.wait_for("#headline", "5 digits")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 320


def test_keys_alone_are_enough(visit: Visit, repository: Path):
    seen = []
    keyboard = visit.page.keyboard
    visit.page.on("filechooser", lambda _: None)  # or the first one may come before it is awaited
    described = """() => {
        const { id, dataset, tagName } = document.activeElement;
        const { outlineStyle } = getComputedStyle(document.activeElement);
        return [id || dataset.example || tagName, outlineStyle];
    }"""
    while not seen or seen[-1][0] != "star.png":
        keyboard.press("Tab")
        seen.append(visit.page.evaluate(described))
        assert len(seen) < 40, "the examples are not reached"
    assert [name for name, _ in seen[:5]] == ["A", "theme", "several", "choose", "camera"]
    assert {outline for _, outline in seen} == {"solid"}
    keyboard.press("Enter")
    visit.wait_for("#headline", "Not a digit")

    visit["#choose"].focus()
    with visit.page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(str(examples(repository) / "seven.png"))
    assert visit.read() == ("ok", "7")
    keyboard.press("Control+z")
    visit.wait_for("#headline", "Not a digit")


@pytest.mark.parametrize(
    ("theme", "size"), [("light", {}), ("dark", PHONE)], ids=["light desktop", "dark phone"]
)
def test_axe_finds_nothing(visitor: Visitor, theme: str, size: dict[str, object]):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {
        "runOnly": AXE_TAGS,
        "rules": {"target-size": {"enabled": True}},
        "resultTypes": ["violations"],
    }
    visit = visitor(color_scheme=theme, reduced_motion="reduce", **size)

    def found() -> list[str]:
        return [each["id"] for each in axe.run(visit.page, options=options).response["violations"]]

    assert found() == []
    visit["[data-example='number.png']"].click()
    visit.wait_for("#headline", "5 digits")
    assert found() == []
    visit["[data-example='star.png']"].click()
    visit.wait_for("#headline", "Not a digit")
    visit["#wrong"].click()
    assert found() == []
    visit.picture(f"{theme}-{'phone' if size else 'desktop'}-correction")


def test_the_theme_follows_the_system_and_the_switch(visitor: Visitor):
    visit = visitor(color_scheme="dark")
    root = visit["html"]
    expect(root).to_have_attribute("data-theme", "dark")
    visit.draw(SEVEN)
    assert visit.read() == ("ok", "7")
    visit.picture("dark")
    visit["#theme"].click()
    expect(root).to_have_attribute("data-theme", "light")
    visit.page.reload()
    expect(root).to_have_attribute("data-theme", "light")


# ---- the server ----


def test_a_correction_becomes_a_picture_in_its_class_folder(visit: Visit, store: Path):
    visit["[data-example='number.png']"].click()
    visit.wait_for("#headline", "5 digits")
    visit["#digits button"].nth(4).click()
    visit["#wrong"].click()
    visit.wait_for("#stored-note", "keeps the picture in grey, the label you choose")
    visit["#right-label"].select_option("8")
    visit["#correction button"].click()
    visit.wait_for("#thanks", "Kept")
    visit["[data-example='seven.png']"].click()
    visit.wait_for("#headline", "It is a 7")
    visit["#wrong"].click()
    visit["#right-label"].select_option("1")
    visit["#correction button"].click()
    visit.wait_for("#thanks", "Kept")
    kept = {file.parent.name: file for file in store.glob("*/*.png")}
    assert kept.keys() == {"1", "8"}
    with Image.open(kept["8"]) as cut:
        assert max(cut.size) < 200  # one digit of five, not the whole picture


def test_a_token_is_asked_for_and_corrections_are_not_offered(visitor: Visitor, tmp_path: Path):
    with serving(tmp_path, DIGITFLOW_TOKEN="a-long-secret-of-ours") as server:
        visit = visitor(server.url)
        visit.expected.append("401")
        expect(visit["#token-form"]).to_be_visible()
        visit.draw(SEVEN)
        visit.wait_for("#headline", "No answer")
        expect(visit["#notice"]).to_be_hidden()  # the form says it, and none was given yet
        visit["#token"].fill("ein Schlüssel")  # no token of any server
        visit.page.keyboard.press("Enter")
        assert visit["#token"].evaluate("token => token.validity.patternMismatch")
        visit["#token"].fill("a-guess")
        visit.page.keyboard.press("Enter")
        visit.wait_for("#notice", "does not know this token")
        visit.picture("token")
        visit["#token"].fill("a-long-secret-of-ours ")  # with a space from where it was copied
        visit.page.keyboard.press("Enter")
        expect(visit["#token-form"]).to_be_hidden()
        expect(visit["#notice"]).to_be_hidden()
        visit.wait_for("#headline", "It is a 7")
        expect(visit["#feedback"]).to_be_hidden()  # as this server takes none
        visit.context.close()


def test_a_server_that_is_gone_is_said_and_found_again(visitor: Visitor, tmp_path: Path):
    with serving(tmp_path) as server:
        visit = visitor(server.url)
        visit.expected.append("ERR_CONNECTION")
        visit.draw(SEVEN)
        assert visit.read() == ("ok", "7")
    visit.draw(WRITTEN[3]["round"])
    visit.wait_for("#notice", "The server does not answer")
    visit["#clear"].click()
    visit.draw(SEVEN)
    with serving(tmp_path, "--port", server.port):
        visit.wait_for("#headline", "It is a 7")
        expect(visit["#notice"]).to_be_hidden()
        visit.context.close()


@pytest.mark.parametrize(
    ("status", "headers", "where", "words"),
    [
        (413, {}, "#sentence", "larger than the server takes. It broke."),
        (422, {}, "#sentence", "It broke."),
        (500, {}, "#notice", "The server could not do this. It broke. (request r1)"),
        (429, {"Retry-After": "1"}, "#notice", "busy. It may be asked again in 1 s"),
        (503, {}, "#notice", "not ready. It may be asked again in 2 s"),
    ],
)
def test_problems_are_told_in_words(
    visit: Visit, status: int, headers: dict[str, str], where: str, words: str
):
    problem = {"title": "Problem", "status": status, "detail": "image: it broke", "instance": "r1"}
    visit.expected.append(str(status))
    visit.page.route(
        "**/v1/predict?*", lambda route: route.fulfill(status=status, json=problem, headers=headers)
    )
    visit["[data-example='seven.png']"].click()
    visit.wait_for(where, words)
    visit.page.unroute("**/v1/predict?*")
    if headers:
        visit.wait_for("#headline", "It is a 7")
        expect(visit["#notice"]).to_be_hidden()


def test_a_server_that_is_busy_at_first_is_asked_again(visit: Visit):
    answered: list[Route] = []

    def refuse_first(route: Route) -> None:
        answered.append(route)
        if len(answered) > 1:
            route.continue_()
        else:
            route.fulfill(status=503, json={}, headers={"Retry-After": "1"})

    visit.expected.append("503")
    visit.page.route("**/v1/models", refuse_first)
    visit.page.reload()
    visit["[data-example='seven.png']"].click()
    expect(visit["#feedback"]).to_be_visible()  # which the second answer tells
    expect(visit["#notice"]).to_be_hidden()


WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight hundred thousand", "ä", "."]


def test_models_are_offered_where_there_are_several(
    visitor: Visitor, repository: Path, tmp_path: Path
):
    models, store = tmp_path / "models", tmp_path / "store"
    for version, class_names in {"letters": list("ABCDEFGHIJ"), "words": WORDS}.items():
        folder = models / "mnist" / version
        shutil.copytree(repository / "models" / "mnist" / "pretrained", folder)
        change_manifest(folder, version=version, class_names=class_names)
    with serving(tmp_path, "--feedback", store, DIGITFLOW_MODELS=str(models)) as server:
        visit = visitor(server.url, viewport={"width": 320, "height": 640})
        expect(visit["#model-choice"]).to_be_visible()
        visit["#model"].select_option("mnist@letters")
        visit.draw(SEVEN)
        visit.wait_for("#headline", "It is an H")
        assert "model=mnist%40letters" in visit.requests[-1]
        visit["#wrong"].click()
        visit["#right-label"].select_option("B")
        visit["#correction button"].click()
        visit.wait_for("#thanks", "Kept")
        assert [path.parent.name for path in store.glob("*/*.png")] == ["B"]

        visit["#model"].select_option("mnist@words")
        visit.wait_for("#headline", "It is “eight hundred thousand”")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
        overlaps = """bars => bars.some(({ children: [label, track] }) =>
            label.scrollWidth > label.clientWidth
            || label.getBoundingClientRect().right > track.getBoundingClientRect().left)"""
        assert not visit["#bars li"].evaluate_all(overlaps)
        visit.picture("words")
        visit.context.close()


def test_one_model_is_not_to_be_chosen(visit: Visit):
    visit.settle()
    expect(visit["#model-choice"]).to_be_hidden()
    assert visit["#feedback"].is_hidden()


def test_the_page_works_under_a_path_of_a_proxy(visit: Visit, server: Served):
    def hand_on(route: Route) -> None:
        assert "/digits/" in route.request.url
        route.fulfill(response=route.fetch(url=route.request.url.replace("/digits/", "/")))

    visit.page.goto("about:blank")  # the page at the root asks for nothing any more
    visit.page.route(f"{server.url}/**", hand_on)
    visit.page.goto(f"{server.url}/digits/")
    visit["[data-example='seven.png']"].click()
    visit.wait_for("#headline", "It is a 7")
    expect(visit["#feedback"]).to_be_visible()


def test_the_page_holds_to_a_strict_policy(visit: Visit):
    policy = visit.page.request.get(visit.page.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
