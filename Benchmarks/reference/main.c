// The reference programs: `reference ROLE [--option VALUE]...`.
#include "reference.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int (*run)(int count, char **words);
} roles[] = {
    {"branch-proxy", branch_proxy}, {"topic-proxy", topic_proxy},
    {"flood", flood},               {"latency", latency},
    {"fanout", fanout},             {"nats-throughput", nats_throughput},
    {"nats-latency", nats_latency}, {"nats-chunks", nats_chunks},
    {"memory", memory},             {"frames", frames},
    {"append", append},             {"sqlite", sqlite},
    {"read", read_file},
};

int main(int count, char **words) {
  for (size_t index = 0; count > 1 && index < sizeof roles / sizeof roles[0]; index += 1) {
    if (strcmp(words[1], roles[index].name) == 0) return roles[index].run(count - 2, words + 2);
  }
  fprintf(stderr, "usage: reference ROLE [--option VALUE]...; the roles are:");
  for (size_t index = 0; index < sizeof roles / sizeof roles[0]; index += 1) {
    fprintf(stderr, " %s", roles[index].name);
  }
  fprintf(stderr, "\n");
  return 2;
}
