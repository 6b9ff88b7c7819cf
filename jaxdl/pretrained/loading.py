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
from jaxdl.checks import shorten
from jaxdl.pretrained import configs, files, layouts, published, rules
from jaxdl.pretrained.formats import unique
from jaxdl.pretrained.rules import COUNTER, Place, Rule
from jaxdl.typing import Key, PyTree

FAMILIES = "jaxdl.pretrained.families"


def load(
    model_name: str | Path,
    file_or_mapping: Path | str | Mapping[str, Any] | None = None,
    source: str = "torchvision",
    *,
    entry: str | None = None,
    prefix: str = "",
    rename: Mapping[str, str] | None = None,
    fresh: str | None = None,
    key: Key | None = None,
    without: str | None = None,
    input_shape: Sequence[int] | None = None,
    **changes: object,
) -> PyTree:
    """Return the variables for ``models.create(model_name, **changes).apply`` with weights of a peer.

    Without a file it returns the model and its variables: ``load(name)`` by published weights, which are downloaded
    once, see `available`; ``load(folder)`` as `load_folder` does.

    A ``config.json`` in the folder of Hugging Face's weights is read too, and settings that change the output must be
    those of the model; `load_folder` makes the model from them. Settings that neither a file nor its shapes show have
    to be given, such as ``transform_input`` for GoogLeNet: give the same to ``models.create``.

    Args:
        model_name: a name in ``models.list()``; without a file, one in `available`, or a folder.
        file_or_mapping: a safetensors, npz or torch file; a folder with one, as transformers writes it; or the entries
            by name, arrays or torch tensors.
        source: of the weights, which determines the names: ``"torchvision"``, ``"timm"`` or ``"huggingface"``.
        entry: name of a dictionary, for a file with several.
        prefix: of the names, for a model that was part of another: ``"module."``, ``"model."``.
        rename: names of modules in the file, and those that the source has in their place: ``{"linear": "fc"}``.
        fresh: a pattern of our paths that are initialized with ``key`` instead of loaded:
            ``fresh="^output/", num_classes=5`` is a pretrained model with a new head.
        key: for ``fresh``.
        without: a pattern of paths to omit: ``without="^auxiliary"`` where a file has no auxiliary heads,
            which only training needs.
        input_shape: of one example, where weights depend on it, as the positions of a vision transformer; None for
            that of the registry, or the model's context.
        **changes: fields of the model.

    Raises:
        ValueError: entries are missing, unexpected or of another shape, all listed; the source has no weights of this
            model; or a field that changes the output is missing or differs from ``config.json``.
    """
    if file_or_mapping is None:
        return _load_pair(model_name, fresh=fresh, key=key, **changes)
    model_name = str(model_name)
    model = models.create(model_name, **changes)
    table = rules_of(model, source)
    if (fresh is None) != (key is None):
        raise ValueError("expected fresh and key together, got one of them; give both to initialize parameters anew")
    entries = files.rename(files.read(file_or_mapping, entry, prefix), rename or {})
    settings = None
    if source.startswith("huggingface") and not isinstance(file_or_mapping, Mapping):
        settings = configs.find(Path(file_or_mapping).expanduser())
    if settings is None:
        _check_given(model, source, changes)
    else:
        description = configs.describe(settings)
        description.check(model)
        input_shape = input_shape or description.input_shape
    example = _example_shape(model_name, model, input_shape), models.input_dtype(model_name)
    variables = convert(entries, template(model, *example), table, fresh=fresh, without=without)
    return variables if key is None else _fill(variables, model, key, *example)


def _load_pair(name_or_folder: str | Path, **options: Any) -> tuple[linen.Module, PyTree]:
    """Return the model and the variables of a folder, or of published weights."""
    if Path(name_or_folder).expanduser().is_dir():
        return load_folder(name_or_folder, **options)
    weights = published.find_published(str(name_or_folder))
    fresh, key = options.pop("fresh"), options.pop("key")
    fields = {**weights.fields, **options}
    path = published.download(weights.name)
    return models.create(weights.name, **fields), load(
        weights.name, path, weights.source, fresh=fresh, key=key, **fields
    )


def load_folder(
    folder: Path | str, *, fresh: str | None = None, key: Key | None = None, **changes: object
) -> tuple[linen.Module, PyTree]:
    """Return the model that a folder of transformers describes, and its variables.

    The folder has ``config.json`` and weights, as ``save_pretrained`` writes them, of GPT-2, BERT, Llama or a
    vision transformer. Activation, epsilon and all sizes are those of the configuration.

    Args:
        folder: the folder.
        fresh: as for `load`, for a head of another size or none.
        key: for ``fresh``.
        **changes: fields of the model that differ, such as the rates of dropout.

    Raises:
        FileNotFoundError: there are no settings or no weights.
        ValueError: as for `load`, or a setting is none that our model computes.
    """
    folder = Path(folder).expanduser()
    settings = configs.find(folder) if folder.is_dir() else None
    if settings is None:
        raise FileNotFoundError(f"expected a folder with {configs.FILE} and weights, got {folder} without")
    description = configs.describe(settings)
    entries = files.read(folder)
    layers = description.fields["num_layers"]
    if layers > len(entries):
        raise ValueError(f"{settings}: expected at most {len(entries)} layers, one for each weight, got {layers}")
    model = models.create(description.name, **{**description.fields, **changes})
    options = {**description.fields, **changes, "fresh": fresh, "key": key, "input_shape": description.input_shape}
    return model, load(description.name, entries, _huggingface_source(description.name, entries), **options)


