#include "refcount/refcount.h"

/* Tickets are records of transfers in flight. All of this file wants the segment lock. A ticket's fields are written
 * before its word, and its word is what counts: a death in between leaves the ticket as it was. */

static ticket_word word_of(const refs *r, uint32_t n) { return shm_load64(&r->tickets[n].word); }

/* The nonce of the ticket's next use: random at first, so that a ticket of another segment does not fit. */
static uint32_t next_nonce(const refs *r, uint32_t n)
{
    ticket_word w = word_of(r, n);
    if (w == 0)
        return first_gen(r->arena->super.segment, ~n);
    uint32_t next = ticket_nonce(w) + 1;
    return next != 0 ? next : 1;
}

/* Counts a ticket, or an entry of a ring, that is about to carry block i. Precondition: the caller has a reference to the
 * block, which is LIVE. The bit and the bump come before the record that justifies them; a death in between leaves a bit
 * without a record, which the taker of the lock clears. */
void refs_enter(refs *r, uint32_t i)
{
    if (refs_set_bit(r, i, TRANSIT_WORD, TRANSIT_BIT))
        refs_bump(r, i);
    refs_count_ticket(r, i);
}

/* Uncounts a ticket, or an entry of a ring, that carries block i no more. True as refs_drop_locked. The record has gone
 * before; then the bit goes if it was the last, then try-free. A death in between leaves a bit without a record. */
bool refs_exit(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    uint32_t left = shm_get32(&d->tickets);
    if (left > 1) {
        shm_publish32(&d->tickets, left - 1);
        return false;
    }
    shm_publish32(&d->tickets, 0);
    refs_clear_bit(r, i, TRANSIT_WORD, TRANSIT_BIT);
    return refs_try_free(r, i);
}

/* Opens ticket n for block i and returns its nonce. Preconditions: the segment lock is held, the ticket is free, and
 * the caller has a reference to the block, which is LIVE.
 *
 * The bit and the bump come before the record that justifies them, so that the block outlives the sender's own release
 * from the moment the ticket counts. A death before the last store leaves a bit without a record, which the taker of
 * the lock clears. */
uint32_t refs_send(refs *r, uint32_t n, uint32_t i, uint64_t handle, ident receiver)
{
    refs_enter(r, i);
    shm_publish64(&r->tickets[n].handle, handle);
    shm_publish64(&r->tickets[n].sender, r->arena->self);
    shm_publish64(&r->tickets[n].receiver, receiver);
    shm_publish64(&r->tickets[n].birth, (uint64_t)boot_time());
    shm_publish64(&r->tickets[n].deadline, 0);
    uint32_t nonce = next_nonce(r, n);
    shm_store64(&r->tickets[n].word, make_ticket(NDPOOL_TICKET_OPEN, nonce));
    return nonce;
}

/* Tells which ticket was refused, and why. */
static int refuse(const refs *r, uint32_t n, uint32_t nonce, int status)
{
    static const char *const whys[] = {
        [NDPOOL_ERR_SPENT] = "ticket is spent",
        [NDPOOL_ERR_EXPIRED] = "ticket has expired",
        [NDPOOL_ERR_RECALLED] = "ticket was recalled",
        [NDPOOL_ERR_FORGED] = "no such ticket",
        [NDPOOL_ERR_NOT_RECEIVER] = "ticket is directed at another process",
        [NDPOOL_ERR_NOT_SENDER] = "ticket is another process's",
    };
    ticket_word w = word_of(r, n);
    return fail(status, "ticket %u: %s: nonce %u asked, %u found (%s)", n, whys[status], nonce, ticket_nonce(w),
                ticket_kind_name(ticket_kind(w)));
}

/* Tells whether ticket n is open, and nonce and handle are the ones asked for. */
int refs_look(const refs *r, uint32_t n, uint32_t nonce, uint64_t handle)
{
    ticket_word w = word_of(r, n);
    int kind = ticket_kind(w);
    if (nonce == 0 || (int32_t)(ticket_nonce(w) - nonce) < 0 || kind == NDPOOL_TICKET_UNUSED)
        return refuse(r, n, nonce, NDPOOL_ERR_FORGED);
    if (ticket_nonce(w) != nonce || kind == NDPOOL_TICKET_SPENT)
        return refuse(r, n, nonce, NDPOOL_ERR_SPENT);
    if (kind == NDPOOL_TICKET_RECALLED)
        return refuse(r, n, nonce, NDPOOL_ERR_RECALLED);
    if (kind == NDPOOL_TICKET_EXPIRED)
        return refuse(r, n, nonce, NDPOOL_ERR_EXPIRED);
    if (shm_load64(&r->tickets[n].handle) != handle)
        return refuse(r, n, nonce, NDPOOL_ERR_FORGED);
    return NDPOOL_OK;
}

/* Ends a ticket: first the record, then what it did to its block. */
static bool close_ticket(refs *r, uint32_t n, uint32_t i, int kind)
{
    shm_store64(&r->tickets[n].word, make_ticket(kind, ticket_nonce(word_of(r, n))));
    return refs_exit(r, i);
}

/* Adds a reference of this process to block i, which ticket n carries, and spends the ticket. *freed as
 * refs_drop_locked. Preconditions: refs_look agreed, the segment lock is held, no stripe is held.
 *
 * The adopter's bit and bump come before the ticket goes. A death after the bit leaves a holder that the sweep clears
 * and an open ticket that somebody may still adopt. */
int refs_adopt(refs *r, uint32_t n, uint32_t i, uint32_t asked, bool *freed)
{
    *freed = false;
    ident receiver = shm_load64(&r->tickets[n].receiver);
    if (receiver != 0 && receiver != r->arena->self)
        return refuse(r, n, ticket_nonce(word_of(r, n)), NDPOOL_ERR_NOT_RECEIVER);
    ndpool_desc *d = &r->descs[i];
    if (state_kind(desc_state(d)) != NDPOOL_KIND_LIVE || gen_number(desc_gen(d)) != asked)
        return refs_stale(r, i, asked);
    refs_hold(r, i);
    *freed = close_ticket(r, n, i, NDPOOL_TICKET_SPENT);
    return NDPOOL_OK;
}

/* Takes ticket n back. *freed as refs_drop_locked. Preconditions: as for refs_adopt. */
int refs_recall(refs *r, uint32_t n, uint32_t i, bool *freed)
{
    *freed = false;
    if (shm_load64(&r->tickets[n].sender) != r->arena->self)
        return refuse(r, n, ticket_nonce(word_of(r, n)), NDPOOL_ERR_NOT_SENDER);
    *freed = close_ticket(r, n, i, NDPOOL_TICKET_RECALLED);
    return NDPOOL_OK;
}

/* Ends ticket n because nobody adopted it in time. True as refs_drop_locked. */
bool refs_expire(refs *r, uint32_t n, uint32_t i)
{
    shm_add64(&r->arena->ctl->expired, 1);
    return close_ticket(r, n, i, NDPOOL_TICKET_EXPIRED);
}

/* Marks an open ticket as expired that carries no block: a scribble. */
void refs_drop_ticket(refs *r, uint32_t n)
{
    shm_store64(&r->tickets[n].word, make_ticket(NDPOOL_TICKET_EXPIRED, ticket_nonce(word_of(r, n))));
}

/* Gives an open, undirected ticket of a sender who is gone its deadline. */
void refs_orphan(refs *r, uint32_t n, int64_t now, int64_t grace)
{
    shm_store64(&r->tickets[n].deadline, (uint64_t)now + (uint64_t)grace);
}
