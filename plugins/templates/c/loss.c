/* A loss: a number to make small, and its gradient. Everything that a host may call is in orchestrator_plugin.h. */
#include "reading.h"

typedef struct my_plugin {
  float above;
} my_plugin;

static orch_status create(const orch_call *call, orch_str id, orch_str config, void **instance) {
  my_plugin *self = (my_plugin *)malloc(sizeof *self);
  (void)id; /* this library has one plugin */
  if (!self) return fail(call, ORCH_INTERNAL, "", "out of memory");
  self->above = (float)number_setting(config, "above", 0.8);
  *instance = self;
  return ORCH_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t needs(void *instance) {
  (void)instance;
  return 0; /* or ORCH_NEEDS_POSITIVES | ORCH_NEEDS_NEGATIVES | ORCH_NEEDS_TEACHER */
}

/* One row: its part of the loss, and its gradient, ADDED to what other rows did. */
static void add_row(const my_plugin *self, const orch_loss_batch *batch, orch_loss_out *out, uint32_t row, int positive,
                    double total) {
  uint64_t dim = batch->dim, a = batch->row_anchor[row] * dim, t = batch->row_text[row] * dim;
  const float *anchor = batch->embeddings + a, *text = batch->embeddings + t;
  double share = batch->row_weight[row] / total;
  float cosine = 0;
  /* Embeddings are of length one: their dot product is their cosine. */
  for (uint64_t i = 0; i < dim; i++) cosine += anchor[i] * text[i];
  float part = positive ? self->above - cosine : cosine, slope = (float)((positive ? -1 : 1) * share);
  if (part < 0) part = 0;
  out->row_loss[row] = part;
  out->loss += share * part;
  if (part == 0) return;
  for (uint64_t i = 0; i < dim; i++) {
    out->gradient[a + i] += slope * text[i];   /* d cos / d anchor */
    out->gradient[t + i] += slope * anchor[i]; /* d cos / d text */
  }
}

static orch_status forward(void *instance, const orch_call *call, const orch_loss_batch *batch, orch_loss_out *out) {
  const my_plugin *self = (const my_plugin *)instance;
  double total = 0;
  (void)call;
  out->loss = 0;
  for (uint64_t row = 0; row < batch->n_rows; row++) total += batch->row_weight[row];
  for (uint64_t group = 0; group < batch->n_groups; group++) {
    for (uint64_t i = batch->positive_offsets[group]; i < batch->positive_offsets[group + 1]; i++)
      add_row(self, batch, out, batch->positive_rows[i], 1, total);
    for (uint64_t i = batch->negative_offsets[group]; i < batch->negative_offsets[group + 1]; i++)
      add_row(self, batch, out, batch->negative_rows[i], 0, total);
  }
  return ORCH_OK;
}

static const orch_loss ability = { .struct_size = sizeof(orch_loss), .needs = needs, .forward = forward };

/* ---- what the library says of itself ------------------------------------------------------------------------------- */

static const orch_descriptor about = {
  .struct_size = sizeof(orch_descriptor),
  .kind = ORCH_LOSS,
  .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, /* a call changes nothing but what it is given; equal seeds, equal results */
  .id = ORCH_STR("org.example.my_plugin"), /* reverse DNS: change org.example to a domain of yours */
  .version = ORCH_STR("0.1.0"),
  .name = ORCH_STR("my_plugin"),
  .summary = ORCH_STR("Hinge loss: a positive's cosine is to be above a bound, a negative's below 0. The mean over rows, by weight."),
  .licence = ORCH_STR("MIT"),
  .url = ORCH_STR(""),
  .config_schema = ORCH_STR("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"above\":{\"type\":\"number\",\"default\":0.8,\"minimum\":-1,\"maximum\":1,"
                            "\"description\":\"What the cosine of a positive should reach.\"}}}"),
  .requires_services = ORCH_STR(""),
};

static orch_status init(void) { return ORCH_OK; }
static uint32_t plugin_count(void) { return 1; }
static const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : NULL; }

static const void *get_extension(orch_str id, orch_str extension) {
  (void)id;
  return extension.len == strlen("orch.loss/1") && memcmp(extension.ptr, "orch.loss/1", extension.len) == 0 ? &ability : NULL;
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
