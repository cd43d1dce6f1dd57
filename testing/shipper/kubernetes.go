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

// podMetadata has the settings of add_kubernetes_metadata, and the metadata of the node's pods by UID. Like filebeat,
// the test shipper does not wait for a pod's metadata: lines of a pod that was not listed yet get no metadata.
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
	pods   map[string]podRecord
}

// podRecord is the metadata of a pod, and the time of the last list that contained the pod.
type podRecord struct {
	fields fields
	listed time.Time
}

const cleanupTimeout = time.Minute // filebeat's default for cleanup_timeout

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
	supported := p.Scope == "node" && p.Wait && !p.DefaultIndexers && !p.DefaultMatchers && len(p.Indexers) == 1 &&
		len(p.Matchers) == 1 && p.Matchers[0].LogsPath.Type == "pod" && !p.UseKubeam && p.More == struct {
		Node       enabled `yaml:"node"`
		Namespace  enabled `yaml:"namespace"`
		Deployment bool    `yaml:"deployment"`
		CronJob    bool    `yaml:"cronjob"`
	}{}
	if !supported {
		return fmt.Errorf("add_kubernetes_metadata: wanted scope node, the indexer pod_uid, the matcher logs_path for pods, and no other metadata")
	}
	return nil
}

// start waits until the API has returned the node's pods, and then refreshes the list of pods in the background.
func (p *podMetadata) start() error {
	pem, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return fmt.Errorf("add_kubernetes_metadata: cannot read the service account: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	p.client = &http.Client{Timeout: 5 * time.Second, Transport: transport}
	p.pods = map[string]podRecord{}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) { // filebeat's default wait_for_metadata_timeout
		if err = p.refresh(); err == nil {
			go p.follow()
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// follow lists the pods twice a second, which is sufficient for tests. filebeat watches the API instead, so it has a
// pod's metadata before the pod's containers start.
func (p *podMetadata) follow() {
	for ; ; time.Sleep(500 * time.Millisecond) {
		if err := p.refresh(); err != nil {
			logLine("warn", "cannot list pods", fields{"error.message": err.Error()})
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
		return fmt.Errorf("add_kubernetes_metadata: cannot list pods: the API answered %s", answer.Status)
	}
	var list struct{ Items []pod }
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	for i := range list.Items {
		p.pods[list.Items[i].Metadata.UID] = podRecord{list.Items[i].fields(), now}
	}
	for uid, record := range p.pods {
		if now.Sub(record.listed) > cleanupTimeout {
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
	for _, container := range p.Spec.Containers {
		images[container.Name] = container.Image
	}
	return fields{
		"namespace": p.Metadata.Namespace, "labels": labels, "node": fields{"name": p.Spec.NodeName},
		"pod": fields{"name": p.Metadata.Name, "uid": p.Metadata.UID}, "images": images,
	}
}

func (p *podMetadata) find(uid string) fields {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.pods[uid].fields
}

func (p *podMetadata) apply(event fields) {
	path, _ := get(event, "log.file.path").(string)
	rest := strings.TrimPrefix(path, p.Matchers[0].LogsPath.Path)
	parts := strings.Split(rest, "/") // NAMESPACE_NAME_UID/CONTAINER/FILE
	// Ignore compressed files, like filebeat's matcher logs_path.
	if rest == path || len(parts) != 3 || strings.HasSuffix(path, ".gz") {
		return
	}
	found := p.find(parts[0][strings.LastIndex(parts[0], "_")+1:])
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
	if image, ok := found["images"].(fields)[parts[1]]; ok {
		put(event, "container.image.name", image)
	}
}

func copyOf(value interface{}) interface{} {
	inner, ok := value.(fields)
	if !ok {
		return value
	}
	copied := fields{}
	for key, nested := range inner {
		copied[key] = copyOf(nested)
	}
	return copied
}
