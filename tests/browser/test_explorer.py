"""The explorer in JupyterLab, used as people use it: typed, clicked, dragged; judged by what is seen."""

import itertools
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SETUP = """
from dcmq.config import StudentConfig, TrainConfig
from dcmq.data.datasets import load_dataset
from dcmq.explore.explorer import Explorer
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher

data = load_dataset("scenes", query=30, train=120, gallery=170)
embeddings = embed(resolve_teacher("clip", "scenes"), data)
student = StudentConfig(bits=32, image_encoder="small_resnet", image_size=32, text_hidden=(64, 64))
targets = {"with NPC": "npc", "without NPC": "raw"}
runs = {
    name: TrainConfig(student=student, target=target, epochs=1, batch_size=32, learning_rate=1e-3)
    for name, target in targets.items()
}
explorer = Explorer.of_runs(data, embeddings, runs)
"""
FIRST_STATE = """
explorer.left, explorer.right, explorer.gallery, explorer.view = "with NPC", "without NPC", "images", "search"
explorer.select([])
explorer.query("moon star")
"""
DISPLAY = 1  # the cell that shows the explorer
SHOWN = 24  # hits of each ranker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def notebook(lab):
    return lab.started("explorer.ipynb", [SETUP, "explorer", ""])


@pytest.fixture
def explorer(notebook, page):
    """The widget in its first state: two students side by side, ``moon star`` searched in images."""
    notebook.run(FIRST_STATE)
    widget = page.locator(".jp-Cell").nth(DISPLAY).locator(".dcmq-explorer")
    wait(page, "widget => widget.querySelector('.dcmq-words').value === 'moon star'", widget)
    settled(page, widget)
    return widget


def wait(page, condition, element):
    """Wait until a JavaScript function of an element is true."""
    page.wait_for_function(condition, arg=element.element_handle())


def settled(page, widget):
    """Wait until Python has answered everything that the widget asked for."""
    wait(page, "widget => widget.dataset.busy === 'false'", widget)


def hits(widget, ranker="with NPC"):
    return widget.locator(f".dcmq-search [data-ranker='{ranker}'] .dcmq-tile")


def rows(tiles):
    return [int(row) for row in tiles.evaluate_all("tiles => tiles.map(tile => tile.dataset.row)")]


def captions(tiles):
    return tiles.locator(".dcmq-caption").all_text_contents()


def pixels(canvas):
    """The canvas as a data URL of PNG."""
    return canvas.evaluate("canvas => canvas.toDataURL()")


def open_view(page, widget, name):
    widget.get_by_role("tab", name=name).click()
    panel = widget.locator(f".dcmq-{name.lower()}")
    panel.wait_for()
    settled(page, widget)
    return panel


def test_typed_words_give_the_ranked_images_of_both_rankers(explorer, page, screenshot):
    box = explorer.get_by_label("words to search for")
    box.fill("")
    box.press_sequentially("boat cloud")
    wait(page, "widget => widget.querySelector('h4').textContent.includes('relevant')", explorer)
    settled(page, explorer)
    for ranker in ("with NPC", "without NPC"):
        tiles = hits(explorer, ranker)
        assert tiles.count() == len(set(rows(tiles))) == SHOWN
        scores = [float(caption.partition(" ")[0]) for caption in captions(tiles)]
        assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1]
        images = tiles.locator("img")
        wait(page, "column => [...column.querySelectorAll('img')].every(image => image.naturalWidth > 0)",
             explorer.locator(f"[data-ranker='{ranker}']"))  # fmt: skip
        assert images.count() == SHOWN
        right, wrong = (tiles.locator(f"xpath=self::*[contains(@class, 'dcmq-{mark}')]") for mark in ("right", "wrong"))
        heading = explorer.locator(f"[data-ranker='{ranker}'] h4").text_content()
        assert f"{right.count()} of {SHOWN} relevant, AP ." in heading
        assert right.count() and right.count() + wrong.count() == SHOWN
    screenshot(explorer, "search")


def test_what_one_ranker_finds_and_the_other_misses_is_marked(explorer):
    ours, theirs = (set(rows(hits(explorer, ranker))) for ranker in ("with NPC", "without NPC"))
    assert f"{len(ours & theirs)} of the first {SHOWN} in common" in explorer.locator(".dcmq-search").text_content()
    marked = hits(explorer).locator("xpath=self::*[contains(@class, 'dcmq-only')]")
    assert set(rows(marked)) <= ours - theirs
    for tile, row in zip(hits(explorer).all(), rows(hits(explorer)), strict=True):
        rank = int(re.search(r"#(\d+)", tile.text_content()).group(1))
        assert (rank > SHOWN) == (row not in theirs)


