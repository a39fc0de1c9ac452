// NATS as plain C on cnats uses it: throughput, latency, and 100 MB in chunks.
#include "reference.h"

#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(natsStatus status, const char *attempt) {
  if (status != NATS_OK) fail(attempt, natsStatus_GetText(status));
}

static natsConnection *connect_to(const char *url, bool at_once) {
  natsOptions *options = NULL;
  natsConnection *connection = NULL;
  check(natsOptions_Create(&options), "options");
  check(natsOptions_SetURL(options, url), "url");
  check(natsOptions_SetSendAsap(options, at_once), "send at once");
  check(natsConnection_Connect(&connection, options), "connect");
  natsOptions_Destroy(options);
  return connection;
}

typedef struct {
  natsSubscription *subscription;
  uint64_t count, received, ended;
  bool is_timed, reads_headers;
  histogram latencies;
} listener;

static const char *const names[] = {
    "ce-specversion", "ce-source", "ce-id",   "ce-type", "ce-sequence", "ce-incarnation",
    "ce-destination", "ce-sent",   "ce-kind", "ce-hops", "ce-datacontenttype",
};

static void *listen_to(void *argument) {
  listener *self = argument;
  while (self->received < self->count) {
    natsMsg *message = NULL;
    if (natsSubscription_NextMsg(&message, self->subscription, 5000) != NATS_OK) break;
    self->ended = now();
    self->received += 1;
    const char *value = NULL;
    for (size_t index = 0; self->reads_headers && index < sizeof names / sizeof names[0];
         index += 1) {
      if (natsMsgHeader_Get(message, names[index], &value) != NATS_OK) fail("header", names[index]);
    }
    if (self->is_timed && natsMsg_GetDataLength(message) >= 8) {
      uint64_t sent;
      memcpy(&sent, natsMsg_GetData(message), 8);
      histogram_add(&self->latencies, self->ended - sent);
    }
    natsMsg_Destroy(message);
  }
  return NULL;
}

static void begin(listener *listener, natsConnection *connection, pthread_t *thread) {
  check(
      natsConnection_SubscribeSync(&listener->subscription, connection, "agent.r0.message"),
      "subscribe");
  natsSubscription_SetPendingLimits(listener->subscription, -1, -1);
  check(natsConnection_FlushTimeout(connection, 5000), "flush");
  pthread_create(thread, NULL, listen_to, listener);
}

// The headers of an envelope, as the wire has them.
static natsMsg *envelope(const void *content, size_t size, uint64_t sequence) {
  natsMsg *message = NULL;
  char text[40];
  check(natsMsg_Create(&message, "agent.r0.message", NULL, content, (int)size), "message");
  natsMsgHeader_Set(message, "ce-source", "s0");
  natsMsgHeader_Set(message, "ce-type", "message");
  natsMsgHeader_Set(message, "ce-destination", "r0");
  natsMsgHeader_Set(message, "ce-incarnation", "1");
  natsMsgHeader_Set(message, "ce-specversion", "1.0");
  natsMsgHeader_Set(message, "ce-kind", "1");
  natsMsgHeader_Set(message, "ce-hops", "0");
  natsMsgHeader_Set(message, "ce-datacontenttype", "application/octet-stream");
  snprintf(text, sizeof text, "%020lu", sequence);
  natsMsgHeader_Set(message, "ce-sequence", text);
  snprintf(text, sizeof text, "1/r0/%lu", sequence);
  natsMsgHeader_Set(message, "ce-id", text);
  snprintf(text, sizeof text, "%lu", now());
  natsMsgHeader_Set(message, "ce-sent", text);
  return message;
}

// `--url`, `--count`, `--size`, `--mode asap|buffered`, `--headers 0|1`.
int nats_throughput(int count, char **words) {
  const char *url = text_option(count, words, "--url", "nats://127.0.0.1:4222");
  bool at_once = strcmp(text_option(count, words, "--mode", "asap"), "asap") == 0;
  bool has_headers = number_option(count, words, "--headers", 0) != 0;
  uint64_t messages = number_option(count, words, "--count", 200000);
  size_t size = number_option(count, words, "--size", 256);
  natsConnection *sender = connect_to(url, at_once), *receiver = connect_to(url, at_once);
  listener *hearing = calloc(1, sizeof *hearing);
  hearing->count = messages;
  hearing->reads_headers = has_headers;
  pthread_t thread;
  begin(hearing, receiver, &thread);
  void *content = calloc(1, size + 1);
  uint64_t began = now();
  for (uint64_t index = 1; index <= messages; index += 1) {
    if (has_headers) {
      natsMsg *message = envelope(content, size, index);
      check(natsConnection_PublishMsg(sender, message), "publish");
      natsMsg_Destroy(message);
    } else {
      check(natsConnection_Publish(sender, "agent.r0.message", content, (int)size), "publish");
    }
  }
  check(natsConnection_FlushTimeout(sender, 60000), "flush");
  pthread_join(thread, NULL);
  double seconds = (double)(hearing->ended - began) / 1e9;
  printf(
      "{\"received\":%lu,\"lost\":%lu,\"seconds\":%.6f,\"per_second\":%.1f}\n", hearing->received,
      messages - hearing->received, seconds, (double)hearing->received / seconds);
  return 0;
}

