#include "CLinux.h"

#include <sys/timerfd.h>
#include <time.h>

int synmesh_timerfd(void) {
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

int synmesh_timerfd_set(int descriptor, uint64_t nanoseconds) {
    struct itimerspec time = {
        .it_value = {
            .tv_sec = (time_t)(nanoseconds / 1000000000u),
            .tv_nsec = (long)(nanoseconds % 1000000000u),
        },
    };
    // Setting it also takes back that it was readable.
    return timerfd_settime(descriptor, 0, &time, NULL);
}
