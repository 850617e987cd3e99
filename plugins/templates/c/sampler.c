/* A sampler: proposes samples for anchors. Everything that a host may call is in orchestrator_plugin.h. */
#include <math.h>

#include "reading.h"

typedef struct my_plugin {
  uint64_t per_anchor;
} my_plugin;

static orch_status create(const orch_call *call, orch_str id, orch_str config, void **instance) {
  my_plugin *self = (my_plugin *)malloc(sizeof *self);
  (void)id; /* this library has one plugin */
  if (!self) return fail(call, ORCH_INTERNAL, "", "out of memory");
  self->per_anchor = (uint64_t)number_setting(config, "per_anchor", 2);
  *instance = self;
  return ORCH_OK;
}

static void destroy(void *instance) { free(instance); }

/* What the host lends under `id`, or NULL if it does not lend it here. */
static const void *service(const orch_call *call, const char *id) {
  orch_str name = { id, strlen(id) };
  return call->service(call, name);
}

/* Whether the document is a known positive of the anchor. */
static int is_known(orch_batch judgements, int64_t anchor, int64_t document) {
  const struct ArrowArray *anchors = column(judgements, "anchor", "l"), *documents = column(judgements, "document", "l"),
                          *relevant = column(judgements, "relevant", "b");
  if (!anchors || !documents || !relevant) return 0;
  for (uint64_t i = 0; i < rows_of(judgements); i++)
    if (int64s(anchors)[i] == anchor && int64s(documents)[i] == document && bit_at(relevant, i)) return 1;
  return 0;
}

static int is_blank(orch_str text) {
  for (uint64_t i = 0; i < text.len; i++)
    if (text.ptr[i] != ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\n' && text.ptr[i] != '\r') return 0;
  return 1;
}

static orch_status propose(void *instance, const orch_call *call, orch_batch anchors, const orch_sample_sink *sink) {
  const my_plugin *self = (const my_plugin *)instance;
  const orch_corpus *corpus = (const orch_corpus *)service(call, "orch.corpus/1");
  const orch_judgements *judgements = (const orch_judgements *)service(call, "orch.judgements/1");
  const struct ArrowArray *numbers = column(anchors, "anchor", "l"), *titles;
  orch_str asked = ORCH_STR("asked"), found = ORCH_STR("found");
  orch_batch documents, known;
  if (!corpus || !judgements) return fail(call, ORCH_UNSUPPORTED, "", "corpus and judgements are needed");
  if (corpus->documents(call, &documents) != ORCH_OK || judgements->table(call, &known) != ORCH_OK)
    return fail(call, ORCH_DATA, "", "the host lends no corpus or no judgements");
  titles = column(documents, "title", "U");
  if (!numbers || !titles) return fail(call, ORCH_DATA, "", "a column is missing");
  for (uint64_t row = 0; row < rows_of(anchors); row++) {
    int64_t anchor = int64s(numbers)[row];
    /* From a place that the seed and the anchor give, on until there are enough: no document twice. All randomness is from
     * the call: never from rand() or a clock. */
    uint64_t n = rows_of(documents), start = n ? random_bits(call, (uint64_t)anchor, 0) % n : 0, pushed = 0;
    if (row % 256 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
    for (uint64_t i = 0; i < n && pushed < self->per_anchor; i++) {
      int64_t document = (int64_t)((start + i) % n);
      orch_str title = text_at(titles, (uint64_t)document);
      if (is_blank(title) || is_known(known, anchor, document)) continue;
      orch_sample_row one = {
        .struct_size = sizeof(orch_sample_row),
        .role = ORCH_NEGATIVE,
        .anchor = anchor,
        .document = document,
        .parent = -1,
        .text = title,
        .label = 0,
        .weight = 1,
        .score = NAN,
        .difficulty = NAN, /* the host measures it */
      };
      orch_status status = sink->push(sink, &one); /* copied */
      if (status != ORCH_OK) return status;
      pushed++;
    }
    sink->count(sink, asked, self->per_anchor);
    sink->count(sink, found, pushed);
  }
  return ORCH_OK;
}

static const orch_sampler ability = { .struct_size = sizeof(orch_sampler), .propose = propose };

/* ---- what the library says of itself ------------------------------------------------------------------------------- */

static const orch_descriptor about = {
  .struct_size = sizeof(orch_descriptor),
  .kind = ORCH_SAMPLER,
  .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, /* a call changes nothing but what it is given; equal seeds, equal results */
  .id = ORCH_STR("org.example.my_plugin"), /* reverse DNS: change org.example to a domain of yours */
  .version = ORCH_STR("0.1.0"),
  .name = ORCH_STR("my_plugin"),
  .summary = ORCH_STR("Titles of documents drawn at random, as negatives; never of one that is known to be relevant."),
  .licence = ORCH_STR("MIT"),
  .url = ORCH_STR(""),
  .config_schema = ORCH_STR("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"per_anchor\":{\"type\":\"integer\",\"default\":2,\"minimum\":1,"
                            "\"description\":\"How many an anchor gets.\"}}}"),
  .requires_services = ORCH_STR("orch.corpus/1 orch.judgements/1"),
};

static orch_status init(void) { return ORCH_OK; }
static uint32_t plugin_count(void) { return 1; }
static const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : NULL; }

static const void *get_extension(orch_str id, orch_str extension) {
  (void)id;
  return extension.len == strlen("orch.sampler/1") && memcmp(extension.ptr, "orch.sampler/1", extension.len) == 0 ? &ability : NULL;
}

extern ORCH_EXPORT const orch_plugin_entry orch_plugin_entry_v1;
const orch_plugin_entry orch_plugin_entry_v1 = {
  .magic = { 'O', 'R', 'C', 'H', 'P', 'L', 'U', 'G' },
  .struct_size = sizeof(orch_plugin_entry),
  .abi_major = ORCH_ABI_MAJOR,
  .abi_minor = ORCH_ABI_MINOR,
  .toolchain = ORCH_STR("C"),
  .init = init,
  .plugin_count = plugin_count,
  .descriptor = descriptor,
  .create = create,
  .destroy = destroy,
  .get_extension = get_extension,
};
