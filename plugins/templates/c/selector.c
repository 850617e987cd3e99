/* A selector: chooses from unjudged pairs those that a person is asked about. Everything that a host may call is in orchestrator_plugin.h. */
#include <math.h>

#include "reading.h"

typedef struct my_plugin {
  double target;
} my_plugin;

static orch_status create(const orch_call *call, orch_str id, orch_str config, void **instance) {
  my_plugin *self = (my_plugin *)malloc(sizeof *self);
  (void)id; /* this library has one plugin */
  if (!self) return fail(call, ORCH_INTERNAL, "", "out of memory");
  self->target = number_setting(config, "target", 0.5);
  *instance = self;
  return ORCH_OK;
}

static void destroy(void *instance) { free(instance); }

typedef struct distance {
  double from_target;
  uint64_t row;
} distance;

/* Ties by row: the order is the same everywhere. */
static int nearer(const void *a, const void *b) {
  const distance *one = (const distance *)a, *other = (const distance *)b;
  if (one->from_target != other->from_target) return one->from_target < other->from_target ? -1 : 1;
  return one->row < other->row ? -1 : one->row > other->row;
}

static orch_status choose(void *instance, const orch_call *call, orch_batch pool, uint64_t budget, uint64_t *chosen,
                          uint64_t *n_chosen) {
  const my_plugin *self = (const my_plugin *)instance;
  const struct ArrowArray *probabilities = column(pool, "probability", "f");
  uint64_t n = rows_of(pool);
  distance *all = (distance *)malloc((n + 1) * sizeof *all);
  if (!all) return fail(call, ORCH_INTERNAL, "", "out of memory");
  if (!probabilities) {
    free(all);
    return fail(call, ORCH_DATA, "", "the pool has no probabilities");
  }
  for (uint64_t row = 0; row < n; row++) {
    all[row].from_target = fabs((double)floats(probabilities)[row] - self->target);
    all[row].row = row;
  }
  qsort(all, n, sizeof *all, nearer);
  *n_chosen = n < budget ? n : budget; /* never more than the budget, no row twice, best first */
  for (uint64_t i = 0; i < *n_chosen; i++) chosen[i] = all[i].row;
  free(all);
  return ORCH_OK;
}

/* For the interface a selector is a sampler that can select. */
static const orch_select ability = { .struct_size = sizeof(orch_select), .select = choose };

/* ---- what the library says of itself ------------------------------------------------------------------------------- */

static const orch_descriptor about = {
  .struct_size = sizeof(orch_descriptor),
  .kind = ORCH_SAMPLER,
  .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, /* a call changes nothing but what it is given; equal seeds, equal results */
  .id = ORCH_STR("org.example.my_plugin"), /* reverse DNS: change org.example to a domain of yours */
  .version = ORCH_STR("0.1.0"),
  .name = ORCH_STR("my_plugin"),
  .summary = ORCH_STR("Selects the pairs whose probability of being relevant is nearest to target."),
  .licence = ORCH_STR("MIT"),
  .url = ORCH_STR(""),
  .config_schema = ORCH_STR("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"target\":{\"type\":\"number\",\"default\":0.5,\"minimum\":0,\"maximum\":1,"
                            "\"description\":\"The probability looked for: 0.5 is where the model is least sure.\"}}}"),
  .requires_services = ORCH_STR(""),
};

static orch_status init(void) { return ORCH_OK; }
static uint32_t plugin_count(void) { return 1; }
static const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : NULL; }

static const void *get_extension(orch_str id, orch_str extension) {
  (void)id;
  return extension.len == strlen("orch.select/1") && memcmp(extension.ptr, "orch.select/1", extension.len) == 0 ? &ability : NULL;
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
