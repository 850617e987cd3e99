/* orchestrator_plugin.h: the plugin interface of orchestrator, ABI 1.2.
 *
 * A plugin library exports ONE symbol, the constant `orch_plugin_entry_v1`. Everything else is reached through it.
 * Written by hand; this file is the norm, the Rust mirror in plugins/abi is tested against it.
 *
 * Contracts that hold everywhere
 * - Ownership never crosses the boundary. What the host passes in is borrowed for the duration of the call; what a plugin
 *   returns by pointer from `descriptor` or `get_extension` lives as long as the library, which is never unloaded.
 * - Strings are UTF-8 with a length and need no terminating zero. Sizes are fixed-width. Integers are little-endian hosts'.
 * - No call may unwind (C++ exception, Rust panic) or longjmp across the boundary.
 * - The functions of a call, a sink, verdicts and services may be called only by the thread that the host called on, and
 *   only until that call returns. A plugin may use threads of its own for its own work in between.
 * - What an instance learns in one call may be gone in the next: the host makes instances anew whenever it resumes and
 *   at every block of training steps.
 * - An instance is used by one thread at a time, unless its descriptor sets ORCH_CONCURRENT.
 * - Everything random comes from `orch_call.seed`. A plugin reads no clock and no environment, and opens no file.
 * - Structs are frozen within a major version. New abilities come as new extension ids.
 * - Everything a plugin returns is checked by the host before use.
 */
#ifndef ORCHESTRATOR_PLUGIN_H
#define ORCHESTRATOR_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORCH_MAGIC "ORCHPLUG" /* 8 bytes, no zero stored */
#define ORCH_ABI_MAJOR 1
#define ORCH_ABI_MINOR 2

#if defined(_WIN32)
#define ORCH_EXPORT __declspec(dllexport)
#else
#define ORCH_EXPORT __attribute__((visibility("default")))
#endif

/* ---- words -------------------------------------------------------------------------------------------------------- */

typedef struct orch_str {
  const char *ptr; /* may be NULL when len is 0 */
  uint64_t len;    /* bytes */
} orch_str;

/* For static initialisers: ORCH_STR("text"). */
#define ORCH_STR(literal) { (literal), sizeof(literal) - 1 }

typedef int32_t orch_status;
#define ORCH_OK 0
#define ORCH_CONFIG 1      /* a setting is wrong; the JSON pointer of set_error says which */
#define ORCH_DATA 2        /* what was given to work on cannot be used */
#define ORCH_CANCELLED 3   /* is_cancelled said so and the plugin stopped */
#define ORCH_UNSUPPORTED 4 /* a service or a need is missing */
#define ORCH_INTERNAL 5    /* a fault of the plugin */
#define ORCH_PANIC 6       /* a panic or exception, caught inside the plugin */

/* kinds */
#define ORCH_SAMPLER 1u
#define ORCH_AUGMENTER 2u
#define ORCH_FILTER 3u
#define ORCH_LOSS 4u

/* descriptor flags */
#define ORCH_CONCURRENT 1u    /* one instance may be called from several threads at once */
#define ORCH_DETERMINISTIC 2u /* equal seed and input give equal output */

/* roles of a sample */
#define ORCH_POSITIVE 1
#define ORCH_NEGATIVE 2

/* ---- Arrow C Data Interface (https://arrow.apache.org/docs/format/CDataInterface.html) ---------------------------- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};
#endif

/* A table, borrowed: a struct array ("+s") without nulls, its children the columns, found by NAME, never by position.
 * Formats used: "U" large utf8, "l" int64, "i" int32, "f" float32, "b" bool, "+L" large list of "U" or "i".
 * `release` is not for the borrower to call. */
typedef struct orch_batch {
  const struct ArrowSchema *schema;
  const struct ArrowArray *array;
} orch_batch;

/* ---- the call: first argument of everything that may fail --------------------------------------------------------- */

