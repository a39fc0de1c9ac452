// What memory can do: copies, descriptors between processes, binary frames.
#define _GNU_SOURCE
#include "reference.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

static void *touched(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("memory", strerror(errno));
  memset(memory, 7, bytes);
  return memory;
}

typedef struct {
  uint64_t slot, bytes;
} descriptor;

// The reader of a pooled segment: answers every descriptor, copies out where it is to.
static void read_descriptors(int channel, const uint8_t *pool, bool copies_out, size_t bytes) {
  uint8_t *own = copies_out ? touched(bytes) : NULL;
  descriptor arrived;
  volatile uint8_t seen = 0;
  while (read(channel, &arrived, sizeof arrived) == (ssize_t)sizeof arrived) {
    if (own) memcpy(own, pool, arrived.bytes);
    seen = (uint8_t)(seen + pool[arrived.bytes - 1]);
    if (write(channel, &arrived, sizeof arrived) < 0) break;
  }
  _exit(0);
}

static double hand_over(int channel, uint8_t *pool, const uint8_t *source, size_t bytes) {
  uint64_t began = now();
  if (source) memcpy(pool, source, bytes);
  descriptor message = {0, bytes};
  if (write(channel, &message, sizeof message) < 0
      || read(channel, &message, sizeof message) != (ssize_t)sizeof message) {
    fail("hand over", strerror(errno));
  }
  return (double)(now() - began) / 1e3;
}

static int compare(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

// Of `count` descriptors passed, the time of the one in the middle.
static double pass_descriptors(int channel, uint8_t *pool, size_t bytes, uint64_t count) {
  double *times = calloc(count, sizeof *times);
  for (uint64_t index = 0; index < count; index += 1) {
    times[index] = hand_over(channel, pool, NULL, bytes);
  }
  qsort(times, count, sizeof *times, compare);
  double middle = times[count / 2];
  free(times);
  return middle;
}

static void print_series(const char *name, const double *values, uint64_t count, bool is_last) {
  printf("\"%s\":[", name);
  for (uint64_t index = 0; index < count; index += 1) {
    printf("%s%.2f", index ? "," : "", values[index]);
  }
  printf("]%s", is_last ? "}\n" : ",");
}

// Microseconds of a warm copy, of passing a descriptor of a pooled segment to another process and
// back, of copying in first, and of copying out too: `--bytes`, `--runs`, `--loans` (descriptors a
// run, of which the median counts).
int memory(int count, char **words) {
  size_t bytes = number_option(count, words, "--bytes", 100000000);
  uint64_t runs = number_option(count, words, "--runs", 7);
  uint64_t passed = number_option(count, words, "--loans", 1);
  if (passed < 1) fail("--loans", "at least 1");
  double *copies = calloc(runs, sizeof *copies), *loans = calloc(runs, sizeof *loans);
  double *in = calloc(runs, sizeof *in), *both = calloc(runs, sizeof *both);
  uint8_t *source = touched(bytes), *target = touched(bytes);
  int file = memfd_create("reference", MFD_CLOEXEC);
  if (file < 0 || posix_fallocate(file, 0, (off_t)bytes) != 0) fail("segment", strerror(errno));
  uint8_t *pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (pool == MAP_FAILED) fail("segment", strerror(errno));
  memset(pool, 1, bytes);
  int plain[2], copying[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, plain) != 0
      || socketpair(AF_UNIX, SOCK_STREAM, 0, copying) != 0) {
    fail("channel", strerror(errno));
  }
  pid_t readers[2];
  if ((readers[0] = fork()) == 0) {
    close(plain[0]);
    close(copying[0]);
    read_descriptors(plain[1], pool, false, bytes);
  }
  if ((readers[1] = fork()) == 0) {
    close(plain[0]);
    close(copying[0]);
    read_descriptors(copying[1], pool, true, bytes);
  }
  close(plain[1]);
  close(copying[1]);
  hand_over(plain[0], pool, source, bytes);
  hand_over(copying[0], pool, source, bytes);
  for (uint64_t run = 0; run < runs; run += 1) {
    uint64_t began = now();
    memcpy(target, source, bytes);
    copies[run] = (double)(now() - began) / 1e3;
    loans[run] = pass_descriptors(plain[0], pool, bytes, passed);
    in[run] = hand_over(plain[0], pool, source, bytes);
    both[run] = hand_over(copying[0], pool, source, bytes);
  }
  close(plain[0]);
  close(copying[0]);
  for (int index = 0; index < 2; index += 1) waitpid(readers[index], NULL, 0);
  printf("{");
  print_series("copy_us", copies, runs, false);
  print_series("loan_us", loans, runs, false);
  print_series("copy_in_us", in, runs, false);
  print_series("copy_in_and_out_us", both, runs, true);
  return target[bytes - 1] == source[bytes - 1] ? 0 : 1;
}

// Microseconds of a raw binary frame through the proxy `--proxy` to oneself: `--bytes`, `--runs`.
int frames(int count, char **words) {
  const char *endpoint = text_option(count, words, "--proxy", NULL);
  if (!endpoint) fail("--proxy", "missing");
  size_t bytes = number_option(count, words, "--bytes", 100000000);
  uint64_t runs = number_option(count, words, "--runs", 7);
  double *times = calloc(runs, sizeof *times);
  void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
  int timeout = 30000;
  zmq_setsockopt(socket, ZMQ_ROUTING_ID, "r0", 2);
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  if (zmq_connect(socket, endpoint) < 0) fail("connect", zmq_strerror(errno));
  uint8_t *content = touched(bytes);
  for (uint64_t run = 0; run <= runs; run += 1) {
    uint8_t header[header_max];
    uint64_t began = now();
    size_t length = write_header(header, "r0", "r0", false, run + 1, began);
    zmq_send(socket, "r0", 2, ZMQ_SNDMORE);
    zmq_send(socket, header, length, ZMQ_SNDMORE);
    zmq_send(socket, content, bytes, 0);
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, 0) < 0 || zmq_msg_recv(&message, socket, 0) < 0
        || zmq_msg_size(&message) != bytes) {
      fail("receive", "the frame did not come back");
    }
    zmq_msg_close(&message);
    // The first warms up.
    if (run > 0) times[run - 1] = (double)(now() - began) / 1e3;
  }
  printf("{");
  print_series("frame_us", times, runs, true);
  zmq_close(socket);
  zmq_ctx_term(context);
  return 0;
}
