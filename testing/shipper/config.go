package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// config is the content of filebeat.yml. A key of the file without a field in this struct is an error.
type config struct {
	Name            string      `yaml:"name"`
	RegistryFlush   duration    `yaml:"filebeat.registry.flush"`
	ShutdownTimeout duration    `yaml:"filebeat.shutdown_timeout"`
	Inputs          []input     `yaml:"filebeat.inputs"`
	Processors      []processor `yaml:"processors"`
	Queue           struct {
		Events       int      `yaml:"events"`
		FlushTimeout duration `yaml:"flush.timeout"`
	} `yaml:"queue.mem"`
	Output         output `yaml:"output.logstash"`
	HTTPEnabled    bool   `yaml:"http.enabled"`
	HTTPHost       string `yaml:"http.host"`
	HTTPPort       int    `yaml:"http.port"`
	LoggingLevel   string `yaml:"logging.level"`
	LoggingMetrics bool   `yaml:"logging.metrics.enabled"`
}

type input struct {
	Type              string   `yaml:"type"`
	ID                string   `yaml:"id"`
	Paths             []string `yaml:"paths"`
	ExcludeFiles      []string `yaml:"prospector.scanner.exclude_files"`
	Growing           bool     `yaml:"file_identity.fingerprint.growing"`
	FingerprintLength int      `yaml:"prospector.scanner.fingerprint.length"`
	Compression       string   `yaml:"compression"`
	CheckInterval     duration `yaml:"prospector.scanner.check_interval"`
	BackoffInit       duration `yaml:"backoff.init"`
	BackoffMax        duration `yaml:"backoff.max"`
	CloseInactive     duration `yaml:"close.on_state_change.inactive"`
	CloseRemoved      bool     `yaml:"close.on_state_change.removed"`
	CleanRemoved      bool     `yaml:"clean_removed"`
	IgnoreOlder       duration `yaml:"ignore_older"`
	CleanInactive     duration `yaml:"clean_inactive"`
	MessageMaxBytes   int      `yaml:"message_max_bytes"`
	Parsers           []parser `yaml:"parsers"`

	excluded []*regexp.Regexp
}

type parser struct {
	Container *struct {
		Stream string `yaml:"stream"`
		Format string `yaml:"format"`
	} `yaml:"container"`
	Multiline *multiline `yaml:"multiline"`
	JSON      *struct {
		Target       string `yaml:"target"`
		Expand       bool   `yaml:"expand_keys"`
		Overwrite    bool   `yaml:"overwrite_keys"`
		AddErrorKey  bool   `yaml:"add_error_key"`
		IgnoreErrors bool   `yaml:"ignore_decoding_error"`
	} `yaml:"ndjson"`
}

type multiline struct {
	Type    string   `yaml:"type"`
	Pattern string   `yaml:"pattern"`
	Negate  bool     `yaml:"negate"`
	Timeout duration `yaml:"timeout"`

	joins *regexp.Regexp
}

type output struct {
	Hosts       []string `yaml:"hosts"`
	BulkMaxSize int      `yaml:"bulk_max_size"`
	Pipelining  int      `yaml:"pipelining"`
	TTL         duration `yaml:"ttl"`
	Timeout     duration `yaml:"timeout"`
	Compression int      `yaml:"compression_level"`
	BackoffInit duration `yaml:"backoff.init"`
	BackoffMax  duration `yaml:"backoff.max"`
	Verify      string   `yaml:"ssl.verification_mode"`
	Authorities []string `yaml:"ssl.certificate_authorities"`
	Certificate string   `yaml:"ssl.certificate"`
	Key         string   `yaml:"ssl.key"`
	Protocols   []string `yaml:"ssl.supported_protocols"`
}

type duration time.Duration

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	*d = duration(parsed)
	return err
}

var reference = regexp.MustCompile(`\$\{([A-Z_]+)(?::([^}]*))?\}`)

// expand replaces ${NAME} and ${NAME:default} with values from the environment.
func expand(text string) (string, error) {
	missing := ""
	expanded := reference.ReplaceAllStringFunc(text, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		if value := os.Getenv(parts[1]); value != "" {
			return value
		}
		if !strings.Contains(match, ":") {
			missing = parts[1]
		}
		return parts[2]
	})
	if missing != "" {
		return "", fmt.Errorf("the environment variable %s is missing or empty, and has no default", missing)
	}
	return expanded, nil
}