typedef struct orch_call orch_call;
struct orch_call {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t step; /* training step, or 0 outside training */
  uint64_t seed; /* derived by the host from experiment seed, instance and step; the only source of randomness */
  void *host;    /* the host's own */
  /* Says what is wrong; then return `status`. `pointer` is a JSON pointer into the instance's config ("/margin"), or "". */
  void (*set_error)(const orch_call *call, orch_status status, orch_str pointer, orch_str message);
  /* 1 if the run is stopping: return ORCH_CANCELLED soon. Cheap; ask every few thousand rows. */
  uint8_t (*is_cancelled)(const orch_call *call);
  /* For the progress display. total 0 = not known. */
  void (*progress)(const orch_call *call, uint64_t done, uint64_t total, orch_str label);
  /* A host service by id, e.g. "orch.corpus/1"; NULL if the host does not lend it here. Valid during the call. */
  const void *(*service)(const orch_call *call, orch_str id);
};

/* ---- entry -------------------------------------------------------------------------------------------------------- */

typedef struct orch_descriptor {
  uint32_t struct_size;
  uint32_t kind;  /* ORCH_SAMPLER ... */
  uint32_t flags; /* ORCH_CONCURRENT | ORCH_DETERMINISTIC */
  uint32_t reserved;
  orch_str id;            /* reverse DNS: "org.orchestrator.hard_negative" */
  orch_str version;       /* semantic version */
  orch_str name;          /* for people */
  orch_str summary;       /* one line */
  orch_str licence;       /* SPDX expression */
  orch_str url;           /* may be empty */
  orch_str config_schema; /* JSON Schema of an object, with defaults */
  orch_str requires_services; /* ids of host services it cannot work without, separated by one space */
} orch_descriptor;

typedef struct orch_plugin_entry {
  char magic[8];        /* ORCH_MAGIC */
  uint32_t struct_size; /* sizeof(orch_plugin_entry) */
  uint16_t abi_major;
  uint16_t abi_minor;
  uint16_t min_host_minor; /* the least host minor it works with */
  uint16_t reserved0;
  uint32_t reserved1;
  orch_str toolchain; /* for information, never compared */
  /* Called once, before anything else. */
  orch_status (*init)(void);
  uint32_t (*plugin_count)(void);
  /* index < plugin_count(); else NULL. */
  const orch_descriptor *(*descriptor)(uint32_t index);
  /* Makes an instance of plugin `id` from its settings, a JSON object that the schema accepts, defaults filled in. */
  orch_status (*create)(const orch_call *call, orch_str id, orch_str config_json, void **instance);
  void (*destroy)(void *instance);
  /* The vtable of an ability of plugin `id`, or NULL. Belongs to the kind of plugin, not to an instance. */
  const void *(*get_extension)(orch_str id, orch_str extension);
} orch_plugin_entry;

/* extern ORCH_EXPORT const orch_plugin_entry orch_plugin_entry_v1; */

/* ---- new rows out -------------------------------------------------------------------------------------------------- */

typedef struct orch_sample_row {
  uint32_t struct_size;
  int32_t role;     /* ORCH_POSITIVE or ORCH_NEGATIVE */
  int64_t anchor;   /* number of the anchor, as in the batch given */
  int64_t document; /* number of the document the text is from, or -1 */
  int64_t parent;   /* augmenters: row of the batch it was made from; samplers: -1 */
  orch_str text;    /* not empty */
  float label;      /* 0..1: degree of relevance / support */
  float weight;     /* > 0, finite; 1 is normal */
  float score;      /* similarity to the anchor that led to the choice, or NaN */
  float difficulty; /* 0..1 fixed by the plugin, or NaN: the host measures it */
  orch_str detail;  /* JSON object: why this row; kept as provenance. May be empty */
} orch_sample_row;

