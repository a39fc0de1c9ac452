#ifndef SYNMESH_LIMITS_H
#define SYNMESH_LIMITS_H

#include <stdint.h>
#include <sys/types.h>

// Allows this process as many descriptors as it may have: a supervisor has several for each child.
void synmesh_raise_descriptors(void);
// Gives a child the number that this process was started with: what it may have is not our affair.
void synmesh_restore_descriptors(pid_t process);

// What a process may use; negative: as much as it does now.
typedef struct {
    int64_t address_space;
    int64_t files;
    int64_t file_size;
    int64_t processor_seconds;
    // Added to its niceness; 0: nothing.
    int nice;
} synmesh_limits;

// Limits a process that was just started. Returns 0, or the errno value that says why not.
int synmesh_limit(pid_t process, const synmesh_limits *limits);

#endif
