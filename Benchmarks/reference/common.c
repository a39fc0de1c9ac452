#include "reference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void wait_until(uint64_t until) {
  const uint64_t spin = 50000;
  uint64_t present = now();
  if (present + spin < until) {
    uint64_t target = until - spin;
    struct timespec time = {(time_t)(target / 1000000000u), (long)(target % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {}
  }
  while (now() < until) {}
}

const char *text_option(int count, char **words, const char *name, const char *fallback) {
  for (int index = 0; index + 1 < count; index += 1) {
    if (strcmp(words[index], name) == 0) return words[index + 1];
  }
  return fallback;
}

uint64_t number_option(int count, char **words, const char *name, uint64_t fallback) {
  const char *text = text_option(count, words, name, NULL);
  if (!text) return fallback;
  char *end = NULL;
  errno = 0;
  uint64_t number = strtoull(text, &end, 10);
  if (errno || end == text || *end) fail(name, "not a number");
  return number;
}

void fail(const char *attempt, const char *reason) {
  fprintf(stderr, "reference: %s: %s\n", attempt, reason);
  exit(1);
}

uint64_t resident_peak(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)usage.ru_maxrss;
}

void wait_for_end_of_input(void) {
  char byte;
  ssize_t got;
  while ((got = read(STDIN_FILENO, &byte, 1)) > 0 || (got < 0 && errno == EINTR)) {}
}

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
  for (int index = 0; index < bytes; index += 1) *at++ = (uint8_t)(value >> (8 * index));
  return at;
}

static uint8_t *put_text(uint8_t *at, const char *text) {
  size_t length = strlen(text);
  *at++ = (uint8_t)length;
  memcpy(at, text, length);
  return at + length;
}

size_t write_header(
    uint8_t *header, const char *source, const char *destination, bool is_topic, uint64_t sequence,
    uint64_t sent) {
  uint8_t *at = header;
  *at++ = 1;  // version
  *at++ = 1;  // kind: content
  *at++ = 0;  // binary
  *at++ = 0;  // hops
  *at++ = is_topic ? 1 : 0;
  at = put(at, 1, 4);
  at = put(at, sequence, 8);
  at = put(at, sent, 8);
  at = put_text(at, source);
  at = put_text(at, destination);
  at = put_text(at, "message");
  return (size_t)(at - header);
}

static uint64_t get(const uint8_t *at) {
  uint64_t value = 0;
  for (int index = 7; index >= 0; index -= 1) value = value << 8 | at[index];
  return value;
}

uint64_t header_sequence(const uint8_t *header) { return get(header + 9); }
uint64_t header_sent(const uint8_t *header) { return get(header + 17); }

void histogram_add(histogram *histogram, uint64_t nanoseconds) {
  int shift = 0;
  uint64_t value = nanoseconds;
  while (value >= 256) {
    value >>= 1;
    shift += 1;
  }
  // The first 256 values have a bucket each, every power of two above 128 more.
  size_t bucket = shift == 0 ? (size_t)value : (size_t)(shift * 128) + (size_t)value;
  const size_t last = sizeof histogram->counts / sizeof histogram->counts[0] - 1;
  histogram->counts[bucket > last ? last : bucket] += 1;
  histogram->total += 1;
  if (nanoseconds > histogram->greatest) histogram->greatest = nanoseconds;
}

uint64_t histogram_at(const histogram *histogram, double quantile) {
  uint64_t wanted = (uint64_t)(quantile * (double)histogram->total);
  if (wanted >= histogram->total) return histogram->greatest;
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < sizeof histogram->counts / sizeof histogram->counts[0];
       bucket += 1) {
    seen += histogram->counts[bucket];
    if (seen <= wanted) continue;
    if (bucket < 256) return bucket;
    size_t shift = (bucket - 128) / 128;
    uint64_t value = ((bucket - shift * 128 + 1) << shift) - 1;
    return value < histogram->greatest ? value : histogram->greatest;
  }
  return histogram->greatest;
}
