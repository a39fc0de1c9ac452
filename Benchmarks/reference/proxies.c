// A branch proxy and a topic proxy as one would write them in plain C on libzmq.
#include "reference.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

// --- Branch proxy: a ROUTER that counts routes and never blocks on one destination ---

enum { frames_max = 4, table_size = 4096 };

typedef struct parcel {
  zmq_msg_t frames[3];
  struct parcel *next;
} parcel;

// A destination: what waits for it.
typedef struct {
  uint8_t name[64];
  size_t length;
  parcel *first, *last;
  uint64_t waiting;
} destination;

// A route of the report.
typedef struct {
  uint8_t key[130];
  size_t length;
  uint64_t count, bytes;
} route;

static destination destinations[table_size];
static route routes[table_size];
static uint64_t waiting, dropped;

static uint64_t hash(const uint8_t *bytes, size_t length, uint64_t seed) {
  uint64_t value = 14695981039346656037u ^ seed;
  for (size_t index = 0; index < length; index += 1) value = (value ^ bytes[index]) * 1099511628211u;
  return value;
}

static destination *find_destination(const uint8_t *name, size_t length) {
  if (length > sizeof destinations[0].name) return NULL;
  for (size_t at = hash(name, length, 0) % table_size;; at = (at + 1) % table_size) {
    destination *found = &destinations[at];
    if (found->length == 0) {
      memcpy(found->name, name, length);
      found->length = length;
    }
    if (found->length == length && memcmp(found->name, name, length) == 0) return found;
  }
}

static void count_route(zmq_msg_t *sender, zmq_msg_t *target, size_t bytes) {
  uint8_t key[130];
  size_t first = zmq_msg_size(sender), second = zmq_msg_size(target);
  if (first > 64 || second > 64) return;
  memcpy(key, zmq_msg_data(sender), first);
  key[first] = 0;
  memcpy(key + first + 1, zmq_msg_data(target), second);
  size_t length = first + 1 + second;
  for (size_t at = hash(key, length, 1) % table_size;; at = (at + 1) % table_size) {
    route *found = &routes[at];
    if (found->length == 0) {
      memcpy(found->key, key, length);
      found->length = length;
    }
    if (found->length == length && memcmp(found->key, key, length) == 0) {
      found->count += 1;
      found->bytes += bytes;
      return;
    }
  }
}

// Sends three frames; false where the destination has no room, and nothing was taken.
static bool send_frames(void *router, zmq_msg_t *frames) {
  if (zmq_msg_send(&frames[0], router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
    if (errno == EAGAIN) return false;
    // Nobody of that name: a dead letter.
    dropped += 1;
    for (int index = 0; index < 3; index += 1) zmq_msg_close(&frames[index]);
    return true;
  }
  zmq_msg_send(&frames[1], router, ZMQ_SNDMORE | ZMQ_DONTWAIT);
  zmq_msg_send(&frames[2], router, ZMQ_DONTWAIT);
  return true;
}

static void flush_waiting(void *router) {
  for (size_t at = 0; at < table_size && waiting > 0; at += 1) {
    destination *target = &destinations[at];
    while (target->first && send_frames(router, target->first->frames)) {
      parcel *sent = target->first;
      target->first = sent->next;
      if (!target->first) target->last = NULL;
      target->waiting -= 1;
      waiting -= 1;
      free(sent);
    }
  }
}

static void pass_on(void *router, zmq_msg_t *frames) {
  size_t bytes = zmq_msg_size(&frames[2]) + zmq_msg_size(&frames[3]);
  count_route(&frames[0], &frames[1], bytes);
  zmq_msg_close(&frames[0]);
  destination *target = find_destination(zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]));
  if (target && !target->first && send_frames(router, frames + 1)) return;
  if (!target || target->waiting >= 100000) {
    dropped += 1;
    for (int index = 1; index < 4; index += 1) zmq_msg_close(&frames[index]);
    return;
  }
  parcel *kept = malloc(sizeof *kept);
  for (int index = 0; index < 3; index += 1) {
    zmq_msg_init(&kept->frames[index]);
    zmq_msg_move(&kept->frames[index], &frames[index + 1]);
  }
  kept->next = NULL;
  if (target->last) target->last->next = kept; else target->first = kept;
  target->last = kept;
  target->waiting += 1;
  waiting += 1;
}

