// golumber is a test client: it ships events with go-lumber, filebeat's client library, until all events are
// acknowledged.
//
// At the end it prints the line "acknowledged N". Its exit status is 1 if the library returns an error.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	v2 "github.com/elastic/go-lumber/client/v2"
)

var (
	address  = flag.String("address", "127.0.0.1:5044", "address of the server")
	name     = flag.String("name", "go", "prefix of the events' ids")
	events   = flag.Int("events", 1000, "number of events")
	window   = flag.Int("window", 2048, "number of events in a window")
	level    = flag.Int("compression", 3, "compression level, 0 to 9")
	inflight = flag.Int("pipelining", 2, "number of unacknowledged windows; 0: wait for each acknowledgement")
	size     = flag.Int("size", 500, "size of a message in bytes")
	ca       = flag.String("ca", "", "file of the authority that signed the server's certificate; empty: plain TCP")
	cert     = flag.String("cert", "", "file of the client's certificate")
	key      = flag.String("key", "", "file of the client's key")
)

func dial(network, to string) (net.Conn, error) {
	if *ca == "" {
		return net.Dial(network, to)
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return tls.Dial(network, to, config)
}

func windows() [][]interface{} {
	var all [][]interface{}
	filling := strings.Repeat("x", *size)
	for i := 0; i < *events; i++ {
		if i%*window == 0 {
			all = append(all, nil)
		}
		event := map[string]interface{}{"id": fmt.Sprintf("%s-%d", *name, i), "message": filling}
		all[len(all)-1] = append(all[len(all)-1], event)
	}
	return all
}

func shipOneByOne(client *v2.Client) (total int, err error) {
	sync, err := v2.NewSyncClientWith(client)
	if err != nil {
		return 0, err
	}
	for _, batch := range windows() {
		count, err := sync.Send(batch)
		total += count
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func shipPipelined(client *v2.Client) (total int, err error) {
	async, err := v2.NewAsyncClientWith(client, *inflight)
	if err != nil {
		return 0, err
	}
	var waiting sync.WaitGroup
	acknowledged := func(count uint32, failed error) {
		total += int(count)
		if failed != nil {
			err = failed
		}
		waiting.Done()
	}
	for _, batch := range windows() {
		waiting.Add(1)
		if failed := async.Send(acknowledged, batch); failed != nil {
			return total, failed
		}
	}
	waiting.Wait()
	return total, err
}

func main() {
	flag.Parse()
	client, err := v2.DialWith(dial, *address, v2.CompressionLevel(*level), v2.Timeout(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	ship := shipPipelined
	if *inflight == 0 {
		ship = shipOneByOne
	}
	total, err := ship(client)
	fmt.Println("acknowledged", total)
	if err != nil {
		log.Fatal(err)
	}
	_ = client.Close()
}
