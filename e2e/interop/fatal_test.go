package interop

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
)

// TestRecover shows that Run gives the message of a Fatal call, whatever its
// form, and of a panic, which some cases meet where they read the text of an
// error that is nil.
func TestRecover(t *testing.T) {
	component := grpclog.Component("interop")
	for _, row := range []struct {
		name, want string
		run        func(context.Context, *channel)
	}{
		{"Fatal", "got 1", func(context.Context, *channel) { component.Fatal("got ", 1) }},
		{"Fatalf", "got 2", func(context.Context, *channel) { component.Fatalf("got %d", 2) }},
		{"Fatalln", "got 3", func(context.Context, *channel) { component.Fatalln("got", 3) }},
		{"global Fatal", "got 4", func(context.Context, *channel) { grpclog.Fatal("got ", 4) }},
		{"global Fatalf", "got 5", func(context.Context, *channel) { grpclog.Fatalf("got %d", 5) }},
		{"long", "[interop] begins ... ends", func(context.Context, *channel) {
			component.Fatal("begins", strings.Repeat(" ", 1<<20), "ends")
		}},
		{"nil error", "nil pointer dereference", func(context.Context, *channel) {
			var err error
			_ = err.Error()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := Target{Addr: "passthrough:nowhere", Options: []grpc.DialOption{
				grpc.WithTransportCredentials(insecure.NewCredentials()),
			}}
			err := Case{Name: row.name, run: row.run}.Run(t.Context(), target)
			if err == nil || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), row.want) {
				t.Errorf("got %v, want an error that contains %q", err, row.want)
			}
		})
	}
}
