"""The data and the measures of the applications."""

import io
import itertools
import json
import re

import jax
import numpy as np
import pytest

from experiments.applications import dialogue as experiment
from experiments.applications import video_captioning
from experiments.harness.applications import (
    bookings,
    captions,
    digit_scenes,
    expressions,
    inference,
    reports,
    scenes,
    spellings,
    transduction,
    videos,
)
from experiments.harness.command_line import main
from experiments.harness.configuration import as_dict
from experiments.sequences import tagging
from jaxdl import train
from jaxdl.data.vocabulary import SPECIAL_TOKENS, Vocabulary
from jaxdl.models import Encoder
from jaxdl.nn.recurrent.cells import LSTM
from tests.variables import draw


def test_values_of_expressions_are_those_of_python():
    generator = np.random.default_rng(0)
    for count in (0, 1, 4, 9):
        for _ in range(20):
            text = expressions.draw_expression(generator, count)
            assert sum(map(text.count, "+-*")) == count
            assert expressions.evaluate(expressions.parse(text)) == eval(text) % expressions.MODULUS
    batch = expressions.draw_batches(0, 2, 3, (1, 4), (5, 16, 2))
    text = "".join(expressions.SIGNS[token] for token in batch["text"][1, 2, : batch["length"][1, 2]])
    assert eval(text) % expressions.MODULUS == batch["label"][1, 2]
    assert batch["children"].shape == (2, 5, 16, 2)
    with pytest.raises(ValueError, match="2 / 1"):
        expressions.parse("2 / 1")


def test_a_test_has_no_source_of_the_training():
    pairs = [((str(n % 40),), (str(n),)) for n in range(100)]
    config = transduction.Transduction(pairs=30, tested=10)
    learned, test = transduction.split_pairs(pairs, config)
    assert not {source for source, _ in learned} & {source for source, _ in test}
    assert (len(learned), len(test)) == (30, len({source for source, _ in test}))
    assert len(test) == 8  # a fifth of the 40 sources


def test_spellings_follow_their_rules():
    sounds = {"cena": "S E N A", "gente": "H E N T E", "agua": "A G U A", "guitarra": "G I T A RR A", "rey": "RR E Y"}
    assert {word: " ".join(spellings.spell_sounds(word)) for word in sounds} == sounds
    words = dict(spellings.spanish_words(0, 50))
    assert len(words) == 50
    assert words == {word: spellings.spell_sounds(word) for word in words}
    french = {
        21: "vingt et un",
        71: "soixante et onze",
        81: "quatre-vingt-un",
        99: "quatre-vingt-dix-neuf",
        200: "deux cents",
        203: "deux cent trois",
        80_000: "quatre-vingt mille",
        200_080: "deux cent mille quatre-vingts",
        1000: "mille",
    }
    assert {number: spellings.in_french(number) for number in french} == french
    assert spellings.in_english(415_020) == "four hundred fifteen thousand twenty"
    for roman, kana in spellings.katakana_words(0, 50):
        assert ("ッ" in kana) == any(2 * letter in roman for letter in "kstp")
        assert ("ー" in kana) == any(2 * vowel in roman for vowel in "aiueo")
        assert kana.count("ャ") == sum(roman.count(f"{letter}ya") for letter in "knhmrgbp")


