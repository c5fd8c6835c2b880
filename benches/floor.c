// The floor: the system calls that src/main.rs of nolibc beside this makes, and nothing else. Linux, x86_64, no C library.
// Built by `ci/run bench`; for the whole program the floor is examples/nolibc/minimal.c.

#include <signal.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

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

static unsigned long now(void)
{
    struct timespec time;
    call(CLOCK_MONOTONIC, (long)&time, 0, 0, SYS_clock_gettime);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void fork_(void)
{
    if (call(0x10000 /* CLONE_THREAD: is this the only one? */, 0, 0, 0, SYS_unshare) < 0)
        quit(1);
    long child = call(SIGCHLD, 0, 0, 0, SYS_clone);
    if (child != 0)
        quit(child < 0);
}

__attribute__((used)) static void start(void)
{
    unsigned long time = now();
    fork_();
    if (call(0, 0, 0, 0, SYS_setsid) < 0)
        quit(1);
    fork_();
    time = now() - time;
    call(1, (long)&time, sizeof time, 0, SYS_write);
    quit(0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall start\n");
