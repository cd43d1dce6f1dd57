// The test shipper replaces Elastic's filebeat in tests, on machines that cannot download filebeat's image. Sites do
// not use the test shipper.
//
// The test shipper has the command line of filebeat, reads the filebeat.yml of this project, and sends events with
// go-lumber, Elastic's client library. It refuses settings that it does not implement. So the tests of the DaemonSet
// with its mounts, permissions and configuration run on any machine. .github/workflows runs the same tests with
// filebeat.
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

// logLine prints a log line as JSON.
func logLine(level, message string, more fields) {
	line := fields{"@timestamp": time.Now().UTC().Format(time.RFC3339Nano), "log.level": level, "message": message, "log.logger": "test-shipper", "service.name": "filebeat"}
	merge(line, more)
	text, _ := json.Marshal(line)
	fmt.Fprintln(os.Stderr, string(text))
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "test shipper:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	testCommand := ""
	if len(arguments) > 1 && arguments[0] == "test" {
		testCommand, arguments = arguments[1], arguments[2:]
	}
	flags := flag.NewFlagSet("filebeat", flag.ContinueOnError)
	path := flags.String("c", "filebeat.yml", "path of the configuration")
	data := flags.String("path.data", "/usr/share/filebeat/data", "folder of the registry")
	flags.Bool("e", false, "ignored: the log always goes to standard error")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	config, err := readConfig(*path)
	if err != nil {
		return err
	}
	switch testCommand {
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
	return fmt.Errorf("test: found %s, wanted config or output", testCommand)
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
				fmt.Fprintf(answer, `{"beat":"test-shipper","name":%q}`+"\n", config.Name)
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
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	stop, queue := make(chan struct{}), make(chan item, config.Queue.Events)
	files := &prospector{
		config: config, input: &config.Inputs[0], registry: registry, queue: queue, stop: stop,
		paths: map[string]string{}, closed: map[string]int64{},
	}
	client := &shipper{config: config, registry: registry, queue: queue, stop: stop, backoff: config.Output.BackoffInit}
	var readers sync.WaitGroup
	readers.Add(1)
	go func() { defer readers.Done(); files.run() }()
	failed := make(chan error, 1)
	go func() { failed <- client.run() }()
	logLine("info", "the test shipper has started", fields{"filebeat.hosts": config.Output.Hosts})
	select {
	case err := <-failed:
		return err
	case <-signals:
	}
	close(stop)
	readers.Wait()
	select {
	case err := <-failed:
		return err
	case <-time.After(time.Duration(config.ShutdownTimeout)):
		return nil
	}
}
