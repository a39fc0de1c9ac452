// What files can do: buffered appends, rows of SQLite, reading from one end to the other.
#include "reference.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Records of `--size` bytes a second through a buffered write of 64 KiB: `--path`, `--count`.
int append(int count, char **words) {
  const char *path = text_option(count, words, "--path", NULL);
  if (!path) fail("--path", "missing");
  uint64_t records = number_option(count, words, "--count", 1000000);
  size_t size = number_option(count, words, "--size", 300);
  FILE *file = fopen(path, "wbx");
  if (!file) fail("open", strerror(errno));
  setvbuf(file, NULL, _IOFBF, 65536);
  uint8_t *record = calloc(1, size);
  uint64_t began = now();
  for (uint64_t index = 0; index < records; index += 1) {
    memcpy(record, &index, sizeof index < size ? sizeof index : size);
    if (fwrite(record, size, 1, file) != 1) fail("append", strerror(errno));
  }
  fclose(file);
  printf("{\"per_second\":%.1f}\n", (double)records / ((double)(now() - began) / 1e9));
  unlink(path);
  return 0;
}

// Rows of a blob of `--size` bytes a second into SQLite, write-ahead log, `--batch` a transaction:
// `--path`, `--count`.
int sqlite(int count, char **words) {
  const char *path = text_option(count, words, "--path", NULL);
  if (!path) fail("--path", "missing");
  uint64_t records = number_option(count, words, "--count", 1000000);
  uint64_t batch = number_option(count, words, "--batch", 1000);
  size_t size = number_option(count, words, "--size", 300);
  sqlite3 *database;
  if (sqlite3_open(path, &database) != SQLITE_OK) fail("open", sqlite3_errmsg(database));
  const char *setup =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE records(number INTEGER, content BLOB);";
  if (sqlite3_exec(database, setup, NULL, NULL, NULL) != SQLITE_OK) {
    fail("create", sqlite3_errmsg(database));
  }
  sqlite3_stmt *insert;
  sqlite3_prepare_v2(database, "INSERT INTO records VALUES(?,?)", -1, &insert, NULL);
  uint8_t *record = calloc(1, size);
  uint64_t began = now();
  for (uint64_t index = 0; index < records; index += 1) {
    if (index % batch == 0) sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    memcpy(record, &index, sizeof index < size ? sizeof index : size);
    sqlite3_bind_int64(insert, 1, (sqlite3_int64)index);
    sqlite3_bind_blob(insert, 2, record, (int)size, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE) fail("insert", sqlite3_errmsg(database));
    sqlite3_reset(insert);
    if ((index + 1) % batch == 0 || index + 1 == records) {
      sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    }
  }
  printf("{\"per_second\":%.1f}\n", (double)records / ((double)(now() - began) / 1e9));
  sqlite3_finalize(insert);
  sqlite3_close(database);
  return 0;
}

// Seconds to read `--path` from one end to the other, a megabyte at a time. The file must come from the
// disk: the system is told to forget it before, and again after, for who reads it next.
int read_file(int count, char **words) {
  const char *path = text_option(count, words, "--path", NULL);
  if (!path) fail("--path", "missing");
  static uint8_t buffer[1 << 20];
  int file = open(path, O_RDONLY);
  if (file < 0) fail("open", strerror(errno));
  fdatasync(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  uint64_t began = now(), bytes = 0, sum = 0;
  ssize_t got;
  while ((got = read(file, buffer, sizeof buffer)) > 0) {
    // Looked at, as any reader would.
    for (ssize_t place = 0; place + 8 <= got; place += 8) {
      uint64_t word;
      memcpy(&word, buffer + place, 8);
      sum += word;
    }
    bytes += (uint64_t)got;
  }
  double seconds = (double)(now() - began) / 1e9;
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  close(file);
  printf("{\"seconds\":%.6f,\"bytes\":%llu,\"sum\":%llu}\n", seconds, (unsigned long long)bytes,
         (unsigned long long)(sum & 0xFFFF));
  return 0;
}
