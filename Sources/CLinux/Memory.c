#include <malloc.h>

#include "CLinux.h"

void synmesh_trim_memory(void) { malloc_trim(0); }

void synmesh_keep_memory(int bytes) {
    mallopt(M_MMAP_THRESHOLD, bytes);
    mallopt(M_TRIM_THRESHOLD, bytes);
}
