package itest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// agentEnv has this test binary be what an agent runs that looks around.
const agentEnv = "LEYDEN_ITEST_AGENT"

// lookAt is what the agent tries; it is told all names, so that nothing is safe
// because nobody knows where it is.
type lookAt struct {
	Paths   []string
	Sockets []string // of the unix domain
	Ports   []string // host:port
	PIDs    []int
}

// seen is what it could do.
type seen struct {
	UID       int
	Read      []string // files and folders
	Written   []string // files, and folders that took a new file
	Connected []string // sockets and ports
	Lines     []string // command lines of processes
}

// agentMain reads a lookAt from standard input and writes what is seen.
func agentMain() error {
	var at lookAt
	if err := json.NewDecoder(os.Stdin).Decode(&at); err != nil {
		return err
	}
	s := seen{UID: os.Getuid()}
	for _, path := range at.Paths {
		s.touch(path)
	}
	for _, pid := range at.PIDs {
		for _, name := range []string{"environ", "mem", "maps", "fd", "cwd", "root", "exe", "task"} {
			path := fmt.Sprintf("/proc/%d/%s", pid, name)
			if name == "task" { // threads' copies of environ
				path += fmt.Sprintf("/%d/environ", pid)
			}
			s.touch(path)
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return err
		}
		s.Lines = append(s.Lines, string(line))
	}
	for network, addresses := range map[string][]string{"unix": at.Sockets, "tcp": at.Ports} {
		for _, address := range addresses {
			conn, err := net.DialTimeout(network, address, 5*time.Second)
			if err == nil {
				s.Connected = append(s.Connected, address)
				_ = conn.Close()
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// touch tries to read and to write.
func (s *seen) touch(path string) {
	f, err := os.Open(path)
	if err == nil {
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			_, err = f.ReadDir(1)
		} else if err == nil {
			_, err = f.Read(make([]byte, 1))
		}
		if err == nil || errors.Is(err, io.EOF) {
			s.Read = append(s.Read, path)
		}
		_ = f.Close()
	}
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		s.Written = append(s.Written, path)
		_ = f.Close()
	}
	mine := filepath.Join(path, "agent")
	if f, err := os.OpenFile(mine, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		s.Written = append(s.Written, path)
		_ = f.Close()
		_ = os.Remove(mine)
	}
}
