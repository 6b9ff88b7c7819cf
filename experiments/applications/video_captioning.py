"""Captions of videos: "the seven moves left then up", word by word from the frames.

    python -m experiments run video_captioning [--data mnist --data-dir FOLDER]

A handwritten digit of scikit-learn (or MNIST) moves in one direction for the first half of a video, and at right angles
to it for the second. Features of frames by a convolutional network, a GRU over them in both directions, and a decoder
whose words attend to the frames (Yao et al., 2015), trained together; beam search. Test videos show other images of
digits. The same network reads the frames in a random order for comparison: the digit is visible in them, and the
order of its places is not.

Goals, set before the run: 85 % of the captions exact, and BLEU 90.
"""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from experiments.applications import drawings
from experiments.harness.applications.digit_scenes import OnDigits, draw_parts, to_numbers
from experiments.harness.applications.transduction import SequenceGeneration, attention_weights, learn, search
from experiments.harness.applications.translations import bleu, exact_share
from experiments.harness.applications.videos import OBJECT, FrameNetwork, Videos, draw_videos
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import draw_alignments
from experiments.harness.supervised import Optimizer
from jaxdl import data
from jaxdl.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from jaxdl.models import VideoCaptioner
from jaxdl.nn.attention.scores import AdditiveScore
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.tasks.seq2seq import translation
from jaxdl.typing import PyTree

GOAL = {"exact": 0.85, "bleu": 90.0}
SHOWN = 4


@dataclass(frozen=True)
class Config(OnDigits, SequenceGeneration):
    """A captioner of videos."""

    SMOKE = {
        **SequenceGeneration.SMOKE,
        "videos": 16,
        "tested": 4,
        "frames": 4,
        "channels": 2,
        "shuffled": False,
    }
    LEAST = {"frames": 4}

    shuffled: bool = True
    """Train on frames in a random order, too."""
    videos: int = 4000
    """Videos of the training."""
    tested: int = 300
    """Videos of the test."""
    frames: int = 9
    """Frames of a video."""
    channels: int = 12
    """Channels of the first convolution."""
    hidden_size: int = 48
    """Size of the features of a frame, and of the states."""
    epochs: float = 10.0
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", 3e-3, warmup=0.1, clip_norm=1.0))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, caption the test videos, draw frames and where the words looked."""
    draw = partial(draw_videos, frames=config.frames, moves=2)
    learned, tested = draw_parts(config, OBJECT, draw, config.videos, config.tested)
    words = [word for caption in learned.captions for word in caption]
    vocabulary = Vocabulary.build(words, special_tokens=(PAD, UNK, BOS, EOS))
    size = config.hidden_size
    network = FrameNetwork(config.channels, size)
    model = VideoCaptioner(len(vocabulary), network, GRU(size), 24, score=AdditiveScore(size), dropout_rate=0.1)
    task = translation(model, bos_id=vocabulary.bos_id)
    texts, result, variables, captions = [" ".join(caption) for caption in tested.captions], {}, {}, []
    for name in ("shuffled_", "")[not config.shuffled :]:
        arrays, test = (encode(part, vocabulary, config.seed if name else None) for part in (learned, tested))
        variables, measured = learn(config, run, task, arrays, test, keep=not name)
        captions = [" ".join(own) for own in search(model, variables, test, vocabulary, config.beams)]
        result |= {**measured, f"{name}exact": exact_share(captions, texts)}
        result[f"{name}bleu"] = bleu(captions, texts, tokenize="none")
    titles = [own if own == true else f"{own} (is: {true})" for own, true in zip(captions[:SHOWN], texts, strict=False)]
    for title in titles:
        run.console.print(title, highlight=False, markup=False)
    run.figure("videos", drawings.draw_frames(tested.video[:SHOWN, ..., 0] / 255, titles))
    run.figure("attention", draw_alignments(look(model, variables, test, vocabulary, tested.captions)))
    return result


def encode(part: Videos, vocabulary: Vocabulary, shuffle_seed: int | None) -> dict[str, np.ndarray]:
    """Return the arrays of the task, with the frames of each video in a random order where there is a seed."""
    video = part.video
    if shuffle_seed is not None:
        order = np.tile(np.arange(video.shape[1]), (len(video), 1))
        order = np.random.default_rng(shuffle_seed).permuted(order, axis=1)
        video = np.take_along_axis(video, order[..., None, None, None], axis=1)
    target, lengths = data.pad([vocabulary.encode(caption, add_eos=True) for caption in part.captions])
    count = np.full(len(video), video.shape[1], np.int32)
    source = np.asarray(to_numbers(video))
    return {"source": source, "source_length": count, "target": target, "target_length": lengths}


def look(
    model: VideoCaptioner,
    variables: PyTree,
    test: dict[str, np.ndarray],
    vocabulary: Vocabulary,
    captions: list[list[str]],
) -> list[tuple[np.ndarray, list[str], list[str]]]:
    """Return the attention of the words of the true captions to the frames."""
    part = {name: array[:SHOWN] for name, array in test.items()}
    weights = attention_weights(model, variables, vocabulary.bos_id, part["target"], part["source"])
    frames = [str(n + 1) for n in range(weights.shape[2])]
    return [(own[: len(caption)], frames, caption) for own, caption in zip(weights, captions, strict=False)]
