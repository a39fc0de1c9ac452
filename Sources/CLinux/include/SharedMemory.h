#ifndef SYNMESH_SHARED_MEMORY_H
#define SYNMESH_SHARED_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

// Locks of one byte that belong to an open file and not to a process (F_OFD_SETLK): the kernel lets
// go of them when the last copy of the descriptor and the last mapping made from it are gone, which
// kill -9 sees to. Swift imports Glibc without _GNU_SOURCE, so the commands do not exist there.

// Takes or changes the lock of a byte without waiting. Returns 1, or 0 when somebody else's lock is in the way, or -1.
int synmesh_lock_try(int file, int64_t offset, bool exclusive);
// Lets go of the lock of a byte. Returns 0, or -1.
int synmesh_lock_release(int file, int64_t offset);
// Says who else holds the byte: 0 nobody, 1 somebody together with others, 2 somebody alone; -1.
int synmesh_lock_holder(int file, int64_t offset);

// How long an open file is, in bytes, and how many names it has. Returns 0, or -1.
int synmesh_file_state(int file, int64_t *size, uint64_t *links);

// One aligned 8-byte load before everything that is loaded after it: the other half of
// `synmesh_memory_publish`.
static inline uint64_t synmesh_memory_load(const void *address) {
    return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

#endif
