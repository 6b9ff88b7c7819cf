"""Captions of pictures: three ways in which a decoder sees an image, and where it looks.

    python -m experiments run captioning [--model transformer] [--data-dir FOLDER --language fr]

A picture shows two coloured shapes; its caption is "a red star left of a blue disc". A convolutional network, trained
together with the decoder, gives 8 x 8 positions of 30 features. A GRU starts from their mean, has it as an input of
every step, or attends to the positions (Show, Attend and Tell, with doubly stochastic attention); instead of the last,
the decoder of a transformer. Test pictures are new. With a folder, pictures with captions are read from it: the
unpacked Debian package tuxpaint-stamps-default holds 785 with captions in many languages; every fifth is for the test.

Scores are those of beam search by sacrebleu and rouge-score. Goals: with attention 90 % of the generated captions are
exact, and half of the attention of shapes' names is on that shape's positions, 2.5 times as much as chance.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from flax import linen

from experiments.applications import drawings
from experiments.harness.applications.captions import beam_captions, encode_captions, pad_grid
from experiments.harness.applications.scenes import Captioned, GridNetwork, draw_scenes, read_captioned_stamps
from experiments.harness.applications.transduction import SequenceGeneration, attention_weights, learn
from experiments.harness.applications.translations import bleu, chrf, exact_share, rouge
from experiments.harness.run_folder import Run
from experiments.harness.supervised import Optimizer
from jaxdl import data, train
from jaxdl.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from jaxdl.models import Captioner, TransformerCaptioner
from jaxdl.nn.attention.scores import AdditiveScore
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.tasks.seq2seq import translation
from jaxdl.typing import PyTree

GOAL = {"attention_exact": 0.9, "attention_on_shape": 0.5}
CONTEXTS = ("initial", "every_step", "attention")
SHOWN = 4


@dataclass(frozen=True)
class Config(SequenceGeneration):
    """Three captioners of equal size."""

    SMOKE = {
        **SequenceGeneration.SMOKE,
        "pictures": 16,
        "tested": 4,
        "contexts": ("attention",),
        "channels": 6,
        "batch_size": 16,
    }
    CHOICES = {"contexts": (CONTEXTS, ("attention",))}

    data_dir: Path | None = None
    """Folder of PNG files, each with a text file of the same name whose first line is the caption."""
    language: str = "en"
    """Language of the captions of such a folder."""
    pictures: int = 2400
    """Generated pictures of the training."""
    tested: int = 300
    """Generated pictures of the test."""
    contexts: tuple[str, ...] = CONTEXTS
    """How the decoders see the image; "attention" is trained last."""
    model: Literal["recurrent", "transformer"] = "recurrent"
    """Decoder with attention: a GRU, or two blocks of a transformer."""
    hidden_size: int = 48
    """Size of the decoder and of the hidden layer of attention; the width of a transformer, a multiple of 4."""
    channels: int = 30
    """Channels of the features."""
    attention_weight: float = 0.1
    """Weight of the penalty that makes attention doubly stochastic."""
    epochs: float = 42.0
    batch_size: int = 64
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", 4e-3, warmup=0.05, clip_norm=1.0))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the captioners, caption the test pictures, draw where the words looked."""
    learned, tested = read(config)
    count = max(map(len, learned.captions)) + 1
    words = [word for caption in learned.captions for word in caption]
    vocabulary = Vocabulary.build(words, special_tokens=(PAD, UNK, BOS, EOS))
    arrays, test = (encode_captions(part, vocabulary, count) for part in (learned, tested))
    texts, result, scores = [" ".join(caption) for caption in tested.captions], {}, {}
    for context in sorted(config.contexts, key=CONTEXTS.index):
        model = make_model(config, len(vocabulary), context)
        weight = config.attention_weight if context == "attention" else 0.0
        task = translation(model, bos_id=vocabulary.bos_id, attention_weight=weight)
        variables, measured = learn(config, run, task, arrays, test, keep=context == "attention")
        measured = measured or train.make_evaluation(task.measure, test)(variables)
        captions = beam_captions(model, variables, test["source"], vocabulary, beams=config.beams, length=count + 2)
        scores[context] = {"BLEU": bleu(captions, texts, tokenize="none"), "chrF": chrf(captions, texts)}
        scores[context]["ROUGE"] = 100 * rouge(captions, texts)
        result |= {f"{context}_{name.lower()}": value for name, value in scores[context].items()}
        result |= {f"{context}_exact": exact_share(captions, texts), f"{context}_loss": float(measured["loss"])}
        for caption, text in list(zip(captions, texts, strict=True))[:SHOWN]:
            mark = "" if caption == text else f"\n{'expected':>10}  {text}"
            run.console.print(f"{context:>10}  {caption}{mark}", highlight=False, markup=False)
    weights = look(model, variables, test, vocabulary)
    if tested.places is not None:
        result |= attention_on_shapes(weights, tested)
    pictures = tested.images[:SHOWN]
    run.figure("looks", drawings.draw_looks(pictures, [[*c, "end"] for c in tested.captions[:SHOWN]], weights[:SHOWN]))
    figure = {name: {c: own[name] for c, own in scores.items()} for name in ("BLEU", "chrF")}
    run.figure("scores", drawings.draw_scores(figure, "score of beam search"))
    return result


def make_model(config: Config, vocab_size: int, context: str) -> linen.Module:
    """Make a captioner."""
    network, size = GridNetwork(config.channels), config.hidden_size
    if context == "attention" and config.model == "transformer":
        return TransformerCaptioner(vocab_size, network, size)
    fields = {"context": context, "score": AdditiveScore(size), "dropout_rate": 0.1}
    return Captioner(vocab_size, network, GRU(size), 32, **fields)


def read(config: Config) -> tuple[Captioned, Captioned]:
    """Return captioned pictures of the training and of the test."""
    if config.data_dir is None:
        return draw_scenes(config.seed, config.pictures), draw_scenes(config.seed + 1, config.tested)
    found = read_captioned_stamps(config.data_dir, config.language)
    order = data.permutation(len(found.images), config.seed, 0)
    held = len(order) // 5
    parts = (order[held:], order[:held])
    return tuple(Captioned(found.images[part], [found.captions[n] for n in part], None) for part in parts)


def look(
    model: linen.Module, variables: PyTree, test: dict[str, np.ndarray], vocabulary: Vocabulary
) -> list[np.ndarray]:
    """Return the attention weights of the words of every true caption, each ``[T, S]``."""
    weights = attention_weights(model, variables, vocabulary.bos_id, test["target"], test["source"])
    return [each[:length] for each, length in zip(weights, test["target_length"], strict=True)]


def attention_on_shapes(weights: list[np.ndarray], tested: Captioned) -> dict[str, float]:
    """Return the share of the attention of the shapes' names on the shape, and the share of its positions."""
    found, chance = [], []
    assert tested.places is not None
    for looks, caption, places in zip(weights, tested.captions, tested.places, strict=True):
        for place, step in zip(places, (2, len(caption) - 1), strict=True):
            grid = pad_grid(place, looks.shape[1])
            found.append(looks[step][grid].sum())
            chance.append(grid.mean())
    return {"attention_on_shape": float(np.mean(found)), "positions_of_shape": float(np.mean(chance))}
