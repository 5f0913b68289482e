package lnc_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/lnc"
)

// A program that was given ten words calls the node with any gRPC stub. Each
// call carries the macaroon that the node gave.
func ExampleOpen() {
	phrase, err := lnc.ParsePhrase(os.Getenv("PHRASE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	// The keys are in the file from the pairing on: the next start needs no words.
	dialer, err := lnc.Open("node.keys", lnc.Mailbox{Addr: "mailbox.terminal.lightning.today:443"}, phrase)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer dialer.Close()
	client, err := dialer.NewClient()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := call(ctx, client); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func call(context.Context, grpc.ClientConnInterface) error { return nil }
