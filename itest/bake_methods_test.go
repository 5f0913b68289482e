package itest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/bakery"
	"github.com/leydenln/leyden/internal/devnet/shop"
)

// roleTable is which of lnd's methods each role's macaroon opens.
const roleTable = "testdata/role_methods.txt"

const roleTableHead = `# Which methods of lnd each role's macaroon opens, as baked by leyden bake and
# tried at lnd's own port. Write it anew with
#   go test ./itest -run TestEveryRole -update
# and judge each line that changes. After the method stand the roles that may
# call it; "-": none of them. "anybody": lnd asks for no macaroon. "absent": this
# lnd does not have it.
`

// TestEveryRole calls every method there is with each role's macaroon, at lnd's
// own port and through the front.
func TestEveryRole(t *testing.T) {
	w := theWorld(t)
	n := w.buyerNode()
	roles := bakery.Roles()
	atLnd, atFront := make([]*grpc.ClientConn, len(roles)), make([]*grpc.ClientConn, len(roles))
	for i, r := range roles {
		file := filepath.Join(t.TempDir(), r.Name+".macaroon")
		if err := shop.Operate(t.Context(), w.program("leyden"), n, nil, "bake", "--role", r.Name, "--save-to", file); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := shop.Operate(context.Background(), w.program("leyden"), n, nil, "bake", "revoke", file); err != nil {
				t.Error(err)
			}
		})
		atLnd[i], atFront[i] = dialed(t, n.DialLnd, file), dialed(t, n.DialAs, file)
	}
	want, err := os.ReadFile(roleTable)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString(roleTableHead)
	for _, method := range everyMethod(t, n) {
		var can []string
		for i, r := range roles {
			wait := time.Minute // for a refusal, on a busy machine
			if *update || mayStayOpen(string(want), method, r.Name) {
				wait = callTime
			}
			answer := mayCall(t, atLnd[i], method, wait)
			if through := mayCall(t, atFront[i], method, wait); through != answer && through != "blocked" {
				t.Errorf("%s to %s: %q at lnd's port, %q through the front", method, r.Name, answer, through)
			}
			if answer == "no" && slices.Contains(r.Needs, method) || answer == "yes" && !slices.Contains(r.Needs, method) && !slices.Contains(r.Takes, method) {
				t.Errorf("%s to %s: %q", method, r.Name, answer)
			}
			switch answer {
			case "yes":
				can = append(can, r.Name)
			case "anybody", "absent":
				can = []string{answer}
			}
		}
		if len(can) == 0 {
			can = []string{"-"}
		}
		fmt.Fprintln(&table, method, strings.Join(can, " "))
	}
	if *update {
		if err := os.WriteFile(roleTable, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareLines(t, roleTable, string(want), table.String())
}

// callTime is how long a stream is waited for; it counts as called then.
const callTime = 3 * time.Second

// mayStayOpen says whether the table lets the role call the method, or anybody.
func mayStayOpen(table, method, role string) bool {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == method {
			return slices.Contains(fields, role) || slices.Contains(fields, "anybody")
		}
	}
	return false
}

// mayCall says what a macaroon does for a method: "yes", "no", "blocked" by the
// front, "anybody" without it, or "absent".
func mayCall(t *testing.T, conn *grpc.ClientConn, method string, wait time.Duration) string {
	t.Helper()
	_, err := callMethod(t, conn, method, nil, wait)
	message := status.Convert(err).Message()
	switch {
	case strings.Contains(message, "leyden: method_blocked"):
		return "blocked"
	case strings.HasPrefix(method, "/lnrpc.State/"), strings.HasPrefix(method, "/lnrpc.WalletUnlocker/"):
		return "anybody"
	case status.Code(err) == codes.Unimplemented, strings.Contains(message, "unknown permissions required"):
		return "absent"
	case strings.Contains(message, "permission denied"):
		return "no"
	case status.Code(err) == codes.Unavailable, containsAny(message, "macaroon", "leyden: "):
		t.Fatalf("%s: %v", method, err)
	}
	return "yes"
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

func compareLines(t *testing.T, file, want, got string) {
	t.Helper()
	wanted, found := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range found {
		if !slices.Contains(wanted, line) {
			t.Errorf("%s lacks %q", file, line)
		}
	}
	for _, line := range wanted {
		if !slices.Contains(found, line) {
			t.Errorf("%s has %q, which is not so", file, line)
		}
	}
}
