// Command format generates what follows from the layout: fingerprint_generated.go, the C header and the tables of
// docs/FORMAT.md. Run it by go generate in arena/layout; package render does the work.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/ndpool/ndpool/arena/layout/internal/render"
)

func main() {
	log.SetFlags(0)
	files, err := render.Files(".")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(f.Path, f.Data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