def test_the_dictionary_has_first_pronunciations_without_stress(tmp_path):
    lines = ["'tis T IH1 Z", "a AH0", "a(2) EY1", "aalen AE1 L AH0 N # place, german", "a.d. EY2 D IY1"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cmudict.dict").write_text("\n".join(lines))
    found = spellings.read_cmudict(tmp_path)
    assert found == [("'tis", ["T", "IH", "Z"]), ("a", ["AH"]), ("aalen", ["AE", "L", "AH", "N"])]
    with pytest.raises(spellings.UsageError, match="got none"):
        spellings.read_cmudict(tmp_path / "elsewhere")


def test_catalogues_with_any_header_are_read(tmp_path):
    babel = pytest.importorskip("babel.messages", reason="Babel writes the catalogue")
    mofile = pytest.importorskip("babel.messages.mofile", reason="Babel writes the catalogue")
    catalogue = babel.Catalog(locale="fr")
    for message, translation, options in [
        ("Add  Grid", "Ajouter grille", {}),
        ("Open", "Ouvrir", {"context": "Operator"}),
        (("%d file", "%d files"), ("%d fichier", "%d fichiers"), {}),
        ("One two three", "Un deux trois", {}),
    ]:
        catalogue.add(message, translation, **options)
    with io.BytesIO() as file:
        mofile.write_mo(file, catalogue)
        content = re.sub(rb"Date: .{19}", b"Date: 2020-01-01 00:00:00", file.getvalue())
    (tmp_path / "a.mo").write_bytes(content)
    assert spellings.read_catalogue(tmp_path / "a.mo", 2) == [("add grid", "ajouter grille"), ("open", "ouvrir")]
    for damaged in (b"not a catalogue", content[:20]):
        (tmp_path / "b.mo").write_bytes(damaged)
        with pytest.raises(spellings.UsageError):
            spellings.read_catalogue(tmp_path / "b.mo", 2)


def test_scenes_are_as_their_captions_say():
    found = scenes.draw_scenes(0, 20)
    for image, caption, places in zip(found.images, found.captions, found.places, strict=True):
        middles = [np.argwhere(place).mean(axis=0) for place in places]
        axis = 1 if "left" in caption else 0
        assert middles[0][axis] < middles[1][axis]
        assert not (places[0] & places[1]).any()
        for place, colour in zip(places, (caption[1], caption[-2]), strict=True):
            np.testing.assert_allclose(image[place].mean(axis=0), scenes.COLOURS[colour], atol=0.12)
    grid = captions.pad_grid(found.places[0, 0], 64).reshape(8, 8)
    assert grid.any()
    assert all(found.places[0, 0, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4].any() for r, c in np.argwhere(grid))


def test_stamps_are_read_with_their_captions(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow reads the pictures")
    for number in range(11):
        image.new("RGBA", (50, 20), (255, 0, 0, 255)).save(tmp_path / f"{number}.png")
        if number:
            (tmp_path / f"{number}.txt").write_text(f"A red stamp, {number}.\nfr.utf8=Un timbre {number}\n", "utf-8")
    english, french = (scenes.read_captioned_stamps(tmp_path, language) for language in ("en", "fr"))
    assert len(english.images) == 10
    assert english.captions[0] == ["a", "red", "stamp", "1"]
    assert french.captions[0] == ["un", "timbre", "1"]
    assert english.images[0, 16, 16].tolist() == [1, 0, 0]
    assert english.images[0, 0, 0].tolist() == [1, 1, 1]
    with pytest.raises(spellings.UsageError, match="got 0"):
        scenes.read_captioned_stamps(tmp_path, "de")


def test_unseen_pairs_are_counted_within_lines():
    arrays = {"label": np.array([[0, 1, 2], [2, 0, 0]]), "length": np.array([3, 2])}
    predicted = np.array([[[0, 1, 0], [2, 2, 2]]])
    shares = tagging.unseen_pairs(predicted, np.array([3, 2]), arrays, 3)
    np.testing.assert_allclose(shares, [2 / 3])  # 0 1 is seen; 1 0 and 2 2 are not; the last pair is padding


def test_labels_of_pairs_are_those_of_all_small_worlds():
    """Worlds of one to three kinds of dogs show whether a sentence can hold beside another."""
    kinds = sorted(inference.subject(("no", "", "dog", "runs")))
    worlds = [set(world) for count in (1, 2, 3) for world in itertools.combinations(kinds, count)]
    sentences = list(itertools.product(inference.QUANTIFIERS, ("", "old"), ("poodle", "dog"), ("moves", "sleeps")))
    spoken, holds = (np.zeros((len(sentences), len(worlds)), bool) for _ in range(2))
    for row, sentence in enumerate(sentences):
        for column, world in enumerate(worlds):
            acts = [kind[2] in inference.VERBS[sentence[3]] for kind in world & inference.subject(sentence)]
            spoken[row, column] = bool(acts)
            holds[row, column] = {"every": all(acts), "some": any(acts), "no": not any(acts)}[sentence[0]]
    for (i, premise), (j, hypothesis) in itertools.product(enumerate(sentences), enumerate(sentences)):
        values = set(holds[j, spoken[i] & spoken[j] & holds[i]].tolist())
        expected = "neutral" if len(values) == 2 else "entailment" if values == {True} else "contradiction"
        assert inference.relation(premise, hypothesis) == expected, (premise, hypothesis)


def test_the_encoder_pair_reads_each_sentence_alone():
    rows = [("a b c", "b a", "x"), ("c", "a", "y")]
    vocabulary = Vocabulary(("<padding>", "|", "a", "b", "c"))
    batch = inference.encode_pairs(rows, vocabulary, ["x", "y"], "|", 7)
    assert batch["segment"].tolist() == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1]]
    assert (batch["length"].tolist(), batch["label"].tolist()) == ([6, 3], [0, 1])
    model = inference.EncoderPair(5, 2, 3)
    arguments = batch["token"], batch["length"], batch["segment"]
    variables = draw(model.init, jax.random.key(0), *arguments)
    run = jax.jit(lambda token, length, segment: model.apply(variables, token, length, segment))
    logits = run(*arguments)
    junk = np.where(np.arange(7) < batch["length"][:, None], batch["token"], 3)
    np.testing.assert_allclose(run(junk, *arguments[1:]), logits, rtol=1e-5)
    encoder = Encoder(5, 3, LSTM(3))
    inner = {"params": variables["params"]["encoder"]}
    read = jax.jit(lambda *parts: [encoder.apply(inner, part).summary for part in parts])
    a, b = map(np.asarray, read(batch["token"][:1, :4], batch["token"][:1, 4:6]))
    both = np.concatenate([a, b, np.abs(a - b), a * b], axis=-1)
    dense = [variables["params"][name] for name in ("hidden", "output")]
    hidden = np.maximum(both @ dense[0]["kernel"] + dense[0]["bias"], 0)
    np.testing.assert_allclose(hidden @ dense[1]["kernel"] + dense[1]["bias"], logits[:1], rtol=1e-4, atol=1e-6)


