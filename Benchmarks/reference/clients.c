// The clients of every proxy that is measured, ours and the references alike: what differs between
// two measurements is the proxy alone.
#define _GNU_SOURCE
#include "reference.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { pairs_max = 128, idle_ms = 5000 };

typedef struct {
  void *context;
  const char *endpoint;
  const char *second_endpoint;
  int index;
  int pairs;
  uint64_t count;
  size_t size;
  uint64_t rate;
  uint64_t stall_ms;
  // Whether messages are one frame of JSON, as the seed has them.
  bool is_json;
  int idle_ms;
  pthread_barrier_t *start;
  // Results.
  uint64_t received, out_of_order, began, ended;
  histogram latencies;
} part;

static void *dealer(part *part, char kind) {
  void *socket = zmq_socket(part->context, ZMQ_DEALER);
  char name[16];
  int length = snprintf(name, sizeof name, "%c%d", kind, part->index);
  int timeout = part->idle_ms;
  zmq_setsockopt(socket, ZMQ_ROUTING_ID, name, (size_t)length);
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  timeout = 30000;
  zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
  if (zmq_connect(socket, part->endpoint) < 0) fail("connect", zmq_strerror(errno));
  return socket;
}

static void send_one(
    void *socket, const char *source, const char *destination, bool is_topic, uint64_t sequence,
    uint64_t sent, const void *content, size_t size) {
  uint8_t header[header_max];
  size_t length = write_header(header, source, destination, is_topic, sequence, sent);
  if (zmq_send(socket, destination, strlen(destination), ZMQ_SNDMORE) < 0
      || zmq_send(socket, header, length, ZMQ_SNDMORE) < 0
      || zmq_send(socket, content, size, 0) < 0) {
    fail("send", zmq_strerror(errno));
  }
}

// Receives [header][content], or [topic][header][content]; false when nothing came in time.
static bool receive_one(void *socket, bool has_topic, uint64_t *sequence, uint64_t *sent) {
  zmq_msg_t message;
  zmq_msg_init(&message);
  bool is_there = true;
  for (int frame = has_topic ? 0 : 1; is_there && frame < 3; frame += 1) {
    if (zmq_msg_recv(&message, socket, 0) < 0) {
      is_there = false;
    } else if (frame == 1) {
      *sequence = header_sequence(zmq_msg_data(&message));
      *sent = header_sent(zmq_msg_data(&message));
    }
  }
  zmq_msg_close(&message);
  return is_there;
}

// The same as one frame of JSON, the content with a sequence and a text of `size`.
static void send_json(
    void *socket, const char *source, const char *destination, uint64_t sequence,
    const char *content, size_t size) {
  char message[4096];
  int length = snprintf(
      message, sizeof message,
      "{\"content\":{\"n\":%lu,\"text\":\"%.*s\"},\"from\":\"%s\",\"to\":\"%s\","
      "\"type\":\"message\"}",
      sequence, (int)size, content, source, destination);
  if (length < 0 || (size_t)length >= sizeof message) fail("send", "--size is too large for JSON");
  if (zmq_send(socket, message, (size_t)length, 0) < 0) fail("send", zmq_strerror(errno));
}

static bool receive_json(void *socket, uint64_t *sequence) {
  zmq_msg_t message;
  zmq_msg_init(&message);
  int length = zmq_msg_recv(&message, socket, 0);
  bool is_there = length >= 0;
  const char *name = is_there ? memmem(zmq_msg_data(&message), (size_t)length, "\"n\":", 4) : NULL;
  // The message ends with a brace, behind which no digit is looked for.
  *sequence = name ? strtoull(name + 4, NULL, 10) : 0;
  zmq_msg_close(&message);
  return is_there;
}

static void send_part(
    part *part, void *socket, const char *source, const char *destination, uint64_t sequence,
    uint64_t sent, const void *content, size_t size) {
  if (part->is_json) {
    send_json(socket, source, destination, sequence, content, size);
  } else {
    send_one(socket, source, destination, false, sequence, sent, content, size);
  }
}

static bool receive_part(part *part, void *socket, uint64_t *sequence, uint64_t *sent) {
  return part->is_json ? receive_json(socket, sequence)
                       : receive_one(socket, false, sequence, sent);
}

// Sends to oneself until it comes back: from then on the proxy knows the name.
static void attach(part *part, void *socket, const char *name) {
  uint64_t sequence = 0, sent = 0;
  send_part(part, socket, name, name, 1, now(), "", 0);
  if (!receive_part(part, socket, &sequence, &sent)) {
    fail("attach", "the proxy does not answer");
  }
}

static void *receive_flood(void *argument) {
  part *self = argument;
  void *socket = dealer(self, 'r');
  char name[16];
  snprintf(name, sizeof name, "r%d", self->index);
  attach(self, socket, name);
  pthread_barrier_wait(self->start);
  if (self->stall_ms > 0 && self->index == 0) usleep((useconds_t)self->stall_ms * 1000);
  uint64_t expected = 1, sequence = 0, sent = 0;
  while (self->received < self->count && receive_part(self, socket, &sequence, &sent)) {
    if (self->received == 0) self->began = now();
    self->received += 1;
    self->ended = now();
    if (sequence != expected) self->out_of_order += 1;
    expected = sequence + 1;
    if (self->rate > 0) histogram_add(&self->latencies, self->ended - sent);
  }
  zmq_close(socket);
  return NULL;
}

