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

// An event on its way, and how far its file is done once it is acknowledged. No event: the file is further all the same.
type item struct {
	event fields
	file  string
	state state
}

// Finds files, and reads each in a goroutine of its own.
type prospector struct {
	config   *config
	input    *input
	registry *registry
	queue    chan<- item
	stop     <-chan struct{}

	lock   sync.Mutex
	paths  map[string]string // of what is being read, by fingerprint
	closed map[string]int64  // the size at which reading ended
	all    sync.WaitGroup
}

func (p *prospector) run() {
	for {
		p.scan()
		select {
		case <-p.stop:
			p.all.Wait()
			return
		case <-time.After(time.Duration(p.input.CheckInterval)):
		}
	}
}

func (p *prospector) scan() {
	seen := map[string]bool{}
	for _, path := range p.find() {
		file, size, id := p.identify(path)
		if file == nil {
			continue
		}
		p.lock.Lock()
		_, reads := p.paths[id]
		ended, was := p.closed[id]
		switch {
		case seen[id] || (was && ended == size && !reads):
			file.Close()
		case reads:
			p.paths[id] = path // perhaps renamed
			file.Close()
		default:
			p.paths[id] = path
			delete(p.closed, id)
			p.all.Add(1)
			go p.harvest(file, id)
		}
		seen[id] = true
		p.lock.Unlock()
	}
}

// The files to read, the older of a container first.
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

// Opens a file and gives its fingerprint; none if it has no whole line yet, or is gone. What a file began with when it was
// first seen stays its fingerprint: it may grow. Its first line has a nanosecond, so no other file begins like that.
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
				return file, info.Size(), p.known(hex.EncodeToString(head[:n]))
			}
		}
	}
	file.Close()
	return nil, 0, ""
}

// Gives the fingerprint of a file that was shorter when it was seen first, or this one.
func (p *prospector) known(id string) string {
	p.lock.Lock()
	defer p.lock.Unlock()
	for shorter := id; shorter != ""; shorter = shorter[:len(shorter)-2] {
		_, reads := p.paths[shorter]
		_, was := p.closed[shorter]
		if reads || was || p.registry.knows(shorter) {
			return shorter
		}
	}
	return id
}

// Gives a reader from the file's start, of what is in it if it is packed.
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
	defer p.all.Done()
	defer file.Close()
	offset := p.registry.offset(id)
	end := p.read(file, id, offset)
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.paths, id)
	p.closed[id] = end
}

// Reads until the file is of no more interest; gives its size at that time.
func (p *prospector) read(file *os.File, id string, offset int64) int64 {
	reader, packed, err := unpack(file)
	if err == nil {
		if packed {
			_, err = io.CopyN(io.Discard, reader, offset)
		} else {
			if size := sizeOf(file); size < offset {
				offset = 0 // truncated while nobody looked
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
		// What has been written is read.
		if lines.waits() && (packed || time.Since(lines.touched) >= time.Duration(lines.rules.Timeout)) {
			if done := lines.flush(); !p.send(done[0], lines, id) {
				return 0
			}
		}
		size := sizeOf(file)
		switch {
		case packed:
			return size
		case size < offset: // truncated: from its start again
			return -1
		case !lines.waits() && time.Since(last) > time.Duration(p.input.CloseInactive):
			return size
		}
		wait := time.Duration(backoff)
		if left := time.Duration(lines.rules.Timeout) - time.Since(lines.touched); lines.waits() && left < wait {
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

// Hands a message on as an event; false: it is time to end.
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
			"agent":     fields{"name": p.config.Name, "type": "stand-in for filebeat"},
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