def test_a_hit_leads_to_its_neighbours_and_back(explorer, page, screenshot):
    before = rows(hits(explorer))
    hits(explorer).nth(3).click()
    explorer.get_by_text(f"near the image {before[3]}").wait_for()
    settled(page, explorer)
    after = rows(hits(explorer))
    assert after != before and before[3] not in after  # it is its own nearest, and left out
    assert not explorer.locator(".dcmq-card").is_visible()  # of what the click brought under the pointer
    screenshot(explorer, "search-neighbours")
    explorer.get_by_role("button", name="back").click()
    wait(page, "widget => widget.querySelector('.dcmq-words').value === 'moon star'", explorer)
    settled(page, explorer)
    assert rows(hits(explorer)) == before


def test_an_image_is_searched_in_texts_and_a_text_in_images(explorer, page, screenshot):
    image = rows(hits(explorer))[0]
    hits(explorer).first.click()
    explorer.get_by_label("gallery").select_option("texts")
    explorer.locator(".dcmq-search .dcmq-tile-text").first.wait_for()
    settled(page, explorer)
    assert explorer.get_by_text(f"near the image {image}").is_visible()
    texts = hits(explorer).locator(".dcmq-tile-text")
    wait(page, "widget => [...widget.querySelectorAll('.dcmq-tile-text')].every(tile => tile.textContent)", explorer)
    assert texts.count() == SHOWN
    screenshot(explorer, "search-texts")
    text = texts.nth(1).text_content()
    hits(explorer).nth(1).click()
    explorer.get_by_label("gallery").select_option("images")
    explorer.get_by_text(f"near the text “{text}”").wait_for()
    settled(page, explorer)
    assert hits(explorer).locator("img").count() == SHOWN


def test_keys_go_into_the_box_and_not_to_jupyterlab(explorer, notebook, page):
    """a, b, d d, x, m, y, z, 0 0: cells are added, cut, deleted, changed, and kernels restarted by these."""
    cells, box = notebook.cells, explorer.get_by_label("words to search for")
    box.fill("moon ")
    for key in "abddxmyz00":
        box.press(key)
    box.press("Enter")
    explorer.get_by_text("it does not know abddxmyz").first.wait_for()
    assert box.input_value() == "moon abddxmyz00"
    explorer.get_by_label("gallery").press("d")
    explorer.get_by_role("tab", name="Search").press("d")
    explorer.get_by_role("tab", name="Search").press("d")
    assert notebook.cells == cells
    assert page.locator(".jp-Dialog").count() == 0


def test_more_hits_are_shown_on_demand(explorer, page):
    explorer.get_by_role("button", name="more", exact=True).click()
    wait(page, "widget => widget.querySelectorAll('[data-ranker] .dcmq-tile').length === 96", explorer)


def test_a_card_follows_the_pointer(explorer, page, screenshot):
    hits(explorer).nth(1).hover()
    card = explorer.locator(".dcmq-card")
    card.wait_for()
    assert re.search(r"holds \w+", card.text_content())
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    screenshot(page, "card")
    page.mouse.move(0, 0)
    card.wait_for(state="hidden")


def test_sliders_redraw_the_targets(explorer, page, screenshot):
    panel = open_view(page, explorer, "Targets")
    before, after, bars, _ = panel.locator("canvas").all()
    readout = panel.locator(".dcmq-note").first
    panel.get_by_label("batch", exact=True).fill("38")
    panel.get_by_text("40 training items").wait_for()
    settled(page, explorer)
    moves = {"seed": (before, after, bars), "tau": (bars,), "batch": (before, after), "row": (bars,)}
    for name, drawings in moves.items():
        shown, text = [pixels(canvas) for canvas in drawings], panel.text_content()
        panel.get_by_label(name, exact=True).press("ArrowRight")
        settled(page, explorer)
        assert all(pixels(canvas) != image for canvas, image in zip(drawings, shown, strict=True)), name
        assert panel.text_content() != text
    text = readout.text_content()
    panel.get_by_label("tau", exact=True).fill("40")
    settled(page, explorer)
    assert readout.text_content() != text
    panel.get_by_label("target", exact=True).select_option("raw")
    settled(page, explorer)
    assert pixels(before) == pixels(after)  # unchanged by the target function
    screenshot(explorer, "targets")


def test_the_noise_moves_codewords(explorer, page):
    panel = open_view(page, explorer, "Targets")
    weights, note = panel.locator("canvas").nth(3), panel.locator(".dcmq-note").nth(1)
    panel.get_by_label("lambda", exact=True).fill("0")
    settled(page, explorer)
    assert note.text_content().startswith("noise makes another codeword the heaviest in 0 of 8 sub-vectors")
    drawn = pixels(weights)
    panel.get_by_label("lambda", exact=True).fill("200")
    settled(page, explorer)
    assert not note.text_content().startswith("noise makes another codeword the heaviest in 0 of 8")
    assert pixels(weights) != drawn


