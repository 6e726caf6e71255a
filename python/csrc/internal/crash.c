/* The crash build's points of death. Twin of internal/shm/crash_on.go. */
#include "internal/shm.h"

#ifdef NDPOOL_CRASH

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Local: the armed crash. One operation at a time, on one thread. */
static struct {
    bool active;
    int left;  /* store after which to die; 0: never, only count */
    int count; /* stores since shm_arm */
    void (*die)(void);
    void (*others)(void *); /* what others do in between; NULL: nothing */
    void *arg;
} armed;

/* Local: where the store under way is; each thread has its own. */
static _Thread_local struct {
    const char *file;
    int line;
} site;

void shm_at(const char *file, int line)
{
    site.file = file;
    site.line = line;
}

/* Adds the line of the store that the process dies after to the file that the environment names, if it does. Many
 * processes write it, each line by one call. */
static void tell_site(void)
{
    const char *name = getenv("NDPOOL_CRASH_SITES");
    char text[512];
    if (!name)
        return;
    int n = snprintf(text, sizeof text, "%s:%d\n", site.file, site.line);
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (n >= (int)sizeof text || fd < 0 || write(fd, text, (size_t)n) != n)
        abort();
    close(fd);
}

void shm_arm(int k, void (*die)(void))
{
    armed.left = k;
    armed.count = 0;
    armed.die = die;
    armed.active = true;
}

int shm_disarm(void)
{
    armed.active = false;
    armed.others = NULL;
    return armed.count;
}

void shm_kill(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void shm_meanwhile(void (*others)(void *), void *arg)
{
    armed.others = others;
    armed.arg = arg;
}

void shm_moment(void)
{
    if (!armed.active || !armed.others)
        return;
    const char *file = site.file;
    int line = site.line;
    armed.active = false;
    armed.others(armed.arg);
    armed.active = true;
    shm_at(file, line);
}

void shm_point(void)
{
    if (!armed.active)
        return;
    armed.count++;
    shm_moment();
    if (armed.count == armed.left) {
        tell_site();
        armed.die();
    }
}

#else

typedef int shm_no_crash_points; /* a translation unit is not empty */

#endif
