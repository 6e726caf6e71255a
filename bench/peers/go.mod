// The Go peer of the measurements, and tools; a module of its own, so that ndpool depends on none of it.
module github.com/ndpool/ndpool/bench/peers

go 1.26.0

replace github.com/ndpool/ndpool => ../..

require (
	github.com/ndpool/ndpool v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0
)

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/perf v0.0.0-20260908200009-22c9c6c9d4da // indirect
)

tool golang.org/x/perf/cmd/benchstat
