/* A filter: keeps or drops samples. Everything that a host may call is in orchestrator_plugin.h. */
#include <stdio.h>

#include "reading.h"

typedef struct my_plugin {
  uint64_t min_words;
} my_plugin;

static orch_status create(const orch_call *call, orch_str id, orch_str config, void **instance) {
  my_plugin *self = (my_plugin *)malloc(sizeof *self);
  (void)id; /* this library has one plugin */
  if (!self) return fail(call, ORCH_INTERNAL, "", "out of memory");
  self->min_words = (uint64_t)number_setting(config, "min_words", 5);
  *instance = self;
  return ORCH_OK;
}

static void destroy(void *instance) { free(instance); }

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* How many runs without spaces a text has. */
static uint64_t words_of(orch_str text) {
  uint64_t words = 0;
  for (uint64_t i = 0; i < text.len; i++)
    if (!is_space(text.ptr[i]) && (i == 0 || is_space(text.ptr[i - 1]))) words++;
  return words;
}

static orch_status judge(void *instance, const orch_call *call, orch_batch samples, const orch_verdicts *verdicts) {
  const my_plugin *self = (const my_plugin *)instance;
  const struct ArrowArray *texts = column(samples, "text", "U");
  if (!texts) return fail(call, ORCH_DATA, "", "the samples have no texts");
  for (uint64_t row = 0; row < rows_of(samples); row++) {
    uint64_t words = words_of(text_at(texts, row));
    char reason[80];
    if (row % 4096 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
    verdicts->score[row] = (float)words; /* what was measured: kept with the verdict */
    if (words >= self->min_words) continue; /* keep is preset to 1 */
    verdicts->keep[row] = 0;
    int length = snprintf(reason, sizeof reason, "%llu words, fewer than %llu", (unsigned long long)words,
                          (unsigned long long)self->min_words);
    orch_str why = { reason, (uint64_t)length };
    verdicts->reason(verdicts, row, why); /* copied */
  }
  return ORCH_OK;
}

/* `prepare` would be called once before the first judge; it may look at the corpus. */
static const orch_filter ability = { .struct_size = sizeof(orch_filter), .prepare = NULL, .judge = judge };

/* ---- what the library says of itself ------------------------------------------------------------------------------- */

static const orch_descriptor about = {
  .struct_size = sizeof(orch_descriptor),
  .kind = ORCH_FILTER,
  .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, /* a call changes nothing but what it is given; equal seeds, equal results */
  .id = ORCH_STR("org.example.my_plugin"), /* reverse DNS: change org.example to a domain of yours */
  .version = ORCH_STR("0.1.0"),
  .name = ORCH_STR("my_plugin"),
  .summary = ORCH_STR("Keeps texts of at least min_words words."),
  .licence = ORCH_STR("MIT"),
  .url = ORCH_STR(""),
  .config_schema = ORCH_STR("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"min_words\":{\"type\":\"integer\",\"default\":5,\"minimum\":1,"
                            "\"description\":\"The fewest words a text may have.\"}}}"),
  .requires_services = ORCH_STR(""),
};

static orch_status init(void) { return ORCH_OK; }
static uint32_t plugin_count(void) { return 1; }
static const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : NULL; }

static const void *get_extension(orch_str id, orch_str extension) {
  (void)id;
  return extension.len == strlen("orch.filter/1") && memcmp(extension.ptr, "orch.filter/1", extension.len) == 0 ? &ability : NULL;
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
