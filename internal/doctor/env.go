package doctor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/daemon"
)

// DefaultHotBalance is the most that a node should hold, in sat: what the security
// guide for agents calls a hot wallet's largest balance (0.01 BTC).
const DefaultHotBalance = 1_000_000

// Env says where to look.
type Env struct {
	// Home is Leyden's folder.
	Home config.Home

	// Lnget is lnget's folder; Environ the environment it would see, "NAME=value".
	// Environ is nil when that is not known: another user's.
	Lnget   string
	Environ []string

	// Agent is the account that the agent runs as; nil: not known.
	Agent *User

	// Self is who looks.
	Self *User

	// Scratch are folders in which macaroons are looked for that were left behind.
	Scratch []string

	// HotBalance is the most that the node should hold, in sat.
	HotBalance int64

	// Now is the time.
	Now time.Time

	// Proc is the kernel's view of processes, /proc.
	Proc string

	asking sync.Mutex // guards live
	live   live
}

// New fills in what is usual. agent may be nil.
func New(home config.Home, agent *User) (*Env, error) {
	self, err := LookupUser(uidText())
	if err != nil {
		return nil, err
	}
	e := &Env{
		Home: home, Agent: agent, Self: self, HotBalance: DefaultHotBalance, Now: time.Now(), Proc: "/proc",
		Environ: os.Environ(), Scratch: []string{os.TempDir()},
	}
	user := self.HomeDir
	if home, err := os.UserHomeDir(); err == nil {
		user = home
	}
	e.Scratch = append(e.Scratch, user)
	if agent != nil && agent.UID != self.UID {
		e.Scratch = append(e.Scratch, agent.HomeDir)
		user, e.Environ = agent.HomeDir, nil
	}
	e.Lnget = filepath.Join(user, ".lnget")
	return e, nil
}

// homeOwner is who Leyden's folder belongs to; ok is false when there is none, or
// we may not look.
func (e *Env) homeOwner() (uid uint32, ok bool) {
	info, err := os.Stat(string(e.Home))
	if err != nil {
		return 0, false
	}
	return owner(info), true
}

// asOperator is what to type to see what only the folder's owner can see, or what
// its modes hide from the owner too.
func (e *Env) asOperator() string {
	uid, ok := e.homeOwner()
	switch {
	case !ok:
		return "run leyden doctor as the user who runs the node"
	case uid == e.Self.UID:
		return "chmod -R u+rwX " + string(e.Home)
	}
	return "sudo -u " + nameOf(uid) + " leyden doctor --home " + string(e.Home)
}

// closed says whether Leyden's folder is there and keeps us out.
func (e *Env) closed() bool {
	_, err := os.Stat(e.Home.Node())
	return errors.Is(err, fs.ErrPermission)
}

// has says whether the file or folder is there, and we can see it.
func has(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// running is what a running node, guard, signer or gate has written down: what
// their records have in common, under the same names.
type running struct {
	PID     int      `json:"pid"`
	Network string   `json:"network"`
	State   string   `json:"state"`
	RPC     []string `json:"rpc"`
	REST    []string `json:"rest"`
	API     string   `json:"api"`
	TLSCert string   `json:"tls_cert"`
	Socket  string   `json:"socket"`
	Error   string   `json:"error"`

	// AwaitsPassword is a node's: locked for good, and not only on its way.
	AwaitsPassword bool `json:"awaits_password"`

	Guard       string `json:"guard"`
	GuardError  string `json:"guard_error"`
	Signer      string `json:"signer"`
	SignerError string `json:"signer_error"`

	Listen string `json:"listen"` // a gate's
	Config string `json:"config"`
}

// Names of what runs in the background, by their records in run/.
const (
	aNode   = "node"
	aGuard  = "guard"
	aSigner = "signer"
	aGate   = "gate"
)

var daemons = []string{aNode, aGuard, aSigner, aGate}

// record returns what a running daemon has written down; ok is false when none
// runs, or we cannot know.
func (e *Env) record(name string) (r running, ok bool) {
	pid, on := daemon.Running(filepath.Join(e.Home.Run(), name+".pid"))
	if !on {
		return r, false
	}
	data, err := os.ReadFile(filepath.Join(e.Home.Run(), name+".json"))
	if err != nil || json.Unmarshal(data, &r) != nil || r.PID != pid {
		return running{PID: pid}, true // starting, or ours to guess
	}
	return r, true
}
