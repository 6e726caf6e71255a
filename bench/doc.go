// Package bench measures what the README promises. It holds benchmarks only: make bench runs them, and README.md in this
// folder tells the figures, the machine and how to read them. No test fails on a time.
package bench
