// An augmenter: makes samples out of samples. Everything that a host may call is in orchestrator_plugin.h.
#include "reading.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace {

struct MyPlugin {
  double rate;

  explicit MyPlugin(orch_str config) : rate(number_setting(config, "rate", 0.3)) {}

  orch_status augment(const orch_call *call, orch_batch samples, const orch_sample_sink *sink) const {
    const ArrowArray *texts = column(samples, "text", "U"), *anchors = column(samples, "anchor", "l"),
                     *documents = column(samples, "document", "l");
    if (!texts || !anchors || !documents) return fail(call, ORCH_DATA, "", "a column is missing");
    for (uint64_t row = 0; row < rows_of(samples); row++) {
      if (row % 4096 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
      std::string made = thin(call, row, view(text_at(texts, row)));
      if (made.empty()) {
        sink->count(sink, ORCH_STR("dropped: nothing changed or nothing left"), 1);
        continue;
      }
      orch_sample_row one = {
          .struct_size = sizeof(orch_sample_row),
          .role = ORCH_NEGATIVE,
          .anchor = int64s(anchors)[row],
          .document = int64s(documents)[row],
          .parent = static_cast<int64_t>(row), // the sample it was made from
          .text = {made.data(), made.size()},
          .label = 0,
          .weight = 1,
          .score = NAN,
          .difficulty = NAN, // the host measures it
          .detail = {nullptr, 0},
      };
      orch_status status = sink->push(sink, &one); // copied
      if (status != ORCH_OK) return status;
    }
    return ORCH_OK;
  }

  // The words that stay; nothing if all or none do.
  std::string thin(const orch_call *call, uint64_t row, std::string_view text) const {
    const char *spaces = " \t\r\n";
    std::string made;
    uint64_t words = 0, kept = 0;
    for (size_t end = 0, start; (start = text.find_first_not_of(spaces, end)) != text.npos;) {
      end = std::min(text.find_first_of(spaces, start), text.size());
      // All randomness is from the call and from what tells this word apart: never from rand() or a clock.
      if (random_unit(call, row, words++) < rate) continue;
      if (kept++ > 0) made += ' ';
      made += text.substr(start, end - start);
    }
    return kept == words ? std::string() : made;
  }
};

orch_status augment(void *instance, const orch_call *call, orch_batch samples, const orch_sample_sink *sink) {
  return guarded(call, [&] { return static_cast<const MyPlugin *>(instance)->augment(call, samples, sink); });
}

const orch_augmenter ability = {.struct_size = sizeof(orch_augmenter), .reserved = 0, .augment = augment};

// ---- what the library says of itself --------------------------------------------------------------------------------

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_AUGMENTER,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, // a call changes nothing but what it is given; equal seeds, equal results
    .reserved = 0,
    .id = ORCH_STR("org.example.my_plugin"), // reverse DNS: change org.example to a domain of yours
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("my_plugin"),
    .summary = ORCH_STR("Drops words at random; what is left is a negative that looks like the text it was made from."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"rate": {
            "type": "number", "default": 0.3, "minimum": 0, "maximum": 1,
            "description": "Share of the words dropped."}}})"),
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
  return view(extension) == "orch.augmenter/1" ? &ability : nullptr;
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
