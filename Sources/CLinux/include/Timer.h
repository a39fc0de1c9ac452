#ifndef SYNMESH_TIMER_H
#define SYNMESH_TIMER_H

#include <stdint.h>

// A timer to poll for reading, of the monotonic clock; it never blocks.
int synmesh_timerfd(void);
// Readable once, after so many nanoseconds; 0 is never. What it was set to before is forgotten.
int synmesh_timerfd_set(int descriptor, uint64_t nanoseconds);

#endif
