#!/usr/bin/env python3
"""Uses the page at GET /msg as a person does, in a headless Chromium: browser.py PORT[/PATH] FLOW [ARGUMENT…]

PORT is where the HTTP server of example.com listens on loopback, PATH where the page is if not at /msg. FLOW is a function below; what it returns is printed as JSON.
The flow runs in a browser of its own, or in a tab of the one at the address in BROWSER, which the flow `start` has started.
Exit status 1, and a sentence on standard error, where the page does not do what it should. Any message in the browser's console
is such a case, as is a page that is wider than the window.

Takes selenium and axe-playwright-python (for axe-core alone), as tools/programs has them, and Debian's chromium and
chromium-driver.
"""
import http.server
import importlib.util
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support import expected_conditions  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PATIENCE, LIMIT = 20, 150  # seconds for one condition, and for a whole flow
ADDRESS, PASSWORD, USER = "me@example.com", "mypassword", "user@example.com"
PLACES = ["send", "formats", "tokens"]


class Trouble(Exception):
    """A fault of the page."""


def chromium_arguments(port, lang):
    return ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server", f"--lang={lang}",
            f"--accept-lang={lang}", f"--host-resolver-rules=MAP example.com 127.0.0.1:{port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class Page:
    def __init__(self, port, lang="en", width=1400, height=1000, scheme="light", secure=False):
        port, _, path = port.partition("/")
        self.url = "http://example.com/" + (path or "msg")
        options = webdriver.ChromeOptions()
        self.shared = os.environ.get("BROWSER")
        if self.shared:
            options.debugger_address = self.shared
        else:
            options.binary_location = shutil.which("chromium")
            for argument in chromium_arguments(port, lang):
                options.add_argument(argument)
            if secure:
                options.add_argument("--unsafely-treat-insecure-origin-as-secure=http://example.com")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            if self.shared:
                self.driver.switch_to.new_window("tab")
            self.emulate(width, height, scheme)
            self.open()
        except BaseException:
            self.quit()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.check()
        finally:
            self.quit()

    def quit(self):
        if self.shared:
            self.driver.close()
        self.driver.quit()

    def open(self):
        self.driver.get(self.url)
        self.until(lambda: self.driver.execute_script("return document.activeElement && document.querySelector('#send-curl') !== null"),
                   "the script did not run")

    def emulate(self, width, height, scheme):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def until(self, condition, otherwise):
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05, [StaleElementReferenceException]).until(lambda _: condition())
        except WebDriverException as error:
            raise Trouble(f"{otherwise} ({type(error).__name__}); the page: {self.text('body')!r}") from None

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def fill(self, selector, text):
        element = self.find(selector)
        element.clear()
        element.send_keys(text)

    def press(self, selector):
        self.find(selector).click()

    def focused(self):
        return self.driver.switch_to.active_element.get_attribute("id")

    def go(self, place):
        self.press(f"nav a[href='#{place}']")
        self.until(lambda: self.find("#" + place).is_displayed(), f"no place {place}")

    def sign_in(self, address=ADDRESS, secret=PASSWORD):
        self.fill("#address", address)
        self.fill("#secret", secret)
        self.press("#sign-in button")
        self.until(lambda: self.find("#account").is_displayed(), "signing in did not work")

    def answer(self, place="send"):
        """Waits for the answer of the page. > its text"""
        selector = f"#{place} .result .answer"
        self.until(lambda: self.driver.find_elements("css selector", selector), "no answer")
        return self.text(selector)

    def open_more(self, place="send"):
        self.press(f"#{place} form summary")

    def choose(self, selector, name):
        next(option for option in self.driver.find_elements("css selector", selector + " option") if option.text == name).click()

    def entries(self, selector):
        """> what the page says to enter in a program, by name"""
        parts = self.driver.find_elements("css selector", f"{selector} .copy")
        return {part.find_element("css selector", "h3").text: part.find_elements("css selector", "pre, p")[0].text for part in parts}

    def expect(self, what, text):
        if what not in text:
            raise Trouble(f"no {what!r} in {text!r}")

    def equal(self, expected, found):
        if expected != found:
            raise Trouble(f"expected {expected!r}, found {found!r}")

    def check(self, *statuses):
        """Raises an error if the page or a part of it is wider than its place, or if the console has a message that is not about one of
        these statuses."""
        wide = self.driver.execute_script("""
            return Array.from(document.querySelectorAll("html, body *:not(input, select, textarea)"), (part) => part.scrollWidth > part.clientWidth
                && getComputedStyle(part).display !== "inline" && part.outerHTML.slice(0, 200)).filter(Boolean);""")
        if wide:
            raise Trouble(f"these parts of the page are wider than their place: {wide}")
        for entry in self.driver.get_log("browser"):
            if not (entry["source"] == "network" and any(f"status of {status} " in entry["message"] for status in statuses)):
                raise Trouble(f"the console says: {entry}")

    def axe(self):
        """Raises an error if axe-core finds an accessibility problem. axe-core is loaded outside of the page's content policy."""
        source = pathlib.Path(importlib.util.find_spec("axe_playwright_python").origin).with_name("axe.min.js").read_text("utf-8")
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then(done, (error) => done({ problem: String(error) }))")
        if found.get("problem") or not found["passes"]:
            raise Trouble(f"axe does not run: {found}")
        if found["violations"]:
            raise Trouble("axe: " + "; ".join(
                f"{violation['id']}: {violation['help']}: " + ", ".join(f"{node['html']} {node['failureSummary']}" for node in violation["nodes"])
                for violation in found["violations"]))


