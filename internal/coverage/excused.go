package main

import (
	"fmt"
	"strings"
)

// excuse is a store that is not died after, and why.
type excuse struct {
	file   string
	text   string // a part of the line
	reason string
}

// private stores go to a process's own copy of a segment: nobody has to recover from them. They are no sites at all.
var private = []excuse{
	{"arena/peek_linux.go", "a.Ctl.Lock.Store(0)", "the copy of a peek"},
	{"pool/peek.go", "layout.Free", "the copy of a peek"},
	{"python/csrc/arena/peek.c", "shm_copy(&a->descs", "the copy of a peek"},
	{"python/csrc/arena/peek.c", "ctl->lock, 0", "the copy of a peek"},
	{"python/csrc/pool/peek.c", "NDPOOL_KIND_FREE", "the copy of a peek"},
}

// damaged stores are reached only where the segment was scribbled on: no death of a process that keeps to the protocol
// leaves what they repair. The scribble tests reach them; a death there is not tried.
var damaged = []excuse{
	{"catalog/rebuild.go", "layout.NameFree", "an entry that cannot be a name is discarded"},
	{"refcount/tickets.go", "layout.TicketExpired, t.ticketWord", "an open ticket leads to no block"},
	{"ring/ring.go", "Items.Publish(items)", "the count of items is not what is in the ring"},
	{"python/csrc/catalog/rebuild.c", "NDPOOL_NAME_FREE", "an entry that cannot be a name is discarded"},
	{"python/csrc/refcount/tickets.c", "NDPOOL_TICKET_EXPIRED, ticket_nonce", "an open ticket leads to no block"},
	{"python/csrc/ring/ring.c", "items, items)", "the count of items is not what is in the ring"},
}

func (e excuse) is(s site) bool { return s.File == e.file && strings.Contains(s.Text, e.text) }

// excused takes the private stores out of the sites, and marks those that only damage reaches. Each excuse must be of one
// store, so that none outlives its store, and of one that nobody died after.
func (r *report) excused(language string) error {
	for _, e := range private {
		at, err := e.find(r.Sites, language)
		if err != nil {
			return err
		}
		if at >= 0 {
			r.Sites = append(r.Sites[:at:at], r.Sites[at+1:]...)
		}
	}
	for _, e := range damaged {
		at, err := e.find(r.Sites, language)
		if err != nil {
			return err
		}
		if at >= 0 {
			r.Sites[at].Reason = e.reason
		}
	}
	return nil
}

// find returns the place of the one site that the excuse is for; -1 if it is one of the other language.
func (e excuse) find(sites []site, language string) (int, error) {
	found := -1
	if strings.HasSuffix(e.file, ".c") != (language == "c") {
		return -1, nil
	}
	for i, s := range sites {
		if !e.is(s) {
			continue
		}
		if found >= 0 {
			return -1, fmt.Errorf("the excuse for %q in %s is for more than one store", e.text, e.file)
		}
		found = i
	}
	if found < 0 {
		return -1, fmt.Errorf("the excuse for %q in %s is for no store: was it changed?", e.text, e.file)
	}
	if sites[found].Count > 0 {
		return -1, fmt.Errorf("%s:%d was died after and needs no excuse", e.file, sites[found].Line)
	}
	return found, nil
}