typedef struct orch_sample_sink orch_sample_sink;
struct orch_sample_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void *host;
  /* Copies the row. Not ORCH_OK: the row was refused; return that status. */
  orch_status (*push)(const orch_sample_sink *sink, const orch_sample_row *row);
  /* Adds n to a counter the report shows: "asked", "found", or "dropped: <why>". */
  void (*count)(const orch_sample_sink *sink, orch_str what, uint64_t n);
};

/* ---- abilities ----------------------------------------------------------------------------------------------------- */

/* "orch.sampler/1". Columns of `anchors`: anchor "l", id "U", text "U", metadata "U" (JSON object). */
typedef struct orch_sampler {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*propose)(void *instance, const orch_call *call, orch_batch anchors, const orch_sample_sink *sink);
} orch_sampler;

/* "orch.select/1": chooses from a pool of (anchor, document) pairs that nobody has judged. Columns of `pool`: anchor "l",
 * document "l", anchor_text "U", text "U", score "f" (similarity by the current model), probability "f" (that it is
 * relevant, 0..1, calibrated by the host); since 1.1 probability_initial "f" and probability_bm25 "f", the same by the
 * untrained model and by BM25. Writes at most `budget` distinct row numbers, best first. */
typedef struct orch_select {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*select)(void *instance, const orch_call *call, orch_batch pool, uint64_t budget, uint64_t *chosen,
                        uint64_t *n_chosen);
} orch_select;

/* "orch.augmenter/1" and "orch.filter/1" get samples. Columns: anchor "l", document "l" (-1 = none), anchor_text "U",
 * text "U", role "i", label "f", weight "f", score "f" (NaN = none), source "U", metadata "U" (the document's, JSON). */
typedef struct orch_augmenter {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*augment)(void *instance, const orch_call *call, orch_batch samples, const orch_sample_sink *sink);
} orch_augmenter;

typedef struct orch_verdicts orch_verdicts;
struct orch_verdicts {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t n;     /* rows of the batch */
  uint8_t *keep;  /* [n], preset to 1; write 0 or 1 */
  float *score;   /* [n], preset to NaN: what was measured */
  void *host;
  /* Why row i was judged so; copied. */
  void (*reason)(const orch_verdicts *verdicts, uint64_t row, orch_str text);
};

typedef struct orch_filter {
  uint32_t struct_size;
  uint32_t reserved;
  /* Once before the first judge, may look at the corpus service; NULL if not needed. */
  orch_status (*prepare)(void *instance, const orch_call *call);
  orch_status (*judge)(void *instance, const orch_call *call, orch_batch samples, const orch_verdicts *verdicts);
} orch_filter;

/* What a loss cannot work without: the host refuses an experiment that cannot give it. */
#define ORCH_NEEDS_POSITIVES 1u
#define ORCH_NEEDS_NEGATIVES 2u
#define ORCH_NEEDS_TEACHER 4u

/* A step: every distinct text once, encoded, rows over them. All arrays are borrowed and read-only. */
typedef struct orch_loss_batch {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t n_texts;
  uint64_t dim;
  uint64_t n_rows;
  uint64_t n_groups;
  const float *embeddings;       /* E [n_texts, dim], row-major */
  const uint32_t *row_anchor;    /* [n_rows] text index of the row's anchor */
  const uint32_t *row_text;      /* [n_rows] text index of the row's candidate */
  const float *row_label;        /* [n_rows] 0..1 */
  const float *row_weight;       /* [n_rows] > 0 */
  const float *row_teacher;      /* [n_rows] teacher scores, or NULL */
  const uint32_t *group_anchor;  /* [n_groups] text index; a group is one anchor with its rows of this step */
  const uint64_t *positive_offsets; /* [n_groups + 1] into positive_rows */
  const uint32_t *positive_rows;    /* row numbers */
  const uint64_t *negative_offsets; /* [n_groups + 1] into negative_rows */
  const uint32_t *negative_rows;    /* row numbers */
  const uint8_t *known_relevant; /* [n_groups, n_texts] 1 = that text is a known positive of that group's anchor (by id or
                                    by normalised text), so it may never serve as its in-batch negative */
} orch_loss_batch;

