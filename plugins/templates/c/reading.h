/* Reads what the host lends: columns of tables, texts, settings. Short, and yours to change.
 *
 * The host has checked the settings by your schema and filled in its defaults, and every column is as
 * orchestrator_plugin.h says: there is little to guard against here. */
#ifndef READING_H
#define READING_H

#include "orchestrator_plugin.h"

#include <stdlib.h>
#include <string.h>

/* The column `name` of a table, or NULL if there is none of this Arrow format ("U", "l", "i", "f"). Columns are found by
 * name, never by position: later versions of the host may add some. */
static inline const struct ArrowArray *column(orch_batch table, const char *name, const char *format) {
  for (int64_t i = 0; i < table.schema->n_children; i++) {
    const struct ArrowSchema *schema = table.schema->children[i];
    if (strcmp(schema->name, name) == 0 && strcmp(schema->format, format) == 0) return table.array->children[i];
  }
  return NULL;
}

/* How many rows a table has. */
static inline uint64_t rows_of(orch_batch table) { return (uint64_t)table.array->length; }

/* The values of a column of numbers. */
static inline const int64_t *int64s(const struct ArrowArray *column) {
  return (const int64_t *)column->buffers[1] + column->offset;
}
static inline const int32_t *int32s(const struct ArrowArray *column) {
  return (const int32_t *)column->buffers[1] + column->offset;
}
static inline const float *floats(const struct ArrowArray *column) {
  return (const float *)column->buffers[1] + column->offset;
}

/* Whether the bit of a row of a column "b" is set. */
static inline int bit_at(const struct ArrowArray *column, uint64_t row) {
  uint64_t bit = (uint64_t)column->offset + row;
  return ((const uint8_t *)column->buffers[1])[bit / 8] >> (bit % 8) & 1;
}

/* The text of a row of a column "U". It is UTF-8, has no terminating zero, and may hold zeros. */
static inline orch_str text_at(const struct ArrowArray *column, uint64_t row) {
  const int64_t *offsets = int64s(column) + row;
  orch_str text = { (const char *)column->buffers[2] + offsets[0], (uint64_t)(offsets[1] - offsets[0]) };
  if (text.len == 0) text.ptr = "";
  return text;
}

/* The number of the setting `key` of a flat JSON object. `otherwise` is for a host that did not fill defaults in. */
static inline double number_setting(orch_str config, const char *key, double otherwise) {
  size_t length = strlen(key);
  char digits[64] = { 0 };
  for (uint64_t i = 1; i + length + 2 < config.len; i++) {
    if (config.ptr[i - 1] != '"' || memcmp(config.ptr + i, key, length) != 0) continue;
    if (config.ptr[i + length] != '"' || config.ptr[i + length + 1] != ':') continue;
    uint64_t start = i + length + 2, n = config.len - start;
    memcpy(digits, config.ptr + start, n < sizeof digits - 1 ? n : sizeof digits - 1);
    return strtod(digits, NULL);
  }
  return otherwise;
}

/* Says what is wrong and gives the status to return. `pointer` is that of the setting to blame ("/min_words"), or "". */
static inline orch_status fail(const orch_call *call, orch_status status, const char *pointer, const char *message) {
  orch_str at = { pointer, strlen(pointer) }, what = { message, strlen(message) };
  call->set_error(call, status, at, what);
  return status;
}

/* A random 64-bit number out of the call's seed and up to two numbers that tell apart what it is for: the same in every
 * run with that seed, whatever the order rows are worked on. (SplitMix64.) */
static inline uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
static inline uint64_t random_bits(const orch_call *call, uint64_t first, uint64_t second) {
  return mixed(mixed(mixed(call->seed + 0x9E3779B97F4A7C15ull) ^ first) + 0x9E3779B97F4A7C15ull * (second + 1));
}
/* In 0..1, below 1. */
static inline double random_unit(const orch_call *call, uint64_t first, uint64_t second) {
  return (double)(random_bits(call, first, second) >> 11) / 9007199254740992.0;
}

#ifdef __cplusplus
#include <exception>
#include <string_view>

inline std::string_view view(orch_str text) { return {text.ptr ? text.ptr : "", text.len}; }

/* Runs `work`; no exception may cross into the host. */
template <typename Work> orch_status guarded(const orch_call *call, Work work) {
  try {
    return work();
  } catch (const std::exception &error) {
    return fail(call, ORCH_PANIC, "", error.what());
  } catch (...) {
    return fail(call, ORCH_PANIC, "", "an exception of an unknown type");
  }
}
#endif

#endif
