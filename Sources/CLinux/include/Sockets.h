#ifndef SYNMESH_SOCKETS_H
#define SYNMESH_SOCKETS_H

#include <linux/sockios.h>
#include <sys/ioctl.h>

// Bytes that were written to a connected socket and that its peer has not taken: for TCP those that
// were not acknowledged, for a Unix socket those that were not read. Returns -1 for what is no socket.
static inline int synmesh_unsent(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) == 0 ? count : -1;
}

// Those of them that the kernel could not even send yet; the others may have been read long ago, as TCP
// puts off what it acknowledges. For a Unix socket there is no difference.
static inline int synmesh_unsendable(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQNSD, &count) == 0 ? count : synmesh_unsent(descriptor);
}

// Gives memory that was freed back to the system, as far as whole pages of it are free.
void synmesh_trim_memory(void);

// From now on the allocator keeps up to so many bytes that were freed at the end of each of its
// areas, and maps nothing smaller than that on its own. At most 32 MiB have an effect.
void synmesh_keep_memory(int bytes);

#endif
