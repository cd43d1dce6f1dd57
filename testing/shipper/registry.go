package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// How far a file was acknowledged.
type state struct {
	Offset int64     `json:"offset"`
	Path   string    `json:"path"`
	Seen   time.Time `json:"seen"`
}

// On disk what was acknowledged, whole at every moment: it is written beside and renamed.
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
	found := &registry{path: filepath.Join(folder, "stand-in.json"), age: age, files: map[string]state{}}
	text, err := os.ReadFile(found.path)
	if os.IsNotExist(err) {
		return found, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &found.files)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", found.path, err)
	}
	return found, nil
}

func (r *registry) offset(file string) int64 {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.files[file].Offset
}

func (r *registry) knows(file string) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	_, is := r.files[file]
	return is
}

func (r *registry) save(done []item) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, one := range done {
		r.files[one.file] = one.state
	}
	for file, one := range r.files {
		if time.Since(one.Seen) > r.age {
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
