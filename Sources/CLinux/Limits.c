#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

// What this process was started with; 0: nothing was raised.
static _Atomic rlim_t soft_before = 0;

void synmesh_raise_descriptors(void) {
    struct rlimit limit;
    if (atomic_load(&soft_before) != 0 || getrlimit(RLIMIT_NOFILE, &limit) == -1) return;
    if (limit.rlim_cur >= limit.rlim_max) return;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) atomic_store(&soft_before, before);
}

void synmesh_restore_descriptors(pid_t process) {
    struct rlimit limit;
    rlim_t before = atomic_load(&soft_before);
    if (before == 0 || getrlimit(RLIMIT_NOFILE, &limit) == -1) return;
    limit.rlim_cur = before;
    prlimit(process, RLIMIT_NOFILE, &limit, NULL);
}

static int limit_one(pid_t process, int resource, int64_t value) {
    if (value < 0) return 0;
    struct rlimit limit = {(rlim_t)value, (rlim_t)value};
    return prlimit(process, resource, &limit, NULL) == 0 ? 0 : errno;
}

int synmesh_limit(pid_t process, const synmesh_limits *limits) {
    int error = limit_one(process, RLIMIT_AS, limits->address_space);
    if (error == 0) error = limit_one(process, RLIMIT_NOFILE, limits->files);
    if (error == 0) error = limit_one(process, RLIMIT_FSIZE, limits->file_size);
    if (error == 0) error = limit_one(process, RLIMIT_CPU, limits->processor_seconds);
    if (error == 0 && limits->nice != 0) {
        errno = 0;
        int before = getpriority(PRIO_PROCESS, (id_t)process);
        if (errno != 0 || setpriority(PRIO_PROCESS, (id_t)process, before + limits->nice) == -1) {
            error = errno;
        }
    }
    return error;
}
