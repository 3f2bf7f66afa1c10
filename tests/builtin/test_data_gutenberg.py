"""Project Gutenberg: books come whole or not at all, once, and every way to fail names the remedy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context, DataError, Document, Share, Silence, SpecError, cache_folder, is_paired, load
from llm_build.resolve import resolve
from llm_build_plugins import data
from llm_build_plugins.data import _download
from llm_build_plugins.data._book import book_text
from tests.small import spec_text

HEADER = "The Project Gutenberg eBook of a book\n\nTitle: A book\n\n"
FOOTER = "\n\nUpdated editions will replace the previous one\n*** END: FULL LICENSE ***\n"


def book(text: str, start: str = "THE PROJECT GUTENBERG EBOOK A BOOK ***", stars: str = "*** ") -> bytes:
    """A file as the site has it."""
    end = f"{stars}END OF THE PROJECT GUTENBERG EBOOK A BOOK ***"
    return f"{HEADER}{stars}START OF {start}\n\n{text}\n\n{end}{FOOTER}".encode()


class Site:
    """A server of books: what it says is what `answers` and `headers` hold, and `asked` is what it was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes, int]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                status, content, length = site.answers.get(self.path, (404, b"", 0))
                self.send_response(status)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                if length >= 0:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def serve(self, number: int, content: bytes, status: int = 200, length: int | None = None) -> None:
        self.answers[f"/epub/{number}.txt"] = status, content, len(content) if length is None else length

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    made = Site()
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LLM_BUILD_GUTENBERG_URL", made.address + "/epub/{id}.txt")
    monkeypatch.setenv("no_proxy", "*")
    yield made
    made.close()


class Counts(Silence):
    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def count(self, what: str, done: int, total: int) -> None:
        self.seen.append((what, done, total))


def read(*books: int, progress: Silence | None = None) -> dict[str, str]:
    """The text of each document."""
    made = data.gutenberg(books=books, held_out=Share.percent(30)).build(Context())
    training, held_out = made.split(progress or Silence())
    assert training
    assert held_out
    return {each.name: each.text for each in (*training, *held_out)}


def refusal(*books: int) -> str:
    with pytest.raises(DataError) as caught:
        read(*books)
    return str(caught.value)


def kept() -> list[str]:
    return sorted(each.name for each in (cache_folder() / "gutenberg").glob("*"))


def test_a_book_is_one_document_without_header_and_footer(site: Site) -> None:
    site.serve(84, book("Letter 1\n\n  To Mrs. Saville  \n\n\nYou will rejoice"))
    site.serve(41, book("The Legend\nof Sleepy Hollow"))
    assert read(84, 41) == {
        "pg84.txt": "Letter 1\nTo Mrs. Saville\nYou will rejoice",
        "pg41.txt": "The Legend\nof Sleepy Hollow",
    }


@pytest.mark.parametrize(
    "content",
    [
        book("one\ntwo", "THE PROJECT GUTENBERG EBOOK FRANKENSTEIN; OR, THE MODERN PROMETHEUS ***"),
        book("one\ntwo", "THIS PROJECT GUTENBERG EBOOK THE LEGEND ***"),
        book("one\ntwo", "THE PROJECT GUTENBERG EBOOK GRIMM***", stars="***"),
        book("one\ntwo", "THE PROJECT GUTENBERG EBOOK THE ADVENTURES OF\nSHERLOCK HOLMES, COMPLETE ***"),
        book("one\ntwo", "THE PROJECT GUTENBERG EBOOK ON THE ORIGIN OF SPECIES"),
        b"\xef\xbb\xbf" + book("one\ntwo"),
        b"\xef\xbb\xbf" + book("one\ntwo").removeprefix(HEADER.encode()),
        book("one\ntwo").replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + book("one\ntwo", "THE PROJECT GUTENBERG EBOOK A\nB ***").replace(b"\n", b"\r\n"),
    ],
    ids=["the", "this", "no space", "two lines", "not closed", "bom", "bom and no header", "crlf", "all"],
)
def test_real_marker_lines_are_known(content: bytes) -> None:
    assert book_text(content) == "one\ntwo"