def test_a_codeword_shows_its_items(explorer, page, screenshot):
    panel = open_view(page, explorer, "Codebooks")
    heat = panel.locator("canvas.dcmq-heat").first
    line = panel.locator(".dcmq-hover").first
    box = heat.bounding_box()
    for x in range(30, int(box["width"]) - 80, 8):  # along the first codebook, to a codeword that is used
        heat.hover(position={"x": x, "y": 6})
        word, found = re.fullmatch(r"m 0, k (\d+): (\d+) items?, .*", line.text_content()).groups()
        if int(found) > 1:
            break
    drawn = pixels(heat)
    heat.click(position={"x": x, "y": 6})
    panel.get_by_text(f"with NPC, images of codeword m 0, k {word}: {found} items, nearest to it first").wait_for()
    settled(page, explorer)
    tiles = panel.locator(".dcmq-column").filter(has_text="of codeword").locator(".dcmq-tile")
    assert tiles.count() == min(int(found), 60)
    cosines = [float(caption) for caption in captions(tiles)]
    assert cosines == sorted(cosines, reverse=True)
    assert pixels(heat) != drawn  # the cell is framed
    tiles.first.click()
    panel.get_by_text(re.compile(r"within \d+ of the code of image \d+")).wait_for()
    settled(page, explorer)
    screenshot(explorer, "codebooks")


def test_a_lasso_selects_and_cells_see_it(explorer, notebook, page, screenshot):
    panel = open_view(page, explorer, "Map")
    canvas = panel.locator(".dcmq-map-canvas").first
    bare = pixels(canvas)
    panel.get_by_role("button", name="lasso").click()
    draw(page, canvas, [(0.3, 0.2), (0.7, 0.2), (0.75, 0.8), (0.25, 0.8)])
    strip = explorer.locator(".dcmq-selection")
    strip.wait_for()
    settled(page, explorer)
    assert pixels(canvas) != bare
    chosen = json.loads(notebook.run("print(explorer.selection.index.tolist())"))
    assert len(chosen) == int(re.match(r"\d+", strip.text_content()).group()) > 0
    settled(page, explorer)
    assert rows(strip.locator(".dcmq-tile")) == chosen[:40]
    assert f"{len(chosen)} items inside" in panel.text_content()
    page.mouse.move(0, 0)
    screenshot(explorer, "map")
    panel.get_by_role("button", name="lasso").click()
    explorer.get_by_role("button", name="clear").click()
    strip.wait_for(state="hidden")
    assert "shift and drag: select" in panel.text_content()
    assert notebook.run("len(explorer.selection)") == "0"


def draw(page, canvas, corners):
    """Drag the pointer along corners given as shares of the canvas."""
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def test_a_point_of_the_map_has_a_card_and_can_be_searched_from(explorer, page):
    panel = open_view(page, explorer, "Map")
    canvas, card = panel.locator(".dcmq-map-canvas").first, explorer.locator(".dcmq-card")
    box = canvas.bounding_box()
    for across, down in itertools.product(range(20, 80), range(30, 71, 10)):  # over the map, to a point
        page.mouse.move(box["x"] + box["width"] * across / 100, box["y"] + box["height"] * down / 100)
        if canvas.evaluate("canvas => canvas.style.cursor") == "pointer":
            break
    card.wait_for()
    item = card.locator("strong").text_content()
    page.mouse.down()
    page.mouse.up()
    explorer.get_by_text(f"near the image {item}").wait_for()


def test_a_selection_is_written_with_scores_and_codes(explorer, notebook, page, lab):
    for place in (0, 2):
        hits(explorer).nth(place).click(modifiers=["Shift"])
    explorer.get_by_text("2 selected").wait_for()
    chosen = [rows(hits(explorer))[place] for place in (0, 2)]
    file = lab.folder / "hits.csv"
    explorer.get_by_label("file").fill(str(file))
    explorer.get_by_role("button", name="export").click()
    explorer.get_by_text(f"2 items written to {file}").wait_for()
    table = pd.read_csv(file, index_col="row")
    assert table.index.tolist() == chosen
    assert {"score with NPC", "score without NPC", "image code with NPC"} <= set(table.columns)


def test_what_cannot_be_is_said_in_a_line(explorer):
    line = explorer.get_by_role("alert")
    assert not line.is_visible()
    hits(explorer).first.click(modifiers=["Shift"])
    explorer.get_by_label("file").fill("hits.xls")
    explorer.get_by_role("button", name="export").click()
    line.get_by_text("export: 'hits.xls' must end in .csv or .parquet").wait_for()
    explorer.get_by_label("left ranker").select_option("teacher clip")
    line.wait_for(state="hidden")
    explorer.get_by_label("words to search for").fill("qwertz")
    explorer.get_by_text("'qwertz' has no word that the student knows").wait_for()
    assert hits(explorer).count() == 0