# Flows


def start(port, lang):
    """Starts a browser, which the caller ends. > where BROWSER finds it, its process, the folder of its profile"""
    folder = tempfile.mkdtemp(prefix="post_msg-browser-")
    command = [shutil.which("chromium"), *chromium_arguments(port.partition("/")[0], lang), f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    ready = pathlib.Path(folder, "DevToolsActivePort")
    while not (ready.exists() and ready.read_text().count("\n")):
        if process.poll() is not None:
            raise Trouble("Chromium has ended")
        time.sleep(0.05)
    return {"address": "127.0.0.1:" + ready.read_text().split()[0], "process": process.pid, "folder": folder}


def send(port, address, secret, text, subject=""):
    """> the curl line that does the same"""
    with Page(port) as page:
        page.sign_in(address, secret)
        page.check(403)  # for a token whose recipients are limited
        page.equal("send-to", page.focused())
        page.fill("#send-to", USER)
        page.equal(["send-to", "send-body", "", ""], page.driver.execute_script(
            "return Array.from(document.querySelectorAll('#send form :is(input, textarea, select, summary, button)')).filter((part) => part.checkVisibility()).map((part) => part.id)"))
        page.open_more()
        page.fill("#send-subject", subject)
        page.fill("#send-body", text)
        curl = page.text("#send-curl")
        if secret in curl:
            raise Trouble(f"the curl line has the secret: {curl}")
        page.press("#send button.main")
        page.equal(f"Sent to {USER}.", page.answer())
        page.press("#send .copy button")
        page.until(lambda: page.text("#send .copy span") == "Copied.", "nothing is copied")
        # It is on the clipboard too: pasting it shows it again.
        page.find("#send-subject").clear()
        page.find("#send-body").clear()
        page.find("#send-body").send_keys(Keys.CONTROL, "v")
        page.equal(curl, page.find("#send-body").get_attribute("value"))
        return curl


def send_file(port, path):
    with Page(port) as page:
        page.sign_in()
        page.fill("#send-to", USER)
        page.fill("#send-body", "With a file")
        page.open_more()
        page.find("#send-file").send_keys(path)
        page.equal(["Send", "Try without sending"], [button.text for button in page.driver.find_elements("css selector", "#send form button")])
        curl = page.text("#send-curl")
        page.press("#send button.main")
        page.equal(f"Sent to {USER}.", page.answer())
        return curl


def send_to_several(port):
    with Page(port) as page:
        page.sign_in()
        page.fill("#send-to", f"{USER}, nobody@example.com")
        page.fill("#send-body", "To two")
        page.find("#send-to").send_keys(Keys.ENTER)
        page.equal(f"Sent to 1 of 2.\n{USER}: sent\nnobody@example.com: not sent. The address does not exist, or takes no messages now. "
                   "Check how it is written.\n404 · service-unavailable", page.answer())
        page.driver.find_element("css selector", "#send .answer.warn")
        page.fill("#send-to", "nobody@example.com, nowhere@example.com")
        page.press("#send button.main")
        page.until(lambda: page.driver.find_elements("css selector", "#send .answer.bad"), "no failure")
        page.expect("Not sent.\nnobody@example.com: not sent.", page.answer())
        page.equal(2, page.answer().count("service-unavailable"))
        page.check(404)


def wrong_password(port):
    with Page(port) as page:
        page.fill("#address", ADDRESS)
        page.press("#sign-in button")
        page.until(lambda: page.text("#secret-error") == "This is needed.", "an empty password is not told")
        page.equal("secret", page.focused())
        page.fill("#secret", "yourpassword")
        page.press("#sign-in button")
        page.until(lambda: page.text("#secret-error") == "The address or the password is wrong.", "the reason is not told")
        page.equal("secret", page.focused())
        page.equal("true", page.find("#secret").get_attribute("aria-invalid"))
        page.expect("secret-error", page.find("#secret").get_attribute("aria-describedby"))
        page.check(401)
        page.sign_in()


def encryption(port):
    """The page says in words that the connection is not encrypted, before and after signing in."""
    for secure in (False, True):
        with Page(port, secure=secure) as page:
            page.equal("example.com", page.text("#host"))
            page.equal(not secure, "This connection is not encrypted" in page.text("#sign-in"))
            page.sign_in()
            page.equal(not secure, "Not encrypted" in page.text("header"))


def wrong_field(port):
    """A problem of the server is shown once, at its field or beside the form, with its correction."""
    with Page(port) as page:
        page.sign_in()
        page.fill("#send-to", "user@")
        page.fill("#send-body", "Hello")
        page.press("#send button.main")
        page.expect("Not sent.\nCorrect the field “Recipient”.\n422 · Request ", page.answer())
        page.equal("send-to", page.focused())
        page.equal("true", page.find("#send-to").get_attribute("aria-invalid"))
        page.equal("en", page.find("#send-to-error span").get_attribute("lang"))
        page.expect('"user@" is not an address', page.text("#send-to-error"))
        page.equal(1, page.text("#send .columns").count("is not an address"))
        page.fill("#send-to", "usre@example.com")
        page.press("#send button.main")
        page.until(lambda: "404" in page.text("#send .result"), "no 404")
        page.expect("Not sent.\nThe address does not exist, or takes no messages now. Check how it is written.\n404 · service-unavailable · Request ",
                    page.answer())
        page.equal("", page.text("#send-to-error"))
        # A field that is folded away is shown.
        page.driver.execute_script("document.querySelector('#send-type').add(new Option('shout'))")
        page.open_more()
        page.choose("#send-type", "shout")
        page.open_more()
        page.press("#send button.main")
        page.until(lambda: page.focused() == "send-type", "the wrong field is not shown")
        page.check(422, 404)


def make_token(port, label):
    """> the token"""
    with Page(port) as page:
        page.sign_in()
        page.go("tokens")
        page.until(lambda: page.text("#token-answer") == "You have no sending tokens.", "it is not told that there is no token")
        page.open_more("tokens")
        page.fill("#token-days", "soon")
        page.open_more("tokens")
        page.press("#tokens button.main")
        page.until(lambda: page.find("#token-days").get_attribute("aria-invalid") == "true", "wrong days are not told")
        page.equal("token-days", page.focused())
        page.expect("No token was made.\nCorrect the field “Days until it expires”.", page.text("#token-settings"))
        page.check(422)
        page.fill("#token-label", label)
        page.fill("#token-days", "90")
        page.fill("#token-rate", "20")
        page.fill("#token-to", f"{USER}, rooms.example.com")
        page.press("#tokens button.main")
        page.until(lambda: page.driver.find_elements("css selector", "#token"), "no token")
        token = page.text("#token")
        page.until(lambda: label in page.text("#token-list"), "the token is not in the list")
        page.expect(f"only to {USER}, rooms.example.com · 20 a minute · until ", page.text("#token-list"))
        page.press("#sign-out")
        page.until(lambda: page.find("#sign-in").is_displayed(), "signing out does not")
        if token in page.driver.page_source or label in page.driver.page_source:
            raise Trouble("signed out, the page still has the token")
        return token


def make_token_for(port, program, to, get=""):
    """> what to enter in the program, before the token is made and after it; the curl line"""
    with Page(port) as page:
        page.sign_in()
        page.go("tokens")
        page.fill("#token-to", to)
        if program:
            page.choose("#token-as", program)
        if get:
            page.open_more("tokens")
            page.press("#token-get")
        before = page.entries("#token-settings")
        page.press("#tokens button.main")
        page.until(lambda: page.driver.find_elements("css selector", "#token-enter"), "nothing to enter")
        page.equal("", page.text("#token-settings"))
        page.fill("#token-to", "x")
        return before, page.entries("#token-enter"), page.text("#token-curl")


def make_token_from_formats(port, program):
    """The token for a format is made with a button beside the format."""
    with Page(port) as page:
        page.sign_in()
        page.go("formats")
        page.choose("#format-as", program)
        page.fill("#format-to", USER)
        page.press("#format-enter .answer > p button")
        page.until(lambda: page.focused() == "tokens-title", "the tokens are not shown")
        page.equal([program, USER], [page.find(field).get_attribute("value") for field in ("#token-as", "#token-to")])
        page.expect("TOKEN stands for a sending token.", page.text("#token-settings"))


def revoke_token(port, label):
    with Page(port) as page:
        page.sign_in()
        page.go("tokens")
        page.until(lambda: label in page.text("#token-list"), "the token is not in the list")
        button = f"#token-list button[aria-label='Revoke {label}']"
        page.press(button)
        page.driver.switch_to.alert.dismiss()
        page.expect(label, page.text("#token-list"))
        page.press(button)
        page.driver.switch_to.alert.accept()
        page.until(lambda: page.text("#token-answer") == "The token is revoked.", "the token is not revoked")
        page.equal("", page.text("#token-list"))
        page.equal("tokens-title", page.focused())


def token_only_sends(port, token):
    with Page(port) as page:
        page.sign_in("", token)
        page.check(403)  # its recipients are limited
        page.expect("With a token", page.text("#account"))
        page.go("tokens")
        page.expect("Sign in with your password", page.text("#tokens"))
        page.equal(False, page.find("#tokens form").is_displayed())


def formats(port):
    """> by format: the result of a dry run of its example, and what to enter in the program"""
    shown = {}
    with Page(port) as page:
        page.sign_in()
        page.go("formats")
        page.equal(ADDRESS, page.find("#format-to").get_attribute("value"))
        for option in page.driver.find_elements("css selector", "#format-as option"):
            name = option.text
            option.click()
            page.equal("", page.text("#formats .result"))
            page.press("#formats button.main")
            page.expect("Nothing was sent. This would arrive:", page.answer("formats"))
            shown[name] = {"text": page.text("#formats .text"), "enter": page.entries("#format-enter")}
            page.press("#formats summary")
            page.expect("<message ", page.text("#formats details pre"))
            page.expect(f"?as={name}'", page.text("#formats-curl"))
        page.fill("#format-body", '{"no": "JSON"')
        page.press("#formats button.main")
        page.until(lambda: "Malformed JSON at line 1, column 14" in page.text("#formats .result"), "wrong JSON is not told")
        for name in ("gotify", "ntfy", "pushover"):
            page.choose("#format-as", name)
            page.fill("#format-body", '{"no": "JSON"')
            page.find("#format-to").send_keys(Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
            page.until(lambda: "Malformed JSON at line 1" in page.text("#formats .result"), f"wrong JSON of {name} is not told")
        page.check(400)
        return shown


def keyboard(port):
    """All steps to a sent message, with Tab and Enter only."""
    with Page(port) as page:
        def keys(*what):
            webdriver.ActionChains(page.driver).send_keys(*what).perform()

        def tab_to(wanted):
            for _ in range(20):
                keys(Keys.TAB)
                if page.driver.execute_script(f"return document.activeElement.matches({json.dumps(wanted)})"):
                    style = page.driver.execute_script("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
                    return page.equal(["solid", "3px"], style)
            raise Trouble(f"Tab does not lead to {wanted}")

        tab_to("#address")
        keys(ADDRESS)
        tab_to("#secret")
        keys(PASSWORD, Keys.ENTER)
        page.until(lambda: page.focused() == "send-to", "signed in, the recipient has not the focus")
        keys(USER)
        tab_to("#send-body")
        keys("By keyboard")
        tab_to("#send summary")
        keys(Keys.ENTER)
        tab_to("#send-subject")
        tab_to("#send-type")
        tab_to("#send-file")
        tab_to("#send button.main")
        keys(Keys.ENTER)
        page.equal(f"Sent to {USER}.", page.answer())
        tab_to("#send .copy button")
        page.driver.execute_script("document.body.focus(); scrollTo(0, 0)")
        for _ in range(20):
            keys(Keys.SHIFT, Keys.TAB, Keys.NULL)
            if page.driver.execute_script("return document.activeElement.hash === '#formats'"):
                break
        keys(Keys.ENTER)
        page.until(lambda: page.focused() == "formats-title", "the place that was chosen has not the focus")


def nothing_is_kept(port):
    with Page(port) as page:
        page.sign_in()
        kept = page.driver.execute_script(
            "return [document.cookie, localStorage.length, sessionStorage.length, document.body.outerHTML, location.href].join(' ')")
        page.equal("0 0", kept[1:4])
        if PASSWORD in kept or any(PASSWORD in (field.get_attribute("value") or "") for field in page.driver.find_elements("css selector", "input")):
            raise Trouble("signed in, the page shows the password")
        # Opens another page, and returns to this one as the browser has kept it.
        page.driver.get("about:blank")
        page.driver.back()
        page.until(lambda: page.find("#sign-in").is_displayed(), "whoever goes back is still signed in")
        page.equal(False, page.find("#account").is_displayed())


def every_place(page, label, look):
    """Calls `look` in each state of the page."""
    def submit(place, kind):
        before = page.driver.find_elements("css selector", f"#{place} .result .answer")
        page.press(f"#{place} button.main")
        if before:
            page.until(lambda: expected_conditions.staleness_of(before[0])(page.driver), "no new answer")
        page.until(lambda: page.driver.find_elements("css selector", f"#{place} .result .answer{kind}"), f"no answer of the kind {kind}")

    def made():
        page.press("#tokens button.main")
        page.until(lambda: label in page.text("#token-list"), "no token")

    look("sign-in")
    page.fill("#secret", "yourpassword")
    page.press("#sign-in button")
    page.until(lambda: page.text("#secret-error"), "no error")
    look("sign-in with an error")
    page.sign_in()
    look("send")
    page.fill("#send-body", "A_long_word_" * 12)
    for kind, to in [(".good", USER), (".warn", f"{USER}, nobody@example.com"), (".bad", "nobody@example.com"), (".bad", "user@")]:
        page.fill("#send-to", to)
        submit("send", kind)
        look("send to " + to)
    page.open_more()
    look("send with all fields")
    page.go("formats")
    look("formats")
    page.choose("#format-as", "gitlab")
    submit("formats", "")
    page.press("#formats .result summary")
    look("formats with a message")
    page.choose("#format-as", "ntfy")
    look("formats for ntfy")
    page.go("tokens")
    page.until(lambda: "…" not in page.text("#token-answer"), "no list")
    look("tokens")
    page.fill("#token-label", label)
    page.choose("#token-as", "alertmanager")
    look("tokens with a format")
    made()
    look("tokens with a new one")
    page.open_more("tokens")
    page.fill("#token-days", "soon")
    page.press("#tokens button.main")
    page.until(lambda: page.text("#token-days-error"), "no error")
    look("tokens with an error")
    page.press("#token-list button")
    page.driver.switch_to.alert.accept()
    page.until(lambda: page.focused() == "tokens-title" and label not in page.text("#token-list"), "not revoked")


def other_site(port):
    """> the browser's result of each form on a page of another site; before, the browser has remembered the password"""
    kinds = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]

    class OtherSite(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            forms = "".join(f"<form method=post enctype={kind} action='http://example.com/msg/user'><input name=body value='by {kind}'><button></form>"
                            for kind in kinds)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<title>Other site</title><link rel=icon href='data:,'>{forms}".encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherSite)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shown = []
    with Page(port) as page:
        def post(user, password):
            return page.driver.execute_async_script("""
                const [user, password, done] = arguments, request = new XMLHttpRequest();
                request.open("POST", "/msg/user", true, user, password);
                request.setRequestHeader("Content-Type", "text/plain");
                request.onloadend = () => done(request.status);
                request.send("By the own page");""", user, password)

        page.equal(201, post(ADDRESS, PASSWORD))
        page.equal(201, post(None, None))  # it is remembered
        page.check()
        for number in range(len(kinds)):
            page.driver.get(f"http://127.0.0.1:{server.server_port}/")
            page.driver.find_elements("css selector", "button")[number].click()
            page.until(lambda: page.driver.current_url.startswith("http://example.com/"), "the form is not posted")
            shown.append(page.text("body"))
        page.driver.get(f"http://127.0.0.1:{server.server_port}/")
        page.driver.execute_async_script("""
            const done = arguments[0];
            fetch("http://example.com/msg/user", { method: "POST", mode: "no-cors", credentials: "include", body: "by fetch" }).then(done, done);""")
        page.check(401, 403, 404)  # the pages after a form have no icon
        page.open()
        page.equal(201, post(None, None))  # as before
    server.shutdown()
    return shown


def looks(port, lang, width, scheme):
    """> the texts of the page at the beginning, each with its number"""
    with Page(port, lang, int(width), 800, scheme) as page:
        page.equal(lang, page.find("html").get_attribute("lang"))
        page.equal([True, int(width)], page.driver.execute_script(f"return [matchMedia('(prefers-color-scheme: {scheme})').matches, innerWidth]"))
        texts = page.driver.execute_script("""
            const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT), found = [];
            while (walker.nextNode()) if (!/^(SCRIPT|STYLE|NOSCRIPT|PRE|TEXTAREA)$/.test(walker.currentNode.parentNode.nodeName)) {
                const text = walker.currentNode.data.trim();
                if (text) found.push(text);
            }
            return found;""")

        def look(place):
            try:
                page.check(401, 404, 422)
                page.axe()
            except Trouble as trouble:
                raise Trouble(f"{place}: {trouble}") from None

        every_place(page, "The label of a token", look)
        return texts


def pictures(port, folder):
    """The page light and dark, as PNG."""
    with Page(port, width=1120, height=100, secure=True) as page:
        page.sign_in()
        page.fill("#send-to", USER)
        page.fill("#send-body", "All is well.\n3 disks, 2.1 TB")
        page.press("#send button.main")
        page.answer()
        picture(page, "light", folder)
        page.go("tokens")
        for label, to, form in [("The disks of db1", USER, ""), ("Backups", "team@rooms.example.com", "gotify")]:
            page.fill("#token-label", label)
            page.fill("#token-to", to)
            page.choose("#token-as", form or "Any")
            page.press("#tokens button.main")
            page.until(lambda: label in page.text("#token-list"), "no token")
        picture(page, "dark", folder)


def picture(page, scheme, folder):
    page.driver.execute_script("document.activeElement.blur()")
    page.emulate(1120, 100, scheme)
    page.emulate(1120, page.driver.execute_script("return document.documentElement.scrollHeight"), scheme)
    from PIL import Image  # only here, so that the spec does without
    # Few colours are enough, and make the file three times smaller.
    Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB").quantize(48, kmeans=1).save(f"{folder}/page-{scheme}.png", optimize=True)


FLOWS = [start, send, send_file, send_to_several, wrong_password, encryption, wrong_field, make_token, make_token_for, make_token_from_formats, revoke_token, token_only_sends, formats,
         keyboard, nothing_is_kept, other_site, looks, pictures]


def main():
    flow = {each.__name__: each for each in FLOWS}[sys.argv[2]]

    def stop(number, _):
        raise Trouble(f"stopped by signal {number}")

    # Each ends the browser, too.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(LIMIT)
    try:
        print(json.dumps(flow(sys.argv[1], *sys.argv[3:])))
    except (Trouble, WebDriverException) as trouble:
        sys.exit(f"{flow.__name__}: {trouble}")


if __name__ == "__main__":
    main()