def test_what_looks_like_an_end_inside_a_book_stays() -> None:
    assert book_text(book("one\n*** END OF PART ONE ***\ntwo ***")) == "one\n*** END OF PART ONE ***\ntwo ***"


def test_a_title_that_is_not_closed_takes_no_text_with_it() -> None:
    content = book("one ***\n\ntwo", "THE PROJECT GUTENBERG EBOOK A BOOK")
    assert book_text(content) == "one ***\ntwo"


def test_a_book_is_downloaded_once(site: Site) -> None:
    site.serve(1, book("one\ntwo"))
    site.serve(2, book("three\nfour"))
    first = read(1, 2)
    assert site.asked == ["/epub/1.txt", "/epub/2.txt"]
    site.close()
    assert read(1, 2) == first
    assert len(site.asked) == 2
    assert (cache_folder() / "gutenberg" / "pg1.txt").read_bytes() == book("one\ntwo")


def test_only_what_is_missing_is_downloaded_and_counted(site: Site) -> None:
    for number in range(1, 5):
        site.serve(number, book(f"one\n{number}"))
    read(3)
    site.asked.clear()
    counts, again = Counts(), Counts()
    read(1, 3, 4, progress=counts)
    assert site.asked == ["/epub/1.txt", "/epub/4.txt"]
    assert counts.seen == [("downloading from Project Gutenberg", done, 2) for done in range(3)]
    read(1, 3, 4, progress=again)
    assert again.seen == []


def test_a_book_put_there_by_hand_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path))
    monkeypatch.setenv("LLM_BUILD_GUTENBERG_URL", "nonsense")
    (tmp_path / "gutenberg").mkdir()
    (tmp_path / "gutenberg" / "pg7.txt").write_bytes(book("one\ntwo\nthree"))
    assert "".join(read(7).values()) == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"content": b"", "status": 404}, "the server says 404 Not Found"),
        ({"content": b"busy", "status": 503}, "the server says 503 Service Unavailable"),
        ({"content": book("one\ntwo"), "length": 5_000}, "the answer was cut short: "),
        ({"content": book("one\ntwo").partition(b"*** END")[0], "length": -1}, "there is no `*** END OF …`"),
        ({"content": b"<html>*** END OF it</html>"}, "there is no `*** START OF …`"),
        ({"content": book("\n \n")}, "there is none"),
        ({"content": book("one\ntwo") + b"\xff"}, "it must be UTF-8 text; byte "),
    ],
    ids=["404", "503", "cut short", "cut short, no length", "no book", "empty", "no UTF-8"],
)
def test_what_is_no_whole_book_is_refused_and_not_kept(site: Site, answer: dict[str, Any], expected: str) -> None:
    site.serve(1, book("one\ntwo"))
    site.serve(84, **answer)
    said = refusal(1, 84)
    assert expected in said
    assert f"book 84 of Project Gutenberg is not in {cache_folder()}/gutenberg" in said
    assert f"{site.address}/epub/84.txt" in said
    assert "Put the file pg84.txt into that folder" in said
    assert kept() == ["pg1.txt"]


def test_an_answer_that_is_too_large_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    content = book("one\ntwo")
    site.serve(84, content)
    monkeypatch.setattr(_download, "LIMIT", len(content) - 1)
    assert f"the answer is larger than {len(content) - 1:_} bytes" in refusal(84)
    assert kept() == []
    monkeypatch.setattr(_download, "LIMIT", len(content))
    read(84)


def test_without_a_network_the_cache_is_named(site: Site) -> None:
    site.close()
    said = refusal(84)
    assert "there is no connection" in said
    assert f"is not in {cache_folder()}/gutenberg" in said
    assert "Put the file pg84.txt into that folder" in said
    assert (cache_folder() / "gutenberg").is_dir()


def test_a_server_that_says_nothing_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LLM_BUILD_GUTENBERG_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/{{id}}")
        assert "the connection broke off (timed out)" in refusal(84)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1:9/84.txt", "data:,84"])
