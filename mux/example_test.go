package mux_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"

	"culvert/mux"
)

// Two streams over one connection.
func Example() {
	a, b := net.Pipe()
	client, err := mux.Client(a, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server, err := mux.Server(b, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	for _, word := range []string{"one", "two"} {
		out, err := client.Open(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		in, err := server.Accept()
		if err != nil {
			log.Fatal(err)
		}
		_, _ = io.WriteString(out, word)
		_ = out.Close()
		text, err := io.ReadAll(in)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(text))
	}
	// Output:
	// one
	// two
}