func readConfig(path string) (*config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines = append(lines, line)
		} else {
			lines = append(lines, "") // an empty line keeps the later line numbers correct
		}
	}
	expanded, err := expand(strings.Join(lines, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	result := &config{}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(expanded)))
	decoder.KnownFields(true)
	if err := decoder.Decode(result); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.ReplaceAll(err.Error(), "\n ", ""))
	}
	if err := result.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return result, nil
}

// requirement is a setting that the test shipper implements only for some values.
type requirement struct {
	key           string
	holds         bool
	found, wanted interface{}
}

// check returns an error for a setting with a value that the test shipper does not implement.
func (c *config) check() error {
	if len(c.Inputs) != 1 || len(c.Output.Hosts) == 0 {
		return fmt.Errorf("found %d inputs and %d hosts, wanted one input and at least one host", len(c.Inputs), len(c.Output.Hosts))
	}
	in, out := &c.Inputs[0], &c.Output
	requirements := []requirement{
		{"filebeat.registry.flush", c.RegistryFlush == 0, time.Duration(c.RegistryFlush), "0s"},
		{"type", in.Type == "filestream", in.Type, "filestream"},
		{"compression", in.Compression == "auto", in.Compression, "auto"},
		{"file_identity.fingerprint.growing", in.Growing, in.Growing, true},
		{"prospector.scanner.fingerprint.length", in.FingerprintLength >= 64, in.FingerprintLength, "64 or more"},
		{"close.on_state_change.removed", !in.CloseRemoved, in.CloseRemoved, false},
		{"clean_removed", !in.CleanRemoved, in.CleanRemoved, false},
		{"clean_inactive", in.CleanInactive > in.IgnoreOlder+in.CheckInterval, time.Duration(in.CleanInactive), "more than the sum of ignore_older and check_interval"},
		{"backoff.max", in.BackoffInit > 0 && in.BackoffMax >= in.BackoffInit && in.BackoffMax <= in.CheckInterval, time.Duration(in.BackoffMax), "from backoff.init to check_interval"},
		{"parsers", len(in.Parsers) == 3 && in.Parsers[0].Container != nil && in.Parsers[1].Multiline != nil && in.Parsers[2].JSON != nil, len(in.Parsers), "container, multiline, ndjson"},
		{"pipelining", out.Pipelining == 0, out.Pipelining, 0},
		{"bulk_max_size", out.BulkMaxSize > 0, out.BulkMaxSize, "more than 0"},
		{"queue.mem.events", c.Queue.Events > 0, c.Queue.Events, "more than 0"},
		{"ssl.verification_mode", out.Verify == "full", out.Verify, "full"},
		{"ssl.supported_protocols", len(out.Protocols) == 1 && out.Protocols[0] == "TLSv1.3", out.Protocols, "[TLSv1.3]"},
	}
	for _, setting := range requirements {
		if !setting.holds {
			return fmt.Errorf("%s: found %v, wanted %v", setting.key, setting.found, setting.wanted)
		}
	}
	container, lines, json := in.Parsers[0].Container, in.Parsers[1].Multiline, in.Parsers[2].JSON
	switch {
	case container.Stream != "all" || container.Format != "cri":
		return fmt.Errorf("container: found %+v, wanted stream all, format cri", *container)
	case lines.Type != "while_pattern" || lines.Negate:
		return fmt.Errorf("multiline: found %+v, wanted type while_pattern, negate false", *lines)
	case json.Target != "" || !json.Expand || json.Overwrite || json.AddErrorKey || !json.IgnoreErrors:
		return fmt.Errorf("ndjson: found %+v, wanted an empty target, expand_keys and ignore_decoding_error true, the others false", *json)
	}
	return c.compile()
}

// compile compiles the regular expressions of the configuration and checks the settings of its processors.
func (c *config) compile() (err error) {
	in := &c.Inputs[0]
	for _, pattern := range in.ExcludeFiles {
		excluded, err := regexp.Compile(pattern)
		if err != nil {
			return fmt.Errorf("exclude_files: %w", err)
		}
		in.excluded = append(in.excluded, excluded)
	}
	lines := in.Parsers[1].Multiline
	if lines.joins, err = regexp.Compile(lines.Pattern); err != nil {
		return fmt.Errorf("multiline.pattern: %w", err)
	}
	for i := range c.Processors {
		if err := c.Processors[i].check(); err != nil {
			return fmt.Errorf("processor %d: %w", i+1, err)
		}
	}
	return nil
}