def test_two_runs_are_compared_query_by_query(explorer, page, screenshot):
    panel = open_view(page, explorer, "Failures")
    panel.get_by_label("order of the queries").select_option("difference")
    settled(page, explorer)
    lines = panel.locator("tr[data-row]")
    wait(page, "panel => panel.querySelectorAll('tr[data-row]').length === 30", panel)
    gaps = [float(line.locator("td").last.text_content()) for line in lines.all()]
    assert [abs(gap) for gap in gaps] == sorted(map(abs, gaps), reverse=True)
    curve = panel.locator("canvas")
    drawn = pixels(curve)
    lines.nth(0).click()
    panel.locator("h4", has_text=re.compile(r"^text \d+: ")).wait_for()
    settled(page, explorer)
    first = pixels(curve)
    lines.nth(1).click()
    wait(page, "line => line.classList.contains('dcmq-current')", lines.nth(1))
    settled(page, explorer)
    assert len({drawn, first, pixels(curve)}) == 3
    legend = panel.locator(".dcmq-legend").text_content()
    assert "with NPC" in legend and "without NPC" in legend and "by chance" in legend
    screenshot(explorer, "failures")
    panel.get_by_role("button", name="open in search").click()
    explorer.get_by_text("near the text").wait_for()


def test_cells_steer_the_view(explorer, notebook, page):
    notebook.run('explorer.view, explorer.right = "map", "teacher clip"\nexplorer.select([0, 1, 2])')
    explorer.get_by_text("3 selected").wait_for()
    assert explorer.get_by_role("tab", name="Map").get_attribute("aria-selected") == "true"
    assert explorer.get_by_label("right ranker").input_value() == "teacher clip"
    explorer.locator(".dcmq-map h4", has_text="teacher clip").wait_for()


def test_two_displays_are_linked_until_one_is_gone(explorer, notebook, page):
    notebook.run("explorer")
    second = page.locator(".jp-Cell").nth(2).locator(".dcmq-explorer")
    second.get_by_role("tab", name="Failures").click()
    explorer.locator(".dcmq-failures tr[data-row]").first.wait_for()
    explorer.get_by_role("tab", name="Search").click()
    hits(second).first.click(modifiers=["Shift"])
    for widget in (explorer, second):
        widget.get_by_text("1 selected").wait_for()
    notebook.run(FIRST_STATE)
    second.wait_for(state="detached")
    hits(explorer).nth(1).click()
    explorer.get_by_text("near the image").wait_for()


def test_letters_are_read_on_a_dark_ground_too(explorer, notebook, page, screenshot):
    notebook.command("apputils:change-theme", theme="JupyterLab Dark")
    wait(page, "() => document.body.dataset.jpThemeLight === 'false'", explorer)
    try:
        colors = explorer.evaluate("root => [getComputedStyle(root).color, getComputedStyle(root).backgroundColor]")
        letters, ground = (sum(map(int, re.findall(r"\d+", color)[:3])) / 3 for color in colors)
        assert letters > 200 and ground < 40
        for view in ("Search", "Map", "Codebooks", "Targets", "Failures"):
            open_view(page, explorer, view)
            screenshot(explorer, f"dark-{view.lower()}")
    finally:
        notebook.command("apputils:change-theme", theme="JupyterLab Light")


def test_a_saved_notebook_holds_the_static_image_and_no_state_of_widgets(explorer, notebook, lab):
    notebook.command("docmanager:save")
    saved = json.loads((lab.folder / "explorer.ipynb").read_text("utf-8"))
    assert "widgets" not in saved["metadata"]
    (output,) = saved["cells"][DISPLAY]["outputs"]
    assert output["data"]["image/png"] and "0x" not in "".join(output["data"]["text/plain"])


@pytest.mark.parametrize("name", ["explorer", "method"])
def test_a_committed_notebook_shows_images_before_it_runs(name, lab, page, screenshot):
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", lab.folder / f"committed-{name}.ipynb")
    outputs = [
        output
        for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
        for output in cell.get("outputs", ())
    ]
    lab.open(f"committed-{name}.ipynb")
    page.locator(".jp-RenderedMarkdown h1").wait_for()
    images = page.locator(".jp-Notebook .jp-OutputArea img")
    wait(page, f"page => page.querySelectorAll('.jp-OutputArea img').length === {sum('image/png' in o.get('data', {}) for o in outputs)}",
         page.locator("body"))  # fmt: skip
    assert all(images.evaluate_all("images => images.map(image => image.naturalWidth > 100)"))
    assert page.get_by_text("Error displaying widget").count() == 0
    screenshot(page, f"committed-{name}")
