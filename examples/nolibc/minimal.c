// The yardstick for the size of minimal.rs: the same program, with the same system calls and the same care, as one
// would write it in C. Linux, x86_64. Built, and its size compared, by `ci/run size`.
//
//     cc -Os -nostdlib -static -fno-asynchronous-unwind-tables -fno-stack-protector -Wl,-T,link.ld minimal.c

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLAIM, LOCKED, CLAIMED };
enum step { FILL_STDIO, LOCK_PID_FILE, READY_PIPE, FORK, SETSID, FORK_AGAIN, UMASK, STDIO, CLOSE_FDS, RESET_SIGNALS,
    FILTER_ENV, CHROOT, CHDIR, CLAIM_PID_FILE, DROP_PRIVILEGES, NO_NEW_PRIVS, SIGNAL_MASK, READY };
enum { PATIENCE = 500, GRACE = 200, THREAD_GRACE = 10 };
enum locker { DESCRIPTION = -1, FREE = -2, UNKNOWN = -3 };
enum holder { NOBODY, STARTING, RUNNING, LEFT_BEHIND };

struct word {
    unsigned char kind, step, zero[2];
    int number;
};

struct pid_file {
    int file, dir;
    const char *name;
};

struct sigaction_of_kernel {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

// System calls: the result, or -errno.

static long call(long a, long b, long c, long d, long nr)
{
    register long r10 __asm__("r10") = d;
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return ret;
}

static void quit(int status)
{
    for (;;)
        call(status, 0, 0, 0, SYS_exit_group);
}

static int open_at(int dir, const char *path, int flags)
{
    int fd;
    do
        fd = call(dir, (long)path, flags | O_NOCTTY, 0644, SYS_openat);
    while (fd == -EINTR);
    return fd;
}

static int above_stdio(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int above = call(fd, F_DUPFD_CLOEXEC, 3, 0, SYS_fcntl);
    call(fd, 0, 0, 0, SYS_close);
    return above;
}

static void pause_ms(void)
{
    struct timespec ms = {0, 1000000};
    call(0, 0, (long)&ms, 0, SYS_ppoll);
}

// Steps

static int fill_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++)
        for (;;) {
            int open = call(fd, F_GETFD, 0, 0, SYS_fcntl);
            if (open >= 0)
                break;
            if (open != -EBADF)
                return open;
            int null = open_at(AT_FDCWD, "/dev/null", O_RDWR);
            if (null < 0)
                return null;
            if (null != fd)
                call(null, 0, 0, 0, SYS_close);
        }
    return 0;
}

static int close_one(int fd)
{
    int error = call(fd, 0, 0, 0, SYS_close);
    if (error < 0 && error != -EBADF && call(fd, F_GETFD, 0, 0, SYS_fcntl) != -EBADF)
        return error;
    return 0;
}

static int close_by_proc(int first)
{
    char buffer[512];
    int error = close_one(first);
    if (error < 0)
        return error;
    int proc = open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return proc;
    int length;
    while ((length = call(proc, (long)buffer, sizeof buffer, 0, SYS_getdents64)) > 0)
        for (char *entry = buffer; entry < buffer + length; entry += *(unsigned short *)(entry + 16)) {
            char *name = entry + 19;
            int fd = 0;
            if (*name == '.')
                continue;
            for (; *name; name++)
                fd = fd * 10 + *name - '0';
            if (fd >= first && fd != proc && (error = close_one(fd)) < 0)
                length = error;
        }
    call(proc, 0, 0, 0, SYS_close);
    return length;
}

static int close_from(int first)
{
    if (call(first, ~0u, 0, 0, SYS_close_range) == 0 || close_by_proc(first) == 0)
        return 0;
    struct rlimit limit = {0, ~0ul};
    call(0, RLIMIT_NOFILE, 0, (long)&limit, SYS_prlimit64);
    int last = limit.rlim_max > 0x7fffffff ? 0x7fffffff : limit.rlim_max;
    for (int fd = first; fd < last; fd++) {
        int error = close_one(fd);
        if (error < 0)
            return error;
    }
    return 0;
}

// The pid file

