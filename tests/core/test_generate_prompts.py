"""`generate --prompts FILE`: what is read, what is written where, and what is kept when it stops."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_build import Piece, open_run
from llm_build.cli import main
from llm_build.run import Run
from tests.runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "small", {1: 1.0})


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], run: Path) -> Any:
    """`generate` with the run → exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["generate", str(run), *(str(each) for each in arguments), "--device", "cpu"])
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return call


def told(lines: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in lines.splitlines()]


def test_every_prompt_is_a_line_of_json_in_the_order_of_the_file(run: Path, tmp_path: Path, say: Any) -> None:
    file, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    file.write_text("one two\nthree\none\n", encoding="utf-8")
    options = ("--prompts", file, "--set", "generate.rows=2", "--max-new", 3)
    code, shown, err = say(*options)
    assert code == 0
    opened = open_run(run, device="cpu")
    expected = opened.generate_batch(["one two", "three", "one"], max_new=3)
    assert [each["prompt"] + each["text"] for each in told(shown)] == expected
    assert [(each["line"], each["tokens"], each["finish"]) for each in told(shown)] == [
        (line, 3, "length") for line in (1, 2, 3)
    ]
    assert "texts written: 3 of 3" in err
    code, nothing, err = say(*options, "--out", out, "-q")
    assert (code, nothing, err) == (0, "", "")
    assert out.read_text(encoding="utf-8") == shown
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("out")] == ["out.jsonl"]


def test_memory_is_told_before_anything_is_written(tmp_path: Path, say: Any) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("one\n", encoding="utf-8")
    assert "free" not in say("--prompts", file, "-q")[2]
    say("--prompts", file)
    _, _, err = say("--prompts", file)
    assert err.count("free") == 1
    assert "one text of at most " in err.splitlines()[0]
    assert "are free; the weights are 37.1 KiB" in err.splitlines()[0]