def test_summaries_of_reports_follow_from_them():
    found = reports.draw_reports(0, 20)
    words = (word for pair in found for side in pair for word in side)
    vocabulary = Vocabulary.build(words, min_count=5, special_tokens=SPECIAL_TOKENS)
    for document, summary in found:
        new = [word for word in summary if word not in vocabulary]
        assert new, summary
        assert set(new) <= set(document)
    arrays, extended = reports.encode_reports(found, vocabulary, 40, (150, 30))
    rows = zip(arrays["target"], arrays["target_length"], extended, found, strict=True)
    for row, count, own, (document, summary) in rows:
        assert own.decode(row[: count - 1]) == summary
        assert len(own) <= len(vocabulary) + 40
        assert len(set(document) - set(own.tokens)) == 0
    own = [summary for _, summary in found]
    assert reports.copied_share(own, found, vocabulary) == 1
    assert reports.copied_share([[] for _ in own], found, vocabulary) == 0


def test_documents_are_read_from_tables_and_code(tmp_path, monkeypatch):
    (tmp_path / "table.tsv").write_text("A fox met 3 dogs, and ran.\tFox runs\nOne\tTwo\n")
    assert reports.read_reports(tmp_path / "table.tsv", 4) == [
        (["a", "fox", "met", "3"], ["fox", "runs"]),
        (["one"], ["two"]),
    ]
    code = 'def add(a, b):\n    """Add B to a.\n\n    More."""\n    return a + b\n\ndef no(): pass\n'
    (tmp_path / "module.py").write_text(code)
    monkeypatch.setattr(reports, "standard_library", lambda: [tmp_path / "module.py"])
    assert reports.read_docstrings(5) == [(["add", "a", "b", "return", "a"], ["add", "b", "to", "a", "."])]
    (tmp_path / "table.tsv").write_text("A fox\n")
    with pytest.raises(spellings.UsageError, match="got 1"):
        reports.read_reports(tmp_path / "table.tsv", 4)


def test_answers_are_true_of_their_scenes():
    """Digits of full squares: their colours and places are read from the picture again."""
    digits = {"image": np.ones((10, 12, 12), np.float32), "label": np.arange(10)}
    found = digit_scenes.draw_questions(0, 60, digits)
    assert set(found.kinds) == set(digit_scenes.ASK)
    assert {answer for answer, kind in zip(found.answers, found.kinds, strict=True) if kind == "presence"} == {
        "yes",
        "no",
    }
    for image, question, answer, kind in zip(found.images, found.questions, found.answers, found.kinds, strict=True):
        colours = {
            colour: np.abs(image / 255 - value).max(axis=-1) < 0.02 for colour, value in digit_scenes.COLOURS.items()
        }
        there = {colour for colour, place in colours.items() if place.sum() == 144}
        if kind == "presence":
            assert (question[3] in there) == (answer == "yes")
        if kind == "count":
            assert digit_scenes.DIGITS[len(there)] == answer
        if kind == "colour":
            assert answer in there
        if kind == "digit":
            assert question[-1] in there
    assert digit_scenes.ask_extreme(
        np.random.default_rng(0), [digit_scenes.Placed(3, "red", (0, 9)), digit_scenes.Placed(5, "blue", (9, 0))]
    )[1] in ("three", "five")