static int record_lock(int fd, int command, int at, struct flock *lock)
{
    *lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    return call(fd, command, (long)lock, 0, SYS_fcntl);
}

// The pid, 0 for one that is not seen, DESCRIPTION, FREE, or UNKNOWN.
static int locker(int fd, int at)
{
    struct flock lock;
    if (record_lock(fd, F_GETLK, at, &lock) < 0)
        return UNKNOWN;
    return lock.l_type == F_WRLCK && (lock.l_len == 1 || lock.l_len == 2) ? lock.l_pid : FREE;
}

static enum holder holder(int fd)
{
    for (int grace = 0;; grace++) {
        if (locker(fd, CLAIMED) != DESCRIPTION)
            return locker(fd, LOCKED) == FREE ? NOBODY : STARTING;
        if (locker(fd, CLAIM) >= 0)
            return RUNNING;
        if (grace == GRACE)
            return LEFT_BEHIND;
        pause_ms();
    }
}

static int acceptable(const struct stat *stat, unsigned me)
{
    switch (stat->st_mode & S_IFMT) {
    case S_IFREG:
        break;
    case S_IFLNK:
        return -ELOOP;
    case S_IFDIR:
        return -EISDIR;
    default:
        return -EINVAL;
    }
    return stat->st_uid != me ? -EPERM : stat->st_nlink > 1 ? -EMLINK : 0;
}

static int take(int fd)
{
    struct flock lock;
    for (int patience = 0;; patience++) {
        int error;
        do
            error = call(fd, LOCK_EX | LOCK_NB, 0, 0, SYS_flock);
        while (error == -EINTR);
        if (error == 0)
            error = record_lock(fd, F_OFD_SETLK, LOCKED, &lock);
        if (error != -EWOULDBLOCK || patience == PATIENCE || holder(fd) != NOBODY)
            return error;
        pause_ms();
    }
}

static int at_path(const struct pid_file *pid_file, struct stat *stat)
{
    return call(pid_file->dir, (long)pid_file->name, (long)stat, AT_SYMLINK_NOFOLLOW, SYS_newfstatat);
}

