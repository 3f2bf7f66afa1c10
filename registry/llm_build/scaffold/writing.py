"""Writing a plugin from the templates of a slot."""

from __future__ import annotations

import ast
from pathlib import Path

from llm_build.errors import PluginError
from llm_build.scaffold.names import Names

TEMPLATES = Path(__file__).with_name("templates")


def slots() -> list[str]:
    """The slots that have templates."""
    return sorted(each.name for each in TEMPLATES.iterdir() if each.is_dir() and each.name != "__pycache__")


def new_plugin(names: Names, slot: str, folder: Path) -> list[Path]:
    """Write a plugin with one component of a slot into a new folder in `folder`, and say which files it has.

    Raises `PluginError`, having written nothing, where the template needs the name for itself and where something has
    that place already.
    """
    place = folder / names.distribution
    _refuse_words_of_the_template(names, slot)
    files = {place / file: names.put_into(text) for file, text in _templates(names, slot).items()}
    try:
        # the folder is made here and now: nobody else's is written into
        place.mkdir(parents=True)
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except FileExistsError as fault:
        message = f"{place} is there already, and is never written over; choose another name, or move it away"
        raise PluginError(message) from fault
    except OSError as fault:
        raise PluginError(f"{place} cannot be written: {fault.strerror}; choose another folder or name") from fault
    return list(files)


def _templates(names: Names, slot: str) -> dict[str, str]:
    """Where each file stands in the new plugin → the text of its template."""
    package, of_slot = f"src/{names.package}", TEMPLATES / slot
    files = {
        "pyproject.toml": TEMPLATES / "pyproject.toml",
        f"{package}/__init__.py": of_slot / "config.py",
        f"{package}/module.py": of_slot / "module.py",
        f"tests/test_{names.package}.py": TEMPLATES / "test.py",
    }
    return {name: template.read_text(encoding="utf-8").replace("slot:", f"{slot}:") for name, template in files.items()}


def _refuse_words_of_the_template(names: Names, slot: str) -> None:
    """A class named like something that its file imports or defines would hide it."""
    for file, own in (("config.py", names.config), ("module.py", names.module)):
        if own in _bound((TEMPLATES / slot / file).read_text(encoding="utf-8")):
            raise PluginError(f"a component named {names.component} would hide {own}, which its file needs; rename it")


def _bound(source: str) -> set[str]:
    """The names that a template imports or defines, beside its own."""
    found: set[str] = set()
    for each in ast.parse(source).body:
        if isinstance(each, ast.Import | ast.ImportFrom):
            found.update(alias.name for alias in each.names)
        elif isinstance(each, ast.FunctionDef | ast.ClassDef):
            found.add(each.name)
    return found - {"thing", "Thing"}
