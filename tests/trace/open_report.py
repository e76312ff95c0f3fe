"""Opens reports of synthetic runs in headless Chromium and uses them as a reader does: pointer, keys, print, dark, narrow.

Usage: open_report.py WRITE_SAMPLE_REPORT [FOLDER]. With FOLDER the pages and screenshots stay there. Exit code 77: skipped.
"""

import os
import subprocess
import sys
import tempfile

from chromium import Chromium, find_chromium

PAGES = ["small", "wide", "large", "long", "one", "extinct", "unfinished", "empty", "ids", "resumed", "hostile"]


def check(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).textContent")


def centre(browser, selector, index=0):
    """Of an element, scrolled into view."""
    return browser.evaluate(f"""(() => {{
        const element = document.querySelectorAll({selector!r})[{index}];
        element.scrollIntoView({{block: "center"}});
        const box = element.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }})()""")


def check_quiet(browser, path, what):
    check(browser.complaints == [], f"{what}: console says {browser.complaints}")
    check(browser.requests == [f"file://{os.path.abspath(path)}"], f"{what}: asks for {browser.requests}")


def check_page(browser, folder, name):
    path = os.path.join(folder, f"{name}.html")
    browser.open(path)
    check_quiet(browser, path, name)
    check(browser.evaluate("document.title").startswith("Shoal report: "), f"{name}: title")
    for width in [1280, 320]:
        browser.resize(width, 900)
        extent = browser.evaluate("document.documentElement.scrollWidth")
        check(extent <= width, f"{name}: {extent} pixels wide in a window of {width}")
    browser.resize(1280, 900)
    unnamed = browser.evaluate("""[...document.querySelectorAll("svg,figure[tabindex],[role=region]")]
        .filter((e) => !e.getAttribute("aria-label")).length""")
    check(unnamed == 0, f"{name}: {unnamed} pictures without a name")
    overlaps = browser.evaluate(OVERLAPPING_LABELS)
    check(overlaps == [], f"{name}: labels overlap: {overlaps}")


# Labels of one picture whose boxes meet.
OVERLAPPING_LABELS = """[...document.querySelectorAll("svg")].flatMap((svg) => {
    const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
    const meet = ([, a], [, b]) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => meet(a, b)).map((b) => a[0] + " | " + b[0]));
})"""


def check_genealogy(browser, folder):
    browser.open(os.path.join(folder, "small.html"))
    check("of the weight" in text(browser, "#details h3"), "the answer is described at first")
    browser.mouse("mouseMoved", *centre(browser, "#tree circle[cx='46']", 5))
    check("batch 0" in text(browser, "#details h3"), f"pointing describes a particle: {text(browser, '#details h3')}")
    check(browser.evaluate("document.querySelectorAll('#details tr').length") >= 4, "table of potentials")
    browser.click(*centre(browser, "#tree circle[cx='46']", 7))
    held = text(browser, "#details h3")
    browser.mouse("mouseMoved", *centre(browser, "#tree circle[cx='46']", 2))
    check(text(browser, "#details h3") == held, "a click holds the particle")
    browser.evaluate("document.getElementById('tree').focus()")
    browser.key("Escape")
    check("batch 9" in text(browser, "#details h3"), "Escape goes back to the answer")
    browser.key("ArrowLeft")
    check("batch 8" in text(browser, "#details h3"), "the left arrow goes to the ancestor")
    browser.key("Home")
    check("batch 0" in text(browser, "#details h3"), "Home goes to the first batch")
    check(browser.evaluate("document.getElementById('chain').getAttribute('d')") == "", "no line before the first batch")
    browser.key("ArrowRight")
    check("batch 1" in text(browser, "#details h3"), "the right arrow goes to a descendant")
    check(browser.evaluate("document.getElementById('chain').getAttribute('d')").startswith("M"), "the line is drawn")
    before = text(browser, "#details h3")
    browser.key("ArrowDown")
    check(text(browser, "#details h3") != before, "the down arrow goes to the neighbour")
    colours = "[...document.querySelectorAll('#tree .edge.live')].map((e) => getComputedStyle(e).stroke).join()"
    by_lineage = browser.evaluate(colours)
    browser.click(*centre(browser, "input[value=rank]"))
    check(browser.evaluate("document.getElementById('genealogy').className") == "by-rank", "colour by rank")
    check(browser.evaluate(colours) != by_lineage, "the colours change")
    check(browser.complaints == [], f"console: {browser.complaints}")


def check_charts(browser, folder):
    browser.open(os.path.join(folder, "small.html"))
    browser.mouse("mouseMoved", *centre(browser, "[data-chart=ess] svg"))
    check(text(browser, "[data-chart=ess] output").startswith("batch "), "pointing reads a chart")
    check(" \u00b1 " in text(browser, "[data-chart=log_z] output"), "all charts are read together")
    browser.mouse("mouseMoved", 1, 1)
    check(text(browser, "[data-chart=ess] output") == "", "the reading ends when the pointer leaves")
    browser.evaluate("document.querySelector('[data-chart=time]').focus()")
    browser.key("Home")
    check(text(browser, "[data-chart=time] output").startswith("batch 0: "), "Home reads the first batch")
    browser.key("ArrowRight")
    check(text(browser, "[data-chart=moved] output").startswith("batch 1: "), "the right arrow reads the next batch")
    check(browser.complaints == [], f"console: {browser.complaints}")


def check_media(browser, folder):
    background = "getComputedStyle(document.body).backgroundColor"
    path = os.path.join(folder, "small.html")
    browser.open(path)
    light = browser.evaluate(background)
    browser.media(scheme="dark")
    check(browser.evaluate(background) != light, "dark colours")
    browser.media("print", "dark")
    check(browser.evaluate(background) == "rgb(255, 255, 255)", "paper is white")
    check(browser.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none", "no controls on paper")
    browser.media()
    browser.javascript(False)
    browser.open(path)
    browser.javascript(True)
    check(browser.evaluate("document.querySelectorAll('#tree circle').length") > 400, "the picture needs no JavaScript")
    check_quiet(browser, path, "without JavaScript")


def take_pictures(browser, folder):
    for name in PAGES:
        for scheme, width in [("light", 1280), ("dark", 1280), ("light", 390)]:
            browser.media(scheme=scheme)
            browser.open(os.path.join(folder, f"{name}.html"), width)
            browser.screenshot(os.path.join(folder, f"{name}-{scheme}-{width}.png"))
    browser.media()


def main():
    program = find_chromium()
    if program is None:
        print("skipped: no Chromium here; jobs/setup.sh installs it")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="shoal-report-") as scratch:
        folder = sys.argv[2] if len(sys.argv) > 2 else scratch
        subprocess.run([sys.argv[1], folder], check=True)
        with Chromium(program) as browser:
            for name in PAGES:
                check_page(browser, folder, name)
            check_genealogy(browser, folder)
            check_charts(browser, folder)
            check_media(browser, folder)
            if len(sys.argv) > 2:
                take_pictures(browser, folder)
    print(f"opened {len(PAGES)} reports")


main()
