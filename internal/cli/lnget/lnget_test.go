package lnget_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/leydenln/leyden/internal/cli/lnget"
	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/internal/lightning/lnctest"
	"github.com/leydenln/leyden/internal/paired"
	"github.com/leydenln/leyden/l402"
)

func TestMain(m *testing.M) {
	program := func() {
		app := &lnget.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.LookupEnv, Variables: os.Environ()}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(lnget.Run(ctx, app, os.Args[1:]))
	}
	if os.Getenv(asProgram) != "" {
		program()
	}
	testscript.Main(m, map[string]func(){"lnget": program})
}

type worldKey struct{}

// world is what a script's lnget lives in.
type world struct {
	ledger fetchtest.Ledger
	seller *fetchtest.Seller
	node   *fetchtest.Node

	relay   *lnctest.Relay
	session *lnctest.Session
	unlock  func() // of the session
}

// TestScripts runs the sessions of testdata. They find a seller at $SELLER
// and, with TLS, at $SELLER_TLS, another origin at $OTHER, and a node in $NODE.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: setup, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exits":     exits,
		"payments":  payments,
		"calls":     calls,
		"nodestop":  func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).node.Stop() },
		"mode":      mode,
		"stateless": func(ts *testscript.TestScript, neg bool, _ []string) { worldOf(ts).node.Stateless = !neg },
		"lncserve":  lncServe,
		"lncstop":   func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).session.Stop() },
		"accepted":  accepted,
		"lnclock":   lncLock,
	}})
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setup(env *testscript.Env) error {
	for _, dir := range []string{"ledger", "node", "home"} {
		if err := os.Mkdir(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
			return err
		}
	}
	w := &world{ledger: fetchtest.Ledger(filepath.Join(env.WorkDir, "ledger"))}
	w.seller = fetchtest.NewSeller(w.ledger)
	node, err := fetchtest.StartNode(filepath.Join(env.WorkDir, "node"), w.ledger)
	if err != nil {
		return err
	}
	w.node = node
	plain := httptest.NewServer(w.tills(pages(w.seller)))
	secure := httptest.NewTLSServer(pages(w.seller))
	other := httptest.NewServer(pages(fetchtest.NewSeller(w.ledger)))
	env.Defer(func() { plain.Close(); secure.Close(); other.Close(); node.Stop() })
	env.Values[worldKey{}] = w
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("NODE", node.Dir)
	env.Setenv("NODE_ADDR", node.Addr)
	env.Setenv("SELLER", plain.URL)
	env.Setenv("SELLER_TLS", secure.URL)
	env.Setenv("OTHER", other.URL)
	env.Setenv("HOST", strings.TrimPrefix(plain.URL, "http://"))
	return nil
}

// tills adds what is paid for each time: /till/ is large, and /both/ offers a
// token besides, which it does not take.
func (w *world) tills(others http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", others)
	once, both := fetchtest.NewTill(w.ledger), fetchtest.NewTill(w.ledger)
	once.Deliver = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat("goods ", 1<<19))) }
	both.Besides = func(h http.Header) {
		token, invoice, err := w.seller.Mint(httptest.NewRequest(http.MethodGet, "/both/a", nil),
			fetchtest.Invoice{Amount: 100_000, Preimage: fetchtest.NewPreimage()})
		if err == nil {
			err = l402.WriteChallenge(h, token, invoice)
		}
		if err != nil {
			panic(err)
		}
	}
	mux.Handle("/till/", once)
	mux.Handle("/both/", both)
	return mux
}

// pages adds to the seller's goods what every web server has.
func pages(seller http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", seller)
	mux.HandleFunc("/missing", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such page", http.StatusNotFound)
	})
	mux.HandleFunc("/posted", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("/fee", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "your card was declined", http.StatusPaymentRequired)
	})
	mux.HandleFunc("/forever", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
	})
	mux.HandleFunc("/then", func(w http.ResponseWriter, r *http.Request) { // a redirect that costs
		answer := httptest.NewRecorder()
		seller.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
			return
		}
		w.Header()["Www-Authenticate"] = answer.Header()["Www-Authenticate"]
		w.WriteHeader(answer.Code)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "half")
	})
	mux.HandleFunc("/binary", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0, 0xff}) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2<<20)) })
	mux.HandleFunc("/card", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Payment id="x", realm="shop", method="card", intent="charge", request="e30"`)
		w.WriteHeader(http.StatusPaymentRequired)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("Range") == "" { // the first time it breaks off
			w.Header().Set("Content-Length", "3000")
			fmt.Fprint(w, strings.Repeat("x", 1000))
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("x", 3000)))
	})
	for _, path := range []string{"/broken", "/broken2", "/broken3"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { // whoever has paid for it gets nothing
			answer := httptest.NewRecorder()
			seller.ServeHTTP(answer, r)
			if answer.Code == http.StatusOK {
				answer.Code = http.StatusInternalServerError
			}
			w.Header()["Www-Authenticate"] = answer.Header()["Www-Authenticate"]
			w.WriteHeader(answer.Code)
		})
	}
	mux.HandleFunc("/show", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Accept", "User-Agent", "Content-Type", "X-Key", "Authorization", "Cookie", "Referer", "Idempotency-Key"} {
			fmt.Fprintf(w, "%s %s=%s\n", r.Method, name, r.Header.Get(name))
		}
		fmt.Fprintf(w, "host=%s\n", r.Host)
	})
	return mux
}

// exits runs a program and checks its exit status: exits 2 lnget …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// payments checks how many payments were made: payments 1
func payments(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := worldOf(ts).ledger.Payments(); got != want {
		ts.Fatalf("%d payments, want %d", got, want)
	}
}

// calls checks how often the node was called so far: calls 0
func calls(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	if got := worldOf(ts).node.Calls.Load(); got != want {
		ts.Fatalf("%d calls of the node, want %d", got, want)
	}
}

// mode checks a file's mode: mode 600 FILE
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// lncServe begins a session of the node at a relay: $PHRASE, also in words.txt,
// $MAILBOX, $SESSION.
func lncServe(ts *testscript.TestScript, _ bool, _ []string) {
	w := worldOf(ts)
	if w.relay == nil {
		relay, err := lnctest.StartRelay(ts.MkAbs("."))
		ts.Check(err)
		ts.Defer(func() { _ = relay.Stop() })
		w.relay = relay
	}
	session, err := w.relay.Serve([]byte("macaroon"), w.node.Handle)
	ts.Check(err)
	ts.Defer(session.Stop)
	w.session = session
	words := session.Phrase.Words()
	ts.Check(os.WriteFile(ts.MkAbs("words.txt"), []byte(" "+strings.ToUpper(words)+" \n"), 0o600))
	ts.Setenv("PHRASE", words)
	ts.Setenv("MAILBOX", w.relay.Addr)
	ts.Setenv("SESSION", session.ID())
}

// lncLock takes the session, as another lnget does, or, with !, gives it back.
func lncLock(ts *testscript.TestScript, neg bool, _ []string) {
	w := worldOf(ts)
	if neg {
		w.unlock()
		return
	}
	var err error
	w.unlock, err = paired.Folder(ts.MkAbs("home/.lnget/lnc")).Lock(context.Background(), w.session.ID())
	ts.Check(err)
}

// accepted checks how many connections the session has had: accepted 2
func accepted(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := worldOf(ts).session.Accepted(); got != want {
		ts.Fatalf("%d connections, want %d", got, want)
	}
}
