"""The page of ``dcmq search serve`` in a browser, used by mouse, keyboard and address."""

import re

import numpy as np
import pytest
from finished_run import CONFIG, VOCABULARY

from benchmarks.browser import Watch, browser_page, missing
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("starlette", reason="starlette is not installed: pip install 'dcmq[serve]'")
pytest.importorskip("python_multipart", reason="python-multipart is not installed: pip install 'dcmq[serve]'")

from serving import served, write_images  # noqa: E402 (needs the above)

from dcmq.search.held import HeldCollection  # noqa: E402
from dcmq.search.server import Limits, search_app  # noqa: E402

pytestmark = pytest.mark.slow
TOKEN = "a-token_of~20.letters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``photos`` has four images, one of them gone, and three texts; ``texts`` has texts only, ``numbers`` no files."""
    folder = tmp_path_factory.mktemp("served")
    thresholds = {"t2i": {"value": 0.99, "precision aimed at": 0.8, "precision": 0.7, "recall": 0.1}}
    student = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS, thresholds)
    photos = Collection.create(folder / "photos", student)
    photos.update_images(write_images(folder / "images"))
    (folder / "images" / "a.png").unlink()
    Collection.create(folder / "texts", student).add_texts(["red sea", "blue boat", "größe"])
    photos.add_texts(["red sea", "blue boat", "größe"])
    numbers = Collection.create(folder / "numbers", student)
    index = numbers.load_index("images")
    index.add(photos.load_index("images").codes, np.arange(4))
    numbers.save_index("images", index)
    return folder


@pytest.fixture(scope="module")
def chromium():
    if reason := missing():
        pytest.skip(reason)
    with browser_page(width=1000, height=800) as page:
        yield page, Watch(page)


@pytest.fixture
def page(chromium):
    """The page; afterwards, that nothing was asked of another host, and that no script failed."""
    page, watch = chromium
    watch.foreign.clear()
    watch.errors.clear()
    yield page
    assert watch.foreign == []
    assert [error for error in watch.errors if not error.startswith("Failed to load resource")] == []


@pytest.fixture(scope="module")
def address(folder):
    with served(search_app(HeldCollection(folder / "photos"), limits=Limits(upload_bytes=20_000))) as running:
        yield f"http://127.0.0.1:{running.port}/"


def status(page, text):
    page.locator("#status").filter(has_text=text).wait_for()


def search(page, text):
    page.get_by_label("Words to search for").fill(text)
    page.keyboard.press("Enter")


def tile_names(page):
    return [image.get_attribute("alt") for image in page.locator("#hits img").all()]


def seen(page, selector="#hits img"):
    """Wait until all images there are drawn."""
    page.wait_for_function(
        "selector => [...document.querySelectorAll(selector)].every(image => image.naturalWidth)", arg=selector
    )


def test_words_bring_a_grid_and_the_unknown_ones_are_told(page, address, screenshot):
    page.goto(address)
    page.get_by_text("4 images, 3 texts, as codes of 32 bits").wait_for()
    assert page.get_by_label("Words to search for").evaluate("box => box === document.activeElement")
    search(page, "red boat zzz")
    status(page, "The 4 images nearest to “red boat zzz”, of 4. Not known, and left out: zzz.")
    assert page.url == f"{address}?text=red+boat+zzz&among=images" and page.title() == "red boat zzz · photos"
    page.locator("#hits .tile", has_text="no image").wait_for()  # its file is gone
    seen(page)
    assert set(tile_names(page)) == {"in ner/größe #1?.png", "c.webp", "turned.jpg"}
    captions = page.locator("#hits figcaption").all_text_contents()
    assert [re.match(r"(\d+)-?\d\.\d{3}", caption)[1] for caption in captions] == ["1", "2", "3", "4"]
    screenshot(page.locator("body"), "search-page")
    page.get_by_label("texts").check()
    status(page, "The 3 texts nearest to “red boat zzz”, of 3.")
    assert set(page.locator("#hits button").all_text_contents()) == {"red sea", "blue boat", "größe"}


def test_matches_only_says_that_there_is_none_and_stands_in_the_address(page, address):
    page.goto(f"{address}?text=red")
    status(page, "The 4 images nearest to “red”, of 4.")
    page.get_by_label("matches only").check()
    status(page, "No match for “red”: none of 4 images with a score of 0.990 or more.")
    assert "threshold=chosen" in page.url
    page.get_by_label("near duplicates once").check()
    page.wait_for_url("**fold=1**")
    page.reload()
    status(page, "No match for “red”")
    assert page.get_by_label("near duplicates once").is_checked()
    page.get_by_label("matches only").uncheck()
    status(page, "The 4 images nearest to “red”, of 4.")
    page.get_by_label("near duplicates once").uncheck()
    page.get_by_label("texts", exact=True).check()
    status(page, "The 3 texts nearest to “red”, of 3.")
    assert page.get_by_label("matches only").is_hidden(), "there is no threshold for texts among texts"


