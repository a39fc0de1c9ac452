#define _GNU_SOURCE
#include "HistoryFile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int synmesh_file_reserve(int file, int64_t offset, int64_t length) {
    int result;
    do {
        result = fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);
    } while (result == -1 && errno == EINTR);
    if (result == 0) return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
    do {
        result = posix_fallocate(file, offset, length);
    } while (result == EINTR);
    return result;
}

void synmesh_file_begin_writing(int file, int64_t offset, int64_t length) {
    (void)sync_file_range(file, offset, length, SYNC_FILE_RANGE_WRITE);
}

int synmesh_rename_new(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (link(from, to) != 0) return errno;
    unlink(from);
    return 0;
}

int64_t synmesh_file_size_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur > INT64_MAX) return INT64_MAX;
    return (int64_t)limit.rlim_cur;
}

void synmesh_memory_populate(void *address, uint64_t length) {
#ifdef MADV_POPULATE_WRITE
    madvise(address, length, MADV_POPULATE_WRITE);
#else
    madvise(address, length, 23);
#endif
}