// `--url`, `--rate`, `--count`, `--size`, `--mode`.
int nats_latency(int count, char **words) {
  const char *url = text_option(count, words, "--url", "nats://127.0.0.1:4222");
  bool at_once = strcmp(text_option(count, words, "--mode", "asap"), "asap") == 0;
  uint64_t messages = number_option(count, words, "--count", 4000);
  uint64_t rate = number_option(count, words, "--rate", 2000);
  size_t size = number_option(count, words, "--size", 256);
  if (rate == 0 || size < 8) fail("--rate, --size", "at least 1 and 8");
  natsConnection *sender = connect_to(url, at_once), *receiver = connect_to(url, at_once);
  listener *hearing = calloc(1, sizeof *hearing);
  hearing->count = messages;
  hearing->is_timed = true;
  pthread_t thread;
  begin(hearing, receiver, &thread);
  uint8_t *content = calloc(1, size);
  uint64_t began = now();
  for (uint64_t index = 1; index <= messages; index += 1) {
    uint64_t due = began + index * (1000000000u / rate);
    wait_until(due);
    memcpy(content, &due, 8);
    check(natsConnection_Publish(sender, "agent.r0.message", content, (int)size), "publish");
  }
  check(natsConnection_FlushTimeout(sender, 60000), "flush");
  pthread_join(thread, NULL);
  const histogram *latencies = &hearing->latencies;
  printf(
      "{\"received\":%lu,\"lost\":%lu,\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.2f}\n",
      hearing->received, messages - hearing->received, (double)histogram_at(latencies, 0.5) / 1e3,
      (double)histogram_at(latencies, 0.99) / 1e3, (double)latencies->greatest / 1e3);
  return 0;
}

// One content in chunks, put together again: `--url`, `--bytes`, `--chunk`, `--runs`.
int nats_chunks(int count, char **words) {
  const char *url = text_option(count, words, "--url", "nats://127.0.0.1:4222");
  size_t bytes = number_option(count, words, "--bytes", 100000000);
  size_t chunk = number_option(count, words, "--chunk", 8000000);
  uint64_t runs = number_option(count, words, "--runs", 5);
  natsConnection *sender = connect_to(url, true), *receiver = connect_to(url, true);
  natsSubscription *subscription = NULL;
  check(natsConnection_SubscribeSync(&subscription, receiver, "agent.r0.chunk"), "subscribe");
  natsSubscription_SetPendingLimits(subscription, -1, -1);
  check(natsConnection_FlushTimeout(receiver, 5000), "flush");
  uint8_t *content = malloc(bytes), *arrived = malloc(bytes);
  memset(content, 7, bytes);
  memset(arrived, 0, bytes);
  printf("{\"milliseconds\":[");
  for (uint64_t run = 0; run < runs; run += 1) {
    uint64_t began = now();
    size_t sent = 0, got = 0;
    while (got < bytes) {
      // A few chunks ahead, as much as a server lets wait.
      if (sent < bytes && sent - got < 4 * chunk) {
        size_t size = bytes - sent < chunk ? bytes - sent : chunk;
        check(
            natsConnection_Publish(sender, "agent.r0.chunk", content + sent, (int)size), "publish");
        sent += size;
        continue;
      }
      natsMsg *message = NULL;
      check(natsSubscription_NextMsg(&message, subscription, 10000), "receive");
      memcpy(arrived + got, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
      got += (size_t)natsMsg_GetDataLength(message);
      natsMsg_Destroy(message);
    }
    printf("%s%.3f", run ? "," : "", (double)(now() - began) / 1e6);
  }
  printf("]}\n");
  return memcmp(content, arrived, bytes) == 0 ? 0 : 1;
}
