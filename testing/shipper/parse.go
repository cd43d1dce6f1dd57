package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// One line of a CRI log file, or what was joined from several.
type message struct {
	time   time.Time
	stream string
	text   []byte
	start  int64 // where it begins in the file
	end    int64 // where the next one does
}

// Reads "2026-01-01T00:00:00.000000000Z stdout F text"; whole tells whether the runtime split it here.
// A line that is none is given as it is, with the time of reading: nothing is lost for being odd.
func parseCRI(line []byte) (found message, whole bool) {
	parts := bytes.SplitN(line, []byte(" "), 4)
	if len(parts) == 4 {
		at, err := time.Parse(time.RFC3339Nano, string(parts[0]))
		stream, tag := string(parts[1]), string(bytes.SplitN(parts[2], []byte(":"), 2)[0])
		if err == nil && (stream == "stdout" || stream == "stderr") && (tag == "F" || tag == "P") {
			return message{time: at.UTC(), stream: stream, text: parts[3]}, tag == "F"
		}
	}
	return message{time: time.Now().UTC(), text: line}, true
}

// Joins what the runtime split, and then lines of the multiline pattern that follow each other.
type joiner struct {
	rules   *multiline
	parts   map[string]*message // by stream: begun, and not whole
	pending *message            // whole lines of the pattern, perhaps with more to come
	lines   int
	touched time.Time
}

const maxLines = 500 // multiline.max_lines by default

func newJoiner(rules *multiline) *joiner {
	return &joiner{rules: rules, parts: map[string]*message{}}
}

// Takes a line of the file; gives the messages that it ends.
func (j *joiner) add(line []byte, start, end int64) []*message {
	found, whole := parseCRI(line)
	found.start, found.end = start, end
	if begun := j.parts[found.stream]; begun != nil {
		begun.text = append(begun.text, found.text...)
		begun.end = end
		found = *begun
	}
	if !whole {
		copied := found
		copied.text = append([]byte{}, found.text...)
		j.parts[found.stream] = &copied
		return nil
	}
	delete(j.parts, found.stream)
	found.text = append([]byte{}, found.text...)
	j.touched = time.Now()
	if !j.rules.joins.Match(found.text) {
		return append(j.flush(), &found)
	}
	if j.pending == nil {
		j.pending, j.lines = &found, 1
		return nil
	}
	if j.lines < maxLines {
		j.pending.text = append(append(j.pending.text, '\n'), found.text...)
		j.lines++
	}
	j.pending.end = end
	return nil
}

// Gives the message that waits for more, if there is one.
func (j *joiner) flush() []*message {
	if j.pending == nil {
		return nil
	}
	done := j.pending
	j.pending = nil
	return []*message{done}
}

func (j *joiner) waits() bool { return j.pending != nil }

// Where to read on after a restart so that nothing is missing: what is begun is read again.
func (j *joiner) resume(end int64) int64 {
	for _, begun := range j.parts {
		if begun.start < end {
			end = begun.start
		}
	}
	return end
}

type fields = map[string]interface{}

// Makes an event of a message: its text, or the fields of its JSON.
func (m *message) event(path string, limit int) fields {
	file := fields{"path": path}
	event := fields{"log": fields{"offset": m.start, "file": file}, "input": fields{"type": "filestream"}}
	if m.stream != "" {
		event["stream"] = m.stream
	}
	decoded := fields{}
	if len(m.text) > 0 && m.text[0] == '{' && json.Unmarshal(m.text, &decoded) == nil {
		delete(decoded, "@timestamp")
		delete(decoded, "@metadata")
		merge(event, dedot(decoded))
	} else {
		if len(m.text) > limit {
			m.text = m.text[:limit]
			event["log"].(fields)["flags"] = []string{"truncated"}
		}
		event["message"] = strings.ToValidUTF8(string(m.text), "\ufffd")
	}
	event["@timestamp"] = m.time.Format("2006-01-02T15:04:05.000Z")
	return event
}

// Makes {"a": {"b": 1}} of {"a.b": 1}.
func dedot(flat fields) fields {
	nested := fields{}
	for key, value := range flat {
		if inner, is := value.(fields); is {
			value = dedot(inner)
		}
		parts := strings.Split(key, ".")
		for i := len(parts) - 1; i > 0; i-- {
			value = fields{parts[i]: value}
		}
		merge(nested, fields{parts[0]: value})
	}
	return nested
}

// Puts in what is not there.
func merge(into, more fields) {
	for key, value := range more {
		here, is := into[key]
		if !is {
			into[key] = value
			continue
		}
		inner, hereIs := here.(fields)
		outer, moreIs := value.(fields)
		if hereIs && moreIs {
			merge(inner, outer)
		}
	}
}

func get(event fields, path string) interface{} {
	var here interface{} = event
	for _, name := range split(path) {
		inner, is := here.(fields)
		if !is {
			return nil
		}
		here = inner[name]
	}
	return here
}

func put(event fields, path string, value interface{}) {
	names := split(path)
	for _, name := range names[:len(names)-1] {
		inner, is := event[name].(fields)
		if !is {
			inner = fields{}
			event[name] = inner
		}
		event = inner
	}
	event[names[len(names)-1]] = value
}

func remove(event fields, path string) {
	names := split(path)
	for _, name := range names[:len(names)-1] {
		inner, is := event[name].(fields)
		if !is {
			return
		}
		event = inner
	}
	delete(event, names[len(names)-1])
}

func split(path string) []string { return strings.Split(path, ".") }
