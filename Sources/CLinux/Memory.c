#include <malloc.h>

#include "CLinux.h"

void synmesh_trim_memory(void) { malloc_trim(0); }