def test_digits_move_as_their_captions_say():
    digits = {"image": np.ones((10, 8, 8), np.float32), "label": np.arange(10)}
    for frames, moves in ((8, 1), (9, 2)):
        found = videos.draw_videos(1, 12, digits, frames, moves)
        for video, directions, caption in zip(found.video[..., 0], found.moves, found.captions, strict=True):
            places = np.array([np.argwhere(frame == 255).min(axis=0) for frame in video])
            steps = np.diff(places, axis=0)
            for n, direction in enumerate(directions):
                part = steps[n * (frames - 1) // moves : (n + 1) * (frames - 1) // moves]
                assert (part == videos.MOVES[videos.DIRECTIONS[direction]]).all()
            words = [videos.DIRECTIONS[direction] for direction in directions]
            assert " ".join(caption).endswith(f"moves {' then '.join(words)}")
            if moves == 2:
                assert directions[0] // 2 != directions[1] // 2
    middles = np.array([np.argwhere(frame == 255).min(axis=0) for frame in found.video[:, 4, ..., 0]])
    assert middles.min() >= 5
    assert middles.max() <= 7


def test_answers_of_dialogues_repeat_what_was_said_last(tmp_path):
    found = bookings.draw_dialogues(0, 20)
    values = {value: slot for slot, options in bookings.SLOTS.items() for value in options}
    for dialogue in found:
        assert " ".join(dialogue[-1]) == bookings.BOOKED
        known = {}
        for said, answer in zip(dialogue[:-2:2], dialogue[1:-2:2], strict=True):
            known |= {values[word]: word for word in said if word in values}
            assert " ".join(answer) == bookings.answer(known)
    pairs = bookings.exchanges(found, 3)
    assert all(len(context) <= 3 for context, _ in pairs)
    vocabulary = Vocabulary.build(
        word for dialogue in found for turn in dialogue for word in (*turn, bookings.SEPARATOR)
    )
    contexts = [context for context, _ in pairs if len(context) == 3][:3]
    tokens, lengths = bookings.encode_turns(contexts, vocabulary, 3, 30)
    assert vocabulary.decode(tokens[2, 1, : lengths[2, 1]]) == contexts[2][1]
    texts, counts = bookings.encode_texts(contexts, vocabulary, 5)
    assert vocabulary.decode(texts[2, : counts[2]]) == bookings.join(contexts[2])[-5:]
    confirmed = bookings.CONFIRMED.format(people="two", cuisine="thai", area="north", day="monday", time="noon").split()
    wrong = ["noon" if word == "thai" else word for word in confirmed]
    assert bookings.slot_shares([confirmed, wrong], [confirmed, confirmed]) == {
        "slot_accuracy": 0.9,
        "joint_accuracy": 0.5,
    }
    (tmp_path / "table.tsv").write_text("Hello, you!\tHi\tBye\n" * 10)
    assert bookings.read_dialogues(tmp_path / "table.tsv")[9] == [["hello", ",", "you", "!"], ["hi"], ["bye"]]
    (tmp_path / "table.tsv").write_text("Hello\n")
    with pytest.raises(spellings.UsageError, match="got 1"):
        bookings.read_dialogues(tmp_path / "table.tsv")


def test_a_run_of_dialogues_answers_from_the_terminal(tmp_path, monkeypatch, capsys):
    config = experiment.Config()
    vocabulary = Vocabulary(("<padding>", "<unknown>", "<begin>", "<end>", "|", "hi", "there"))
    model = experiment.make_model(config.smoke(), len(vocabulary))
    batch = np.ones((1, 3), np.int32)
    variables = draw(lambda key: model.init(key, batch, batch, np.array([3])), jax.random.key(0))
    train.weights.save(tmp_path / "weights.safetensors", variables)
    vocabulary.save(tmp_path / experiment.FILE)
    for name, content in {
        "config": {"experiment": "dialogue", "smoke": True, **as_dict(config)},
        "manifest": {"experiment": "dialogue", "status": "finished", "smoke": True, "result": {}},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi!\n\nhi there\n"))
    assert main(["chat", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert set(" ".join(printed[-2:]).split()) <= set(vocabulary.tokens)
    assert main(["chat", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err


def test_shuffled_videos_have_their_frames_in_other_orders():
    random = np.random.default_rng(0)
    video = random.integers(256, size=(4, 6, 3, 3, 1), dtype=np.uint8)
    part = videos.Videos(video, np.arange(4), np.zeros((4, 2), int))
    vocabulary = Vocabulary.build(
        [word for caption in part.captions for word in caption], special_tokens=SPECIAL_TOKENS
    )
    plain, shuffled = (video_captioning.encode(part, vocabulary, seed) for seed in (None, 1))
    moved = 0
    for ordered, mixed in zip(plain["source"], shuffled["source"], strict=True):
        frames = [next(i for i, other in enumerate(ordered) if np.array_equal(frame, other)) for frame in mixed]
        assert sorted(frames) == list(range(6))
        moved += frames != list(range(6))
    assert moved >= 3
    for name in ("source_length", "target", "target_length"):
        np.testing.assert_array_equal(plain[name], shuffled[name])
