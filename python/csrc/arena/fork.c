/*
 * Fork without exec: a process becomes two, and the child is a member of its own from its first instruction. The parent
 * claims a slot for it beforehand, on an open file description that both have a descriptor of after the fork. The child
 * pins it, the parent closes it; from then on the slot lives as long as the child. What the child holds is the business
 * of the packages above. The Go library has no twin: the Go runtime does not survive a fork.
 */
#include <sys/mman.h>

#include "arena/arena.h"

static void forget_child(arena *a)
{
    ofd_drop(&a->child);
    a->child_self = 0;
}

/* It takes no dead one's slot: sweeping that takes the segment lock, which nobody wants who holds a stripe. The byte is
 * locked before the word says CLAIMED, so that nobody sees a claimed slot whose owner does not live; if the parent dies
 * before the fork, the slot is a dead one's. It tells people the parent's name until the child has told its own.
 * Released by arena_fork_parent and, in the child, by what ends an attachment. */
int arena_fork_reserve(arena *a)
{
    bool got;
    int status = ofd_open(a, &a->child);
    if (status != NDPOOL_OK)
        return status;
    status = ofd_lock(&a->child, NDPOOL_POOL_BYTE, false, &got);
    if (status == NDPOOL_OK && !got)
        status = fail(NDPOOL_ERR_FILESYSTEM,
                      "lock %s: file system cannot carry a segment: a child's lock is excluded by its parent's",
                      a->path);
    if (status == NDPOOL_OK)
        status = slots_take(a, &a->child, true, NDPOOL_SLOT_CLAIMED, &a->child_self, &got);
    if (status == NDPOOL_OK && !got)
        status = fail(NDPOOL_ERR_PROCESSES, "fork: process table is full: none of %u slots is free", a->n_slots);
    if (status != NDPOOL_OK)
        forget_child(a);
    return status;
}

/* Never an unlock: that would be of the description, hence of the child, too. If the fork failed this was its last
 * descriptor, and the slot is a dead one's, to be swept like any other. */
void arena_fork_parent(arena *a) { forget_child(a); }

/* The parent's page is not mapped here, and its descriptor was closed when it was pinned: there is nothing to drop. If
 * the child dies anywhere inside, the kernel drops the description, and the slot is a dead one's. */
int arena_fork_child(arena *a)
{
    a->member = a->child;
    a->child = OFD_NONE;
    a->self = a->child_self;
    a->child_self = 0;
    a->word = make_lock(a->self);
    spin_unlock(&a->front); /* whoever had them is not in this process */
    spin_unlock(&a->ro_once);
    slot_describe(&a->slots[arena_slot(a)]);
    return ofd_pin(&a->member);
}

/* The parent's page and mappings are not here, and somebody else's may be at their addresses. */
void arena_fork_lost(arena *a)
{
    a->member = OFD_NONE;
    forget_child(a);
    a->self = 0;
    a->mem = a->ro = NULL;
}

static int advise(const arena *a, void *mem, bool hide)
{
    if (mem && madvise(mem, a->geo.file_size, hide ? MADV_DONTFORK : MADV_DOFORK))
        return fail_errno(NDPOOL_ERR_SYSTEM, "fork: madvise %s", a->path);
    return NDPOOL_OK;
}

int arena_fork_hide(arena *a, bool hide)
{
    int status = advise(a, a->mem, hide);
    spin_lock(&a->ro_once);
    int ro_status = advise(a, a->ro, hide);
    spin_unlock(&a->ro_once);
    return status != NDPOOL_OK ? status : ro_status;
}
