// A filter in C++, from the header alone: drops texts that say the same word again and again. Exceptions never cross into
// the host. Compiled by the tests; `orchestrator plugin new NAME --kind filter --lang cpp` begins a project like it.
#include "orchestrator_plugin.h"

#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <string_view>

namespace {

struct Repetition {
  double at_most = 0.2;

  // The host has checked the settings by the schema below and filled in the default: a JSON library would be too much.
  explicit Repetition(std::string_view settings) {
    const std::string_view key = "\"at_most\":";
    if (auto place = settings.find(key); place != settings.npos)
      at_most = std::strtod(std::string(settings.substr(place + key.size(), 40)).c_str(), nullptr);
  }
};

// The share of the most frequent word, of at least ten words; 0 of fewer.
struct Frequent {
  std::string_view word;
  double share;
};

Frequent most_frequent(std::string_view text) {
  std::map<std::string_view, int> counts; // in the order of the words: the first of equals is the same everywhere
  int words = 0;
  for (size_t end = 0, start; (start = text.find_first_not_of(" \t\r\n", end)) != text.npos; words++) {
    end = text.find_first_of(" \t\r\n", start);
    if (end == text.npos) end = text.size();
    counts[text.substr(start, end - start)]++;
  }
  Frequent most = {"", 0};
  if (words < 10) return most;
  for (const auto &[word, count] : counts)
    if (double share = double(count) / words; share > most.share) most = {word, share};
  return most;
}

// Columns are found by name: later versions of the host may add some.
const ArrowArray *texts_of(orch_batch samples) {
  for (int64_t i = 0; i < samples.schema->n_children; i++)
    if (std::string_view(samples.schema->children[i]->name) == "text") return samples.array->children[i];
  return nullptr;
}

// No exception may cross the boundary: it becomes a status with a message.
template <typename Work> orch_status guarded(const orch_call *call, Work work) {
  try {
    return work();
  } catch (const std::exception &error) {
    std::string_view what = error.what();
    call->set_error(call, ORCH_PANIC, {nullptr, 0}, {what.data(), what.size()});
  } catch (...) {
    call->set_error(call, ORCH_PANIC, {nullptr, 0}, ORCH_STR("an exception of an unknown type"));
  }
  return ORCH_PANIC;
}

orch_status judge(void *instance, const orch_call *call, orch_batch samples, const orch_verdicts *verdicts) {
  return guarded(call, [&]() -> orch_status {
    const auto *self = static_cast<const Repetition *>(instance);
    const ArrowArray *texts = texts_of(samples);
    if (!texts) return ORCH_DATA;
    // Format "U": offsets in buffer 1, bytes in buffer 2.
    const auto *offsets = static_cast<const int64_t *>(texts->buffers[1]) + texts->offset;
    const auto *bytes = static_cast<const char *>(texts->buffers[2]);
    for (uint64_t row = 0; row < verdicts->n; row++) {
      if (row % 4096 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
      const auto length = static_cast<size_t>(offsets[row + 1] - offsets[row]);
      const Frequent most = most_frequent(length ? std::string_view(bytes + offsets[row], length) : "");
      verdicts->score[row] = static_cast<float>(most.share);
      if (most.share <= self->at_most) continue; // keep is preset to 1
      verdicts->keep[row] = 0;
      const std::string why = "\"" + std::string(most.word) + "\" again and again";
      verdicts->reason(verdicts, row, {why.data(), why.size()}); // copied
    }
    return ORCH_OK;
  });
}

orch_status create(const orch_call *call, orch_str, orch_str config, void **instance) {
  return guarded(call, [&]() -> orch_status {
    *instance = new Repetition({config.ptr, config.len});
    return ORCH_OK;
  });
}

void destroy(void *instance) { delete static_cast<Repetition *>(instance); }

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_FILTER,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC,
    .reserved = 0,
    .id = ORCH_STR("org.example.repetition"),
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("repetition"),
    .summary = ORCH_STR("Drops texts of at least ten words of which one word is too large a share."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"at_most": {
            "type": "number", "default": 0.2, "minimum": 0, "maximum": 1,
            "description": "The largest share that the most frequent word may have."}}})"),
    .requires_services = ORCH_STR(""),
};

const orch_filter filter = {.struct_size = sizeof(orch_filter), .reserved = 0, .prepare = nullptr, .judge = judge};

orch_status init() { return ORCH_OK; }
uint32_t plugin_count() { return 1; }
const orch_descriptor *descriptor(uint32_t index) { return index == 0 ? &about : nullptr; }

const void *get_extension(orch_str, orch_str extension) {
  return std::string_view(extension.ptr, extension.len) == "orch.filter/1" ? &filter : nullptr;
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
