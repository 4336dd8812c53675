#!/usr/bin/env python3
"""The page at `/` in Debian's chromium, used by keyboard alone: typed query and documents, order, what was cut, curl, errors, an
API key, both themes, a phone, and nothing fetched from elsewhere.

RERANKD names the program (default build/release/rerankd); PAGE_SCREENSHOTS a folder for pictures of both themes; PAGE_HTML a page
to show instead of the program's, to work on src/api/pages/web/index.html without building. It is skipped (exit status 77) without
chromium or playwright (.venv-clients, requirements/clients.txt).
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import unittest
import urllib.parse

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = SOURCE / ".venv-clients"
CHROMIUM = shutil.which("chromium")
if CHROMIUM and sys.prefix != str(ENVIRONMENT) and (ENVIRONMENT / "bin/python").exists():
    os.execv(ENVIRONMENT / "bin/python", [str(ENVIRONMENT / "bin/python"), __file__, *sys.argv[1:]])
try:
    from playwright.sync_api import Error as PlaywrightError, expect, sync_playwright
except ImportError:
    CHROMIUM = None
if not CHROMIUM:
    print("skipped: needs chromium (Debian) and playwright (make clients)")
    sys.exit(77)

os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import Server  # noqa: E402

expect.set_options(timeout=60000)  # of a busy machine; the library's own is 5 s

KEY = "key-of-the-page"
QUERY = "what do pandas eat?"
DOCUMENTS = ["Paris is the capital of France.", "The giant panda eats bamboo.", "Rain falls from clouds."]
ORDER = [1, 2, 0]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        model = ["--model", SOURCE / "models/rerankd-mini-en"]
        cls.server = cls.enterClassContext(Server(*model))
        cls.closed = cls.enterClassContext(Server(*model, environment={"RERANKD_API_KEY": KEY}))
        browser = cls.enterClassContext(sync_playwright()).chromium
        # --no-sandbox: the tests may run as root, in a container
        cls.browser = browser.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def open(self, server=None, viewport=None, scheme="light", search=""):
        url = (server or self.server).url
        context = self.browser.new_context(viewport=viewport or WIDE, color_scheme=scheme)
        self.addCleanup(context.close)
        page = context.new_page()
        self.requested, self.errors = [], []
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if html := os.environ.get("PAGE_HTML"):
            page.route(url + "/", lambda route: route.fulfill(path=html, content_type="text/html"))
        page.goto(url + "/" + search)
        expect(page.locator("#model")).to_contain_text("rerankd-mini-en")
        return page

    def tab_to(self, page, name):
        """Moves the focus with the Tab key until it is on the element."""
        for _ in range(30):
            if page.evaluate("document.activeElement?.id") == name:
                return
            page.keyboard.press("Tab")
        self.fail(f"Tab never reaches #{name}")

    def type_over(self, page, name, text):
        self.tab_to(page, name)
        page.keyboard.press("Control+A")
        page.keyboard.type(text)

    def rank(self, page, documents=DOCUMENTS, query=QUERY):
        self.type_over(page, "query", query)
        self.type_over(page, "documents", "\n".join(documents))
        expect(page.locator("#status")).not_to_have_text("ranking …")  # the example
        page.evaluate("document.getElementById('status').textContent = ''")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#status")).to_contain_text("documents in")

    def ranked(self, page):
        items = page.locator("#results li")
        return [{"score": float(item.locator(".score").inner_text()), "text": item.inner_text(), "cut": item.locator(".cut").count()}
                for item in items.all()]

    def test_typed_by_keyboard(self):
        page = self.open()
        self.rank(page)
        results = self.ranked(page)
        self.assertEqual([DOCUMENTS.index(next(d for d in DOCUMENTS if d in r["text"])) for r in results], ORDER)
        answer = self.server.post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS})["results"]
        self.assertEqual([r["score"] for r in results], [round(a["relevance_score"], 4) for a in answer])
        self.assertRegex(results[0]["text"], r"document 2, \d+ tokens")
        expect(page.locator("#timing")).to_be_visible()
        for part in ("tokenize", "queue", "compute", "network"):
            expect(page.locator("#stack-key")).to_contain_text(part)
        self.assertEqual(self.errors, [])
        self.assertEqual({urllib.parse.urlsplit(u).netloc for u in self.requested if u.startswith("http")},
                         {urllib.parse.urlsplit(self.server.url).netloc})

    def test_the_example_is_ranked_at_first_sight(self):
        page = self.open()
        expect(page.locator("#results li")).to_have_count(4)
        self.assertIn("giant panda is a bear", self.ranked(page)[0]["text"])

    def test_a_link_asks_the_same_also_documents_of_several_lines(self):
        page = self.open()
        self.rank(page, ["Pandas eat bamboo,", "and little else.", "", "Rain falls."])
        expect(page.locator("#results li")).to_have_count(2)
        self.tab_to(page, "link")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("link is copied")
        again = self.open(search="?" + urllib.parse.urlsplit(page.url).query)
        expect(again.locator("#results li")).to_have_count(2)
        self.assertEqual(again.locator("#query").input_value(), QUERY)
        self.assertIn("Pandas eat bamboo,\nand little else.", again.locator("#documents").input_value())

    def test_long_lists_are_folded(self):
        page = self.open()
        self.rank(page, [f"document number {i}" for i in range(50)])
        expect(page.locator("#results > li")).to_have_count(21)
        expect(page.locator("#results summary")).to_have_text("30 more")
        page.locator("#results summary").click()
        expect(page.locator("#results details ol li").last).to_be_visible()

    def test_a_server_that_is_away_is_said(self):
        with Server("--model", SOURCE / "models/rerankd-mini-en") as server:
            page = self.open(server)
            expect(page.locator("#tiles")).to_contain_text("P50")
        expect(page.locator("#away")).to_contain_text("no answer since", timeout=20000)
        expect(page.locator("#tiles")).to_have_class(re.compile("old"))

    def test_a_text_that_the_model_does_not_know(self):
        page = self.open()
        self.rank(page, ["\u0e2b\u0e21\u0e35 \u0e04\u0e37\u0e2d"], "\u0e2b\u0e21\u0e35")
        expect(page.locator("#status")).to_contain_text("unknown to rerankd-mini-en")

    def test_the_api_can_be_read(self):
        page = self.open()
        page.goto(self.server.url + "/docs#post /rerank")
        expect(page.locator("details[open] summary").first).to_contain_text("/rerank")
        expect(page.locator("details[open] table").first).to_contain_text("documents")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            self.picture(page, f"docs-{scheme}")
        self.assertEqual(self.errors, [])

    def test_enter_and_top_n(self):
        page = self.open()
        self.type_over(page, "documents", "\n".join(DOCUMENTS))
        self.type_over(page, "top", "2")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("2 of 3 documents")
        self.assertEqual(len(self.ranked(page)), 2)

    def test_an_earlier_answer_does_not_hide_a_later_one(self):
        page = self.open()
        expect(page.locator("#status")).to_contain_text("4 of 4 documents")  # the example
        held = []
        page.route("**/v1/rerank", lambda route: route.continue_() if held else held.append(route))
        self.type_over(page, "documents", "\n".join(DOCUMENTS))
        page.keyboard.press("Control+Enter")
        self.type_over(page, "top", "2")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("2 of 3 documents")
        self.assertEqual(len(held), 1)
        try:
            held[0].fulfill(json={"results": []})
        except PlaywrightError:
            pass  # it has been given up
        page.wait_for_timeout(300)
        expect(page.locator("#status")).to_contain_text("2 of 3 documents")
        self.assertEqual(len(self.ranked(page)), 2)

    def test_documents_as_json_with_quotes_and_markup(self):
        page = self.open()
        self.rank(page, [json.dumps(["It's <b>bamboo</b>\nfor pandas", {"text": "Rain"}])])
        texts = [r["text"] for r in self.ranked(page)]
        self.assertEqual(len(texts), 2)
        self.assertTrue(any("It's <b>bamboo</b>" in text for text in texts), texts)
        self.assertEqual(page.locator("#results b").count(), 0)

    def test_curl_does_the_same(self):
        page = self.open()
        self.rank(page, [*DOCUMENTS, "It's a panda's bamboo"])
        command = shlex.split(page.locator("#curl").inner_text())
        self.assertEqual(command[0], "curl")
        answer = json.loads(subprocess.run([*command, "-s"], capture_output=True, text=True, timeout=60, check=True).stdout)
        self.assertEqual([round(r["relevance_score"], 4) for r in answer["results"]], [r["score"] for r in self.ranked(page)])
        shown = json.loads(page.locator("#raw").inner_text())
        self.assertEqual([r["index"] for r in shown["results"]], [r["index"] for r in answer["results"]])

    def test_what_was_cut_is_said(self):
        page = self.open()
        page.locator("#documents").fill("Pandas eat bamboo. " * 400 + "\nPandas eat bamboo.")
        self.type_over(page, "query", QUERY)
        page.keyboard.press("Enter")
        expect(page.locator("#results li")).to_have_count(2)
        self.assertEqual({len(r["text"]) > 300: r["cut"] for r in self.ranked(page)}, {True: 1, False: 0})
        expect(page.locator("#results .cut")).to_contain_text("cut to the length limit: tokens 1 to ")
        rest = page.locator("#results details > span")
        expect(rest).to_be_hidden()
        page.locator("#results summary").focus()
        page.keyboard.press("Enter")
        expect(rest).to_be_visible()

    def test_mistakes_are_said(self):
        page = self.open()
        self.type_over(page, "documents", "[1, ")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#status")).to_contain_text("no valid JSON array")
        self.type_over(page, "documents", " ")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#status")).to_contain_text("at least one document")

    def test_key(self):
        page = self.browser.new_page()
        self.addCleanup(page.close)
        page.goto(self.closed.url + "/")
        expect(page.locator("#key")).to_be_visible()
        page.locator("#query").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("401")
        self.type_over(page, "key", KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("documents in")
        self.assertNotIn(KEY, page.locator("#curl").inner_text())

    def test_two_models_side_by_side(self):
        model = SOURCE / "models/rerankd-mini-en"
        other = SOURCE / "tests/data/models/bert-a"
        with Server("--model", f"rerankd-mini-en={model}", "--model", f"other={other}", "--model", "gone=/nobody/has/this") as server:
            page = self.open(server)
            expect(page.locator("#models")).to_be_visible()
            expect(page.locator("#loading")).to_contain_text("The model gone could not be loaded")
            self.rank(page)
            expect(page.locator("#second")).to_be_hidden()
            page.locator("#model-b").select_option("other")
            page.locator("#query").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#results-b li")).to_have_count(len(DOCUMENTS))
            expect(page.locator("#name-b")).to_contain_text("other, ")
            self.assertEqual([DOCUMENTS.index(next(d for d in DOCUMENTS if d in r["text"])) for r in self.ranked(page)], ORDER)
            expect(page.locator("#results .meta").first).to_contain_text("place")
            self.assertIn('"model":"rerankd-mini-en"', page.locator("#curl").inner_text())
            self.assertEqual(self.errors, [])

    def test_models_that_load_have_a_bar(self):
        page = self.browser.new_page()
        self.addCleanup(page.close)
        answers = [{"error": "unhealthy", "status": "loading", "models": [{"name": "m", "status": "loading", "phase": "downloading", "percent": 40}]},
                   {"status": "ok"}]
        page.route("**/health", lambda route: route.fulfill(json=answers[0], status=503 if len(answers) > 1 else 200))
        page.goto(self.server.url + "/")
        expect(page.locator("#loading")).to_contain_text("The model m is loading: downloading, 40 %")
        self.assertAlmostEqual(page.evaluate("(b => b.firstChild.offsetWidth / b.clientWidth)(document.querySelector('.gauge'))"), 0.4, delta=0.02)
        answers.pop(0)
        expect(page.locator("#loading")).to_be_hidden()
        expect(page.locator("#model")).to_contain_text("rerankd-mini-en")

    def test_file(self):
        page = self.open()
        page.locator("#file").set_input_files({"name": "texts.jsonl", "mimeType": "application/json", "buffer": "\n".join(
            json.dumps({"text": d}) for d in DOCUMENTS).encode()})
        expect(page.locator("#status")).to_contain_text("texts.jsonl: 3 documents")
        self.type_over(page, "query", QUERY)
        page.keyboard.press("Enter")
        expect(page.locator("#results li")).to_have_count(3)
        self.assertIn(DOCUMENTS[ORDER[0]], self.ranked(page)[0]["text"])

    def test_live_panel(self):
        page = self.open()
        self.rank(page)
        for name in ("documents per second", "P50", "P95", "P99", "batch fill", "cache hits", "tokens waiting", "tokens per pair"):
            expect(page.locator("#tiles")).to_contain_text(name)
        expect(page.locator("#tiles svg.tall rect").first).to_be_attached()

    def contrast(self, page, selector):
        """Of the text to the nearest ground that is painted (WCAG 2)."""
        found = page.locator(selector).first.evaluate("""e => {
          const ground = n => { const c = getComputedStyle(n).backgroundColor;
            return /, 0\\)$/.test(c) ? n.parentElement ? ground(n.parentElement) : 'rgb(255, 255, 255)' : c; };
          return [getComputedStyle(e).color, ground(e)]; }""")
        def luminance(color):
            parts = [int(v) / 255 for v in re.findall(r"\d+", color)[:3]]
            linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
            return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear))
        light, dark = sorted(map(luminance, found), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    def test_both_themes(self):
        grounds = {}
        for scheme in ("light", "dark"):
            page = self.open(scheme=scheme)
            self.rank(page, [*DOCUMENTS, "Bamboo is a grass. " * 300])
            grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
            for selector in ("h1", "#model", "nav a", "#results .score", "#results .meta", "#results .cut", "#status", "button.main",
                             "#curl", "#query", ".tile span"):
                self.assertGreaterEqual(self.contrast(page, selector), 4.5, f"{selector}, {scheme}")
            self.picture(page, scheme)
        self.assertNotEqual(grounds["light"], grounds["dark"])

    def picture(self, page, name):
        if folder := os.environ.get("PAGE_SCREENSHOTS"):
            page.screenshot(path=pathlib.Path(folder) / f"{name}.png", full_page=True)

    def test_phone(self):
        page = self.open(viewport=PHONE)
        self.rank(page, [*DOCUMENTS, "x" * 500])
        expect(page.locator("#tiles")).to_contain_text("tokens per pair")
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), PHONE["width"])
        self.picture(page, "phone")

    def test_on_paper_all_of_a_ranking_is_there_and_nothing_else(self):
        page = self.open()
        lines = [f"document number {i} about pandas" for i in range(30)]
        self.rank(page, lines)
        page.emulate_media(media="print")
        for gone in ("nav", "#tiles", "#raw", "#copy"):
            expect(page.locator(gone)).to_be_hidden()
        expect(page.locator("#curl")).to_be_visible()
        for box in ("#documents", "#curl"):  # paper does not scroll
            hidden = page.locator(box).evaluate("e => e.scrollHeight - e.clientHeight")
            self.assertLessEqual(hidden, 1, box)
        self.assertEqual(page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")

    def test_on_paper_the_api_is_written_out(self):
        page = self.open()
        page.goto(self.server.url + "/docs")
        expect(page.locator("#main")).to_contain_text("Rank documents")
        self.assertFalse(page.locator("details table").count())
        page.pdf()
        self.assertGreater(page.locator("details table").count(), 20)


if __name__ == "__main__":
    unittest.main()
