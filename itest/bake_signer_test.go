package itest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/bakery"
)

// TestBakeAtSigner types what the page says about the signer, and calls every
// method there is with a signer-only macaroon at the signer's front.
func TestBakeAtSigner(t *testing.T) {
	const page = "docs/bake.md"
	w := theWorld(t)
	r := reader{t: t, w: w, home: t.TempDir()}
	r.names = w.reader(t, w.buyerNode()).names
	addr := net.JoinHostPort("127.0.0.1", freePort(t))
	r.line(page, "leyden signer init --network regtest")
	r.line(page, "leyden signer start --detach --rpclisten "+addr)
	defer r.line(page, "leyden signer stop")
	r.types(page, "--signer --ip-range")
	if out := r.line(page, "leyden bake list"); out != "{\n  \"macaroons\": []\n}\n" {
		t.Errorf("still there: %s", out)
	}
	r.line(page, "! leyden bake --role pay-only --signer --save-to pay.macaroon")
	if _, err := os.Stat(filepath.Join(r.home, "pay.macaroon")); err == nil {
		t.Error("a macaroon for what the signer's front refuses")
	}

	r.line(page, "leyden bake --role signer-only --signer --save-to own.macaroon")
	file := filepath.Join(r.home, "own.macaroon")
	conn := client{
		addr: addr, cert: filepath.Join(r.home, ".leyden", "signer", "tls.cert"), macaroon: readMacaroon(t, file),
	}.dial(t)
	role, err := bakery.RoleNamed("signer-only")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range everyMethod(t, w.buyerNode()) {
		want := slices.Contains(role.Needs, method) || strings.HasPrefix(method, "/lnrpc.State/") // takes no macaroon
		if got := signs(t, conn, method); got != want {
			t.Errorf("%s: %v, want %v", method, got, want)
		}
	}
	r.line(page, "leyden bake revoke own.macaroon --signer")
	if signs(t, conn, role.Needs[0]) {
		t.Error("the revoked macaroon signs")
	}
}

// signs says whether a call passes the signer's front and lnd's check of the
// macaroon, whatever lnd says of the request.
func signs(t *testing.T, conn *grpc.ClientConn, method string) bool {
	t.Helper()
	_, err := callMethod(t, conn, method, nil, callTime)
	st := status.Convert(err)
	switch message := st.Message(); {
	case st.Code() == codes.Unavailable:
		t.Fatalf("%s: %v", method, err)
	case st.Code() == codes.PermissionDenied, st.Code() == codes.Unimplemented,
		containsAny(message, "permission denied", "cannot get macaroon", "leyden: "):
		return false
	}
	return true
}
