#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int synmesh_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int synmesh_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) == -1) {
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) return -1;
    }
    return 0;
}

uint64_t synmesh_eventfd_take(int descriptor) {
    uint64_t count = 0;
    while (read(descriptor, &count, sizeof count) == -1) {
        if (errno != EINTR) return 0;
    }
    return count;
}

int synmesh_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t index = 0; index < count; index++) sigaddset(&set, signals[index]);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int synmesh_signalfd_read(int descriptor, synmesh_signal *signal) {
    struct signalfd_siginfo information;
    ssize_t size;
    do {
        size = read(descriptor, &information, sizeof information);
    } while (size == -1 && errno == EINTR);
    if (size == -1) return errno == EAGAIN ? 0 : -1;
    signal->number = (int)information.ssi_signo;
    signal->from_process = information.ssi_code <= 0;
    signal->sender = (pid_t)information.ssi_pid;
    return 1;
}

static int caught_signals = -1;

static void catch_signal(int number) {
    int error = errno;
    uint8_t byte = (uint8_t)number;
    // Full means that nobody has read thousands of them; one more says nothing new.
    ssize_t ignored = write(caught_signals, &byte, 1);
    (void)ignored;
    errno = error;
}

int synmesh_signals_catch(const int *signals, size_t count) {
    int ends[2];
    if (caught_signals != -1) {
        errno = EALREADY;
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) == -1) return -1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    caught_signals = ends[1];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = catch_signal;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    for (size_t index = 0; index < count; index++) {
        struct sigaction before;
        if (sigaction(signals[index], NULL, &before) == -1) return -1;
        if (before.sa_handler == SIG_IGN) continue;
        if (sigaction(signals[index], &action, NULL) == -1) return -1;
    }
    return ends[0];
}

_Static_assert(sizeof(sigset_t) <= sizeof(synmesh_signal_mask), "a signal mask has room");

int synmesh_signals_block(synmesh_signal_mask *previous) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t set, old;
    sigfillset(&set);
    for (size_t index = 0; index < sizeof faults / sizeof *faults; index++) {
        sigdelset(&set, faults[index]);
    }
    int error = pthread_sigmask(SIG_SETMASK, &set, &old);
    if (error != 0) {
        errno = error;
        return -1;
    }
    memcpy(previous, &old, sizeof old);
    return 0;
}

int synmesh_signals_restore(const synmesh_signal_mask *previous) {
    sigset_t old;
    memcpy(&old, previous, sizeof old);
    int error = pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return error == 0 ? 0 : -1;
}

int synmesh_pipe(int *ends) { return pipe2(ends, O_CLOEXEC); }

void synmesh_enlarge_pipe(int end) { fcntl(end, F_SETPIPE_SZ, 1 << 20); }

void synmesh_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int synmesh_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int synmesh_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

static void describe(const siginfo_t *information, synmesh_exit *result) {
    result->status = information->si_status;
    result->signalled = information->si_code != CLD_EXITED;
    result->core_dumped = information->si_code == CLD_DUMPED;
}

static pid_t wait_for(pid_t process, int options, synmesh_exit *result) {
    siginfo_t information;
    memset(&information, 0, sizeof information);
    int outcome;
    do {
        outcome = waitid(
            process == -1 ? P_ALL : P_PID, process == -1 ? 0 : (id_t)process, &information,
            WEXITED | WNOHANG | options);
    } while (outcome == -1 && errno == EINTR);
    if (outcome == -1) return -1;
    if (information.si_pid != 0) describe(&information, result);
    return information.si_pid;
}

int synmesh_exit_peek(pid_t process, synmesh_exit *result) {
    pid_t found = wait_for(process, WNOWAIT, result);
    return found > 0 ? 1 : found;
}

pid_t synmesh_reap(pid_t process, synmesh_exit *result) { return wait_for(process, 0, result); }

static int fill_actions(
    const synmesh_spawn_request *request, posix_spawn_file_actions_t *actions) {
    int error = 0;
    if (request->directory != NULL) {
        error = posix_spawn_file_actions_addchdir_np(actions, request->directory);
    }
    if (error == 0 && request->output >= 0) {
        error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
        if (error == 0) error = posix_spawn_file_actions_adddup2(actions, request->output, 1);
        if (error == 0) error = posix_spawn_file_actions_adddup2(actions, request->output, 2);
        int first = 3;
        if (request->ready_number >= 3) {
            // Before what is closed, which it may be among.
            if (error == 0) {
                error = posix_spawn_file_actions_adddup2(
                    actions, request->ready, request->ready_number);
            }
            for (; first < request->ready_number && error == 0; first++) {
                error = posix_spawn_file_actions_addclose(actions, first);
            }
            first = request->ready_number + 1;
        }
        if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(actions, first);
    }
    // A duplicate onto itself clears close-on-exec in the child.
    if (error == 0 && request->kept >= 0) {
        error = posix_spawn_file_actions_adddup2(actions, request->kept, request->kept);
    }
    return error;
}

static int fill_attributes(const synmesh_spawn_request *request, posix_spawnattr_t *attributes) {
    sigset_t none, defaults;
    sigemptyset(&none);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (request->own_group || request->own_session) {
        flags |= request->own_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
        sigfillset(&defaults);
    } else {
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE);
    }
    int error = posix_spawnattr_setflags(attributes, flags);
    if (error == 0) error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (error == 0 && request->own_group) error = posix_spawnattr_setpgroup(attributes, 0);
    return error;
}

int synmesh_spawn(const synmesh_spawn_request *request, pid_t *process) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = fill_actions(request, &actions);
    if (error == 0) error = fill_attributes(request, &attributes);
    if (error == 0) {
        error = posix_spawnp(
            process, request->executable, &actions, &attributes, request->arguments,
            request->environment == NULL ? environ : request->environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int synmesh_peer_user(int socket, uid_t *user) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == -1) return -1;
    *user = credentials.uid;
    return 0;
}

const char *synmesh_signal_name(int number) { return sigabbrev_np(number); }

static int remove_one(
    const char *path, const struct stat *status, int kind, struct FTW *position) {
    (void)status;
    (void)kind;
    (void)position;
    // What cannot be removed is found by the check of the root afterwards.
    remove(path);
    return 0;
}

int synmesh_remove_tree(const char *path) {
    struct stat status;
    if (lstat(path, &status) == -1) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    if (!S_ISDIR(status.st_mode)) return unlink(path) == 0 || errno == ENOENT ? 1 : -1;
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (lstat(path, &status) == -1) return 1;
    errno = ENOTEMPTY;
    return -1;
}
