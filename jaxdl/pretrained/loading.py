"""Convert weights of a peer to variables of our models, and back."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from importlib import import_module, util
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl import models, tree
from jaxdl.pretrained import files, rules
from jaxdl.pretrained.rules import COUNTER, Place, Rule
from jaxdl.typing import Key, PyTree

FAMILIES = "jaxdl.pretrained.families"


def load(
    model_name: str,
    file_or_mapping: Path | str | Mapping[str, Any],
    source: str = "torchvision",
    *,
    entry: str | None = None,
    prefix: str = "",
    fresh: str | None = None,
    key: Key | None = None,
    without: str | None = None,
    **changes: object,
) -> PyTree:
    """Return the variables for ``models.create(model_name, **changes).apply`` with weights of a peer.

    Args:
        model_name: a name in ``models.list()``.
        file_or_mapping: a safetensors, npz or torch file; or its entries by name, arrays or torch tensors.
        source: of the weights, which determines the names: ``"torchvision"``, ``"timm"`` or ``"huggingface"``.
        entry: name of a dictionary, for a file with several.
        prefix: of the names, for a model that was part of another: ``"module."``, ``"model."``.
        fresh: a pattern of our paths that are initialized with ``key`` instead of loaded:
            ``fresh="^output/", num_classes=5`` is a pretrained model with a new head.
        key: for ``fresh``.
        without: a pattern of paths to omit: ``without="^auxiliary"`` where a file has no auxiliary heads,
            which only training needs.
        **changes: fields of the model.

    Raises:
        ValueError: entries are missing, unexpected or of another shape, all listed; or the source has no weights of
            this model.
    """
    model = models.create(model_name, **changes)
    if (fresh is None) != (key is None):
        raise ValueError("expected fresh and key together, got one of them; give both to initialize parameters anew")
    example = models.input_shape(model_name), models.input_dtype(model_name)
    wanted = template(model, *example)
    entries = files.read(file_or_mapping, entry, prefix)
    variables = convert(entries, wanted, rules_of(model, source), fresh=fresh, without=without)
    return variables if key is None else _fill(variables, model, key, *example)


def export(model_name: str, variables: PyTree, source: str = "torchvision", **changes: object) -> dict[str, np.ndarray]:
    """Return the entries that the peer's ``load_state_dict`` takes: the inverse of `load`.

    Args:
        model_name: a name in ``models.list()``.
        variables: ``{"params": ...}``, from `load`, ``init`` or training.
        source: determines the names.
        **changes: fields of the model.

    Raises:
        ValueError: there are no rules for this model or one of its leaves, or ``variables`` lacks "params".
    """
    if "params" not in variables:
        raise ValueError(f"expected variables, {{'params': ...}}, got {', '.join(variables)}")
    return rules.to_theirs(tree.flatten(variables), rules_of(models.create(model_name, **changes), source))


def template(model: linen.Module, input_shape: Sequence[int], input_dtype: str = "float32") -> PyTree:
    """Return the shapes and dtypes of all variables, auxiliary heads included, by tracing alone.

    >>> forms = template(models.create("lenet5"), (32, 32, 1))
    >>> forms["params"]["conv1"]["kernel"].shape
    (5, 5, 1, 6)
    """
    return jax.eval_shape(lambda key: _init(model, key, input_shape, input_dtype), jax.random.key(0))


def rules_of(model: linen.Module, source: str) -> Sequence[Rule]:
    """Return the rules for the names of a model's weights, from the file of its family.

    Raises:
        ValueError: there are none for this source.
    """
    family = type(model).__module__.rpartition(".")[2]
    module = f"{FAMILIES}.{family}"
    if not util.find_spec(module):
        raise ValueError(
            f"expected a model with rules for its weights, got {type(model).__name__}; there is no {module}"
        )
    known = import_module(module).RULES
    if source not in known:
        raise ValueError(f"expected a source of {type(model).__name__} in {sorted(known)}, got {source!r}")
    return known[source](model)


def convert(
    entries: Mapping[str, np.ndarray],
    like: PyTree,
    table: Sequence[Rule],
    *,
    fresh: str | None = None,
    without: str | None = None,
    dtype: Any = None,
) -> PyTree:
    """Convert a peer's entries to the structure and dtypes of ``like``.

    Args:
        entries: the peer's arrays by name.
        like: shapes and dtypes, as from `template`.
        table: rules for the names.
        fresh: a pattern of paths, without their collection, that keep the leaf of ``like``.
        without: a pattern of paths to omit.
        dtype: instead of the dtypes of ``like``.

    Raises:
        ValueError: entries are missing, unexpected, of another shape or not floating-point.
    """
    leaves = tree.flatten(like)
    role = _roles(leaves, {"fresh": fresh, "without": without})
    table_places = rules.places(leaves, table)
    problems, result = [], {}
    for path, place in table_places.items():
        if role[path] == "fresh":
            result[path] = leaves[path]
        elif role[path] == "loaded":
            array, problem = _leaf(path, place, entries, leaves[path].shape)
            if array is None:
                problems.append(problem)
            else:
                result[path] = jax.device_put(array.astype(dtype or leaves[path].dtype))  # compiles nothing
    known = {name for place in table_places.values() for name in place.entries}
    skipped = [re.compile(rule.theirs).fullmatch for rule in table if rule.layout.ignored]
    for name in entries.keys() - known:
        if not (name.endswith(COUNTER) or any(match(name) for match in skipped)):
            problems.append(f"extra: {name} {list(entries[name].shape)} has no place in the model")
    if problems:
        _check_prefix(entries.keys(), known)
        raise ValueError("\n  ".join([f"{len(problems)} weights do not fit the model:", *sorted(problems), ADVICE]))
    return nested(result)


ADVICE = "to draw parameters anew give fresh='^output/' and a key, to leave them out without='^auxiliary' or the like"


def _check_prefix(theirs: Set[str], known: Set[str]) -> None:
    """Check that the entries neither have nor lack one prefix in most of the names of the model."""
    prefix, count = _prefix(theirs, known)
    if 2 * count > len(known):
        raise ValueError(f"{count} of {len(known)} names have {prefix!r} before them: give prefix={prefix!r}")
    prefix, count = _prefix(known, theirs)
    if 2 * count > len(known):
        example = next(name for name in known if name.startswith(prefix))
        raise ValueError(
            f"{count} of {len(known)} names, such as {example!r}, are there without {prefix!r} before them: give "
            f"{{{prefix!r} + name: array}} for the entries that belong there"
        )


def _prefix(names: Set[str], others: Set[str]) -> tuple[str, int]:
    """Return what most often, and how often, stands before one of the other names, with a dot between."""
    dots = ((name, dot + 1) for name in names for dot, letter in enumerate(name) if letter == ".")
    counts = Counter(name[:start] for name, start in dots if name[start:] in others)
    return max(counts.items(), key=itemgetter(1), default=("", 0))


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Build nested dicts from names with slashes.

    >>> nested({"params/conv1/bias": 0})
    {'params': {'conv1': {'bias': 0}}}
    """
    result: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, last = path.split("/")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = leaf
    return result


