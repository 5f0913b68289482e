package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/testbin"
)

const module = "github.com/leydenln/leyden/"

const lnd = "github.com/lightningnetwork/lnd"

// deps lists what a package links, itself included. test adds what its tests
// link.
func deps(t *testing.T, test bool, pkg string) []string {
	t.Helper()
	args := []string{"list", "-deps", "-tags", "signrpc walletrpc chainrpc invoicesrpc peersrpc neutrinorpc"}
	if test {
		args = append(args, "-test")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// under says whether path is pkg or inside it.
func under(path, pkg string) bool {
	return path == pkg || strings.HasPrefix(path, pkg+"/")
}

func TestLnget(t *testing.T) {
	for _, dep := range deps(t, false, "./cmd/lnget") {
		for _, banned := range []string{lnd + "/lnrpc", lnd + "/channeldb", "database/sql", "modernc.org/sqlite",
			"github.com/jackc/pgx", "github.com/spf13/viper"} {
			if under(dep, banned) {
				t.Errorf("lnget links %s", dep)
			}
		}
		if dep == lnd {
			t.Errorf("lnget links lnd itself")
		}
	}
}

func TestPureParts(t *testing.T) {
	for _, pkg := range []string{"./l402", "./internal/policy"} {
		for _, dep := range deps(t, false, pkg) {
			if strings.HasPrefix(dep, module) && dep != module+pkg[2:] {
				t.Errorf("%s imports %s", pkg, dep)
			}
			for _, banned := range []string{"database/sql", "google.golang.org/grpc", "os/exec"} {
				if under(dep, banned) {
					t.Errorf("%s links %s", pkg, dep)
				}
			}
		}
	}
}

// TestPolicyDoesNothing keeps what decides from anything but its arguments.
func TestPolicyDoesNothing(t *testing.T) {
	banned := []string{"os", "io", "net", "syscall", "context", "sync", "math/rand", "crypto/rand", "log"}
	for _, s := range sources(t) {
		if filepath.ToSlash(filepath.Dir(s.path)) != "internal/policy" || s.test() {
			continue
		}
		for _, imported := range s.file.Imports {
			path := strings.Trim(imported.Path.Value, `"`)
			for _, b := range banned {
				if under(path, b) {
					t.Errorf("%s imports %s", s.path, path)
				}
			}
		}
		if strings.Contains(s.text, "time.Now") || strings.Contains(s.text, "time.Since") {
			t.Errorf("%s reads the clock", s.path)
		}
	}
}

// TestBooksSpeakNoGRPC keeps lnd's messages and gRPC out of the ledger.
func TestBooksSpeakNoGRPC(t *testing.T) {
	for _, pkg := range []string{"./internal/account", "./internal/audit", "./internal/policy", "./internal/store/..."} {
		for _, dep := range deps(t, false, pkg) {
			if under(dep, lnd+"/lnrpc") || dep == "google.golang.org/grpc" {
				t.Errorf("%s links %s", pkg, dep)
			}
		}
	}
}

// TestWhoLinksLnd keeps lnd's root package, minutes of compiling, out of
// everything but the child and the program.
func TestWhoLinksLnd(t *testing.T) {
	out, err := exec.Command("go", "list", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{module + "internal/lnd/child": true, module + "cmd/leyden": true}
	for _, pkg := range strings.Fields(string(out)) {
		if allowed[pkg] {
			continue
		}
		for _, dep := range deps(t, true, pkg) {
			if dep == lnd {
				t.Errorf("%s links lnd's root package", pkg)
			}
		}
	}
}

// TestArrowsPointDown keeps the layers of ARCHITECTURE.md.
func TestArrowsPointDown(t *testing.T) {
	never := map[string][]string{
		"./l402/...":            {"internal"},
		"./lnc/...":             {"internal"},
		"./internal/front/...":  {"internal/node", "internal/gate", "internal/fetch", "internal/cli"},
		"./internal/account":    {"internal/guard", "internal/front", "internal/api", "internal/node", "internal/cli"},
		"./internal/audit":      {"internal/account", "internal/guard", "internal/front", "internal/api", "internal/cli"},
		"./internal/guard/...":  {"internal/guardpost", "internal/guardd", "internal/api", "internal/node", "internal/gate", "internal/cli"},
		"./internal/api":        {"internal/guardpost", "internal/guardd", "internal/node", "internal/cli"},
		"./internal/bakery":     {"internal/guard", "internal/guardd", "internal/node", "internal/gate", "internal/lnd", "internal/cli"},
		"./internal/backup":     {"internal/node", "internal/signer", "internal/gate", "internal/cli"},
		"./internal/session":    {"internal/guard", "internal/guardpost", "internal/guardd", "internal/api", "internal/node", "internal/cli"},
		"./internal/guardpost":  {"internal/guardd", "internal/node", "internal/cli"},
		"./internal/guardd":     {"internal/node", "internal/gate", "internal/cli"},
		"./internal/lnd/...":    {"internal/node", "internal/front", "internal/cli"},
		"./internal/gate/...":   {"internal/node", "internal/front", "internal/fetch", "internal/cli"},
		"./internal/fetch/...":  {"internal/node", "internal/front", "internal/gate", "internal/cli", "internal/store"},
		"./internal/signer":     {"internal/node", "internal/gate", "internal/fetch", "internal/store", "internal/cli"},
		"./internal/bundle":     {"internal/signer", "internal/lnd", "internal/node", "internal/front", "internal/cli"},
		"./internal/wallet":     {"internal/signer", "internal/node", "internal/front", "internal/cli"},
		"./internal/store/...":  {"internal/node", "internal/gate", "internal/cli"},
		"./internal/lightning":  {"internal/node", "internal/gate", "internal/fetch", "internal/cli", "l402"},
		"./internal/paired":     {"internal/lightning", "internal/fetch", "internal/gate", "internal/cli"},
		"./internal/node/...":   {"internal/cli", "internal/gate", "internal/fetch"},
		"./internal/config/...": {"internal/cli", "internal/node", "internal/gate"},
		"./internal/daemon/...": {"internal/cli", "internal/node", "internal/gate"},
		"./internal/devnet/...": {"internal/cli"},
		"./internal/doctor":     {"internal/cli"},
		"./internal/cert":       {"internal/front", "internal/node", "internal/gate", "internal/cli"},
		"./internal/acme":       {"internal/gate", "internal/mailbox", "internal/cli"},
		"./internal/mailbox":    {"internal/node", "internal/gate", "internal/guard", "internal/session", "internal/store", "internal/cli", "lnc/internal"},
	}
	for pkg, banned := range never {
		for _, dep := range deps(t, false, pkg) {
			for _, b := range banned {
				if under(dep, module+b) {
					t.Errorf("%s links %s", pkg, dep)
				}
			}
		}
	}
}

// maxLnget is the size in bytes that the agent's stripped program may have: 3 MB less
// than with methods that nobody calls, which one call of reflect may bring back.
const maxLnget = 14_500_000

func TestLngetIsSmall(t *testing.T) {
	dir := os.Getenv(testbin.Env)
	if dir == "" {
		t.Skip("make unit sets " + testbin.Env)
	}
	info, err := os.Stat(filepath.Join(dir, "lnget"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxLnget {
		t.Errorf("lnget has %d bytes, more than %d", info.Size(), maxLnget)
	}
}
