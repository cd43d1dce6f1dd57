package main

import (
	"fmt"
	"regexp"
	"strings"
)

type processor struct {
	DropFields *struct {
		When          *condition `yaml:"when"`
		Fields        []string   `yaml:"fields"`
		IgnoreMissing bool       `yaml:"ignore_missing"`
	} `yaml:"drop_fields"`
	Kubernetes *podMetadata `yaml:"add_kubernetes_metadata"`
	Dissect    *dissect     `yaml:"dissect"`
	DropEvent  *struct {
		When *condition `yaml:"when"`
	} `yaml:"drop_event"`
	CopyFields *struct {
		When   *condition `yaml:"when"`
		Fields []struct {
			From string `yaml:"from"`
			To   string `yaml:"to"`
		} `yaml:"fields"`
		FailOnError   bool `yaml:"fail_on_error"`
		IgnoreMissing bool `yaml:"ignore_missing"`
	} `yaml:"copy_fields"`
}

type condition struct {
	Equals    map[string]string `yaml:"equals"`
	HasFields []string          `yaml:"has_fields"`
	And       []condition       `yaml:"and"`
	Or        []condition       `yaml:"or"`
	Not       *condition        `yaml:"not"`
}

type dissect struct {
	Field         string `yaml:"field"`
	Tokenizer     string `yaml:"tokenizer"`
	Prefix        string `yaml:"target_prefix"`
	Overwrite     bool   `yaml:"overwrite_keys"`
	IgnoreFailure bool   `yaml:"ignore_failure"`

	pattern *regexp.Regexp
	keys    []string
}

// holds checks whether an event fulfills the condition. A nil condition is always fulfilled.
func (c *condition) holds(event fields) bool {
	if c == nil {
		return true
	}
	for path, wanted := range c.Equals {
		if found := get(event, path); found == nil || fmt.Sprint(found) != wanted {
			return false
		}
	}
	for _, path := range c.HasFields {
		if get(event, path) == nil {
			return false
		}
	}
	for i := range c.And {
		if !c.And[i].holds(event) {
			return false
		}
	}
	anyHolds := len(c.Or) == 0
	for i := range c.Or {
		anyHolds = anyHolds || c.Or[i].holds(event)
	}
	return anyHolds && (c.Not == nil || !c.Not.holds(event))
}

var token = regexp.MustCompile(`%\{([^}]*)\}`)

// compile converts the tokenizer of a dissect processor to a regular expression.
func (d *dissect) compile() error {
	pattern, last := "^", 0
	for _, at := range token.FindAllStringSubmatchIndex(d.Tokenizer, -1) {
		pattern += regexp.QuoteMeta(d.Tokenizer[last:at[0]]) + "(.+?)"
		d.keys = append(d.keys, d.Tokenizer[at[2]:at[3]])
		last = at[1]
	}
	if !d.Overwrite || !d.IgnoreFailure || last != len(d.Tokenizer) {
		return fmt.Errorf("dissect: wanted overwrite_keys true, ignore_failure true, and a tokenizer that ends with a key")
	}
	d.pattern = regexp.MustCompile(pattern + "$")
	return nil
}

func (d *dissect) apply(event fields) {
	text, _ := get(event, d.Field).(string)
	found := d.pattern.FindStringSubmatch(text)
	if found == nil {
		return
	}
	for i, key := range d.keys {
		if !strings.HasPrefix(key, "?") {
			put(event, d.Prefix+"."+key, found[i+1])
		}
	}
}

func (p *processor) check() error {
	switch {
	case p.Dissect != nil:
		return p.Dissect.compile()
	case p.Kubernetes != nil:
		return p.Kubernetes.check()
	case p.DropEvent != nil && p.DropEvent.When == nil:
		return fmt.Errorf("drop_event: found no condition, wanted one, because it would drop all events")
	case p.DropFields != nil && !p.DropFields.IgnoreMissing:
		return fmt.Errorf("drop_fields: found ignore_missing false, wanted true")
	case p.CopyFields != nil && (p.CopyFields.FailOnError || !p.CopyFields.IgnoreMissing):
		return fmt.Errorf("copy_fields: wanted fail_on_error false, ignore_missing true")
	}
	return nil
}

// apply applies a processor to an event. It returns false if the event must be dropped.
func (p *processor) apply(event fields) bool {
	switch {
	case p.DropEvent != nil:
		return !p.DropEvent.When.holds(event)
	case p.DropFields != nil && p.DropFields.When.holds(event):
		for _, path := range p.DropFields.Fields {
			remove(event, path)
		}
	case p.CopyFields != nil && p.CopyFields.When.holds(event):
		for _, field := range p.CopyFields.Fields {
			if value := get(event, field.From); value != nil && get(event, field.To) == nil {
				put(event, field.To, value)
			}
		}
	case p.Dissect != nil:
		p.Dissect.apply(event)
	case p.Kubernetes != nil:
		p.Kubernetes.apply(event)
	}
	return true
}
