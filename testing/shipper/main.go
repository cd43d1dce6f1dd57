// A stand-in for Elastic's filebeat, for tests where its image cannot be had. It is not filebeat, and no product.
//
// It is called as filebeat is, reads our filebeat.yml, does what that says with Elastic's own go-lumber as its client,
// and refuses what it does not know. So the tests of the DaemonSet, its mounts, its rights and its configuration run
// anywhere; .github/workflows runs the same tests with the real one.
//
//	filebeat -e -c FILE [--path.data FOLDER]
//	filebeat test config|output -c FILE
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func say(level, message string, more fields) {
	line := fields{"@timestamp": time.Now().UTC().Format(time.RFC3339Nano), "log.level": level, "message": message, "log.logger": "stand-in", "service.name": "filebeat"}
	merge(line, more)
	text, _ := json.Marshal(line)
	fmt.Fprintln(os.Stderr, string(text))
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shipper (stand-in for filebeat):", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	what := ""
	if len(arguments) > 1 && arguments[0] == "test" {
		what, arguments = arguments[1], arguments[2:]
	}
	flags := flag.NewFlagSet("filebeat", flag.ContinueOnError)
	path := flags.String("c", "filebeat.yml", "the configuration")
	data := flags.String("path.data", "/usr/share/filebeat/data", "where the registry is")
	flags.Bool("e", false, "log to standard error, which it always does")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	config, err := readConfig(*path)
	if err != nil {
		return err
	}
	switch what {
	case "":
		return ship(config, *data)
	case "config":
		fmt.Println("Config OK")
		return nil
	case "output":
		output := &shipper{config: config}
		if err := output.connect(); err != nil {
			return err
		}
		output.disconnect()
		fmt.Println("talk to server... OK")
		return nil
	}
	return fmt.Errorf("test: found %s, wanted config or output", what)
}

func ship(config *config, data string) error {
	input := &config.Inputs[0]
	registry, err := openRegistry(data+"/registry", time.Duration(input.CleanInactive))
	if err != nil {
		return err
	}
	if config.HTTPEnabled {
		listener, err := net.Listen("tcp", net.JoinHostPort(config.HTTPHost, strconv.Itoa(config.HTTPPort)))
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(answer, `{"beat":"stand-in for filebeat","name":%q}`+"\n", config.Name)
			}))
		}()
	}
	for i := range config.Processors {
		if pods := config.Processors[i].Kubernetes; pods != nil {
			if err := pods.start(); err != nil {
				return err
			}
		}
	}
	return work(config, registry)
}

func work(config *config, registry *registry) error {
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGINT)
	stop, queue := make(chan struct{}), make(chan item, config.Queue.Events)
	files := &prospector{
		config: config, input: &config.Inputs[0], registry: registry, queue: queue, stop: stop,
		paths: map[string]string{}, closed: map[string]int64{},
	}
	client := &shipper{config: config, registry: registry, queue: queue, stop: stop, backoff: config.Output.BackoffInit}
	var all sync.WaitGroup
	all.Add(1)
	go func() { defer all.Done(); files.run() }()
	failed := make(chan error, 1)
	go func() { failed <- client.run() }()
	say("info", "the stand-in for filebeat ships", fields{"filebeat.hosts": config.Output.Hosts})
	select {
	case err := <-failed:
		return err
	case <-ending:
	}
	close(stop)
	all.Wait()
	select {
	case err := <-failed:
		return err
	case <-time.After(time.Duration(config.ShutdownTimeout)):
		return nil
	}
}
