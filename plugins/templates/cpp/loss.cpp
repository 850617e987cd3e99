// A loss: a number to make small, and its gradient. Everything that a host may call is in orchestrator_plugin.h.
#include "reading.h"

#include <algorithm>

namespace {

struct MyPlugin {
  float above;

  explicit MyPlugin(orch_str config) : above(static_cast<float>(number_setting(config, "above", 0.8))) {}

  orch_status forward(const orch_loss_batch *batch, orch_loss_out *out) const {
    double total = 0;
    out->loss = 0;
    for (uint64_t row = 0; row < batch->n_rows; row++) total += batch->row_weight[row];
    for (uint64_t group = 0; group < batch->n_groups; group++) {
      for (uint64_t i = batch->positive_offsets[group]; i < batch->positive_offsets[group + 1]; i++)
        add_row(batch, out, batch->positive_rows[i], true, total);
      for (uint64_t i = batch->negative_offsets[group]; i < batch->negative_offsets[group + 1]; i++)
        add_row(batch, out, batch->negative_rows[i], false, total);
    }
    return ORCH_OK;
  }

  // One row: its part of the loss, and its gradient, ADDED to what other rows did.
  void add_row(const orch_loss_batch *batch, orch_loss_out *out, uint32_t row, bool positive, double total) const {
    uint64_t dim = batch->dim, a = batch->row_anchor[row] * dim, t = batch->row_text[row] * dim;
    const float *anchor = batch->embeddings + a, *text = batch->embeddings + t;
    double share = batch->row_weight[row] / total;
    // Embeddings are of length one: their dot product is their cosine.
    float cosine = 0;
    for (uint64_t i = 0; i < dim; i++) cosine += anchor[i] * text[i];
    float part = std::max(0.0f, positive ? above - cosine : cosine);
    out->row_loss[row] = part;
    out->loss += share * part;
    if (part == 0) return;
    float slope = static_cast<float>(positive ? -share : share);
    for (uint64_t i = 0; i < dim; i++) {
      out->gradient[a + i] += slope * text[i];   // d cos / d anchor
      out->gradient[t + i] += slope * anchor[i]; // d cos / d text
    }
  }
};

// Or ORCH_NEEDS_POSITIVES | ORCH_NEEDS_NEGATIVES | ORCH_NEEDS_TEACHER.
uint32_t needs(void *) { return 0; }

orch_status forward(void *instance, const orch_call *call, const orch_loss_batch *batch, orch_loss_out *out) {
  return guarded(call, [&] { return static_cast<const MyPlugin *>(instance)->forward(batch, out); });
}

const orch_loss ability = {.struct_size = sizeof(orch_loss), .reserved = 0, .needs = needs, .forward = forward};

// ---- what the library says of itself --------------------------------------------------------------------------------

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_LOSS,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, // a call changes nothing but what it is given; equal seeds, equal results
    .reserved = 0,
    .id = ORCH_STR("org.example.my_plugin"), // reverse DNS: change org.example to a domain of yours
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("my_plugin"),
    .summary = ORCH_STR("Hinge loss: a positive's cosine is to be above a bound, a negative's below 0. The mean over rows, by weight."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"above": {
            "type": "number", "default": 0.8, "minimum": -1, "maximum": 1,
            "description": "What the cosine of a positive should reach."}}})"),
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
  return view(extension) == "orch.loss/1" ? &ability : nullptr;
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
