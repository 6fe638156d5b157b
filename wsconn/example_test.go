package wsconn_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"culvert/wsconn"
)

// A server that echoes, and a client.
func Example() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(wsconn.Upgrader).Upgrade(w, r)
		if err != nil {
			return // it was answered
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}))
	defer srv.Close()

	c, err := new(wsconn.Dialer).Dial(context.Background(), strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "hello")
	answer := make([]byte, 5)
	if _, err := io.ReadFull(c, answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer))
	// Output: hello
}
