#ifndef SYNMESH_HEAP_H
#define SYNMESH_HEAP_H

#include <malloc.h>

// The module Glibc does not have malloc.h.
static inline void synmesh_trim_heap(void) { malloc_trim(0); }

#endif
