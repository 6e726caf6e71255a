package render

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// File is a generated file.
type File struct {
	Path string // from the directory of package layout
	Data []byte
}

// Files renders all files for the package in dir. It writes nothing.
func Files(dir string) ([]File, error) {
	m, err := Load(dir)
	if err != nil {
		return nil, err
	}
	const format = "../../docs/FORMAT.md"
	tables := m.Tables()
	doc, err := os.ReadFile(filepath.Join(dir, format))
	if errors.Is(err, fs.ErrNotExist) {
		doc, err = Skeleton(tables), nil
	}
	if err != nil {
		return nil, err
	}
	if doc, err = Splice(doc, tables); err != nil {
		return nil, err
	}
	return []File{
		{"fingerprint_generated.go", m.Go()},
		{"../../python/csrc/ndpool_layout.h", m.Header()},
		{format, doc},
	}, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
