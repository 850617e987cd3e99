/* An augmenter: makes samples out of samples. Everything that a host may call is in orchestrator_plugin.h. */
#include <math.h>

#include "reading.h"

typedef struct my_plugin {
  double rate;
} my_plugin;

static orch_status create(const orch_call *call, orch_str id, orch_str config, void **instance) {
  my_plugin *self = (my_plugin *)malloc(sizeof *self);
  (void)id; /* this library has one plugin */
  if (!self) return fail(call, ORCH_INTERNAL, "", "out of memory");
  self->rate = number_setting(config, "rate", 0.3);
  *instance = self;
  return ORCH_OK;
}

static void destroy(void *instance) { free(instance); }

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Writes the words of `text` that stay into `made`, which has room for it. Gives their length; 0 if all or none stay. */
static uint64_t thin(const my_plugin *self, const orch_call *call, uint64_t row, orch_str text, char *made) {
  uint64_t words = 0, kept = 0, length = 0, i = 0;
  while (i < text.len) {
    uint64_t start = i;
    while (i < text.len && !is_space(text.ptr[i])) i++;
    /* All randomness is from the call and from what tells this word apart: never from rand() or a clock. */
    if (i > start && random_unit(call, row, words++) >= self->rate) {
      if (kept++ > 0) made[length++] = ' ';
      memcpy(made + length, text.ptr + start, i - start);
      length += i - start;
    }
    while (i < text.len && is_space(text.ptr[i])) i++;
  }
  return kept == words ? 0 : length;
}

static orch_status augment(void *instance, const orch_call *call, orch_batch samples, const orch_sample_sink *sink) {
  const my_plugin *self = (const my_plugin *)instance;
  const struct ArrowArray *texts = column(samples, "text", "U"), *anchors = column(samples, "anchor", "l"),
                          *documents = column(samples, "document", "l");
  orch_str unchanged = ORCH_STR("dropped: nothing changed or nothing left");
  orch_status status = ORCH_OK;
  char *made = NULL;
  if (!texts || !anchors || !documents) return fail(call, ORCH_DATA, "", "a column is missing");
  for (uint64_t row = 0; row < rows_of(samples) && status == ORCH_OK; row++) {
    orch_str text = text_at(texts, row);
    char *larger = (char *)realloc(made, text.len + 1);
    if (!larger) {
      status = fail(call, ORCH_INTERNAL, "", "out of memory");
      break;
    }
    made = larger;
    if (row % 4096 == 0 && call->is_cancelled(call)) {
      status = ORCH_CANCELLED;
      break;
    }
    uint64_t length = thin(self, call, row, text, made);
    if (length == 0) {
      sink->count(sink, unchanged, 1);
      continue;
    }
    orch_sample_row one = {
      .struct_size = sizeof(orch_sample_row),
      .role = ORCH_NEGATIVE,
      .anchor = int64s(anchors)[row],
      .document = int64s(documents)[row],
      .parent = (int64_t)row, /* the sample it was made from */
      .text = { made, length },
      .label = 0,
      .weight = 1,
      .score = NAN,
      .difficulty = NAN, /* the host measures it */
    };
    status = sink->push(sink, &one); /* copied; what is not OK is returned */
  }
  free(made);
  return status;
}

static const orch_augmenter ability = { .struct_size = sizeof(orch_augmenter), .augment = augment };

/* ---- what the library says of itself ------------------------------------------------------------------------------- */

static const orch_descriptor about = {
  .struct_size = sizeof(orch_descriptor),
  .kind = ORCH_AUGMENTER,
  .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, /* a call changes nothing but what it is given; equal seeds, equal results */
  .id = ORCH_STR("org.example.my_plugin"), /* reverse DNS: change org.example to a domain of yours */
  .version = ORCH_STR("0.1.0"),
  .name = ORCH_STR("my_plugin"),
  .summary = ORCH_STR("Drops words at random; what is left is a negative that looks like the text it was made from."),
  .licence = ORCH_STR("MIT"),
  .url = ORCH_STR(""),
  .config_schema = ORCH_STR("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"rate\":{\"type\":\"number\",\"default\":0.3,\"minimum\":0,\"maximum\":1,"
                            "\"description\":\"Share of the words dropped.\"}}}"),
  .requires_services = ORCH_STR(""),
};

static orch_status init(void) { return ORCH_OK; }
static uint32_t plugin_count(void) { return 1; }
static const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : NULL; }

static const void *get_extension(orch_str id, orch_str extension) {
  (void)id;
  return extension.len == strlen("orch.augmenter/1") && memcmp(extension.ptr, "orch.augmenter/1", extension.len) == 0 ? &ability : NULL;
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
