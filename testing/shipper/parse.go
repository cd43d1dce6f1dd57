package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// message is one line of a container's log file (CRI format), or several joined lines.
type message struct {
	time   time.Time
	stream string
	text   []byte
	start  int64 // offset in the file of the message's first byte
	end    int64 // offset in the file of the next message
}

// parseCRI parses a line such as "2026-01-01T00:00:00.000000000Z stdout F text". complete is false if the container
// runtime has split the line and another part follows. A line in another format becomes a message with the current time
// and the whole line as its text.
func parseCRI(line []byte) (parsed message, complete bool) {
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

// joiner joins the parts of lines that the container runtime has split. Then it joins consecutive lines that match the
// multiline pattern.
type joiner struct {
	rules   *multiline
	parts   map[string]*message // received parts of an incomplete line, by stream
	pending *message            // lines joined so far; more lines may follow
	lines   int
	touched time.Time
}

const maxLines = 500 // filebeat's default for multiline.max_lines

func newJoiner(rules *multiline) *joiner {
	return &joiner{rules: rules, parts: map[string]*message{}}
}

// add adds a line of the file, and returns the messages that this line completes.
func (j *joiner) add(line []byte, start, end int64) []*message {
	parsed, complete := parseCRI(line)
	parsed.start, parsed.end = start, end
	if part := j.parts[parsed.stream]; part != nil {
		part.text = append(part.text, parsed.text...)
		part.end = end
		parsed = *part
	}
	if !complete {
		copied := parsed
		copied.text = append([]byte{}, parsed.text...)
		j.parts[parsed.stream] = &copied
		return nil
	}
	delete(j.parts, parsed.stream)
	parsed.text = append([]byte{}, parsed.text...)
	j.touched = time.Now()
	if !j.rules.joins.Match(parsed.text) {
		return append(j.flush(), &parsed)
	}
	if j.pending == nil {
		j.pending, j.lines = &parsed, 1
		return nil
	}
	if j.lines < maxLines {
		j.pending.text = append(append(j.pending.text, '\n'), parsed.text...)
		j.lines++
	}
	j.pending.end = end
	return nil
}

// flush returns the pending message, if there is one.
func (j *joiner) flush() []*message {
	if j.pending == nil {
		return nil
	}
	done := j.pending
	j.pending = nil
	return []*message{done}
}

func (j *joiner) hasPending() bool { return j.pending != nil }

// resume returns the offset at which reading continues after a restart. Incomplete lines are read again.
func (j *joiner) resume(end int64) int64 {
	for _, part := range j.parts {
		if part.start < end {
			end = part.start
		}
	}
	return end
}

type fields = map[string]interface{}

// event converts a message to an event. If the text of the message is a JSON object, the event has the fields of the
// object. Otherwise the field "message" of the event is the text.
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

// dedot replaces dots in keys by nested maps: it converts {"a.b": 1} to {"a": {"b": 1}}.
func dedot(flat fields) fields {
	nested := fields{}
	for key, value := range flat {
		if inner, ok := value.(fields); ok {
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

// merge adds to the first map the fields of the second map that are missing in it. It does not overwrite values.
func merge(into, more fields) {
	for key, value := range more {
		present, ok := into[key]
		if !ok {
			into[key] = value
			continue
		}
		target, targetNested := present.(fields)
		added, addedNested := value.(fields)
		if targetNested && addedNested {
			merge(target, added)
		}
	}
}

// get returns the value at a dotted path of keys, or nil if there is none.
func get(event fields, path string) interface{} {
	var value interface{} = event
	for _, name := range split(path) {
		inner, ok := value.(fields)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

// put sets the value at a dotted path of keys.
func put(event fields, path string, value interface{}) {
	names := split(path)
	for _, name := range names[:len(names)-1] {
		inner, ok := event[name].(fields)
		if !ok {
			inner = fields{}
			event[name] = inner
		}
		event = inner
	}
	event[names[len(names)-1]] = value
}

// remove deletes the value at a dotted path of keys.
func remove(event fields, path string) {
	names := split(path)
	for _, name := range names[:len(names)-1] {
		inner, ok := event[name].(fields)
		if !ok {
			return
		}
		event = inner
	}
	delete(event, names[len(names)-1])
}

func split(path string) []string { return strings.Split(path, ".") }