def _huggingface_source(model_name: str, entries: Iterable[str]) -> str:
    """Return the source with the names of these entries."""
    if any(name.endswith(".LayerNorm.gamma") for name in entries):
        return "huggingface_first"
    prefix = {"gpt2": "transformer.", "bert_base": "bert.", "vit_b16": "vit.", "llama2_7b": ""}[model_name]
    return "huggingface" if any(name.startswith(prefix) for name in entries) else "huggingface_model"


def _example_shape(model_name: str, model: linen.Module, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of an example: as given, or that of the registry, for tokens not beyond the model's context."""
    if input_shape is not None:
        return tuple(input_shape)
    shape = models.input_shape(model_name)
    context = getattr(model, "context_length", None)
    return shape if context is None else (min(shape[0], context),)


def _check_given(model: linen.Module, source: str, changes: Mapping[str, object]) -> None:
    """Check that the fields are given that change the output, and of which weights show nothing."""
    family = import_module(f"{FAMILIES}.{type(model).__module__.rpartition('.')[2]}")
    undetermined = getattr(family, "UNDETERMINED", {}).get(source)
    for field, advice in (undetermined(model) if undetermined else {}).items():
        if changes.get(field) is None:
            raise ValueError(
                f"expected the field {field}, which these weights do not determine, got none; give {field}=..., to "
                f"load and to models.create: {advice}"
            )


def export(model_name: str, variables: PyTree, source: str = "torchvision", **changes: object) -> dict[str, np.ndarray]:
    """Return the entries that the peer's ``load_state_dict`` takes, tied ones included: the inverse of `load`.

    For a vision transformer in transformers 5 the source is ``"huggingface_5"``.

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
    table = rules_of(models.create(model_name, **changes), source)
    entries = rules.to_theirs(tree.flatten(variables), table)
    shared = [rule for rule in table if rule.layout.same_as in entries and rule.layout.exported]
    return entries | {rule.theirs: entries[rule.layout.same_as] for rule in shared}


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
    table = known[source](model)
    return table if getattr(model, "num_classes", 1) else [*table, *_ignored_heads(table)]


def _ignored_heads(table: Sequence[Rule]) -> list[Rule]:
    """Return rules that pass over the output layer and the auxiliary heads, which a model without classes lacks."""
    heads = [re.escape(rule.theirs) for rule in table if re.match("output$|auxiliary", rule.ours)]
    return [Rule("", re.sub(r"\\\\\d", ".*", head) + r"\..*", layouts.ignored) for head in heads]


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
    entries = _renamed(entries, table)
    problems, result = _join_tied(entries, table), {}
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
    skipped = [re.compile(rule.theirs).fullmatch for rule in table if rule.layout.ignored and not rule.layout.same_as]
    for name in entries.keys() - known:
        if not (name.endswith(COUNTER) or any(match(name) for match in skipped)):
            problems.append(f"extra: {shorten(name)} {list(entries[name].shape)} has no place in the model")
    if problems:
        _check_prefix(entries.keys(), known)
        listed = sorted(problems)[:MAX_LISTED]
        listed += [f"and {len(problems) - MAX_LISTED} more"] * (len(problems) > MAX_LISTED)
        raise ValueError("\n  ".join([f"{len(problems)} weights do not fit the model:", *listed, ADVICE]))
    return nested(result)


def _renamed(entries: Mapping[str, np.ndarray], table: Sequence[Rule]) -> dict[str, np.ndarray]:
    """Give entries of another version of the peer the names that the other rules have."""
    for rule in table:
        if rule.layout.renamed:
            pattern, name = re.compile(rule.theirs), rule.layout.renamed
            matches = ((pattern.fullmatch(entry), entry, array) for entry, array in entries.items())
            entries = unique((match.expand(name) if match else entry, array) for match, entry, array in matches)
    return dict(entries)


def _join_tied(entries: dict[str, np.ndarray], table: Sequence[Rule]) -> list[str]:
    """Remove entries that the peer shares with others, and return the problems with those that differ."""
    problems = []
    for rule in table:
        other = rule.layout.same_as
        array = entries.pop(rule.theirs, None) if other else None
        if array is not None and not np.array_equal(entries.setdefault(other, array), array):
            problems.append(
                f"untied: {rule.theirs} {list(array.shape)} differs from {other}, and the model has one for both"
            )
    return problems


MAX_LISTED = 200
"""Problems that an error lists."""
MAX_NAME_LENGTH = 1000
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
    usual = (name for name in names if len(name) < MAX_NAME_LENGTH)  # each dot costs a copy of the name
    dots = ((name, dot + 1) for name in usual for dot, letter in enumerate(name) if letter == ".")
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
) -> tuple[np.ndarray | None, str]:
    """Return a leaf of ours, or None and the problem with its entries."""
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
    return array, ""


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
