package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

type enabled struct {
	Enabled bool `yaml:"enabled"`
}

// The settings of add_kubernetes_metadata, and what it knows of the node's pods, by their UIDs. As filebeat's it asks for
// no line: of a pod that it has not heard of yet, or has forgotten, it knows nothing.
type podMetadata struct {
	Node      string `yaml:"node"`
	Scope     string `yaml:"scope"`
	UseKubeam bool   `yaml:"use_kubeadm"`
	Wait      bool   `yaml:"wait_for_metadata"`
	More      struct {
		Node       enabled `yaml:"node"`
		Namespace  enabled `yaml:"namespace"`
		Deployment bool    `yaml:"deployment"`
		CronJob    bool    `yaml:"cronjob"`
	} `yaml:"add_resource_metadata"`
	DefaultIndexers bool `yaml:"default_indexers.enabled"`
	DefaultMatchers bool `yaml:"default_matchers.enabled"`
	Indexers        []struct {
		PodUID interface{} `yaml:"pod_uid"`
	} `yaml:"indexers"`
	Matchers []struct {
		LogsPath struct {
			Path string `yaml:"logs_path"`
			Type string `yaml:"resource_type"`
		} `yaml:"logs_path"`
	} `yaml:"matchers"`

	client *http.Client
	lock   sync.Mutex
	pods   map[string]known
}

// What the API said of a pod, and when last.
type known struct {
	fields fields
	at     time.Time
}

const forgotten = time.Minute // cleanup_timeout by default

type pod struct {
	Metadata struct {
		Name, Namespace, UID string
		Labels               map[string]string
	}
	Spec struct {
		NodeName   string
		Containers []struct{ Name, Image string }
	}
}

func (p *podMetadata) check() error {
	right := p.Scope == "node" && p.Wait && !p.DefaultIndexers && !p.DefaultMatchers && len(p.Indexers) == 1 &&
		len(p.Matchers) == 1 && p.Matchers[0].LogsPath.Type == "pod" && !p.UseKubeam && p.More == struct {
		Node       enabled `yaml:"node"`
		Namespace  enabled `yaml:"namespace"`
		Deployment bool    `yaml:"deployment"`
		CronJob    bool    `yaml:"cronjob"`
	}{}
	if !right {
		return fmt.Errorf("add_kubernetes_metadata: wanted the node's pods by their UID in the path, and nothing of other resources")
	}
	return nil
}

// Waits for the API, learns the node's pods, and goes on doing so.
func (p *podMetadata) start() error {
	pem, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return fmt.Errorf("add_kubernetes_metadata: no account in this place: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	p.client = &http.Client{Timeout: 5 * time.Second, Transport: transport}
	p.pods = map[string]known{}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) { // wait_for_metadata_timeout by default
		if err = p.refresh(); err == nil {
			go p.follow()
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// filebeat is told of pods by a watch, before their containers begin. A list twice a second is as good for tests.
func (p *podMetadata) follow() {
	for ; ; time.Sleep(500 * time.Millisecond) {
		if err := p.refresh(); err != nil {
			say("warn", "cannot list pods", fields{"error.message": err.Error()})
		}
	}
}

func (p *podMetadata) refresh() error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	query := url.Values{"fieldSelector": {"spec.nodeName=" + p.Node}}
	request, err := http.NewRequest("GET", "https://"+host+"/api/v1/pods?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("add_kubernetes_metadata: the API says %s to listing pods", answer.Status)
	}
	var list struct{ Items []pod }
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	for i := range list.Items {
		p.pods[list.Items[i].Metadata.UID] = known{list.Items[i].fields(), now}
	}
	for uid, one := range p.pods {
		if now.Sub(one.at) > forgotten {
			delete(p.pods, uid)
		}
	}
	return nil
}

func (p *pod) fields() fields {
	labels, images := fields{}, fields{}
	for name, value := range p.Metadata.Labels {
		labels[strings.ReplaceAll(name, ".", "_")] = value
	}
	for _, one := range p.Spec.Containers {
		images[one.Name] = one.Image
	}
	return fields{
		"namespace": p.Metadata.Namespace, "labels": labels, "node": fields{"name": p.Spec.NodeName},
		"pod": fields{"name": p.Metadata.Name, "uid": p.Metadata.UID}, "images": images,
	}
}

func (p *podMetadata) look(uid string) fields {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.pods[uid].fields
}

func (p *podMetadata) apply(event fields) {
	path, _ := get(event, "log.file.path").(string)
	rest := strings.TrimPrefix(path, p.Matchers[0].LogsPath.Path)
	parts := strings.Split(rest, "/") // namespace_name_uid/container/file
	// The matcher logs_path takes no packed file.
	if rest == path || len(parts) != 3 || strings.HasSuffix(path, ".gz") {
		return
	}
	found := p.look(parts[0][strings.LastIndex(parts[0], "_")+1:])
	if found == nil {
		return
	}
	added := fields{"container": fields{"name": parts[1]}}
	for key, value := range found {
		if key != "images" {
			added[key] = copyOf(value)
		}
	}
	event["kubernetes"] = added
	if image, is := found["images"].(fields)[parts[1]]; is {
		put(event, "container.image.name", image)
	}
}

func copyOf(value interface{}) interface{} {
	inner, is := value.(fields)
	if !is {
		return value
	}
	copied := fields{}
	for key, one := range inner {
		copied[key] = copyOf(one)
	}
	return copied
}
