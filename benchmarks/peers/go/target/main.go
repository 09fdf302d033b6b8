// The target of HTTPS checks: TLS 1.3 with a P-256 certificate, HTTP/1.1, one JSON body.
//
// nginx on OpenSSL 3.0 would itself be the bottleneck here. Arguments: certificate, key, body, ports. After "ready", each
// line on standard input is answered with {"connections": N, "resumed": N} on standard output: a client that reuses a
// connection, or resumes a session, shows.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

func main() {
	certificate, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		panic(err)
	}
	body := []byte(os.Args[3])
	var connections, resumed atomic.Int64
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS13,
		VerifyConnection: func(state tls.ConnectionState) error {
			connections.Add(1)
			if state.DidResume {
				resumed.Add(1)
			}
			return nil
		},
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Content-Type", "application/json")
			_, _ = answer.Write(body)
		}),
		TLSConfig:    config,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 for everybody
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	for _, port := range os.Args[4:] {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			panic(err)
		}
		go func() { panic(server.ServeTLS(listener, "", "")) }()
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Printf("{\"connections\": %d, \"resumed\": %d}\n", connections.Load(), resumed.Load())
	}
}
