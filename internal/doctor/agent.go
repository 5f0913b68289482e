package doctor

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mighty groups let a user become root, or read what belongs to others.
var mighty = []string{"sudo", "wheel", "admin", "root", "docker", "lxd", "incus", "disk", "shadow", "adm"}

// checkAgent looks at Leyden's folder with the eyes of the agent's account, or of
// whoever looks, if the folder is somebody else's.
func checkAgent(_ context.Context, e *Env) []Finding {
	whose, known := e.homeOwner()
	if !has(string(e.Home)) && !e.closed() {
		return nil
	}
	eyes := e.Agent
	switch {
	case eyes != nil:
	case e.closed(), known && e.Self.UID != 0 && e.Self.UID != whose:
		eyes = e.Self
	case has(e.Lnget) && known && e.Self.UID == whose:
		return []Finding{warn("leyden doctor --agent-user NAME, or give the agent an account of its own: sudo useradd --create-home agent",
			"%s, which an agent uses, belongs to the same user as %s: an agent that runs as %s can read every key here", e.Lnget, e.Home, nameOf(whose))}
	default:
		return []Finding{info("leyden doctor --agent-user NAME", "which user the agent runs as was not said, so what it can read is not known")}
	}
	switch {
	case eyes.UID == 0:
		return []Finding{fail("run the agent as a user of its own: sudo useradd --create-home agent", "the agent runs as root: it can read everything")}
	case known && eyes.UID == whose:
		return []Finding{fail("run the agent as a user of its own: sudo useradd --create-home agent",
			"the agent runs as %s, who runs the node: it can read every key", eyes.Name)}
	}
	found := eyes.groupsOf()
	seen, blind := 0, 0
	for _, place := range []string{e.Home.Node(), e.Home.Signer(), e.Home.Guard(), e.Home.Gate(), e.Home.Bakery(), e.Home.Run()} {
		if !has(place) {
			continue
		}
		f, looked, errs := eyes.judgePlace(place)
		found, seen, blind = append(found, f...), seen+looked, blind+errs
	}
	if blind > 0 && eyes.UID != e.Self.UID {
		found = append(found, unseen(e.asOperator(), "%d folders could not be looked at for %s", blind, eyes.Name))
	}
	switch {
	case e.closed() && eyes == e.Self:
		found = append(found, ok("user %s cannot even look into %s", eyes.Name, e.Home))
	case len(found) == 0:
		found = append(found, ok("user %s can read none of the node's files and reach none of its sockets (%d looked at)", eyes.Name, seen))
	}
	return found
}

func (u *User) groupsOf() []Finding {
	for _, g := range mighty {
		if slices.Contains(u.Groups, g) {
			return []Finding{warn("sudo gpasswd --delete "+u.Name+" "+g, "user %s is in group %s, which can read what belongs to others, or become root", u.Name, g)}
		}
	}
	return nil
}

// judgePlace finds what the user can do in a folder of ours.
func (u *User) judgePlace(place string) (found []Finding, looked, blind int) {
	files, errs := walk(place)
	named := 0
	for _, f := range files {
		looked++
		problem, is := u.judge(f)
		if !is {
			continue
		}
		if named++; named <= maxNamed {
			found = append(found, problem)
		}
	}
	if named > maxNamed {
		found = append(found, fail("chmod -R go= "+place, "user %s can read or change %d more files in %s", u.Name, named-maxNamed, place))
	}
	return found, looked, len(errs)
}

func (u *User) judge(f file) (Finding, bool) {
	mode := f.info.Mode()
	switch {
	case mode&fs.ModeSocket != 0:
		if can, err := u.may(f.path, writes); err == nil && can {
			return fail("chmod 600 "+f.path, "user %s can connect to %s", u.Name, f.path), true
		}
	case mode.IsDir():
		if can, err := u.may(f.path, writes|enters); err == nil && can {
			return fail("chmod 700 "+f.path, "user %s can put files into %s", u.Name, f.path), true
		}
	case mode.IsRegular():
		if can, err := u.may(f.path, writes); err == nil && can {
			return fail("chmod 600 "+f.path, "user %s can change %s", u.Name, f.path), true
		}
		if can, err := u.may(f.path, reads); err == nil && can && !public(f.path) {
			return fail("chmod 600 "+f.path, "user %s can read %s", u.Name, f.path), true
		}
	}
	return Finding{}, false
}

// checkSockets looks at the folders of private sockets, which stand in for a
// password.
func checkSockets(_ context.Context, e *Env) (found []Finding) {
	for _, name := range daemons {
		r, on := e.record(name)
		if !on || r.Socket == "" {
			continue
		}
		dir := filepath.Dir(r.Socket)
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			found = append(found, unseen(e.asOperator(), "cannot look at %s, where the %s's private socket is: %v", dir, name, reason(err)))
		case info.Mode().Perm()&0o077 != 0:
			found = append(found, fail("chmod 700 "+dir, "%s has mode %#o: others can talk to the %s's lnd past its front", dir, info.Mode().Perm(), name))
		case e.Agent != nil && owner(info) == e.Agent.UID:
			found = append(found, fail("run the agent as a user of its own", "%s belongs to %s: the agent can talk to the %s's lnd past its front", dir, e.Agent.Name, name))
		default:
			found = append(found, ok("the %s's private socket is in a folder of mode 0700", name))
		}
	}
	if dir := e.Home.Run(); has(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 {
			found = append(found, fail("chmod 700 "+dir, "%s, with the gate's control socket and the pid files, has mode %#o", dir, info.Mode().Perm()))
		}
	}
	return found
}

// checkRoot finds daemons that run as root, which needs no root.
func checkRoot(_ context.Context, e *Env) (found []Finding) {
	for _, name := range daemons {
		r, on := e.record(name)
		if !on {
			continue
		}
		status, err := os.ReadFile(filepath.Join(e.Proc, strconv.Itoa(r.PID), "status"))
		if err != nil {
			continue // not Linux, or it has ended
		}
		if uid(string(status)) == "0" {
			found = append(found, warn("run it as a user of its own", "the %s (pid %d) runs as root, and needs no root: whoever breaks in has the machine", name, r.PID))
		} else {
			found = append(found, ok("the %s does not run as root", name))
		}
	}
	return found
}

// uid is the effective user in a /proc/PID/status: the second number after Uid:.
func uid(status string) string {
	for line := range strings.Lines(status) {
		if numbers := strings.Fields(line); len(numbers) > 2 && numbers[0] == "Uid:" {
			return numbers[2]
		}
	}
	return ""
}
