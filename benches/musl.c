// daemon(3) of a C library, static: as one would write it. Started by the bench, which reads its standard output.
//
//     musl detach musl MEBIBYTES HOW    nanoseconds until the daemon runs, and until it has written every page once
//     musl ready musl PIDFILE           the job of examples/nolibc/minimal.c, until it is ready

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void check(long result)
{
    if (result < 0)
        _exit(1);
}

static unsigned long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void write_pages(volatile char *memory, size_t size, char byte)
{
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = byte;
}

static int detach(size_t size, int touch, int report)
{
    char *memory = malloc(size);
    if (!memory)
        return 1;
    write_pages(memory, size, 1);
    unsigned long times[2], before = now();
    check(daemon(0, 0));
    times[0] = now() - before;
    if (touch)
        write_pages(memory, size, 2);
    times[1] = now() - before;
    return write(report, times, sizeof times) != sizeof times;
}

static int lock(const char *path)
{
    struct stat stat, there;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    check(fd);
    check(flock(fd, LOCK_EX | LOCK_NB));
    check(fstat(fd, &stat));
    check(lstat(path, &there));
    if (stat.st_dev != there.st_dev || stat.st_ino != there.st_ino)
        _exit(1);
    check(ftruncate(fd, 0));
    return fd;
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t all;
    sigfillset(&all);
    check(sigprocmask(SIG_BLOCK, &all, 0));
    for (int signal = 1; signal <= 64; signal++)
        if (sigaction(signal, &action, 0) < 0 && errno != EINVAL)
            _exit(1);
}

static void keep_path(void)
{
    extern char **environ;
    char **to = environ;
    for (char **from = environ; *from; from++)
        if (strncmp(*from, "PATH=", 5) == 0)
            *to++ = *from;
    *to = 0;
}

static int ready(const char *path, int report)
{
    sigset_t term;
    for (int fd = 0; fd <= 2; fd++)
        check(fcntl(fd, F_GETFD));
    syscall(SYS_close_range, report + 1, ~0u, 0);
    int file = lock(path);
    reset_signals();
    keep_path();
    check(daemon(0, 0));
    umask(022);
    check(dprintf(file, "%d\n", getpid()));
    if (geteuid() == 0) {
        check(setgroups(0, 0));
        check(setresgid(65534, 65534, 65534));
        check(setresuid(65534, 65534, 65534));
        if (geteuid() != 65534 || getegid() != 65534)
            return 1;
    }
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    check(sigprocmask(SIG_SETMASK, &term, 0));
    return write(report, "r", 1) != 1;
}

int main(int argc, char **argv)
{
    int report = dup(1);
    if (argc > 4 && strcmp(argv[1], "detach") == 0)
        return detach(strtoul(argv[3], 0, 10) << 20, strcmp(argv[4], "touch") == 0, report);
    return argc > 3 ? ready(argv[3], report) : 1;
}
