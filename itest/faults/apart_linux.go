package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// apart is a network namespace of the signer's own, joined to ours by a cable.
type apart struct {
	holder *exec.Cmd
	end    io.Closer // of the holder's standard input
	enter  []string  // put before a command, runs it there
}

// inside is set in the environment of the run that has a network namespace.
const inside = "LEYDEN_FAULTS_INSIDE"

// Both ends of the cable, in a network for documentation (RFC 5737). They know
// each other's hardware address, so that no question after it fails first when
// the cable is cut: packets vanish.
const (
	nodeEnd, signerEnd   = "leyden-node", "leyden-signer"
	nodeHost, signerHost = "192.0.2.1", "192.0.2.2"
	nodeMAC, signerMAC   = "02:00:00:00:00:01", "02:00:00:00:00:02"
)

// Capabilities (linux/capability.h) that a user other than root has in a namespace
// of their own.
const (
	capNetAdmin = 12
	capSysAdmin = 21
)

// newApart runs this program again in a network namespace of its own, and returns
// its exit status as exitStatus; there, it makes the signer's.
func newApart() (*apart, error) {
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing (Debian: iproute2, util-linux)", tool)
		}
	}
	if os.Getenv(inside) == "" {
		return nil, again()
	}
	// cat waits for the end of its input, which comes when we are gone.
	holder := exec.Command("cat")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setpgid: true}
	in, err := holder.StdinPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	pid := fmt.Sprint(holder.Process.Pid)
	a := &apart{holder: holder, end: in, enter: []string{"nsenter", "--target", pid, "--net", "--"}}
	for _, line := range []string{
		"ip link set lo up",
		"ip link add " + nodeEnd + " address " + nodeMAC + " type veth peer name " + signerEnd + " address " + signerMAC + " netns " + pid,
		"ip address add " + nodeHost + "/30 dev " + nodeEnd,
		"ip link set " + nodeEnd + " up",
		"ip neighbour add " + signerHost + " lladdr " + signerMAC + " dev " + nodeEnd + " nud permanent",
		"nsenter --target " + pid + " --net -- ip link set lo up",
		"nsenter --target " + pid + " --net -- ip address add " + signerHost + "/30 dev " + signerEnd,
	} {
		if err := command(strings.Fields(line)...); err != nil {
			a.close()
			return nil, err
		}
	}
	if err := a.cable(true); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// again runs this program with a network of its own, over which it has power also
// when it is not root's.
func again() error {
	runtime.LockOSThread() // the signal comes when the thread that started it ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() != 0 {
		uid, gid := os.Getuid(), os.Getgid()
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGTERM,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
			AmbientCaps: []uintptr{capNetAdmin, capSysAdmin},
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM) // a Ctrl-C reaches both
	go func() {
		for range term {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exitStatus(exit.ExitCode())
	}
	if err != nil {
		return err
	}
	return exitStatus(0)
}

// cable cuts the cable at the signer's end, or mends it.
func (a *apart) cable(whole bool) error {
	state := "down"
	if whole {
		state = "up"
	}
	return command(append(a.enter, "ip", "link", "set", signerEnd, state)...)
}

// close lets the namespace go; it is fine on nil.
func (a *apart) close() {
	if a == nil {
		return
	}
	_ = a.end.Close()
	_ = a.holder.Wait()
}

func command(line ...string) error {
	cmd := exec.Command(line[0], line[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}
