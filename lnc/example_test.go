package lnc_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/lnc"
)

// A client that was given ten words calls the node with any gRPC stub.
func ExampleDialer_NewClient() {
	phrase, err := lnc.ParsePhrase(os.Getenv("PHRASE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	dialer := &lnc.Dialer{
		Mailbox: lnc.Mailbox{Addr: "mailbox.terminal.lightning.today:443"},
		Phrase:  phrase,
		Persist: func(identity lnc.Identity) error {
			// Write it to a file that only you can read, before you return.
			return nil
		},
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
