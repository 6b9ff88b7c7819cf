"""Word vectors.

Counts
    `build_vocabulary`, `token_counts`, `cooccurrence`: words, their occurrences and those of their contexts.
    `stream_cooccurrence`: weighted, sparse, of a corpus larger than memory; weights `harmonic`, `uniform`, `dynamic`.
    `pmi`, `pmi0`, `ppmi`, `shifted_ppmi`, `sparse_shifted_ppmi`: pointwise mutual information.
    `truncated_svd`: vectors from a matrix of counts.
    `discard_probability`, `word2vec_discard_probability`: subsampling of frequent words.
Losses
    `Tables`, `init_tables`: the two vectors of every word.
    `bigram_loss`, `cbow_loss`, `skip_gram_loss`, `softmax_loss`, `mean_vector`: networks with a full softmax.
    `negative_sampling_loss`, `margin_loss`, `hierarchical_log_probability`: its replacements.
    `CodeTree`, `huffman_tree`, `huffman_codes`, `random_tree`: trees of the hierarchical softmax.
    `noise_distribution`, `unseen_distribution`, `AliasTable`, `alias_table`, `draw_words`: negative samples.
Training
    `Word2VecState`, `init_word2vec`, `Sampling`, `text_rows`: state, settings and data of word2vec.
    `make_skip_gram_step`, `make_cbow_step`, `make_subword_step`: steps for `jaxdl.train.fit`.
    `GloveState`, `GloveTables`, `init_glove`, `pair_arrays`, `make_glove_step`, `glove_loss`, `glove_weight`: GloVe.
    `Subwords`, `find_subwords`, `SubwordVectors`, `ngrams`, `bucket_ids`, `hash_ngram`: vectors of unknown words.
Vectors
    `Vectors`: words, their vectors and nearest neighbours.
    `load`, `save`: files of word2vec, GloVe and NumPy.
    `evaluate_pairs`, `evaluate_analogies`, `cos_add`, `cos_mul`, `analogy_coverage`, `choose_synonym`,
    `evaluate_synonyms`, `PairScore`: evaluation.
    `fill_embedding`: vectors for the embedding of a model.
    `one_hot`, `lookup`: one-hot vectors and rows of a table.
    `unit`, `cosine_similarity`, `euclidean_distance`: comparison of vectors.
"""

from jaxdl.embeddings.counts import (
    build_vocabulary,
    cooccurrence,
    discard_probability,
    pmi,
    pmi0,
    ppmi,
    shifted_ppmi,
    token_counts,
    word2vec_discard_probability,
)
from jaxdl.embeddings.evaluation import (
    PairScore,
    analogy_coverage,
    choose_synonym,
    cos_add,
    cos_mul,
    evaluate_analogies,
    evaluate_pairs,
    evaluate_synonyms,
)
from jaxdl.embeddings.factorization import sparse_shifted_ppmi, truncated_svd
from jaxdl.embeddings.files import load, save
from jaxdl.embeddings.glove import (
    GloveState,
    GloveTables,
    glove_loss,
    glove_weight,
    init_glove,
    make_glove_step,
    pair_arrays,
)
from jaxdl.embeddings.hierarchical import (
    CodeTree,
    hierarchical_log_probability,
    huffman_codes,
    huffman_tree,
    random_tree,
)
from jaxdl.embeddings.placement import fill_embedding
from jaxdl.embeddings.sampling import AliasTable, alias_table, draw_words, noise_distribution, unseen_distribution
from jaxdl.embeddings.streaming import dynamic, harmonic, stream_cooccurrence, uniform
from jaxdl.embeddings.subwords import Subwords, SubwordVectors, bucket_ids, find_subwords, hash_ngram, ngrams
from jaxdl.embeddings.training import (
    Sampling,
    Word2VecState,
    init_word2vec,
    make_cbow_step,
    make_skip_gram_step,
    make_subword_step,
    text_rows,
)
from jaxdl.embeddings.vectors import cosine_similarity, euclidean_distance, lookup, one_hot
from jaxdl.embeddings.word2vec import (
    Tables,
    bigram_loss,
    cbow_loss,
    init_tables,
    margin_loss,
    mean_vector,
    negative_sampling_loss,
    skip_gram_loss,
    softmax_loss,
)
from jaxdl.embeddings.word_vectors import Vectors, unit

__all__ = [
    "AliasTable",
    "CodeTree",
    "GloveState",
    "GloveTables",
    "PairScore",
    "Sampling",
    "SubwordVectors",
    "Subwords",
    "Tables",
    "Vectors",
    "Word2VecState",
    "alias_table",
    "analogy_coverage",
    "bigram_loss",
    "bucket_ids",
    "build_vocabulary",
    "cbow_loss",
    "choose_synonym",
    "cooccurrence",
    "cos_add",
    "cos_mul",
    "cosine_similarity",
    "discard_probability",
    "draw_words",
    "dynamic",
    "euclidean_distance",
    "evaluate_analogies",
    "evaluate_pairs",
    "evaluate_synonyms",
    "fill_embedding",
    "find_subwords",
    "glove_loss",
    "glove_weight",
    "harmonic",
    "hash_ngram",
    "hierarchical_log_probability",
    "huffman_codes",
    "huffman_tree",
    "init_glove",
    "init_tables",
    "init_word2vec",
    "load",
    "lookup",
    "make_cbow_step",
    "make_glove_step",
    "make_skip_gram_step",
    "make_subword_step",
    "margin_loss",
    "mean_vector",
    "negative_sampling_loss",
    "ngrams",
    "noise_distribution",
    "one_hot",
    "pair_arrays",
    "pmi",
    "pmi0",
    "ppmi",
    "random_tree",
    "save",
    "shifted_ppmi",
    "skip_gram_loss",
    "softmax_loss",
    "sparse_shifted_ppmi",
    "stream_cooccurrence",
    "text_rows",
    "token_counts",
    "truncated_svd",
    "uniform",
    "unit",
    "unseen_distribution",
    "word2vec_discard_probability",
]