def test_an_answer_that_leads_out_of_the_web_is_not_followed(site: Site, to: str) -> None:
    site.serve(84, b"", status=302)
    site.headers["Location"] = to
    assert f"the server says 302 Found - Redirection to url '{to}' is not allowed" in refusal(84)


def test_an_answer_that_leads_to_another_address_is_followed(site: Site) -> None:
    site.serve(84, b"", status=302)
    site.serve(85, book("one\ntwo"))
    site.headers["Location"] = f"{site.address}/epub/85.txt"
    assert "".join(read(84).values()) == "one\ntwo"


def test_an_interrupted_download_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve(84, book("one\ntwo"))

    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            read(84)
    assert kept() == []
    read(84)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("http://127.0.0.1/84.txt", "LLM_BUILD_GUTENBERG_URL must be an address with {id}"),
        ("file:///etc/{id}", "LLM_BUILD_GUTENBERG_URL must be an address with {id}"),
        ("http://127.0.0.1:port/{id}", "that is no address"),
        ("http://[/{id}", "that is no address"),
        ("http://127.0.0.1/é{id}", "that is no address"),
    ],
)
def test_an_address_that_is_none_is_refused(site: Site, template: str, expected: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("LLM_BUILD_GUTENBERG_URL", template)
    assert expected in refusal(84)


def test_the_site_itself_is_asked_where_no_mirror_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_BUILD_GUTENBERG_URL")
    asked = []

    def answer(address: str) -> bytes:
        asked.append(address)
        return book("one\ntwo")

    monkeypatch.setattr("llm_build_plugins.data.gutenberg_module.download", answer)
    read(84)
    assert asked == ["https://www.gutenberg.org/cache/epub/84/pg84.txt"]


def test_a_kept_file_that_is_no_book_is_named(site: Site) -> None:
    site.serve(1, book("one\ntwo"))
    read(1)
    file = cache_folder() / "gutenberg" / "pg1.txt"
    file.write_text("no book")
    assert f"{file} is not a book of Project Gutenberg: it must have the lines" in refusal(1)
    assert "Delete it" in refusal(1)


def test_a_cache_that_cannot_be_written_is_named(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path / "file"))
    assert "which cannot be written" in refusal(84)
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path / ("x" * 300)))
    assert "which cannot be written (File name too long): set LLM_BUILD_CACHE" in refusal(84)
    assert site.asked == []


def test_whole_books_are_held_out(site: Site) -> None:
    for number in range(1, 9):
        site.serve(number, book(f"the text of book {number}\nand more"))
    made = data.gutenberg(books=list(range(1, 9)), held_out=Share.percent(25)).build(Context())
    training, held_out = made.split(Silence())
    assert (len(training), len(held_out)) == (6, 2)
    assert all(isinstance(each, Document) and each.source is None for each in (*training, *held_out))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"books": [84, 1, 84]}, "a book is read once; 84 stands there more than once"),
        ({"books": [0]}, "has an element [0] that takes a whole number of at least 1"),
        ({"books": []}, "takes a list of at least 1"),
        ({"books": [1], "held_out": Share.percent(100)}, "held_out must lie between 0% and 100%"),
    ],
)
def test_faulty_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        data.gutenberg(**options).build(Context())
    assert expected in str(caught.value)


def test_a_long_list_is_checked_in_little_time() -> None:
    """What looks through the list once for each book takes a minute for all that there are."""
    config = data.gutenberg(books=list(range(1, 40_001)))
    begin = time.perf_counter()
    config.build(Context())
    assert time.perf_counter() - begin < 4


def test_the_mini_courses_books_resolve() -> None:
    text = spec_text().replace(
        'files { paths = ["./*.txt"], held_out = 20% }',
        "gutenberg { books = [4367, 84, 41, 2009, 28569, 147, 15776, 29265, 37134, 5827, 23605] }",
    )
    filled: Any = resolve(load(text), Context())
    assert filled.data.books[:2] == (4367, 84)
    assert not is_paired(filled.data)