static void *send_flood(void *argument) {
  part *self = argument;
  void *socket = dealer(self, 's');
  char name[16], destination[16];
  snprintf(name, sizeof name, "s%d", self->index);
  snprintf(destination, sizeof destination, "r%d", self->index);
  attach(self, socket, name);
  void *content = calloc(1, self->size + 1);
  memset(content, 'x', self->size);
  pthread_barrier_wait(self->start);
  uint64_t began = now(), interval = self->rate > 0 ? 1000000000u / self->rate : 0;
  self->began = began;
  for (uint64_t sequence = 1; sequence <= self->count; sequence += 1) {
    uint64_t due = now();
    if (interval > 0) {
      // The time of the schedule is what the message is measured from: a late one counts as late.
      due = began + sequence * interval;
      wait_until(due);
    }
    send_part(self, socket, name, destination, sequence, due, content, self->size);
  }
  self->ended = now();
  free(content);
  // Leaves what is under way to libzmq: the receivers end the run.
  zmq_close(socket);
  return NULL;
}

static void run_pairs(part *receivers, part *senders, part model) {
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, (unsigned)model.pairs * 2);
  pthread_t threads[2 * pairs_max];
  for (int index = 0; index < model.pairs; index += 1) {
    receivers[index] = senders[index] = model;
    receivers[index].index = senders[index].index = index;
    receivers[index].start = senders[index].start = &start;
    pthread_create(&threads[2 * index], NULL, receive_flood, &receivers[index]);
    pthread_create(&threads[2 * index + 1], NULL, send_flood, &senders[index]);
  }
  for (int index = 0; index < 2 * model.pairs; index += 1) pthread_join(threads[index], NULL);
  pthread_barrier_destroy(&start);
}

static part model_of(int count, char **words, uint64_t rate) {
  part model = {0};
  model.context = zmq_ctx_new();
  model.endpoint = text_option(count, words, "--proxy", NULL);
  if (!model.endpoint) fail("--proxy", "missing");
  model.pairs = (int)number_option(count, words, "--pairs", 1);
  if (model.pairs < 1 || model.pairs > pairs_max) fail("--pairs", "1 through 128");
  model.count = number_option(count, words, "--count", 100000);
  model.size = number_option(count, words, "--size", 256);
  model.rate = rate;
  model.is_json = strcmp(text_option(count, words, "--wire", "frames"), "json") == 0;
  if (model.is_json && rate > 0) fail("--wire", "JSON tells no times");
  model.idle_ms = (int)number_option(count, words, "--idle-ms", idle_ms);
  model.stall_ms = number_option(count, words, "--stall-ms", 0);
  return model;
}

// Pairs that send as fast as there is room: `--proxy`, `--pairs`, `--count` (each), `--size`,
// `--stall-ms` (how long the first receiver does not read), `--wire frames|json`, `--idle-ms` (after
// how long a silence what is missing is lost).
int flood(int count, char **words) {
  part model = model_of(count, words, 0);
  part *receivers = calloc((size_t)model.pairs, sizeof(part));
  part *senders = calloc((size_t)model.pairs, sizeof(part));
  run_pairs(receivers, senders, model);
  uint64_t received = 0, lost = 0, disorder = 0, began = UINT64_MAX, ended = 0, healthy_ended = 0;
  for (int index = 0; index < model.pairs; index += 1) {
    received += receivers[index].received;
    disorder += receivers[index].out_of_order;
    lost += model.count - receivers[index].received;
    if (senders[index].began < began) began = senders[index].began;
    if (receivers[index].ended > ended) ended = receivers[index].ended;
    if (index > 0 && receivers[index].ended > healthy_ended) healthy_ended = receivers[index].ended;
  }
  double seconds = (double)(ended - began) / 1e9;
  double healthy = healthy_ended > began ? (double)(healthy_ended - began) / 1e9 : seconds;
  printf(
      "{\"received\":%lu,\"lost\":%lu,\"out_of_order\":%lu,\"seconds\":%.6f,\"per_second\":%.1f,"
      "\"healthy_per_second\":%.1f}\n",
      received, lost, disorder, seconds, (double)received / seconds,
      (double)(model.pairs > 1 ? model.pairs - 1 : 1) * (double)model.count / healthy);
  zmq_ctx_term(model.context);
  return 0;
}

static void print_latencies(const histogram *latencies, uint64_t lost) {
  printf(
      "{\"received\":%lu,\"lost\":%lu,\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,"
      "\"p999_us\":%.2f,\"max_us\":%.2f}\n",
      latencies->total, lost, (double)histogram_at(latencies, 0.5) / 1e3,
      (double)histogram_at(latencies, 0.9) / 1e3, (double)histogram_at(latencies, 0.99) / 1e3,
      (double)histogram_at(latencies, 0.999) / 1e3, (double)latencies->greatest / 1e3);
}

