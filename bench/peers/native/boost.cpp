/* boost.interprocess: a managed_shared_memory with its default algorithm (rbtree_best_fit under a mutex in the segment),
 * memory told by the handles of get_handle_from_address, and a message_queue of handles as a crowd's channel. Nothing in
 * it knows who holds what: the giver frees when it has been answered, or the last to get it. The segment lies in
 * /dev/shm, as shm_open has it. */
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/version.hpp>
#include <new>
#include <string>

#include "children.h"

namespace ipc = boost::interprocess;
using segment = ipc::managed_shared_memory;

struct item {
    void *data;
};

struct token {
    segment::handle_t handle;
};

/* Not a handle that a segment gives: no more messages. */
static const segment::handle_t SHUT = -1;

static segment *pool, *visitor;
static ipc::message_queue *queue;
static bool creator;

static const char *peer_why() { return "the segment is full"; }

/* "/tmp/peers-x1" gives "peers-x1-boost": names of shm_open have no folders. */
static std::string name_of(const char *suffix)
{
    std::string place = opt.place;
    while (place.size() > 1 && place.back() == '/')
        place.pop_back();
    return place.substr(place.rfind('/') + 1) + "-boost" + suffix;
}

static std::string path_of(const char *suffix) { return "/dev/shm/" + name_of(suffix); }

static inline bool peer_alloc(size_t size, item *out) { return (out->data = pool->allocate(size, std::nothrow)) != nullptr; }
static inline void *peer_data(item *x) { return x->data; }
static inline void peer_free(item *x) { pool->deallocate(x->data); }

static void peer_create(uint64_t capacity, uint64_t)
{
    find_place();
    creator = true;
    remove_at_end(path_of("").c_str());
    pool = new segment(ipc::create_only, name_of("").c_str(), capacity);
}

static void peer_attach() { pool = new segment(ipc::open_only, name_of("").c_str()); }

/* Whoever created it removes it. */
static void peer_leave()
{
    delete queue;
    delete pool;
    if (creator) {
        ipc::shared_memory_object::remove(name_of("").c_str());
        ipc::message_queue::remove(name_of("-queue").c_str());
    }
}

static void peer_visit() { visitor = new segment(ipc::open_only, name_of("").c_str()); }
static void peer_unvisit() { delete visitor; }

static uint64_t peer_shared_bytes()
{
    struct stat s;
    if (stat(path_of("").c_str(), &s) != 0)
        die("stat %s: %s", path_of("").c_str(), strerror(errno));
    return static_cast<uint64_t>(s.st_blocks) * 512;
}

static inline void peer_give(item *x, token *t) { t->handle = pool->get_handle_from_address(x->data); }
static inline void peer_take(token *t, item *out) { out->data = pool->get_address_from_handle(t->handle); }
static inline void peer_share(item *x, token *t) { peer_give(x, t); }
static inline void peer_look(token *t, item *out) { peer_take(t, out); }
static inline void peer_unlook(item *) {}

/* In a crowd the consumer frees; in a hand-over the giver does when it is answered. */
static inline void peer_drop(item *x)
{
    if (queue)
        peer_free(x);
}

static void peer_make_queue(size_t entries)
{
    remove_at_end(path_of("-queue").c_str());
    queue = new ipc::message_queue(ipc::create_only, name_of("-queue").c_str(), entries, sizeof(token));
}

static void peer_open_queue() { queue = new ipc::message_queue(ipc::open_only, name_of("-queue").c_str()); }

static void peer_put(item *x)
{
    token t;
    peer_give(x, &t);
    queue->send(&t, sizeof t, 0);
}

static bool peer_get(item *out)
{
    token t;
    ipc::message_queue::size_type n;
    unsigned priority;
    queue->receive(&t, sizeof t, n, priority);
    if (t.handle == SHUT)
        return false;
    peer_take(&t, out);
    return true;
}

static void peer_shut(size_t consumers)
{
    token t = {SHUT};
    while (consumers-- > 0)
        queue->send(&t, sizeof t, 0);
}

enum { PEER_HELD_BYTES = 65536 };

#include "alone.h"
#include "together.h"

/* Nothing recovers: what is still taken 3 seconds after the death. */
static bool peer_recover(child *c)
{
    uint64_t before = pool->get_free_memory() + opt.holds * opt.size;
    kill_child(c);
    bury(c);
    sleep(3);
    printf("{\"value\": null, \"left_bytes\": %llu}\n", static_cast<unsigned long long>(before - pool->get_free_memory()));
    return false;
}

static void version() { printf("Boost %s\n", BOOST_LIB_VERSION); }

int main(int argc, char **argv)
{
    try {
        return parent_and_child_main(argc, argv, workloads, roles, version);
    } catch (const std::exception &e) {
        die("%s", e.what());
    }
}