typedef struct orch_loss_out {
  uint32_t struct_size;
  uint32_t reserved;
  double loss;       /* the scalar of this step, before the host's weight */
  float *row_loss;   /* [n_rows], preset to NaN: the row's part of the loss before the mean; NaN = the row took no part */
  float *gradient;   /* [n_texts, dim], zeroed: ADD dloss/dE */
} orch_loss_out;

/* "orch.loss/1" */
typedef struct orch_loss {
  uint32_t struct_size;
  uint32_t reserved;
  uint32_t (*needs)(void *instance);
  orch_status (*forward)(void *instance, const orch_call *call, const orch_loss_batch *batch, orch_loss_out *out);
} orch_loss;

/* ---- host services ------------------------------------------------------------------------------------------------- */

/* "orch.corpus/1". Columns: document "l" (0, 1, 2 ... in order), id "U", title "U", sentences "+L" of "U", metadata "U"
 * (JSON object). */
typedef struct orch_corpus {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*documents)(const orch_call *call, orch_batch *out);
} orch_corpus;

/* "orch.judgements/1": of the training anchors, sorted by anchor, then document, then rationale set. Columns: anchor "l",
 * document "l", label "U" (support | partial | contradict | neutral), relevant "b" (a known positive under the reading the
 * experiment trains), grade "f" (0..1), sentences "+L" of "i" (one rationale set; empty = the whole document). */
typedef struct orch_judgements {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*table)(const orch_call *call, orch_batch *out);
} orch_judgements;

/* "orch.search/1": exact cosine search over the corpus by the model that is current for this call. */
typedef struct orch_search {
  uint32_t struct_size;
  uint32_t reserved;
  /* documents, scores [n, k], best first, ties by lower document; a row with fewer than k is padded with -1 and NaN. */
  orch_status (*top_k)(const orch_call *call, const int64_t *anchors, uint64_t n, uint32_t k, int64_t *documents,
                       float *scores);
  /* scores [n] of the pairs (anchors[i], documents[i]). */
  orch_status (*score)(const orch_call *call, const int64_t *anchors, const int64_t *documents, uint64_t n,
                       float *scores);
} orch_search;

/* "orch.embedder/1": texts to unit-length embeddings by the model that is current for this call. */
typedef struct orch_embedder {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*dim)(const orch_call *call);
  orch_status (*encode)(const orch_call *call, const orch_str *texts, uint64_t n, float *out /* [n, dim] */);
} orch_embedder;

/* "orch.linalg/1": C = alpha * op(A) op(B) + beta * C, all row-major, op(A) [m, k], op(B) [k, n], C [m, n];
 * trans_x = 1: the matrix is stored as its transpose. The result does not depend on the number of threads. */
typedef struct orch_linalg {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*sgemm)(const orch_call *call, uint8_t trans_a, uint8_t trans_b, uint64_t m, uint64_t n, uint64_t k,
                       float alpha, const float *a, const float *b, float beta, float *c);
} orch_linalg;

/* ---- host services since 1.1 --------------------------------------------------------------------------------------- */

/* "orch.bm25/1": lexical search over the corpus (BM25, Robertson and Zaragoza 2009). */
typedef struct orch_bm25 {
  uint32_t struct_size;
  uint32_t reserved;
  /* documents, scores [n, k], best first, ties by lower document, only scores above 0; padded with -1 and NaN. */
  orch_status (*top_k)(const orch_call *call, const orch_str *queries, uint64_t n, uint32_t k, int64_t *documents,
                       float *scores);
} orch_bm25;

/* "orch.topics/1": topics of the corpus by latent Dirichlet allocation (Blei et al. 2003), fitted by the host once a run. */
typedef struct orch_topics {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*count)(const orch_call *call);
  /* out [n, topics], each row sums to 1. */
  orch_status (*infer)(const orch_call *call, const orch_str *texts, uint64_t n, float *out);
  /* out [documents, topics]. */
  orch_status (*documents)(const orch_call *call, float *out);
} orch_topics;

