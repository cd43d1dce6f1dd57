package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand"
	"net"
	"os"
	"time"

	v2 "github.com/elastic/go-lumber/client/v2"
)

// shipper sends one batch after the other over one connection, and saves the read positions of acknowledged events.
type shipper struct {
	config   *config
	registry *registry
	queue    <-chan item
	stop     <-chan struct{}

	client  *v2.SyncClient
	until   time.Time
	backoff duration
}

func (s *shipper) connect() error {
	out := s.config.Output
	dial := func(network, address string) (net.Conn, error) {
		roots := x509.NewCertPool()
		for _, path := range out.Authorities {
			pem, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if !roots.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s: found no certificate, wanted PEM", path)
			}
		}
		pair, err := tls.LoadX509KeyPair(out.Certificate, out.Key)
		if err != nil {
			return nil, err
		}
		settings := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
		dialer := &net.Dialer{Timeout: time.Duration(out.Timeout)}
		return tls.DialWithDialer(dialer, network, address, settings)
	}
	host := out.Hosts[rand.Intn(len(out.Hosts))]
	client, err := v2.SyncDialWith(dial, host, v2.CompressionLevel(out.Compression), v2.Timeout(time.Duration(out.Timeout)))
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	s.client, s.until = client, time.Now().Add(time.Duration(out.TTL))
	return nil
}

func (s *shipper) disconnect() {
	if s.client != nil {
		_ = s.client.Close()
	}
	s.client = nil
}

// collect returns the next batch: a full batch, or all items that arrive before the flush timeout. The batch is empty
// if the test shipper is shutting down.
func (s *shipper) collect() []item {
	batch, count := []item{}, 0
	var timeout <-chan time.Time
	for count < s.config.Output.BulkMaxSize && len(batch) < 100*s.config.Output.BulkMaxSize {
		select {
		case next := <-s.queue:
			batch = append(batch, next)
			if next.event != nil {
				count++
			}
			if timeout == nil {
				timeout = time.After(time.Duration(s.config.Queue.FlushTimeout))
			}
		case <-timeout:
			return batch
		case <-s.stop:
			return batch
		}
	}
	return batch
}

func (s *shipper) run() error {
	for {
		batch := s.collect()
		if len(batch) == 0 {
			return nil
		}
		for len(batch) > 0 {
			done, err := s.send(batch)
			if done > 0 {
				if err := s.registry.save(batch[:done]); err != nil {
					return err
				}
				batch = batch[done:]
			}
			if err != nil {
				logLine("error", "the batch was not acknowledged", fields{"error.message": err.Error()})
				if !s.pause() {
					return nil
				}
			}
		}
	}
}

// send sends a batch, and returns the number of its acknowledged items.
func (s *shipper) send(batch []item) (int, error) {
	events, positions := []interface{}{}, []int{}
	for i, each := range batch {
		if each.event != nil {
			events = append(events, each.event)
			positions = append(positions, i)
		}
	}
	if len(events) == 0 {
		return len(batch), nil
	}
	if s.client != nil && time.Now().After(s.until) {
		s.disconnect()
	}
	if s.client == nil {
		if err := s.connect(); err != nil {
			return 0, err
		}
	}
	count, err := s.client.Send(events)
	if err != nil {
		s.disconnect()
	}
	if count >= len(events) {
		s.backoff = s.config.Output.BackoffInit
		return len(batch), nil
	}
	return positions[count], err
}

// pause waits before a retry. It returns false if the test shipper is shutting down.
func (s *shipper) pause() bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(time.Duration(s.backoff)):
	}
	if s.backoff *= 2; s.backoff > s.config.Output.BackoffMax {
		s.backoff = s.config.Output.BackoffMax
	}
	return true
}
