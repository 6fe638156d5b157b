package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"

	"culvert/internal/echo"
	"culvert/listener"
	"culvert/mux"
	"culvert/resume"
)

// A welcome is what the server says when it listens.
type welcome struct {
	Addr string
	Root []byte // its certificate
}

// A question to the server.
type question struct {
	Collect  bool   // garbage first, and give the memory back
	Restart  bool   // the peaks, after the answer
	Profile  string // begin with a CPU profile, in a file whose name begins so
	Profiled bool   // end that, and write other profiles beside it
}

// An answer to a question.
type answer struct {
	Now, Peak sample
	Err       string
}

// What docs/SECURITY.md advises, for a container of 110 MiB: collect garbage when
// there is three times as much as is in use, and before the container is full.
const (
	gcPercent   = 300
	memoryLimit = 88 << 20
)

// serve is the process of the server: it serves until in ends.
func serve(in io.Reader, out io.Writer) error {
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	kept, err := time.ParseDuration(os.Getenv(keeping))
	if err != nil {
		return err
	}
	var logger *slog.Logger
	if os.Getenv(logging) != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{
		TLS:                    &tls.Config{Certificates: []tls.Certificate{cert}},
		Authorize:              authorize,
		Resume:                 &resume.Config{Window: kept},
		MaxSessions:            800, // few, for the attacks to meet the limit
		MaxSessionsOfPrincipal: 500,
		MaxStreamsOfPrincipal:  1024,
		Mux:                    &mux.Config{Logger: logger},
		Logger:                 logger,
	})
	if err != nil {
		return err
	}
	// As docs/SECURITY.md advises.
	experimental.SetDefaultBufferPool(listener.BufferPool())
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	srv := grpc.NewServer(append(lis.ServerOptions(), grpc.MaxConcurrentStreams(100))...)
	(&echo.Server{}).Register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	m := newMeter()
	defer m.end()
	enc, dec := json.NewEncoder(out), json.NewDecoder(in)
	if err := enc.Encode(welcome{lis.Addr().String(), cert.Certificate[0]}); err != nil {
		return err
	}
	var p profiles
	for {
		var q question
		if err := dec.Decode(&q); err != nil {
			return ignoreEOF(err) // and the process ends, with all that is open
		}
		select {
		case err := <-served:
			return err
		default:
		}
		if err := enc.Encode(q.answer(m, &p)); err != nil {
			return err
		}
	}
}

// answer answers q.
func (q question) answer(m *meter, p *profiles) (a answer) {
	if q.Collect {
		debug.FreeOSMemory()
		debug.FreeOSMemory() // a pool lives through one collection
	}
	var err error
	if a.Now, err = measure(); err == nil {
		a.Peak, err = m.peak(q.Restart)
	}
	if q.Profile != "" {
		err = errors.Join(err, p.begin(q.Profile))
	}
	if q.Profiled {
		err = errors.Join(err, p.end())
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// authorize makes the token of a request the principal. There is no limit to
// what one of them may do.
func authorize(r *http.Request) (any, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return nil, &listener.RefusedError{StatusCode: http.StatusUnauthorized}
	}
	return token, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
