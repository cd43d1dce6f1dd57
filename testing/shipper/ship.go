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

// Sends batches over one connection, one after the other, and notes what was acknowledged.
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
				return nil, fmt.Errorf("%s: found no certificate in it", path)
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

// The next batch: as many as go into one, or as many as came in time. None: it is time to end.
func (s *shipper) collect() []item {
	batch, full := []item{}, 0
	var late <-chan time.Time
	for full < s.config.Output.BulkMaxSize && len(batch) < 100*s.config.Output.BulkMaxSize {
		select {
		case one := <-s.queue:
			batch = append(batch, one)
			if one.event != nil {
				full++
			}
			if late == nil {
				late = time.After(time.Duration(s.config.Queue.FlushTimeout))
			}
		case <-late:
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
				say("error", "the batch was not acknowledged", fields{"error.message": err.Error()})
				if !s.pause() {
					return nil
				}
			}
		}
	}
}

// Sends a batch; gives how many of its items are done.
func (s *shipper) send(batch []item) (int, error) {
	events, places := []interface{}{}, []int{}
	for i, one := range batch {
		if one.event != nil {
			events = append(events, one.event)
			places = append(places, i)
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
	return places[count], err
}

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
