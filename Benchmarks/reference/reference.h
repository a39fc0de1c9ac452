// What the reference programs share: time, arguments, the header of the wire, a histogram.
//
// They are plain C on the plain libraries, one thread a role, with no more care than a good
// example would take: what a reader may hold a mesh to.
#ifndef SYNMESH_REFERENCE_H
#define SYNMESH_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// CLOCK_MONOTONIC in nanoseconds.
uint64_t now(void);

// Returns when `until` has come; spins through the last 50 microseconds, so that a schedule is kept.
void wait_until(uint64_t until);

// The value of `--name VALUE`, or `fallback`.
const char *text_option(int count, char **words, const char *name, const char *fallback);
uint64_t number_option(int count, char **words, const char *name, uint64_t fallback);

// Says what could not be done, and ends the program.
_Noreturn void fail(const char *attempt, const char *reason);

// Greatest resident size of this process so far, in kilobytes.
uint64_t resident_peak(void);

// Returns when standard input is closed: whoever started us is done or gone.
void wait_for_end_of_input(void);

// --- Header of an envelope (Documentation/wire-protocol.md) ---

enum { header_max = 256 };

// Writes the header of a content envelope; returns its length.
size_t write_header(
    uint8_t *header, const char *source, const char *destination, bool is_topic, uint64_t sequence,
    uint64_t sent);
uint64_t header_sequence(const uint8_t *header);
uint64_t header_sent(const uint8_t *header);

// --- Histogram after Gil Tene's HdrHistogram: 1/128 relative precision, up to about 36 minutes ---

typedef struct {
  uint64_t counts[36 * 128];
  uint64_t total;
  uint64_t greatest;
} histogram;

void histogram_add(histogram *histogram, uint64_t nanoseconds);
// The value that the share `quantile` (0 through 1) of all values does not exceed.
uint64_t histogram_at(const histogram *histogram, double quantile);

// --- Roles; each takes the words behind its name and prints one line of JSON ---

int branch_proxy(int count, char **words);
int topic_proxy(int count, char **words);
int flood(int count, char **words);
int latency(int count, char **words);
int fanout(int count, char **words);
int nats_throughput(int count, char **words);
int nats_latency(int count, char **words);
int nats_chunks(int count, char **words);
int memory(int count, char **words);
int frames(int count, char **words);
int append(int count, char **words);
int sqlite(int count, char **words);
int read_file(int count, char **words);

#endif
