"""Reviews generated from templates, with negations near the adjective or far from it."""

import itertools

import numpy as np

NOUNS = ["acting", "plot", "story", "music", "ending", "cast", "camera", "script", "humour", "dialogue"]
NOUNS += ["pace", "hero", "villain", "scenery"]
GOOD = ["good", "great", "superb", "moving", "clever", "funny", "charming", "brilliant"]
BAD = ["bad", "awful", "dull", "weak", "silly", "boring", "clumsy", "terrible"]
DEGREES = ("", "very", "quite", "really")
NEGATIONS = ("not", "never", "hardly")
FAR = "i would {} say that the {} was {}"
NEAR = "the {1} was {0} {2}"
JUDGEMENTS = 3


def negated_reviews(seed: int, count: int, agreement: float = 0.5) -> dict[str, np.ndarray]:
    """Draw reviews of three judgements, positive if most of them are.

    Half of the adjectives are good and half of the judgements are negated, near the adjective ("was not very good")
    or, one in three, far from it ("i would not say that the plot was very good").

    Args:
        seed: of the random numbers.
        count: number of reviews, ``N``.
        agreement: the probability, from 0.5 to 1, that a judgement is the opinion of its author, who likes or dislikes
            everything; with 0.5 the judgements of a review are independent.

    Returns:
        ``{"text": strings [N], "label": int32 [N]}``, 0 negative and 1 positive.

    Raises:
        ValueError: the agreement is not between 0.5 and 1.

    >>> negated_reviews(0, 2)["label"].shape
    (2,)
    """
    if not 0.5 <= agreement <= 1:
        raise ValueError(f"expected an agreement from 0.5 to 1, got {agreement}")
    generator, opinions = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    texts, labels = [], []
    for _ in range(count):
        clauses, good, liked = [], 0, opinions.random() < 0.5
        for _ in range(JUDGEMENTS):
            positive, denied, far = generator.random(3) < (0.5, 0.5, 1 / 3)
            if opinions.random() < 2 * agreement - 1:
                positive = liked != denied
            adjective = generator.choice(GOOD if positive else BAD)
            praise = f"{generator.choice(DEGREES)} {adjective}"
            denial = generator.choice(NEGATIONS) if denied else ""
            clauses.append((FAR if far and denied else NEAR).format(denial, generator.choice(NOUNS), praise))
            good += positive != denied
        texts.append(" ".join(" , ".join(clauses).split()))
        labels.append(good > JUDGEMENTS / 2)
    return {"text": np.array(texts, object), "label": np.array(labels, np.int32)}


def best_of_counts() -> float:
    """Compute the largest accuracy possible with the counts of good adjectives and of negations.

    >>> best_of_counts()
    0.8125
    """
    cases: dict[tuple[int, int], list[bool]] = {}
    for positive in itertools.product((0, 1), repeat=JUDGEMENTS):
        for denied in itertools.product((0, 1), repeat=JUDGEMENTS):
            good = sum(p != d for p, d in zip(positive, denied, strict=True))
            cases.setdefault((sum(positive), sum(denied)), []).append(good > JUDGEMENTS / 2)
    return sum(max(sum(labels), len(labels) - sum(labels)) for labels in cases.values()) / 4**JUDGEMENTS
