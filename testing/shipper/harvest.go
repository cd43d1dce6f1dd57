package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

// item holds an event, and the state of the event's file after the acknowledgement of the event. For a dropped event,
// the field event is nil, and the item only advances the state of the file.
type item struct {
	event fields
	file  string
	state state
}

// prospector finds log files, and reads each file in a separate goroutine.
type prospector struct {
	config   *config
	input    *input
	registry *registry
	queue    chan<- item
	stop     <-chan struct{}

	lock       sync.Mutex
	paths      map[string]string // path of each open file, by fingerprint
	closed     map[string]int64  // size of each closed file when it was closed, by fingerprint
	harvesters sync.WaitGroup
}

func (p *prospector) run() {
	for {
		p.scan()
		select {
		case <-p.stop:
			p.harvesters.Wait()
			return
		case <-time.After(time.Duration(p.input.CheckInterval)):
		}
	}
}

// scan searches for new and changed files, and starts one goroutine for each, which reads that file.
func (p *prospector) scan() {
	seen := map[string]bool{}
	for _, path := range p.find() {
		file, size, id := p.identify(path)
		if file == nil {
			continue
		}
		p.lock.Lock()
		_, open := p.paths[id]
		closedSize, closed := p.closed[id]
		switch {
		case seen[id] || (closed && closedSize == size && !open):
			file.Close()
		case open:
			p.paths[id] = path // store the path again, because the file may have a new name
			file.Close()
		default:
			p.paths[id] = path
			delete(p.closed, id)
			p.harvesters.Add(1)
			go p.harvest(file, id)
		}
		seen[id] = true
		p.lock.Unlock()
	}
}

// find returns the paths of the files to read. Rotated, older files of a container precede newer files.
func (p *prospector) find() []string {
	found := []string{}
	for _, pattern := range p.input.Paths {
		paths, _ := filepath.Glob(pattern)
	next:
		for _, path := range paths {
			for _, excluded := range p.input.excluded {
				if excluded.MatchString(path) {
					continue next
				}
			}
			info, err := os.Lstat(path)
			if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) < time.Duration(p.input.IgnoreOlder) {
				found = append(found, path)
			}
		}
	}
	sort.Slice(found, func(a, b int) bool {
		return len(found[a]) > len(found[b]) || len(found[a]) == len(found[b]) && found[a] < found[b]
	})
	return found
}

// identify opens a file. It returns the file, the file's size, and the fingerprint: the start of the content when the
// file was first found. It returns nil if the file cannot be read, or has no complete line yet. The first line contains
// a time in nanoseconds, so each file has a different start.
func (p *prospector) identify(path string) (*os.File, int64, string) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, ""
	}
	head := make([]byte, p.input.FingerprintLength)
	if reader, _, err := unpack(file); err == nil {
		n, err := io.ReadFull(reader, head)
		if err == nil || bytes.IndexByte(head[:n], '\n') >= 0 {
			if info, err := file.Stat(); err == nil {
				return file, info.Size(), p.fingerprint(hex.EncodeToString(head[:n]))
			}
		}
	}
	file.Close()
	return nil, 0, ""
}

// fingerprint returns the known fingerprint with which this content starts. Without a known fingerprint, it returns the
// content itself. A known fingerprint can be shorter than the content, because the file was shorter when it was first
// found.
func (p *prospector) fingerprint(id string) string {
	p.lock.Lock()
	defer p.lock.Unlock()
	for shorter := id; shorter != ""; shorter = shorter[:len(shorter)-2] {
		_, open := p.paths[shorter]
		_, closed := p.closed[shorter]
		if open || closed || p.registry.contains(shorter) {
			return shorter
		}
	}
	return id
}

// unpack returns a reader of the file's uncompressed content, and whether the file is compressed.
func unpack(file *os.File) (io.Reader, bool, error) {
	magic := make([]byte, 2)
	_, err := file.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return file, false, nil
	}
	reader, err := gzip.NewReader(file)
	return reader, true, err
}

func (p *prospector) harvest(file *os.File, id string) {
	defer p.harvesters.Done()
	defer file.Close()
	offset := p.registry.offset(id)
	end := p.read(file, id, offset)
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.paths, id)
	p.closed[id] = end
}

// read reads a file until its end, or until no line has been added for some time. It returns the size of the file, or
// -1 if the file was truncated and must be read again.
func (p *prospector) read(file *os.File, id string, offset int64) int64 {
	reader, packed, err := unpack(file)
	if err == nil {
		if packed {
			_, err = io.CopyN(io.Discard, reader, offset)
		} else {
			if size := sizeOf(file); size < offset {
				offset = 0 // the file was truncated while it was closed
			}
			_, err = file.Seek(offset, io.SeekStart)
		}
	}
	if err != nil {
		return sizeOf(file)
	}
	lines := newJoiner(p.input.Parsers[1].Multiline)
	chunk, rest, last := make([]byte, 65536), []byte{}, time.Now()
	backoff := p.input.BackoffInit
	for {
		n, err := reader.Read(chunk)
		rest = append(rest, chunk[:n]...)
		for {
			at := bytes.IndexByte(rest, '\n')
			if at < 0 {
				break
			}
			for _, done := range lines.add(rest[:at], offset, offset+int64(at)+1) {
				if !p.send(done, lines, id) {
					return 0
				}
			}
			offset += int64(at) + 1
			rest = rest[at+1:]
		}
		if n > 0 {
			last, backoff = time.Now(), p.input.BackoffInit
			continue
		}
		if err == nil {
			continue
		}
		// The reader has reached the end of the file.
		if lines.hasPending() && (packed || time.Since(lines.touched) >= time.Duration(lines.rules.Timeout)) {
			if done := lines.flush(); !p.send(done[0], lines, id) {
				return 0
			}
		}
		size := sizeOf(file)
		switch {
		case packed:
			return size
		case size < offset: // truncated
			return -1
		case !lines.hasPending() && time.Since(last) > time.Duration(p.input.CloseInactive):
			return size
		}
		wait := time.Duration(backoff)
		if left := time.Duration(lines.rules.Timeout) - time.Since(lines.touched); lines.hasPending() && left < wait {
			wait = left
		}
		select {
		case <-p.stop:
			return 0
		case <-time.After(wait):
		}
		if backoff *= 2; backoff > p.input.BackoffMax {
			backoff = p.input.BackoffMax
		}
	}
}

func sizeOf(file *os.File) int64 {
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// send applies the processors to a message and adds the event to the queue. It returns false if the test shipper is
// shutting down.
func (p *prospector) send(done *message, lines *joiner, id string) bool {
	p.lock.Lock()
	path := p.paths[id]
	p.lock.Unlock()
	event := done.event(path, p.input.MessageMaxBytes)
	for i := range p.config.Processors {
		if !p.config.Processors[i].apply(event) {
			event = nil
			break
		}
	}
	if event != nil {
		merge(event, fields{
			"agent":     fields{"name": p.config.Name, "type": "test-shipper"},
			"host":      fields{"name": p.config.Name},
			"@metadata": fields{"beat": "filebeat", "type": "_doc"},
		})
	}
	reached := state{Offset: lines.resume(done.end), Path: path, Seen: time.Now()}
	select {
	case p.queue <- item{event, id, reached}:
		return true
	case <-p.stop:
		return false
	}
}