// One pair at a given rate: `--proxy`, `--rate` (a second), `--count`, `--size`.
int latency(int count, char **words) {
  part model = model_of(count, words, number_option(count, words, "--rate", 2000));
  if (model.rate == 0) fail("--rate", "at least 1");
  part *receivers = calloc((size_t)model.pairs, sizeof(part));
  part *senders = calloc((size_t)model.pairs, sizeof(part));
  run_pairs(receivers, senders, model);
  histogram *all = calloc(1, sizeof *all);
  uint64_t lost = 0;
  for (int index = 0; index < model.pairs; index += 1) {
    const histogram *one = &receivers[index].latencies;
    for (size_t at = 0; at < sizeof one->counts / sizeof one->counts[0]; at += 1) {
      all->counts[at] += one->counts[at];
    }
    all->total += one->total;
    if (one->greatest > all->greatest) all->greatest = one->greatest;
    lost += model.count - receivers[index].received;
  }
  print_latencies(all, lost);
  zmq_ctx_term(model.context);
  return 0;
}

// --- Topics ---

static const char *const topic = "bench.load";
// The sequence of what is published only so that subscribers hear that they are subscribed.
static const uint64_t announcement = UINT32_MAX;
static atomic_int attached;

static void *subscribe_topic(void *argument) {
  part *self = argument;
  void *socket = zmq_socket(self->context, ZMQ_SUB);
  int timeout = idle_ms;
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic));
  if (zmq_connect(socket, self->second_endpoint) < 0) fail("connect", zmq_strerror(errno));
  uint64_t expected = 1, sequence = 0, sent = 0;
  while (self->received < self->count && receive_one(socket, true, &sequence, &sent)) {
    if (sequence == announcement) {
      if (self->began == 0) atomic_fetch_add(&attached, 1);
      self->began = 1;
      continue;
    }
    self->received += 1;
    self->ended = now();
    if (sequence != expected) self->out_of_order += 1;
    expected = sequence + 1;
  }
  zmq_close(socket);
  return NULL;
}

// One publisher and `--subscribers` that hear everything: `--publish`, `--subscribe`, `--count`,
// `--size`.
int fanout(int count, char **words) {
  part model = {0};
  model.context = zmq_ctx_new();
  model.endpoint = text_option(count, words, "--publish", NULL);
  model.second_endpoint = text_option(count, words, "--subscribe", NULL);
  if (!model.endpoint || !model.second_endpoint) fail("--publish, --subscribe", "missing");
  model.pairs = (int)number_option(count, words, "--subscribers", 1);
  if (model.pairs < 1 || model.pairs > pairs_max) fail("--subscribers", "1 through 128");
  model.count = number_option(count, words, "--count", 100000);
  model.size = number_option(count, words, "--size", 256);
  void *publisher = zmq_socket(model.context, ZMQ_XPUB);
  int one = 1, timeout = 30000;
  zmq_setsockopt(publisher, ZMQ_XPUB_NODROP, &one, sizeof one);
  zmq_setsockopt(publisher, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
  if (zmq_connect(publisher, model.endpoint) < 0) fail("connect", zmq_strerror(errno));
  part *subscribers = calloc((size_t)model.pairs, sizeof(part));
  pthread_t threads[pairs_max];
  for (int index = 0; index < model.pairs; index += 1) {
    subscribers[index] = model;
    pthread_create(&threads[index], NULL, subscribe_topic, &subscribers[index]);
  }
  void *content = calloc(1, model.size + 1);
  memset(content, 'x', model.size);
  uint64_t patience = now() + 10000000000u;
  while (atomic_load(&attached) < model.pairs) {
    if (now() > patience) fail("subscribe", "not every subscriber hears");
    send_one(publisher, "p0", topic, true, announcement, now(), "", 0);
    usleep(1000);
  }
  uint64_t began = now();
  for (uint64_t sequence = 1; sequence <= model.count; sequence += 1) {
    send_one(publisher, "p0", topic, true, sequence, now(), content, model.size);
  }
  uint64_t received = 0, disorder = 0, ended = 0;
  for (int index = 0; index < model.pairs; index += 1) {
    pthread_join(threads[index], NULL);
    received += subscribers[index].received;
    disorder += subscribers[index].out_of_order;
    if (subscribers[index].ended > ended) ended = subscribers[index].ended;
  }
  double seconds = (double)(ended - began) / 1e9;
  printf(
      "{\"received\":%lu,\"lost\":%lu,\"out_of_order\":%lu,\"seconds\":%.6f,\"per_second\":%.1f}\n",
      received, (uint64_t)model.pairs * model.count - received, disorder, seconds,
      (double)received / seconds);
  free(content);
  zmq_close(publisher);
  zmq_ctx_term(model.context);
  return 0;
}
