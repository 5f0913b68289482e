package doctor

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// opened lets others into the test's folders, so that modes of files count.
func (b *bench) opened() {
	b.chmod(string(b.Home), 0o755)
	for _, place := range b.places() {
		b.chmod(place, 0o755)
	}
}

func TestModes(t *testing.T) {
	checked{
		"ok/nothing": {func(*bench) {}, nil},
		"ok/private": {func(b *bench) {
			b.write(".leyden/node/seed.txt", "x", 0o600)
			b.write(".leyden/node/tls.cert", "x", 0o644)
			b.write(".lnget/tokens/shop/1.json", "x", 0o600)
		}, []want{{OK, "7 files"}}},
		"ok/behind a closed folder": {func(b *bench) {
			b.write(".leyden/node/data/graph.bin", "x", 0o644)
		}, []want{{OK, "3 files"}}},
		"fail/seed": {func(b *bench) {
			b.write(".leyden/node/seed.txt", "x", 0o644)
			b.opened()
		}, []want{{Fail, "others can read it"}}},
		"fail/group": {func(b *bench) {
			b.write(".leyden/gate/master.key", "x", 0o640)
			b.chmod(string(b.Home), 0o750)
			b.chmod(b.Home.Gate(), 0o750)
		}, []want{{Fail, "others can read it"}}},
		"fail/token of lnget": {func(b *bench) {
			b.write(".lnget/tokens/shop/1.json", "x", 0o644)
			b.chmod(b.Lnget, 0o755)
			b.chmod(filepath.Join(b.Lnget, "tokens"), 0o755)
			b.chmod(filepath.Join(b.Lnget, "tokens", "shop"), 0o755)
		}, []want{{Fail, "others can read it"}}},
		"fail/certificate to be changed": {func(b *bench) {
			b.write(".leyden/node/tls.cert", "x", 0o666)
			b.opened()
		}, []want{{Fail, "others can change it"}}},
		"fail/folder to be written": {func(b *bench) {
			b.write(".leyden/run/node.json", "x", 0o600)
			b.opened()
			b.chmod(b.Home.Run(), 0o777)
		}, []want{{Fail, "others can put files into it"}}},
		"fail/home to be written": {func(b *bench) {
			b.chmod(string(b.Home), 0o777)
		}, []want{{Fail, "others can replace what is in it"}}},
		"fail/parent to be written": {func(b *bench) {
			b.chmod(b.dir, 0o777)
		}, []want{{Fail, "others can replace "}}},
		"fail/only the folder protects a macaroon": {func(b *bench) {
			b.write(".leyden/node/data/admin.macaroon", "x", 0o644)
		}, []want{{Warn, "only its folder keeps others out"}}},
		"fail/bundle": {func(b *bench) {
			b.write(".leyden/signer/credentials-bundle.tar.gz", "x", 0o644)
			b.opened()
		}, []want{{Fail, "others can read it"}}},
		"ok/old log": {func(b *bench) {
			b.write(".leyden/node/lnd.log.12.gz", "x", 0o644)
			b.opened()
		}, []want{{OK, "2 files"}}},
		"fail/behind a link": {func(b *bench) {
			b.write("disk/data/admin.macaroon", "x", 0o644)
			b.link("../../disk", ".leyden/node/data")
			b.link("..", "disk/up") // round in a circle
			for _, dir := range []string{"disk", "disk/data", ".leyden", ".leyden/node"} {
				b.chmod(filepath.Join(b.dir, dir), 0o755)
			}
		}, []want{{Fail, "disk/data/admin.macaroon has mode 0644"}}},
		"fail/linked file": {func(b *bench) {
			b.write("elsewhere/seed.txt", "x", 0o644)
			b.link("../../elsewhere/seed.txt", ".leyden/node/seed.txt")
			b.chmod(filepath.Join(b.dir, "elsewhere"), 0o755)
		}, []want{{Fail, "elsewhere/seed.txt has mode 0644"}}},
		"fail/leads to another's": {func(b *bench) {
			b.link("/etc", ".leyden/node/data")
			if os.Lchown(filepath.Join(b.Home.Node(), "data"), 4242, 4242) != nil {
				b.Skip("only root gives files away")
			}
		}, []want{{Info, "belongs to root, and was not looked at"}}},
		"fail/many": {func(b *bench) {
			for i := range maxNamed + 3 {
				b.write(".leyden/node/"+strconv.Itoa(i), "x", 0o644)
			}
			b.opened()
		}, append([]want{{Fail, "3 more files"}}, slicesOf(maxNamed, want{Fail, "others can read it"})...)},
	}.run(t, checkModes)
}

// link makes a link in the test's folder.
func (b *bench) link(to, name string) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		b.Fatal(err)
	}
}

// TestUnreadable: a folder that can be listed, but not looked into, is told.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("nothing keeps root out")
	}
	closed := func(b *bench, dir string, mode os.FileMode) {
		b.chmod(dir, mode)
		b.Cleanup(func() { b.chmod(dir, 0o700) })
	}
	checked{
		"fail/no x": {func(b *bench) {
			b.write(".leyden/node/data/admin.macaroon", "x", 0o600)
			closed(b, filepath.Join(b.Home.Node(), "data"), 0o600)
		}, []want{{Info, "cannot look at"}}},
		"fail/no r": {func(b *bench) {
			b.write(".leyden/node/data/admin.macaroon", "x", 0o600)
			closed(b, filepath.Join(b.Home.Node(), "data"), 0o300)
		}, []want{{Info, "cannot look at"}}},
	}.run(t, checkModes)
	checked{
		"fail/lnget of another": {func(b *bench) {
			b.lnget(nil)
			closed(b, b.Lnget, 0)
		}, []want{{Info, "cannot look at lnget's configuration"}}},
	}.run(t, checkLngetLimits)
	checked{
		"fail/home of another": {func(b *bench) {
			b.mkdir(filepath.Join(b.dir, "agent"), 0o700)
			closed(b, filepath.Join(b.dir, "agent"), 0)
			b.Scratch = []string{filepath.Join(b.dir, "agent")}
		}, []want{{Info, "could not look for macaroons"}}},
	}.run(t, checkStray)
}

