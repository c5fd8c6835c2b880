/*
 * Preloaded into qemu-user, which has a thread of its own besides those of the program that it runs: the program
 * would hear that it is not alone. The one question that tells it, unshare(CLONE_THREAD), is answered for its own threads.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OURS 1 /* The program's first. */
#define QEMUS 1

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    if (!tasks)
        return -1;
    for (struct dirent *task; (task = readdir(tasks));)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

int unshare(int flags)
{
    if (flags != CLONE_THREAD)
        return syscall(SYS_unshare, flags);
    if (threads() == OURS + QEMUS)
        return 0;
    errno = EINVAL;
    return -1;
}
