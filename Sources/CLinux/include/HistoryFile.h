#ifndef SYNMESH_HISTORY_FILE_H
#define SYNMESH_HISTORY_FILE_H

#include <stdint.h>

// Swift imports Glibc without _GNU_SOURCE, so these calls do not exist there.

// fallocate(FALLOC_FL_KEEP_SIZE): blocks beyond the end of the file, whose size stays. Where the
// file system cannot, posix_fallocate, which moves the end. Returns 0 or an errno.
int synmesh_file_reserve(int file, int64_t offset, int64_t length);

/// Has the system begin to write a part of a file to the disk; returns at once, and promises nothing.
void synmesh_file_begin_writing(int file, int64_t offset, int64_t length);

// renameat2(RENAME_NOREPLACE), or link and unlink where the file system lacks it. 0 or an errno.
int synmesh_rename_new(const char *from, const char *to);

// The soft limit on the size of files, INT64_MAX where there is none.
int64_t synmesh_file_size_limit(void);

// Makes pages of a shared mapping writable ahead of their first store. Advice: no result.
void synmesh_memory_populate(void *address, uint64_t length);

// One aligned 8-byte store behind everything that was stored before it; Swift's Atomic has no
// form that works on memory of somebody else.
static inline void synmesh_memory_publish(void *address, uint64_t value) {
    __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

#endif