// Takes one message; false where none is there.
static bool take(void *router) {
  zmq_msg_t frames[frames_max];
  int count = 0;
  while (true) {
    zmq_msg_t spare;
    zmq_msg_t *frame = count < frames_max ? &frames[count] : &spare;
    zmq_msg_init(frame);
    if (zmq_msg_recv(frame, router, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(frame);
      return false;
    }
    bool more = zmq_msg_more(frame);
    if (frame == &spare) zmq_msg_close(frame);
    count += 1;
    if (!more) break;
  }
  if (count == frames_max) {
    pass_on(router, frames);
    return true;
  }
  for (int index = 0; index < count && index < frames_max; index += 1) zmq_msg_close(&frames[index]);
  dropped += 1;
  return true;
}

int branch_proxy(int count, char **words) {
  void *context = zmq_ctx_new();
  void *router = zmq_socket(context, ZMQ_ROUTER);
  int one = 1;
  zmq_setsockopt(router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
  zmq_setsockopt(router, ZMQ_ROUTER_HANDOVER, &one, sizeof one);
  if (zmq_bind(router, text_option(count, words, "--bind", "tcp://127.0.0.1:*")) < 0) {
    fail("bind", zmq_strerror(errno));
  }
  char endpoint[256];
  size_t length = sizeof endpoint;
  zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &length);
  printf("{\"endpoint\":\"%s\"}\n", endpoint);
  fflush(stdout);
  while (true) {
    zmq_pollitem_t items[2] = {{router, 0, ZMQ_POLLIN, 0}, {NULL, STDIN_FILENO, ZMQ_POLLIN, 0}};
    zmq_poll(items, 2, waiting > 0 ? 1 : 200);
    if (items[1].revents) break;
    for (int taken = 0; taken < 512 && take(router); taken += 1) {}
    if (waiting > 0) flush_waiting(router);
  }
  printf("{\"dropped\":%lu,\"resident_kb\":%lu}\n", dropped, resident_peak());
  zmq_close(router);
  zmq_ctx_term(context);
  return 0;
}

// --- Topic proxy: libzmq's own, with XPUB_NODROP so that it loses nothing ---

typedef struct {
  void *context;
} end_watch;

static void *watch_input(void *argument) {
  wait_for_end_of_input();
  zmq_ctx_shutdown(((end_watch *)argument)->context);
  return NULL;
}

int topic_proxy(int count, char **words) {
  void *context = zmq_ctx_new();
  void *inner = zmq_socket(context, ZMQ_XSUB), *outer = zmq_socket(context, ZMQ_XPUB);
  int one = 1, none = 0;
  zmq_setsockopt(outer, ZMQ_XPUB_NODROP, &one, sizeof one);
  zmq_setsockopt(inner, ZMQ_LINGER, &none, sizeof none);
  zmq_setsockopt(outer, ZMQ_LINGER, &none, sizeof none);
  if (zmq_bind(inner, text_option(count, words, "--publish", "tcp://127.0.0.1:*")) < 0
      || zmq_bind(outer, text_option(count, words, "--subscribe", "tcp://127.0.0.1:*")) < 0) {
    fail("bind", zmq_strerror(errno));
  }
  char publish[256], subscribe[256];
  size_t length = sizeof publish;
  zmq_getsockopt(inner, ZMQ_LAST_ENDPOINT, publish, &length);
  length = sizeof subscribe;
  zmq_getsockopt(outer, ZMQ_LAST_ENDPOINT, subscribe, &length);
  printf("{\"publish\":\"%s\",\"subscribe\":\"%s\"}\n", publish, subscribe);
  fflush(stdout);
  end_watch watch = {context};
  pthread_t thread;
  pthread_create(&thread, NULL, watch_input, &watch);
  zmq_proxy(inner, outer, NULL);
  printf("{\"resident_kb\":%lu}\n", resident_peak());
  fflush(stdout);
  zmq_close(inner);
  zmq_close(outer);
  pthread_join(thread, NULL);
  zmq_ctx_term(context);
  return 0;
}
