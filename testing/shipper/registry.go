package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// state is the read position of a file: all events before the offset are acknowledged.
type state struct {
	Offset int64     `json:"offset"`
	Path   string    `json:"path"`
	Seen   time.Time `json:"seen"`
}

// registry stores the read positions of all files on disk. It writes a new file and then renames it, so that the stored
// file is always complete.
type registry struct {
	path string
	age  time.Duration

	lock  sync.Mutex
	files map[string]state
}

func openRegistry(folder string, age time.Duration) (*registry, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	loaded := &registry{path: filepath.Join(folder, "registry.json"), age: age, files: map[string]state{}}
	text, err := os.ReadFile(loaded.path)
	if os.IsNotExist(err) {
		return loaded, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &loaded.files)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", loaded.path, err)
	}
	return loaded, nil
}

func (r *registry) offset(file string) int64 {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.files[file].Offset
}

func (r *registry) contains(file string) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	_, ok := r.files[file]
	return ok
}

// save stores the read positions after acknowledged items. It also removes the entries of files that were not read for
// the maximum age.
func (r *registry) save(acknowledged []item) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, event := range acknowledged {
		r.files[event.file] = event.state
	}
	for file, position := range r.files {
		if time.Since(position.Seen) > r.age {
			delete(r.files, file)
		}
	}
	text, err := json.Marshal(r.files)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(r.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(r.path+".new", r.path)
}
