"""Documents of sentences without meaning, whose class is given by one planted word.

The tokens are 0 for padding, the fillers ``1 .. NUM_FILLERS``, ``KEYS_PER_CLASS`` key words for each class from
``FIRST_KEY`` on, and the ``CUE``.
"""

import numpy as np

NUM_FILLERS, NUM_CLASSES, KEYS_PER_CLASS = 40, 4, 2
FIRST_KEY = 1 + NUM_FILLERS
CUE = FIRST_KEY + NUM_CLASSES * KEYS_PER_CLASS
VOCAB_SIZE = CUE + 1
SENTENCES, WORDS = (3, 6), (4, 8)
"""The least and the largest number of sentences in a document, and of words in a sentence."""


def planted_documents(seed: int, count: int, *, cued: bool = False) -> dict[str, np.ndarray]:
    """Draw documents in which one sentence contains a key word of the class.

    With ``cued``, every other sentence has a key word of another class or else a cue, each with probability 1/2; the
    class is that of the key in the sentence that has both.

    Returns:
        ``"token"`` ``[N, 6, 8]``, the ``"length"`` ``[N, 6]`` of every sentence, 0 for none, the ``"label"`` ``[N]``,
        and the ``"place"`` ``[N, 3]``: the planted sentence, the word of the key in it, and that of the cue, -1 for
        none. All are integers.

    >>> documents = planted_documents(0, 2)
    >>> sentence, key, _ = documents["place"][0]
    >>> documents["label"][0] == (documents["token"][0, sentence, key] - FIRST_KEY) // KEYS_PER_CLASS
    np.True_
    """
    random = np.random.default_rng(seed)
    token = np.zeros((count, SENTENCES[1], WORDS[1]), np.int32)
    length, place = np.zeros(token.shape[:2], np.int32), np.full((count, 3), -1)
    label = random.integers(NUM_CLASSES, size=count, dtype=np.int32)
    for n in range(count):
        sentences = random.integers(SENTENCES[0], SENTENCES[1] + 1)
        length[n, :sentences] = random.integers(WORDS[0], WORDS[1] + 1, size=sentences)
        planted = random.integers(sentences)
        for i, words in enumerate(length[n, :sentences]):
            token[n, i, :words] = random.integers(1, FIRST_KEY, size=words)
            key, cue = random.choice(words, 2, replace=False)
            other = (label[n] + random.integers(1, NUM_CLASSES)) % NUM_CLASSES
            decoy = "key" if random.random() < 0.5 else "cue"
            if i == planted or (cued and decoy == "key"):
                kind = label[n] if i == planted else other
                token[n, i, key] = FIRST_KEY + kind * KEYS_PER_CLASS + random.integers(KEYS_PER_CLASS)
            if cued and (i == planted or decoy == "cue"):
                token[n, i, cue] = CUE
            if i == planted:
                place[n] = i, key, cue if cued else -1
    return {"token": token, "length": length, "label": label, "place": place}


def spell(token: int) -> str:
    """Return the text of a token.

    >>> [spell(token) for token in (7, FIRST_KEY, CUE)]
    ['w7', 'KEY 0', 'CUE']
    """
    if token == CUE:
        return "CUE"
    return f"KEY {(token - FIRST_KEY) // KEYS_PER_CLASS}" if token >= FIRST_KEY else f"w{token}"
