"""The house rule: imports go down only, and every file stays one thing."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = {
    "typing": 0,
    "arrays": 0,
    "checks": 0,
    "tree": 0,
    "losses": 1,
    "metrics": 1,
    "nn": 1,
    "optim": 1,
    "data": 1,
    "models": 2,
    "embeddings": 2,
    "backprop": 2,
    "tasks": 3,
    "train": 3,
    "decode": 3,
    "generative": 3,
    "interpret": 3,
    "rl": 3,
    "pretrained": 3,
    "compress": 3,
    "doctor": 3,
    "__main__": 4,
}
SIBLINGS = {
    ("arrays", "typing"),
    ("arrays", "checks"),
    ("tree", "arrays"),
    ("tree", "typing"),
    ("tasks", "generative"),
}  # the imports within a level that are allowed
ROOMS = {
    "data": {"files", "sources"},
    "models": {"dense", "generative", "neurons", "sequence", "transformers", "vision"},
    "nn": {"attention", "convolution", "recurrent"},
    "pretrained": {"families"},
    "rl": {"environments"},
    "train": {"checkpointing", "parallel"},
}
"""The folders inside of the parts."""
FLOORS_OF_TRAIN = {
    "leaves": 0,
    "state": 0,
    "gradient": 0,
    "precision": 0,
    "report": 1,
    "step": 1,
    "guard": 2,
    "players": 2,
    "parallel": 2,
    "checkpointing": 3,
    "hooks": 4,
    "logs": 4,
    "evaluate": 4,
    "exporting": 4,
    "statistics": 4,
    "ensemble": 4,
    "loop": 5,
}
"""The levels inside of ``jaxdl.train``: a module imports only modules of lower levels, or of its own package."""
ROOMS_OF_HARNESS = {
    "applications",
    "commands",
    "dense",
    "embeddings",
    "generative",
    "interpret",
    "optimization",
    "rl",
    "sequences",
    "vision",
}
"""The folders inside of ``experiments.harness``: chapters of the experiments, and the commands beside ``run``."""
WITHOUT_FLAX = {"typing", "arrays", "tree", "checks", "losses", "metrics", "optim", "data"}
MODULES = sorted((ROOT / "jaxdl").rglob("*.py"))


def part_of(path: Path) -> str:
    """Name the part of the house that a file belongs to: ``nn`` for ``jaxdl/nn/recurrent/cells.py``."""
    return path.relative_to(ROOT / "jaxdl").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """List the modules that a file imports, each by its full name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def parts_imported(path: Path) -> set[str]:
    """List the parts of the house that a file imports."""
    own = {name.split(".")[1] for name in imports(path) if name.startswith("jaxdl.")}
    return own & LEVELS.keys()


def test_every_part_has_a_level():
    unknown = {part_of(path) for path in MODULES} - LEVELS.keys() - {"__init__"}
    assert not unknown, f"give these parts a level in this table: {sorted(unknown)}"


def test_every_folder_is_a_room_of_the_plan():
    folders = {part: {path.parent.name for path in (ROOT / "jaxdl" / part).glob("*/__init__.py")} for part in LEVELS}
    assert {part: rooms for part, rooms in folders.items() if rooms} == ROOMS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    part = part_of(path)
    if part == "__init__":
        return
    for other in parts_imported(path) - {part}:
        allowed = LEVELS[other] < LEVELS[part] or (part, other) in SIBLINGS
        assert allowed, f"{part} (level {LEVELS[part]}) imports {other} (level {LEVELS[other]})"
    if part in WITHOUT_FLAX:
        assert not any(name.split(".")[0] == "flax" for name in imports(path)), f"{part} must not need flax"


def test_imports_inside_train_go_down():
    train = ROOT / "jaxdl" / "train"
    paths = {path: path.relative_to(train).parts[0].removesuffix(".py") for path in sorted(train.rglob("*.py"))}
    paths.pop(train / "__init__.py")
    assert set(paths.values()) == FLOORS_OF_TRAIN.keys()
    for path, part in paths.items():
        others = {
            name.split(".")[2] for name in imports(path) if name.count(".") > 1 and name.startswith("jaxdl.train.")
        }
        for other in others - {part}:
            assert FLOORS_OF_TRAIN[other] < FLOORS_OF_TRAIN[part], f"{path.name} imports {other}"


def test_what_all_experiments_share_needs_no_room_of_the_harness():
    harness = ROOT / "experiments" / "harness"
    assert {path.parent.name for path in harness.glob("*/__init__.py")} == ROOMS_OF_HARNESS
    for path in set(harness.glob("*.py")) - {harness / "command_line.py"}:
        parts = {name.split(".")[2] for name in imports(path) if name.startswith("experiments.harness.")}
        assert not parts & ROOMS_OF_HARNESS, path.name


def test_a_folder_of_experiments_is_seen_at_a_glance():
    for folder in (ROOT / "experiments", ROOT / "tests" / "experiments"):
        for path in (folder, *folder.rglob("*/")):
            assert len(list(path.glob("*.py"))) <= 25, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_neither_prints_nor_draws(path):
    assert not {name for name in imports(path) if name.split(".")[0] in {"matplotlib", "experiments"}}
    if part_of(path) == "__main__":
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_a_package_holds_what_it_lists(path):
    package = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    assert [name for name in getattr(package, "__all__", ()) if not hasattr(package, name)] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_the_documentation_names_what_there_is(path):
    parts = "|".join(LEVELS.keys() - {"__main__"})
    for name in set(re.findall(rf"`(?:jaxdl\.)?((?:{parts})\.[\w.]*\w)[`(]", path.read_text())):
        try:
            pkgutil.resolve_name(f"jaxdl.{name}")
        except (AttributeError, ImportError):
            pytest.fail(f"{path.name} names jaxdl.{name}, which there is not")
