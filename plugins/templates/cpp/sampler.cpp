// A sampler: proposes samples for anchors. Everything that a host may call is in orchestrator_plugin.h.
#include "reading.h"

#include <cmath>
#include <set>
#include <utility>

namespace {

struct MyPlugin {
  uint64_t per_anchor;

  explicit MyPlugin(orch_str config) : per_anchor(static_cast<uint64_t>(number_setting(config, "per_anchor", 2))) {}

  orch_status propose(const orch_call *call, orch_batch anchors, const orch_sample_sink *sink) const {
    auto corpus = static_cast<const orch_corpus *>(call->service(call, ORCH_STR("orch.corpus/1")));
    auto judgements = static_cast<const orch_judgements *>(call->service(call, ORCH_STR("orch.judgements/1")));
    if (!corpus || !judgements) return fail(call, ORCH_UNSUPPORTED, "", "corpus and judgements are needed");
    orch_batch documents, table;
    if (corpus->documents(call, &documents) != ORCH_OK || judgements->table(call, &table) != ORCH_OK)
      return fail(call, ORCH_DATA, "", "the host lends no corpus or no judgements");
    const ArrowArray *numbers = column(anchors, "anchor", "l"), *titles = column(documents, "title", "U");
    if (!numbers || !titles) return fail(call, ORCH_DATA, "", "a column is missing");
    const auto known = positives(table);
    for (uint64_t row = 0; row < rows_of(anchors); row++) {
      if (row % 256 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;
      int64_t anchor = int64s(numbers)[row];
      // From a place that the seed and the anchor give, on until there are enough: no document twice. All randomness is
      // from the call: never from rand() or a clock.
      uint64_t n = rows_of(documents), start = n ? random_bits(call, static_cast<uint64_t>(anchor), 0) % n : 0, pushed = 0;
      for (uint64_t i = 0; i < n && pushed < per_anchor; i++) {
        auto document = static_cast<int64_t>((start + i) % n);
        orch_str title = text_at(titles, static_cast<uint64_t>(document));
        bool blank = view(title).find_first_not_of(" \t\r\n") == std::string_view::npos;
        if (blank || known.count({anchor, document})) continue;
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
            .difficulty = NAN, // the host measures it
            .detail = {nullptr, 0},
        };
        orch_status status = sink->push(sink, &one); // copied
        if (status != ORCH_OK) return status;
        pushed++;
      }
      sink->count(sink, ORCH_STR("asked"), per_anchor);
      sink->count(sink, ORCH_STR("found"), pushed);
    }
    return ORCH_OK;
  }

  // The (anchor, document) pairs that are known positives.
  static std::set<std::pair<int64_t, int64_t>> positives(orch_batch judgements) {
    std::set<std::pair<int64_t, int64_t>> known;
    const ArrowArray *anchors = column(judgements, "anchor", "l"), *documents = column(judgements, "document", "l"),
                     *relevant = column(judgements, "relevant", "b");
    if (anchors && documents && relevant)
      for (uint64_t i = 0; i < rows_of(judgements); i++)
        if (bit_at(relevant, i)) known.emplace(int64s(anchors)[i], int64s(documents)[i]);
    return known;
  }
};

orch_status propose(void *instance, const orch_call *call, orch_batch anchors, const orch_sample_sink *sink) {
  return guarded(call, [&] { return static_cast<const MyPlugin *>(instance)->propose(call, anchors, sink); });
}

const orch_sampler ability = {.struct_size = sizeof(orch_sampler), .reserved = 0, .propose = propose};

// ---- what the library says of itself --------------------------------------------------------------------------------

const orch_descriptor about = {
    .struct_size = sizeof(orch_descriptor),
    .kind = ORCH_SAMPLER,
    .flags = ORCH_CONCURRENT | ORCH_DETERMINISTIC, // a call changes nothing but what it is given; equal seeds, equal results
    .reserved = 0,
    .id = ORCH_STR("org.example.my_plugin"), // reverse DNS: change org.example to a domain of yours
    .version = ORCH_STR("0.1.0"),
    .name = ORCH_STR("my_plugin"),
    .summary = ORCH_STR("Titles of documents drawn at random, as negatives; never of one that is known to be relevant."),
    .licence = ORCH_STR("MIT"),
    .url = ORCH_STR(""),
    .config_schema = ORCH_STR(
        R"({"type": "object", "additionalProperties": false, "properties": {"per_anchor": {
            "type": "integer", "default": 2, "minimum": 1,
            "description": "How many an anchor gets."}}})"),
    .requires_services = ORCH_STR("orch.corpus/1 orch.judgements/1"),
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
  return view(extension) == "orch.sampler/1" ? &ability : nullptr;
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