/* "orch.corpora/1": the other corpora that the experiment names. */
typedef struct orch_corpora {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*count)(const orch_call *call);
  /* The name, and the documents with the columns of orch.corpus/1. */
  orch_status (*get)(const orch_call *call, uint64_t index, orch_str *name, orch_batch *documents);
} orch_corpora;

/* "orch.held_out/1": what must not leak into training. Columns: id "U", split "U" (validation | test), text "U". */
typedef struct orch_held_out {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*table)(const orch_call *call, orch_batch *out);
} orch_held_out;

/* "orch.pool/1": the samples kept before the call, with the columns of orch.filter/1. */
typedef struct orch_pool {
  uint32_t struct_size;
  uint32_t reserved;
  orch_status (*table)(const orch_call *call, orch_batch *out);
} orch_pool;

/* "orch.files/1": files that settings name. A setting whose schema says "format": "path" names one; the host reads it
 * and keeps its hash in the plan. */
typedef struct orch_files {
  uint32_t struct_size;
  uint32_t reserved;
  /* `name` is the setting's value. */
  orch_status (*read)(const orch_call *call, orch_str name, const uint8_t **bytes, uint64_t *len);
} orch_files;

/* "orch.scorer/1": similarity of text pairs by a named model: "current", "initial", "bm25" or one of the experiment's. */
typedef struct orch_scorer {
  uint32_t struct_size;
  uint32_t reserved;
  uint8_t (*knows)(const orch_call *call, orch_str model); /* 1 or 0 */
  /* out [n]: cosine, the BM25 score, or what a cross-encoder says of the pair. */
  orch_status (*score)(const orch_call *call, orch_str model, const orch_str *queries, const orch_str *texts, uint64_t n,
                       float *out);
} orch_scorer;

/* "orch.teacher/1", for losses: the step's texts by the experiment's teacher. */
typedef struct orch_teacher {
  uint32_t struct_size;
  uint32_t reserved;
  /* embeddings [n_texts, dim], unit length, row-major; texts as in the loss batch. */
  orch_status (*embeddings)(const orch_call *call, uint64_t *n_texts, uint64_t *dim, const float **embeddings);
} orch_teacher;

/* "orch.chat/1": an OpenAI-compatible endpoint. Concurrency, retries, rate limit and cache are the host's; the key never
 * reaches a plugin. */
typedef struct orch_chat {
  uint32_t struct_size;
  uint32_t reserved;
  /* `requests` are bodies of POST /chat/completions, JSON objects. `answer` is called once for each in order, on the
   * calling thread, before the return: with the text of the first choice, or a status and what went wrong. */
  orch_status (*complete)(const orch_call *call, const orch_str *requests, uint64_t n, void *user,
                          void (*answer)(void *user, uint64_t index, orch_status status, orch_str text));
} orch_chat;

/* ---- host services since 1.2 --------------------------------------------------------------------------------------- */

/* "orch.metrics/1": numbers worth seeing, of plugins of any kind. The run keeps them as the metric `plugin/INSTANCE/NAME` of
 * the training step (losses) or of the tick, and the report draws them. Where several calls of a step or a tick report a
 * name (batches of a step; prepare and judge), the mean is kept. Nothing else depends on them. */
typedef struct orch_metrics {
  uint32_t struct_size;
  uint32_t reserved;
  /* `name`: words of a-z, 0-9 and _, each beginning with a letter, parted by /, at most 64 bytes ("accuracy",
   * "dropped/short"); at most 32 names a call. `value`: finite. A name reported again in the call: the last value counts.
   * Not ORCH_OK: it was refused; return that status. A call that reported what is refused fails. */
  orch_status (*report)(const orch_call *call, orch_str name, double value);
} orch_metrics;

#ifdef __cplusplus
}
#endif
#endif /* ORCHESTRATOR_PLUGIN_H */