def _roles(paths: Iterable[str], patterns: Mapping[str, str | None]) -> dict[str, str]:
    """Name for every path the first pattern that is found in it, its collection left out, else ``"loaded"``."""
    searches = {name: re.compile(pattern).search for name, pattern in patterns.items() if pattern is not None}
    role = {
        path: next((name for name, search in searches.items() if search(path.partition("/")[2])), "loaded")
        for path in paths
    }
    for name in searches:
        if name not in role.values():
            raise ValueError(f"{name}={patterns[name]!r} is found in no path of the model, such as {next(iter(role))}")
    return role


def _leaf(
    path: str, place: Place, entries: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray | None, str | None]:
    """Return a leaf of ours, or the problem with its entries."""
    missing = [name for name in place.entries if name not in entries]
    if missing:
        return None, f"missing: {', '.join(missing)}, for {path} {list(shape)}"
    theirs = ", ".join(f"{name} {list(entries[name].shape)}" for name in place.entries)
    if not all(jnp.issubdtype(entries[name].dtype, jnp.floating) for name in place.entries):
        return None, f"no floating-point numbers: {theirs}, for {path}"
    try:
        array = rules.to_ours(place, entries)
    except ValueError:
        array = None
    if array is None or array.shape != shape:
        remedy = place.layout.remedy and f": {place.layout.remedy}"
        return None, f"misshaped: {theirs}, for {path} {list(shape)}{remedy}"
    return array, None


def _init(model: linen.Module, key: Key, input_shape: Sequence[int], input_dtype: str) -> PyTree:
    params_key, dropout_key = jax.random.split(key)
    x = jnp.zeros((1, *input_shape), input_dtype)
    return model.init({"params": params_key, "dropout": dropout_key}, x, train=True)


def _fill(variables: PyTree, model: linen.Module, key: Key, input_shape: Sequence[int], input_dtype: str) -> PyTree:
    """Initialize the leaves that are still shapes; jit computes no others."""
    leaves = tree.flatten(variables)
    wanted = [path for path, leaf in leaves.items() if isinstance(leaf, jax.ShapeDtypeStruct)]

    @jax.jit
    def draw(key: Key) -> dict[str, Any]:
        drawn = tree.flatten(_init(model, key, input_shape, input_dtype))
        return {path: drawn[path] for path in wanted}

    return nested(leaves | draw(key))
