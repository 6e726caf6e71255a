/*
 * The attachments of this process. Whatever is still attached when Python has ended leaves then, so that the others
 * need not sweep it. Nodes are no Python objects, since those of an interpreter may be gone by then.
 */
#include <pthread.h>
#include <stdlib.h>

#include "internal/spin.h"
#include "py.h"

struct live {
    ndpool *p;
    core_state *st;
    bool left;
    live *next, **link; /* link: the pointer that leads here */
};

/* Local to the process; all guarded by the mutex. */
static struct {
    spin mutex;
    bool ready;
    live *first;
} all;

static void fork_begin(void) { spin_lock(&all.mutex); }
static void fork_end(void) { spin_unlock(&all.mutex); }

/* Takes an attachment that has not left and is of the module st, or of any if that is NULL. */
static ndpool *take(const core_state *st)
{
    ndpool *p = NULL;
    spin_lock(&all.mutex);
    for (live *l = all.first; l && !p; l = l->next)
        if (!l->left && (!st || l->st == st)) {
            l->left = true;
            p = l->p;
        }
    spin_unlock(&all.mutex);
    return p;
}

/* Precondition: no other thread closes pools of the module meanwhile, that is, the caller has the GIL. */
void live_exit(core_state *st)
{
    for (ndpool *p; (p = take(st));)
        ndpool_exit(p);
}

static void at_end(void) { live_exit(NULL); }

/* Happens once in a process, however many interpreters import the module. Returns 0, or -1 with an exception. */
int live_setup(void)
{
    spin_lock(&all.mutex);
    bool first = !all.ready;
    all.ready = true;
    spin_unlock(&all.mutex);
    if (!first)
        return 0;
    if (pthread_atfork(fork_begin, fork_end, fork_end) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    Py_AtExit(at_end); /* if the table is full the next process sweeps this one */
    return 0;
}

live *live_add(ndpool *p, core_state *st)
{
    live *l = malloc(sizeof *l);
    if (!l)
        return NULL;
    spin_lock(&all.mutex);
    *l = (live){.p = p, .st = st, .next = all.first, .link = &all.first};
    if (l->next)
        l->next->link = &l->next;
    all.first = l;
    spin_unlock(&all.mutex);
    return l;
}

void live_remove(live *l)
{
    spin_lock(&all.mutex);
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    spin_unlock(&all.mutex);
    free(l);
}
