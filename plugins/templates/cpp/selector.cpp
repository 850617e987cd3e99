// A selector: chooses from unjudged pairs those that a person is asked about. Everything that a host may call is in orchestrator_plugin.h.
#include "reading.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace {

struct MyPlugin {
  double target;

  explicit MyPlugin(orch_str config) : target(number_setting(config, "target", 0.5)) {}

  orch_status choose(const orch_call *call, orch_batch pool, uint64_t budget, uint64_t *chosen, uint64_t *n_chosen) const {
    const ArrowArray *probabilities = column(pool, "probability", "f");
    if (!probabilities) return fail(call, ORCH_DATA, "", "the pool has no probabilities");
    std::vector<std::pair<double, uint64_t>> rows(rows_of(pool));
    for (uint64_t row = 0; row < rows.size(); row++) rows[row] = {std::fabs(floats(probabilities)[row] - target), row};
    std::sort(rows.begin(), rows.end()); // ties by row: the order is the same everywhere
    // Never more than the budget, no row twice, best first.
    *n_chosen = std::min<uint64_t>(budget, rows.size());
    for (uint64_t i = 0; i < *n_chosen; i++) chosen[i] = rows[i].second;
    return ORCH_OK;
  }
};

orch_status choose(void *instance, const orch_call *call, orch_batch pool, uint64_t budget, uint64_t *chosen,
                   uint64_t *n_chosen) {
  return guarded(call, [&] { return static_cast<const MyPlugin *>(instance)->choose(call, pool, budget, chosen, n_chosen); });
}

// For the interface a selector is a sampler that can select.
const orch_select ability = {.struct_size = sizeof(orch_select), .reserved = 0, .select = choose};

// ---- what the library says of itself --------------------------------------------------------------------------------

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_SAMPLER,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, // a call changes nothing but what it is given; equal seeds, equal results
    .reserved = 0,
    .id = ORCH_STR("org.example.my_plugin"), // reverse DNS: change org.example to a domain of yours
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("my_plugin"),
    .summary = ORCH_STR("Selects the pairs whose probability of being relevant is nearest to target."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"target": {
            "type": "number", "default": 0.5, "minimum": 0, "maximum": 1,
            "description": "The probability looked for: 0.5 is where the model is least sure."}}})"),
    .requires_services = ORCH_STR(""),
};

orch_status init() { return ORCH_OK; }
uint32_t plugin_count() { return 1; }
const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : nullptr; }

orch_status create(const orch_call *call, orch_str, orch_str config, void **instance) {
  return guarded(call, [&] {
    *instance = new MyPlugin(config);
    return ORCH_OK;
  });
}

void destroy(void *instance) { delete static_cast<MyPlugin *>(instance); }

const void *get_extension(orch_str, orch_str extension) {
  return view(extension) == "orch.select/1" ? &ability : nullptr;
}

} // namespace

extern "C" {
extern ORCH_EXPORT const orch_plugin_entry orch_plugin_entry_v1;
const orch_plugin_entry orch_plugin_entry_v1 = {
    .magic = {'O', 'R', 'C', 'H', 'P', 'L', 'U', 'G'},
    .struct_size = sizeof(orch_plugin_entry),
    .abi_major = ORCH_ABI_MAJOR,
    .abi_minor = ORCH_ABI_MINOR,
    .min_host_minor = 0,
    .reserved0 = 0,
    .reserved1 = 0,
    .toolchain = ORCH_STR("C++"),
    .init = init,
    .plugin_count = plugin_count,
    .descriptor = descriptor,
    .create = create,
    .destroy = destroy,
    .get_extension = get_extension,
};
}
