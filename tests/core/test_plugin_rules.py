"""Rules of a plugin over the whole resolved spec: their faults have places like ours, and one that fails is fenced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context, Problem, SpecError, build, load, walk_paths
from llm_build.diagnostics import Source, render
from llm_build.offers import OwnedRule, Owner, Plugin
from llm_build.registry import installed
from llm_build.resolve import read
from tests.packages import build_wheel, install, write_project
from tests.processes import finished, llm_build

RULES = """
from llm_build import Problem, hookimpl, walk_paths

def few_heads(spec):
    for path, config in walk_paths(spec):
        if config.__component__.name == "gqa" and config.heads > 2:
            yield Problem(field=f"{path}.heads", message=f"at most 2 heads; {config.heads} arrived", help="write 2")

def fails(spec):
    yield from few_heads(spec)
    raise KeyError("gone")

@hookimpl
def llm_rules():
    return [fails]
"""
SPEC = """llm 1
let wide = block { norm = rms, attention = gqa { heads = 4 }, ffn = swiglu }
model = decoder {
  dim = 16, vocab = 32, context = 16
  position = rope { theta = 500 }
  layers = 2 * block { norm = rms, attention = gqa { heads = 2 }, ffn = swiglu } + wide
  norm = rms
}
generate = decode { max_new = 3 }
"""
FEW = SPEC.replace("heads = 4", "heads = 2")
OWNER = Owner(distribution="acme-rules", version="2.7", entry="acme")

Check = Callable[[Any], Any]


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Callable[[Check], None]:
    """Adds a rule to the registry of this process until the test is over."""
    monkeypatch.setattr(installed(), "plugins", list(installed().plugins))

    def add(check: Check) -> None:
        installed().plugins.append(Plugin(owner=OWNER, rules=(OwnedRule(owner=OWNER, check=check),)))

    return add


def said(text: str) -> str:
    return render(read(Source("spec.llm", text)).diagnostics)


def few_heads(spec: Any) -> Iterator[Problem]:
    for path, config in walk_paths(spec):
        if getattr(config, "heads", 0) > 2:
            yield Problem(
                field=f"{path}.heads",
                message=f"at most 2 heads here; {config.heads} arrived",
                help="write heads = 2",
                related=("generate.max_new", "generate.cache", "nowhere.at.all", "model.layers[9]", "model.dim.more"),
            )


def test_a_fault_of_a_rule_looks_like_ours(rule: Callable[[Check], None]) -> None:
    rule(few_heads)
    assert said(SPEC).splitlines() == [
        "error[E314]: at most 2 heads here; 4 arrived (a rule of acme-rules 2.7)",
        " --> spec.llm:2:58",
        "  |",
        "2 | let wide = block { norm = rms, attention = gqa { heads = 4 }, ffn = swiglu }",
        "  |                                                          ^",
        " ::: spec.llm:9:31",
        "  |",
        "9 | generate = decode { max_new = 3 }",
        "  |                               - `generate.max_new` set here",
        " ::: spec.llm:6:84",
        "  |",
        "6 |   layers = 2 * block { norm = rms, attention = gqa { heads = 2 }, ffn = swiglu } + wide",
        "  |                                                                                    ---- used here",
        "  help: write heads = 2",
    ]


PLACED = {
    "model.layers[1].attention.heads": "2",
    "model.layers[1].attention": "gqa",
    "model.layers[2].attention.heads": "4",
    "model.layers[2]": "block",
    "model.layers[0].attention.position.theta": "500",
    "model.layers[0].attention.position": "rope",
    "model.layers[0].attention.head_dim": "gqa",
    "model.layers[0].attention.nothing": "gqa",
    "model.layers[7].attention.heads": "2 * block { norm = rms, attention = gqa { heads = 2 }, ffn = swiglu } + wide",
    "model.dim.more": "16",
    "generate.cache": "decode",
    "generate.cache.nothing.at.all": "decode",
    "generate.max_new": "3",
    "train": "l",
    "not a path": "l",
    "": "l",
}
"""Paths, and the text of the nearest thing that was written: for the spec as a whole, its beginning."""


@pytest.mark.parametrize("path", PLACED)
def test_a_path_has_the_place_of_what_was_written_nearest_to_it(path: str, rule: Callable[[Check], None]) -> None:
    rule(lambda spec: [Problem(field=path, message="here")])
    (found,) = read(Source("spec.llm", SPEC)).diagnostics
    assert found.path == path
    assert found.span is not None
    assert SPEC[found.span.start : found.span.end] == PLACED[path]


def test_a_place_that_was_set_on_the_command_line_is_there(rule: Callable[[Check], None]) -> None:
    rule(few_heads)
    found = [str(each.span) for each in read(Source("spec.llm", FEW), ["model.layers[0].attention.heads=4"]).errors]
    assert found == ["--set:1:33"]


def test_a_rule_sees_what_was_derived_and_inherited(rule: Callable[[Check], None]) -> None:
    seen = []
    rule(lambda spec: seen.append((spec.model.layers[0].attention.head_dim, spec.generate.cache.__component__.id)))
    assert said(SPEC) == ""
    assert seen == [(8, "cache:dense")]


def test_a_faulty_spec_is_given_to_no_rule(rule: Callable[[Check], None]) -> None:
    rule(lambda spec: 1 / 0)
    assert "E314" not in said(SPEC.replace("heads = 4", "heads = 3"))
    assert "W314" not in said(SPEC.replace("heads = 4", "heads = 3"))


def test_a_rule_and_a_requirement_are_broken_at_once(rule: Callable[[Check], None]) -> None:
    rule(few_heads)
    found = read(Source("spec.llm", SPEC + "require model.dim == 8\n")).diagnostics
    assert [each.code for each in found] == ["E314", "E309"]


def then_fails(spec: Any) -> Iterator[Problem]:
    yield Problem(field="model.norm", message="said before")
    raise KeyError("gone")


def exits(spec: Any) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda spec: 1 / 0, "its rule <lambda> fails: ZeroDivisionError: division by zero"),
        (exits, "its rule exits fails: SystemExit: 3"),
        (lambda spec, other: [], "its rule <lambda> fails: TypeError"),
        (lambda spec: ["bad"], "a rule yields Problem(field=…, message=…); 'bad' arrived"),
        (then_fails, "its rule then_fails fails: KeyError: 'gone'"),
    ],
)
def test_a_rule_that_fails_stops_no_other(broken: Check, why: str, rule: Callable[[Check], None]) -> None:
    rule(broken)
    rule(few_heads)
    found = read(Source("spec.llm", SPEC)).diagnostics
    (warning,) = (each for each in found if each.code == "W314")
    assert warning.message.startswith("plugin acme of acme-rules 2.7: ")
    assert why in warning.message
    assert "pip uninstall acme-rules" in warning.help
    errors = [each.message for each in found if each.code == "E314"]
    assert ("said before (a rule of acme-rules 2.7)" in errors) == (broken is then_fails)
    assert "at most 2 heads here; 4 arrived (a rule of acme-rules 2.7)" in errors


def test_from_python_the_same_rules_hold(rule: Callable[[Check], None]) -> None:
    spec = load(SPEC)
    rule(few_heads)
    with pytest.raises(SpecError, match=r"at most 2 heads here; 4 arrived \(a rule of acme-rules 2.7\)"):
        load(SPEC)
    with pytest.raises(SpecError) as caught:
        build(spec, device="meta")
    assert [each.path for each in caught.value.diagnostics] == ["model.layers[2].attention.heads"]
    assert [each.field for each in spec.problems(Context())] == ["model.layers[2].attention.heads"]


def test_from_python_a_rule_that_fails_is_logged(
    rule: Callable[[Check], None], caplog: pytest.LogCaptureFixture
) -> None:
    rule(lambda spec: 1 / 0)
    with caplog.at_level(logging.WARNING, "llm_build.resolve"):
        build(load(FEW), device="meta")
    assert any("acme-rules 2.7: its rule <lambda> fails: ZeroDivisionError" in each for each in caplog.messages)


def test_every_verb_that_reads_a_spec_holds_the_rules_of_what_is_installed(tmp_path: Path) -> None:
    wheel = build_wheel(write_project(tmp_path / "project", "acme-rules", "2.7", RULES), tmp_path)
    place = install(tmp_path / "installed", wheel)
    spec = tmp_path / "spec.llm"
    spec.write_text(SPEC, encoding="utf-8")
    for verb in ("check", "summary"):
        done = llm_build(verb, spec, PYTHONPATH=place)
        assert done.returncode == 1
        assert "error[E314]: at most 2 heads; 4 arrived (a rule of acme-rules 2.7)" in done.stderr
        assert (
            "warning[W314]: plugin acme_rules of acme-rules 2.7: its rule fails fails: KeyError: 'gone'" in done.stderr
        )
        assert "Traceback" not in done.stderr
    spec.write_text(FEW, encoding="utf-8")
    done = llm_build("check", spec, PYTHONPATH=place)
    assert finished(done) == f"{spec}: fine\n"
    assert "warning[W314]" in done.stderr