static int same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int lock_at(int dir, const char *name, struct pid_file *pid_file)
{
    int error;
    if (dir < 0)
        return dir;
    *pid_file = (struct pid_file){.dir = dir, .name = name};
    unsigned me = call(0, 0, 0, 0, SYS_geteuid);
    for (int tries = 0; tries < 16; tries++) {
        struct stat there, stat;
        error = at_path(pid_file, &there);
        if (error == 0)
            error = acceptable(&there, me);
        if (error < 0 && error != -ENOENT)
            return error;
        int fd = above_stdio(open_at(pid_file->dir, pid_file->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd < 0)
            return fd;
        pid_file->file = fd;
        if ((error = take(fd)) < 0 || (error = call(fd, (long)&stat, 0, 0, SYS_fstat)) < 0)
            return error;
        error = at_path(pid_file, &there);
        if (error == 0 && same(&stat, &there)) {
            error = acceptable(&stat, me);
            return error < 0 ? error : call(fd, 0, 0, 0, SYS_ftruncate);
        }
        if (error < 0 && error != -ENOENT)
            return error;
        call(fd, 0, 0, 0, SYS_close);
    }
    return -ESTALE;
}

static int claim(const struct pid_file *pid_file)
{
    struct flock lock;
    int error = record_lock(pid_file->file, F_SETLK, CLAIM, &lock);
    if (error < 0 || (error = record_lock(pid_file->file, F_OFD_SETLK, CLAIMED, &lock)) < 0)
        return error;
    char line[11], *digit = line + sizeof line;
    unsigned pid = call(0, 0, 0, 0, SYS_getpid);
    *--digit = '\n';
    do
        *--digit = '0' + pid % 10;
    while (pid /= 10);
    int length = line + sizeof line - digit, written;
    do
        written = call(pid_file->file, (long)digit, length, 0, SYS_pwrite64);
    while (written == -EINTR);
    return written < 0 ? written : written == length ? 0 : -ENOSPC;
}

static int remove_file(const struct pid_file *pid_file)
{
    struct stat stat, there;
    int error = at_path(pid_file, &there);
    if (error == 0)
        error = call(pid_file->file, (long)&stat, 0, 0, SYS_fstat);
    if (error == 0)
        error = same(&stat, &there) ? call(pid_file->dir, (long)pid_file->name, 0, 0, SYS_unlinkat) : -ESTALE;
    switch (error) {
    case -EACCES:
    case -EPERM:
    case -EROFS:
    case -EBUSY:
        error = call(pid_file->file, 0, 0, 0, SYS_ftruncate);
    }
    return error;
}

// The rest

static int set_mask(int how, unsigned long set)
{
    return call(how, (long)&set, 0, sizeof set, SYS_rt_sigprocmask);
}

static int reset_signals(void)
{
    static const struct sigaction_of_kernel action;
    for (int signal = 1; signal <= 64; signal++) {
        int error = signal == SIGKILL || signal == SIGSTOP ? 0 : call(signal, (long)&action, 0, 8, SYS_rt_sigaction);
        if (error < 0)
            return error;
    }
    return 0;
}

static int is_named(const char *entry, const char *name)
{
    while (*name && *entry == *name)
        entry++, name++;
    return *name == 0 && *entry == '=';
}

static void keep_env(char **env, const char *name)
{
    char **to = env;
    for (char **from = env; *from; from++)
        if (is_named(*from, name))
            *to++ = *from;
    while (*to)
        *to++ = 0;
}

static int fork_(void)
{
    return call(SIGCHLD, 0, 0, 0, SYS_clone);
}

static int say(int fd, struct word word)
{
    int written;
    do
        written = call(fd, (long)&word, sizeof word, 0, SYS_write);
    while (written == -EINTR);
    return written;
}

// The exit status: 0 when the daemon is ready, 1 when it has ended, the step that failed and 64.
static int wait_word(int fd)
{
    for (;;) {
        struct word word;
        int length;
        do
            length = call(fd, (long)&word, sizeof word, 0, SYS_read);
        while (length == -EINTR);
        if (length == 0)
            return 1;
        if (length != sizeof word)
            return 64 + READY;
        switch (word.kind) {
        case 'p':
            break;
        case 'r':
            return 0;
        case 'f':
            return 64 + word.step;
        default:
            return 64 + READY;
        }
    }
}

static int stdio_null(void)
{
    int null = open_at(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return null;
    for (int fd = 0; fd <= 2; fd++) {
        int error;
        do
            error = null == fd ? call(fd, F_SETFD, 0, 0, SYS_fcntl) : call(null, fd, 0, 0, SYS_dup3);
        while (error == -EINTR || error == -EBUSY);
        if (error < 0)
            return error;
    }
    if (null > 2)
        call(null, 0, 0, 0, SYS_close);
    return 0;
}

static int powerless(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    int error = call((long)&header, (long)data, 0, 0, SYS_capget);
    if (error < 0)
        return error;
    return !(data[0].permitted | data[1].permitted | data[0].effective | data[1].effective | data[0].inheritable
             | data[1].inheritable);
}

static int is_all(long nr, unsigned id)
{
    unsigned real, effective, saved;
    int error = call((long)&real, (long)&effective, (long)&saved, 0, nr);
    return error < 0 ? error : real == id && effective == id && saved == id;
}

// The calls below change the calling thread only. unshare(2) does nothing, or says that there is another.
static int alone(void)
{
    for (int grace = 0;; grace++) {
        struct stat task;
        int error = call(CLONE_THREAD, 0, 0, 0, SYS_unshare);
        if (error < 0 && error != -EINVAL) {
            error = call(AT_FDCWD, (long)"/proc/self/task", (long)&task, 0, SYS_newfstatat);
            if (error == 0 && task.st_nlink != 3)
                error = -EBUSY;
        }
        if (error == 0)
            return 0;
        if (grace == THREAD_GRACE)
            return -EBUSY;
        pause_ms();
    }
}

static int change_ids(long nr, unsigned a, unsigned b, unsigned c)
{
    int error = alone();
    return error < 0 ? error : call(a, b, c, 0, nr);
}

static int drop_privileges(unsigned id)
{
    int error = call(0, 0, 0, 0, SYS_getgroups);
    if (error > 0)
        error = change_ids(SYS_setgroups, 0, 0, 0);
    if (error < 0 || (error = change_ids(SYS_setresgid, id, id, id)) < 0 || (error = change_ids(SYS_setresuid, id, id, id)) < 0)
        return error;
    if ((error = powerless()) == 0) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct none[2] = {};
        error = call((long)&header, (long)none, 0, 0, SYS_capset);
    }
    if (error < 0 || (error = is_all(SYS_getresuid, id)) < 0)
        return error;
    return is_all(SYS_getresgid, id) == 1 && call(0, 0, 0, 0, SYS_getgroups) == 0 && powerless() == 1 && error ? 0 : -EPERM;
}


static const unsigned long term = 1ul << (SIGTERM - 1);

// In the daemon: the steps after the forks.
static int in_daemon(const struct pid_file *pid_file, int write_end, struct word *word)
{
    // The first process of a pid namespace is known outside by another number.
    int error = call(0, 0, 0, 0, SYS_getpid);
    if (call(0, 0, 0, 0, SYS_getppid))
        error = say(write_end, (struct word){.kind = 'p', .number = error});
    word->step = READY;
    if (error < 0)
        return error;
    call(022, 0, 0, 0, SYS_umask);
    word->step = CHDIR;
    if ((error = call((long)"/", 0, 0, 0, SYS_chdir)) < 0)
        return error;
    word->step = STDIO;
    if ((error = stdio_null()) < 0)
        return error;
    word->step = CLAIM_PID_FILE;
    if ((error = claim(pid_file)) < 0)
        return error;
    word->step = DROP_PRIVILEGES;
    if (call(0, 0, 0, 0, SYS_geteuid) == 0 && (error = drop_privileges(65534)) < 0)
        return error;
    word->step = SIGNAL_MASK;
    return set_mask(SIG_SETMASK, term);
}

static int daemon_main(const struct pid_file *pid_file, const int *ends)
{
    struct word word = {.kind = 'r', .step = SETSID};
    int error = call(0, 0, 0, 0, SYS_setsid), write_end = ends[1];
    if (error >= 0) {
        word.step = FORK_AGAIN;
        error = fork_();
    }
    if (error > 0)
        return 0;
    if (error == 0)
        error = in_daemon(pid_file, write_end, &word);
    if (error < 0) {
        word.kind = 'f';
        word.number = -error;
    } else
        word.step = 0;
    say(write_end, word);
    if (error < 0)
        return 1;
    // The read end until here, so that a waiter who is gone is no SIGPIPE.
    call(write_end, 0, 0, 0, SYS_close);
    call(ends[0], 0, 0, 0, SYS_close);
    while ((error = call((long)&term, 0, 0, 8, SYS_rt_sigtimedwait)) == -EINTR)
        ;
    return error < 0 || remove_file(pid_file) < 0;
}

static int main_(int argc, char **argv, char **env)
{
    struct pid_file pid_file;
    int ends[2];
    if (fill_stdio() < 0)
        return 64 + FILL_STDIO;
    if (close_from(3) < 0)
        return 64 + CLOSE_FDS;
    if (argc < 2 || lock_at(open_at(AT_FDCWD, ".", O_PATH | O_CLOEXEC), argv[1], &pid_file) < 0)
        return 64 + LOCK_PID_FILE;
    if (set_mask(SIG_BLOCK, ~0ul) < 0 || reset_signals() < 0)
        return 64 + RESET_SIGNALS;
    keep_env(env, "PATH");
    if (call((long)ends, O_CLOEXEC, 0, 0, SYS_pipe2) < 0)
        return 64 + READY_PIPE;
    int child = fork_();
    if (child < 0)
        return 64 + FORK;
    if (child == 0)
        return daemon_main(&pid_file, ends);
    call(ends[1], 0, 0, 0, SYS_close);
    return wait_word(ends[0]);
}

__attribute__((used)) static void start(long *stack)
{
    quit(main_(stack[0], (char **)stack + 1, (char **)stack + stack[0] + 2));
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
