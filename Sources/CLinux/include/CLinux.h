#ifndef SYNMESH_LINUX_H
#define SYNMESH_LINUX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// What Swift cannot import from Linux: macros with arguments, unions inside structures, and calls
// whose headers are not in the Glibc module. Functions that can fail return -1 and set errno,
// unless their comment says otherwise. Every descriptor made here closes on exec.

// An eventfd that never blocks: write with `synmesh_eventfd_signal`, poll it for reading.
int synmesh_eventfd(void);
// Makes the descriptor readable. Never blocks; a counter that is full is readable already.
int synmesh_eventfd_signal(int descriptor);
// Makes the descriptor quiet again. Returns how often it was signalled since the last time.
uint64_t synmesh_eventfd_take(int descriptor);

// Blocks the signals in the calling thread (and in the threads it makes from now on) and returns a
// descriptor that is readable when one arrives.
int synmesh_signalfd(const int *signals, size_t count);

typedef struct {
    int number;
    // False for what the kernel sent, such as the terminal's Ctrl-C: then the whole foreground
    // process group got it already.
    bool from_process;
    pid_t sender;
} synmesh_signal;

// Reads one signal. Returns 1, or 0 when none is there, or -1.
int synmesh_signalfd_read(int descriptor, synmesh_signal *signal);

// Catches the signals with a handler and returns a descriptor that blocks, and from which the number
// of each that arrives is read as one byte. A signal that is ignored stays so. Once a process.
//
// Not a signalfd: that needs the signals blocked in every thread, and the main thread of a Swift
// program with an asynchronous `main` waits in `sigsuspend` with none blocked.
int synmesh_signals_catch(const int *signals, size_t count);

// Blocks every signal in the calling thread but those a fault raises, and says what was blocked
// before through `previous`, which `synmesh_signals_restore` takes.
typedef struct {
    uint64_t words[16];
} synmesh_signal_mask;
int synmesh_signals_block(synmesh_signal_mask *previous);
int synmesh_signals_restore(const synmesh_signal_mask *previous);

// A pipe whose ends close on exec: [0] is read from, [1] is written to.
int synmesh_pipe(int *ends);

// Gives a pipe room for a megabyte where the system has it: who writes a burst waits less for its
// reader.
void synmesh_enlarge_pipe(int end);

// Names the calling thread for debuggers; the system keeps 15 bytes.
void synmesh_name_thread(const char *name);

// prctl(PR_SET_CHILD_SUBREAPER): orphaned descendants become children of this process.
int synmesh_become_subreaper(void);
// A descriptor that is readable once the process has ended.
int synmesh_pidfd_open(pid_t process);

typedef struct {
    // The exit code, or the number of the signal that ended the process.
    int status;
    bool signalled;
    bool core_dumped;
} synmesh_exit;

// Says how a child ended without reaping it, so that its number stays taken. Returns 1, or 0 while
// it still runs, or -1 (ECHILD: not a child).
int synmesh_exit_peek(pid_t process, synmesh_exit *result);
// Reaps a child that has ended: `process` or, when it is -1, any. Returns its number, 0 when none
// has ended, or -1 (ECHILD: there is no child at all).
pid_t synmesh_reap(pid_t process, synmesh_exit *result);

typedef struct {
    // Looked up in PATH when it has no slash.
    const char *executable;
    char *const *arguments;
    // NULL: the parent's.
    char *const *environment;
    // NULL: the parent's.
    const char *directory;
    // What the child's stdout and stderr become, with stdin from /dev/null and every other
    // descriptor closed; -1: all descriptors as the parent has them.
    int output;
    // A descriptor the child keeps although it closes on exec here; -1: none.
    int kept;
    // What becomes the descriptor `ready_number` of the child, if that is 3 or more.
    int ready;
    int ready_number;
    // True: a process group of its own, all signals at their defaults. False: the parent's group,
    // and only SIGPIPE at its default. The mask is empty in both cases.
    bool own_group;
    // True: a session of its own, and all signals at their defaults.
    bool own_session;
} synmesh_spawn_request;

// Starts a program. Returns 0, or the errno value that says why not.
int synmesh_spawn(const synmesh_spawn_request *request, pid_t *process);

// Who is at the other end of a Unix socket. Returns 0, or -1.
int synmesh_peer_user(int socket, uid_t *user);

// The name of a signal without its SIG, such as KILL; NULL for a number that has none.
const char *synmesh_signal_name(int number);

// Removes a file, a socket or a directory with all that is in it, without following links. Returns
// 1, or 0 when there was nothing, or -1.
int synmesh_remove_tree(const char *path);

// The memory-mapped history file.
#include "HistoryFile.h"

// Locks and loads for shared memory.
#include "SharedMemory.h"
#include "Sockets.h"

// What processes may use.
#include "Limits.h"

// Timers to poll.
#include "Timer.h"

// What is known of the heap.
#include "Heap.h"

#endif
