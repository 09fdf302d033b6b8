// Go's own HTTP client as a prober would use it: one client, no keep-alive, every phase traced.
//
// Speaks the protocol of all peers (protocol.py). Arguments: how many at once, then URLs. Authorities come from the file
// that SSL_CERT_FILE names, which Go reads once.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const deadline = 10 * time.Second

type document struct {
	Status string `json:"status"`
}

type phases struct {
	connecting, connected, handshake, secured, sent, firstByte, done time.Time
}

func check(client *http.Client, url string) error {
	var seen phases
	trace := &httptrace.ClientTrace{
		ConnectStart:         func(_, _ string) { seen.connecting = time.Now() },
		ConnectDone:          func(_, _ string, _ error) { seen.connected = time.Now() },
		TLSHandshakeStart:    func() { seen.handshake = time.Now() },
		TLSHandshakeDone:     func(_ tls.ConnectionState, _ error) { seen.secured = time.Now() },
		WroteRequest:         func(_ httptrace.WroteRequestInfo) { seen.sent = time.Now() },
		GotFirstResponseByte: func() { seen.firstByte = time.Now() },
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var read document
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	seen.done = time.Now()
	if response.StatusCode != http.StatusOK || read.Status != "healthy" {
		return fmt.Errorf("%d %q", response.StatusCode, read.Status)
	}
	return nil
}

func main() {
	atOnce, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	urls := os.Args[2:]
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for lines.Scan() {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(lines.Text()), 64)
		if err != nil {
			panic(err)
		}
		var checks, failed atomic.Int64
		var told sync.Once
		var group sync.WaitGroup
		until := time.Now().Add(time.Duration(seconds * float64(time.Second)))
		for i := range atOnce {
			group.Add(1)
			go func() {
				defer group.Done()
				for time.Now().Before(until) {
					if err := check(client, urls[i%len(urls)]); err != nil {
						failed.Add(1)
						told.Do(func() { fmt.Fprintln(os.Stderr, err) })
					}
					checks.Add(1)
				}
			}()
		}
		group.Wait()
		fmt.Printf("{\"checks\": %d, \"failed\": %d}\n", checks.Load(), failed.Load())
	}
}
