#ifndef SYNMESH_LINUX_H
#define SYNMESH_LINUX_H
#endif