def test_a_click_on_an_image_searches_with_it_and_back_returns(page, address):
    page.goto(f"{address}?text=red")
    status(page, "nearest to “red”")
    name = "in ner/größe #1?.png"
    page.get_by_role("button", name=f"search with the image {name}").click()
    status(page, f"The 4 images nearest to the image {name}")
    seen(page, "#query img")
    assert page.locator("#status").evaluate("line => line === document.activeElement")
    page.go_back()
    status(page, "nearest to “red”")
    assert page.get_by_label("Words to search for").input_value() == "red" and page.locator("#query").is_hidden()
    page.go_forward()
    status(page, f"nearest to the image {name}")
    page.reload()
    status(page, f"nearest to the image {name}")


def test_an_image_is_chosen_dropped_and_pasted(page, address, folder):
    page.goto(address)
    page.get_by_text("4 images").wait_for()
    page.locator("#file").set_input_files(folder / "images" / "c.webp")
    status(page, "The 4 images nearest to the image c.webp")
    seen(page, "#query img")
    page.get_by_label("texts").check()
    status(page, "The 3 texts nearest to the image c.webp")
    for event in ("drop", "paste"):
        page.goto(address)
        page.get_by_text("4 images").wait_for()
        page.evaluate(
            """async (event) => {
              const canvas = new OffscreenCanvas(40, 40);
              canvas.getContext("2d").fillRect(5, 5, 9, 9);
              const data = new DataTransfer();
              data.items.add(new File([await canvas.convertToBlob()], "drawn.png", { type: "image/png" }));
              dispatchEvent(event === "drop" ? new DragEvent("drop", { dataTransfer: data }) : new ClipboardEvent("paste", { clipboardData: data }));
            }""",
            event,
        )
        status(page, "nearest to the image drawn.png")
    page.reload()
    page.get_by_role("alert").filter(has_text="drawn.png was not kept").wait_for()


def test_errors_are_told_in_words_and_go_away(page, address, tmp_path):
    page.goto(address)
    search(page, "green")
    alert = page.get_by_role("alert")
    alert.filter(has_text="'green' has no word that the student knows, such as red").wait_for()
    assert page.locator("#hits li").count() == 0
    page.get_by_role("button", name="boat", exact=True).click()  # one of the words that it knows
    status(page, "nearest to “boat”")
    assert alert.is_hidden()
    for name, content, told in (
        ("large.png", bytes(30_000), "has 0.030 MB: choose an image of at most 0.02 MB"),
        ("no.png", b"x", "No image that can be read"),
    ):
        (tmp_path / name).write_bytes(content)
        page.locator("#file").set_input_files(tmp_path / name)
        alert.filter(has_text=told).wait_for()


def test_all_of_it_is_done_with_keys(page, address):
    page.goto(address)
    page.get_by_text("4 images").wait_for()
    page.keyboard.type("sea")
    page.keyboard.press("Enter")
    status(page, "nearest to “sea”")
    focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim() ?? ''"
    visited = []
    for _ in range(9):
        page.keyboard.press("Tab")
        visited.append(page.evaluate(focused))
        if "search with the image" in visited[-1]:
            break
    assert "search with the image" in visited[-1] and "Search" in visited
    page.keyboard.press("Enter")
    status(page, "nearest to the image")
    unlabelled = """() => [...document.querySelectorAll("input, button, img")].filter((element) =>
      element.tagName === "IMG" ? !element.alt : !(element.labels?.length || element.textContent.trim() || element.ariaLabel))"""
    assert page.evaluate(f"({unlabelled})().map((element) => element.outerHTML)") == []


@pytest.mark.parametrize(("name", "kind"), [("texts", "texts"), ("numbers", "images")])
def test_a_collection_without_image_files_is_searched_too(page, folder, name, kind):
    with served(search_app(HeldCollection(folder / name))) as running:
        page.goto(f"http://127.0.0.1:{running.port}/")
        search(page, "red")
        status(page, f"{kind} nearest to “red”")
        assert page.locator("#hits img").count() == 0
        assert page.locator("#hits li").count() == (3 if name == "texts" else 4)
        other = "images" if kind == "texts" else "texts"
        assert page.get_by_label(other, exact=True).is_disabled()


def test_a_token_is_asked_for_kept_and_taken_out_of_the_address(page, folder):
    with served(search_app(HeldCollection(folder / "photos"), token=TOKEN, local=False)) as running:
        address = f"http://127.0.0.1:{running.port}/"
        page.goto(f"{address}?text=red")
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="A token is needed, and this is not it").wait_for()
        page.goto(f"{address}?text=red&token={TOKEN}")
        status(page, "nearest to “red”")
        assert TOKEN not in page.url
        seen(page)
        page.reload()
        status(page, "nearest to “red”")
    search(page, "sea")  # the server has ended
    page.get_by_role("alert").filter(has_text="The server does not answer").wait_for()
