// Command client lets the server of ../server say hello:
//
//	go run ./examples/greeter/client -ca cert.pem
//	go run ./examples/greeter/client -insecure
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/fallback"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:50051", "address of the server or of a proxy in front of it")
	ca := flag.String("ca", "", "certificates to trust, PEM; by default the system's")
	insecure := flag.Bool("insecure", false, "speak cleartext")
	flag.Parse()

	d := &fallback.Dialer{Insecure: *insecure}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			log.Fatal(err)
		}
		d.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		d.TLS.RootCAs.AppendCertsFromPEM(pem)
	}
	defer d.Close()
	conn, err := grpc.NewClient(*addr, d.DialOptions()...)
	if err != nil {
		log.Print(err)
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	hello := new(wrapperspb.StringValue)
	if err := conn.Invoke(ctx, "/example.Greeter/SayHello", wrapperspb.String("you"), hello); err != nil {
		log.Print(err)
		return
	}
	log.Printf("%s (by the %v way)", hello.GetValue(), d.Status(*addr).Way)
}
