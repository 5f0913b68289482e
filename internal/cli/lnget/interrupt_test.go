package lnget_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/leydenln/leyden/l402/l402http"
)

// TestInterruptWhilePaying: Ctrl-C between the payment and the node's answer
// leaves an open payment, which the next run finds paid.
func TestInterruptWhilePaying(t *testing.T) {
	v := newVictim(t)
	url := v.serve(v.seller.ServeHTTP) + "/news"
	paying := make(chan struct{})
	v.node.Hold = func(ctx context.Context) {
		close(paying)
		<-ctx.Done()
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--json", url)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = v.home, v.env, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-paying
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	v.expect(ran{cmd.ProcessState.ExitCode(), "", said.String()}, 3, l402http.CodePaymentUnresolved)
	v.node.Hold = nil
	var list []struct{ State string }
	recovered := v.run("payments", "recover", "--json")
	if err := json.Unmarshal([]byte(recovered.out), &list); err != nil || len(list) != 1 || list[0].State != "paid" || recovered.exit != 0 {
		t.Errorf("recovered: %+v, %v", recovered, err)
	}
	if r := v.run(url); r.exit != 0 || !strings.Contains(r.out, "goods") {
		t.Errorf("%+v", r)
	}
	v.paid(1)
}
