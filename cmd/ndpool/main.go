// Command ndpool makes, looks into, checks and cleans pools of package pool.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