def test_a_line_of_json_may_hold_new_lines_and_fields_of_its_own(tmp_path: Path, say: Any) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "one\\ntwo", "id": 7}\n{"prompt": ""}\n', encoding="utf-8")
    code, shown, _ = say("--prompts", file, "--samples", 2, "--max-new", 2, "-q")
    assert code == 0
    assert [(each["prompt"], each.get("id"), each["sample"]) for each in told(shown)] == [
        ("one\ntwo", 7, 1),
        ("one\ntwo", 7, 2),
        ("", None, 1),
        ("", None, 2),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"one\n\ntwo\n", ":2: a prompt must hold some text; delete the line"),
        ("a.txt", b"one\n\xff\n", ":2: a prompt must be UTF-8"),
        ("a.txt", b"", " must hold a prompt a line; it is empty"),
        ("a.jsonl", b'{"prompt": "a"}\nb\n', ":2: a line must be JSON"),
        ("a.jsonl", b'{"text": "a"}\n', ':1: a line must be an object with a text "prompt"'),
        ("a.jsonl", b'{"prompt": "a", "line": 1}\n', ':1: "line" is what the answer is told under'),
        (
            "a.jsonl",
            b'{"prompt": "\\ud800"}\n',
            ":1: a prompt, and what is beside it, must be text",
        ),
        ("a.jsonl", b'{"prompt": "a", "id": ["\\ud800"]}\n', ":1: a prompt, and what is beside it, must be text"),
        (
            "a.jsonl",
            b'{"prompt": "a", "id": %s}\n' % (b"[" * 10**5 + b"]" * 10**5),
            "JSON that is not so deep",
        ),
        ("a.txt", b"\n" * 7, "and 2 lines more"),
    ],
)
def test_bad_lines_are_refused_with_their_place(
    tmp_path: Path, say: Any, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    code, out, err = say("--prompts", tmp_path / name)
    assert (code, out) == (1, "")
    assert message in err
    assert str(tmp_path / name) in err


def test_every_prompt_that_cannot_be_served_is_refused_with_its_line(tmp_path: Path, say: Any) -> None:
    """Whether it is longer than the context, or than the pages that are there; nothing is left behind."""
    file, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    for text, options, why in (
        ("three " * 9, (), "a prompt must fit into the model's context of 16 tokens; .* arrived: shorten it"),
        ("one two three", ("--set", "generate.cache=paged { page = 1, pages = 4 }"), ".*generate.cache.pages=13.*"),
    ):
        file.write_text(f"one\n{text}\ntwo\n{text}\n", encoding="utf-8")
        code, shown, err = say("--prompts", file, "--samples", 2, "--max-new", 1, "--out", out, "-q", *options)
        assert (code, shown) == (1, "")
        assert re.fullmatch(rf"error: {file}:2: {why}\n{file}:4: {why}\n", err)
        assert [each.name for each in tmp_path.iterdir()] == ["prompts.txt"]


def test_prompts_have_one_source_and_nothing_is_written_over(tmp_path: Path, say: Any) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("one\n", encoding="utf-8")
    assert say("--prompts", file, "--prompt", "two")[0] == 2
    assert say("--prompt", "two", "--out", tmp_path / "new")[0] == 2
    code, _, err = say("--prompts", file, "--out", file)
    assert (code, file.read_text(encoding="utf-8")) == (1, "one\n")
    assert f"--out must be a new file; {file} is there" in err
    assert say("--prompts", file, "--out", "/")[2] == "error: --out must name a file; / is none: name one in it\n"
    for ending in (".part", ".new"):
        (beside := tmp_path / f"new{ending}").write_text("mine", encoding="utf-8")
        assert f"{beside} is there" in say("--prompts", file, "--out", tmp_path / "new")[2]
        assert beside.read_text(encoding="utf-8") == "mine"
        beside.unlink()
    assert "must lie in a folder that is there" in say("--prompts", file, "--out", tmp_path / "none" / "new")[2]
    assert "none.txt cannot be read: No such file" in say("--prompts", tmp_path / "none.txt")[2]


def test_what_is_done_behind_another_is_shown_when_it_is_interrupted(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[Piece]:
        yield Piece(row=1, text=" and all", token=3, finish="length")
        raise KeyboardInterrupt

    file = tmp_path / "prompts.txt"
    file.write_text("one\ntwo\nthree\n", encoding="utf-8")
    monkeypatch.setattr(Run, "stream", broken)
    code, shown, _ = say("--prompts", file)
    assert (code, [each["line"] for each in told(shown)]) == (130, [2])


def test_what_is_done_is_kept_when_it_is_interrupted(tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    file.write_text("one\ntwo\nthree\n", encoding="utf-8")

    def broken(*_: Any, **__: Any) -> Iterator[Piece]:
        yield Piece(row=0, text="not all")
        yield Piece(row=1, text=" and all", token=3, finish="length")
        assert "and all" in (tmp_path / "out.jsonl.part").read_text(encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "stream", broken)
    code, nothing, err = say("--prompts", file, "--out", out)
    assert (code, nothing, out.exists()) == (130, "", False)
    assert f"1 of 3 texts are in {out}.part" in err
    (kept,) = told((tmp_path / "out.jsonl.part").read_text(encoding="utf-8"))
    assert (kept["line"], kept["prompt"] + kept["text"]) == (2, "two and all")
    monkeypatch.setattr("llm_build.cli.generate.Filed", None)
    assert "part is there: name another" in say("--prompts", file, "--out", out)[2]


def test_a_full_disk_is_told_and_what_fitted_is_kept(tmp_path: Path, say: Any) -> None:
    file, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    file.write_text("one\ntwo\n", encoding="utf-8")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        code, nothing, err = say("--prompts", file, "--out", out, "--set", "generate.rows=1", "--max-new", 1, "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, nothing, out.exists()) == (1, "", False)
    assert f"1 of 2 texts are in {out}.part\nerror: {out}.part cannot be written: File too large" in err
    assert told((tmp_path / "out.jsonl.part").read_text(encoding="utf-8").splitlines()[0])[0]["line"] == 1
