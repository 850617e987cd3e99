// A filter: keeps or drops samples. Everything that a host may call is in orchestrator_plugin.h.
#include "reading.h"

#include <string>

namespace {

struct MyPlugin {
  uint64_t min_words;

  explicit MyPlugin(orch_str config) : min_words(static_cast<uint64_t>(number_setting(config, "min_words", 5))) {}

  orch_status judge(const orch_call *call, orch_batch samples, const orch_verdicts *verdicts) const {
    const ArrowArray *texts = column(samples, "text", "U");
    if (!texts) return fail(call, ORCH_DATA, "", "the samples have no texts");
    for (uint64_t row = 0; row < rows_of(samples); row++) {
      if (row % 4096 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
      uint64_t words = words_of(view(text_at(texts, row)));
      verdicts->score[row] = static_cast<float>(words); // what was measured: kept with the verdict
      if (words >= min_words) continue;                 // keep is preset to 1
      verdicts->keep[row] = 0;
      std::string reason = std::to_string(words) + " words, fewer than " + std::to_string(min_words);
      verdicts->reason(verdicts, row, {reason.data(), reason.size()}); // copied
    }
    return ORCH_OK;
  }

  // How many runs without spaces a text has.
  static uint64_t words_of(std::string_view text) {
    const char *spaces = " \t\r\n";
    uint64_t words = 0;
    for (size_t end = 0, start; (start = text.find_first_not_of(spaces, end)) != text.npos; words++) {
      end = text.find_first_of(spaces, start);
      if (end == text.npos) return words + 1;
    }
    return words;
  }
};

orch_status judge(void *instance, const orch_call *call, orch_batch samples, const orch_verdicts *verdicts) {
  return guarded(call, [&] { return static_cast<const MyPlugin *>(instance)->judge(call, samples, verdicts); });
}

// `prepare` would be called once before the first judge; it may look at the corpus.
const orch_filter ability = {.struct_size = sizeof(orch_filter), .reserved = 0, .prepare = nullptr, .judge = judge};

// ---- what the library says of itself --------------------------------------------------------------------------------

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_FILTER,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, // a call changes nothing but what it is given; equal seeds, equal results
    .reserved = 0,
    .id = ORCH_STR("org.example.my_plugin"), // reverse DNS: change org.example to a domain of yours
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("my_plugin"),
    .summary = ORCH_STR("Keeps texts of at least min_words words."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"min_words": {
            "type": "integer", "default": 5, "minimum": 1,
            "description": "The fewest words a text may have."}}})"),
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
  return view(extension) == "orch.filter/1" ? &ability : nullptr;
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
