"""Does a person in a browser get what the app promises: type, drop, train, see the page, check lines?"""

import re
import time

import pytest


@pytest.fixture(scope="module")
def tab(browser, serving):
    """The app in a browser, in which nothing may go wrong and nothing may be fetched from elsewhere."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page = context.new_page()
    wrong = []
    ours = (f"http://127.0.0.1:{serving.port}/", "data:", "blob:")
    context.on("request", lambda r: None if r.url.startswith(ours) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(serving.address)
    page.wait_for_selector("html.ready", state="attached")
    yield page
    context.close()
    assert wrong == []


def until(true):
    ends = time.monotonic() + 40
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.05)


def settled(tab):
    until(lambda: tab.locator("#lines:not(.old)[data-proved=true]").count())


def test_the_token_does_not_stay_in_the_address(tab, serving):
    assert tab.url == f"http://127.0.0.1:{serving.port}/"
    assert tab.evaluate("document.cookie") == ""
    tab.reload()
    tab.wait_for_selector("html.ready", state="attached")
    settled(tab)


def test_a_loss_is_derived_and_its_errors_shown_as_it_is_typed(tab):
    tab.fill("#formula", "mean((y - tanh(X @ w + b)**2)")
    until(lambda: tab.locator("#wrong").is_visible())
    words = tab.inner_text("#wrong").splitlines()
    assert tab.get_attribute("[aria-label='shape of w']", "placeholder") == "d"  # as before the mistake
    caret = next(line for line in words if set(line.strip()) == {"^"})
    assert words[words.index(caret) - 1].strip() == "mean((y - tanh(X @ w + b)**2)"
    tab.locator("#formula").press("End")
    tab.fill("#formula", "mean((y - tanh(X @ w + b))**2)")
    until(lambda: not tab.locator("#wrong").is_visible())
    settled(tab)
    assert "chain rule" in tab.inner_text("#lines")
    tab.fill("[aria-label='shape of w']", "3")
    until(lambda: tab.locator("#wrong").is_visible())
    tab.fill("[aria-label='shape of w']", "")
    settled(tab)
    tab.uncheck("[aria-label='b is a parameter']")
    until(lambda: "∂C/∂b" not in tab.inner_text("#lines") and not tab.locator("#lines.old").count())


def test_a_dropped_table_trains_and_its_page_is_alive(tab):
    tab.select_option("#example", label="the neuron of the article")
    settled(tab)
    rows = "".join(f"{x / 10},{x % 7},{x / 10 + x % 7},{3 * x + x % 4 / 2}\\n" for x in range(40))
    data = tab.evaluate_handle(
        f"""() => {{ const data = new DataTransfer();
        data.items.add(new File(["<i>size</i>,b,both,price\\n{rows}"], "houses.csv")); return data; }}"""
    )
    tab.dispatch_event("#drop", "drop", {"dataTransfer": data})
    until(lambda: tab.locator("#table").is_visible())
    assert "<i>size</i>" in tab.inner_text("#columns") and tab.input_value("#target") == "price"
    tab.evaluate(
        """() => { window.seen = [];  // what was said before there was a fit
        const [fit, faults] = ["fit", "faults"].map(id => document.getElementById(id));
        const look = () => fit.hidden && seen.push(faults.textContent);
        new MutationObserver(look).observe(faults, {childList: true}); }"""
    )
    tab.click("#train")
    until(lambda: tab.locator("#fit").is_visible())
    assert "mean squared error" in tab.inner_text("#report")
    (said,) = tab.locator("#faults > li").all_inner_texts()
    assert said.startswith('"both" is "<i>size</i>" + "b" in every row') and said in tab.evaluate("seen")
    assert tab.locator("#second-look").is_visible() and said not in tab.inner_text("#report")
    assert tab.locator("#notes > li").count() and said not in tab.text_content("#notes")
    page = tab.frame_locator("#shown")
    page.locator("html.alive").wait_for(state="attached")
    before = float(page.locator("#loss").get_attribute("data-value"))
    page.locator("#step").click()
    until(lambda: float(page.locator("#loss").get_attribute("data-value")) < before)
    with tab.expect_download() as loaded:
        tab.click("#save-model")
    assert loaded.value.suggested_filename == "model.safetensors"
    tab.fill("#learning_rate", "1e9")
    tab.click("#train")
    until(lambda: tab.locator("#train-wrong").is_visible())
    assert said in tab.inner_text("#train-wrong") and not tab.locator("#second-look").is_visible()
    tab.fill("#learning_rate", "")


def test_the_first_wrong_line_is_named(tab):
    tab.select_option("#example", label="the neuron of the article")
    settled(tab)
    tab.fill("#claim", "dz = -2/N * (y - a) * (z > 0)\ndw = X.T @ dz\ndb = mean(dz)")
    tab.click("#check")
    until(lambda: tab.locator("#verdict").is_visible())
    assert "Line 3" in tab.inner_text("#judged")
    assert tab.inner_text("#claimed-lines .first") == "db = mean(dz)" and tab.inner_text("#slip")


def test_code_is_taken_away(tab):
    tab.click("[data-language=numpy]")
    until(lambda: tab.locator("#taken").is_visible())
    assert "import numpy as np" in tab.text_content("#source")
    with tab.expect_download() as loaded:
        tab.click("#save")
    assert re.fullmatch(r"gradient\.py", loaded.value.suggested_filename)


def test_a_preview_answers_soon(tab):
    """Each user action answers within 100 ms or says that it is at work."""
    tab.evaluate(
        """() => { globalThis.seen = []; new MutationObserver(() => seen.push(performance.now()))
        .observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true}); }"""
    )
    tab.evaluate("""() => { const box = document.getElementById("formula");
        box.value = "mean((y - X @ w)**2)";
        globalThis.typed = performance.now(); box.dispatchEvent(new Event("input")); }""")
    settled(tab)
    assert tab.evaluate("seen.find(at => at >= typed) - typed") < 100


def test_another_tab_needs_no_other_address(tab, serving):
    other = tab.context.new_page()
    other.goto(f"http://127.0.0.1:{serving.port}/")
    settled(other)
    assert other.locator("#closed").is_hidden()
    other.close()


def test_a_size_that_no_data_tell_is_asked_for(tab):
    tab.fill("#formula", "mean((y - tanh(X @ V) @ u)**2)")
    for name, shape in (("V", "d h"), ("u", "h")):
        tab.fill(f"[aria-label='shape of {name}']", shape)
    settled(tab)
    until(lambda: tab.locator("[aria-label='the size h']").count())
    tab.click("#sample")
    until(lambda: tab.locator("#table").is_visible())
    tab.fill("[aria-label='the size h']", "2")
    tab.fill("#steps", "20")
    tab.click("#train")
    until(lambda: tab.locator("#fit").is_visible())
    assert tab.locator("#train-wrong").is_hidden()


def test_a_stranger_gets_nothing(browser, serving):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{serving.port}/")
    until(lambda: page.locator("#closed").is_visible())
    assert "token" in page.inner_text("#closed")
    context.close()