func slicesOf(n int, w want) (list []want) {
	for range n {
		list = append(list, w)
	}
	return list
}

func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	checked{
		"ok/all of one": {func(b *bench) { b.write(".leyden/node/x", "x", 0o600) }, nil},
		"ok/another's certificate": {func(b *bench) {
			b.link("/etc/hostname", ".leyden/node/tls.cert")
			if err := os.Lchown(b.Home.Node(), 4242, 4242); err != nil {
				b.Fatal(err)
			}
			if err := os.Lchown(filepath.Join(b.Home.Node(), "tls.cert"), 4242, 4242); err != nil {
				b.Fatal(err)
			}
		}, nil},
		"fail/another's": {func(b *bench) {
			if err := os.Chown(b.write(".leyden/node/x", "x", 0o600), 4242, 4242); err != nil {
				b.Fatal(err)
			}
		}, []want{{Fail, "1 files in "}}},
	}.run(t, checkOwners)
}

// stranger is an agent with an account of its own.
func stranger() *User { return &User{Name: "agent", UID: 4242, GIDs: []uint32{4242}} }

func TestAgent(t *testing.T) {
	checked{
		"ok/reads nothing": {func(b *bench) {
			b.Agent = stranger()
			b.write(".leyden/node/seed.txt", "x", 0o600)
			b.write(".leyden/node/tls.cert", "x", 0o644)
		}, []want{{OK, "user agent can read none"}}},
		"fail/not said who": {func(*bench) {}, []want{{Info, "was not said"}}},
		"fail/lnget of the same user": {func(b *bench) {
			b.mkdir(b.Lnget, 0o700)
		}, []want{{Warn, "belongs to the same user"}}},
		"fail/root": {func(b *bench) {
			b.Agent = &User{Name: "root"}
		}, []want{{Fail, "runs as root"}}},
		"fail/same user": {func(b *bench) {
			if os.Getuid() == 0 {
				b.Skip("root is told so")
			}
			b.Agent = b.Self
		}, []want{{Fail, "who runs the node"}}},
		"fail/reads a key": {func(b *bench) {
			b.Agent = stranger()
			b.write(".leyden/gate/master.key", "x", 0o644)
			b.opened()
		}, []want{{Fail, "user agent can read "}}},
		"fail/reads by its group": {func(b *bench) {
			b.Agent = &User{Name: "agent", UID: 4242, GIDs: []uint32{uint32(os.Getgid())}}
			b.write(".leyden/node/seed.txt", "x", 0o640)
			b.chmod(string(b.Home), 0o710)
			b.chmod(b.Home.Node(), 0o710)
		}, []want{{Fail, "user agent can read "}}},
		"fail/writes": {func(b *bench) {
			b.Agent = stranger()
			b.write(".leyden/node/lnd.conf", "x", 0o602)
			b.opened()
		}, []want{{Fail, "user agent can change "}}},
		"fail/connects": {func(b *bench) {
			b.Agent = stranger()
			b.mkdir(b.Home.Run(), 0o700)
			b.T.Chdir(b.Home.Run()) // a socket's path is short
			l, err := net.Listen("unix", "gate.sock")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			b.chmod(filepath.Join(b.Home.Run(), "gate.sock"), 0o666)
			b.opened()
		}, []want{{Fail, "user agent can connect to "}}},
		"fail/mighty group": {func(b *bench) {
			b.Agent = stranger()
			b.Agent.Groups = []string{"agent", "docker"}
		}, []want{{Warn, "in group docker"}}},
	}.run(t, checkAgent)
}

func TestSockets(t *testing.T) {
	socketIn := func(mode os.FileMode) func(*bench) {
		return func(b *bench) {
			dir := filepath.Join(b.dir, "sock")
			b.mkdir(dir, mode)
			b.runs(aNode, running{Socket: filepath.Join(dir, "lnd.sock")})
		}
	}
	checked{
		"ok/none":      {func(*bench) {}, nil},
		"ok/closed":    {socketIn(0o700), []want{{OK, "mode 0700"}}},
		"fail/open":    {socketIn(0o711), []want{{Fail, "past its front"}}},
		"fail/run":     {func(b *bench) { b.mkdir(b.Home.Run(), 0o755) }, []want{{Fail, "control socket"}}},
		"fail/no sock": {func(b *bench) { b.runs(aSigner, running{Socket: "/nowhere/at/all/lnd.sock"}) }, []want{{Info, "cannot look at"}}},
	}.run(t, checkSockets)
}

func TestRoot(t *testing.T) {
	status := func(uid string) func(*bench) {
		return func(b *bench) {
			b.runs(aNode, running{})
			b.write("proc/"+strconv.Itoa(os.Getpid())+"/status", "Name:\tleyden\nUid:\t1\t"+uid+"\t1\t1\nGid:\t0\n", 0o600)
		}
	}
	checked{
		"ok/nothing runs": {func(*bench) {}, nil},
		"ok/user":         {status("1000"), []want{{OK, "not run as root"}}},
		"fail/root":       {status("0"), []want{{Warn, "runs as root"}}},
	}.run(t, checkRoot)
}
