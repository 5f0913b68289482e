package fetch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/leydenln/leyden/internal/fault"
)

// output is where a body goes: a writer, or a file that takes its name, and the
// mode of what had it before, only when it is whole. It is opened before the request, so that nothing is paid
// for that could not be kept.
type output struct {
	io.Writer
	file *os.File // nil for a plain writer
	path string   // what file becomes; "" when it is written in place
	werr error    // the writer's own error, apart from the reader's
	part *part    // what file is, when it can be continued
}

// openOutput opens the file at path, or takes w when path is empty. With a
// source (its URL) the file can be continued.
func openOutput(path string, w io.Writer, source string) (*output, error) {
	if path == "" || path == "-" {
		return &output{Writer: w}, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		path = real
	}
	mode := fs.FileMode(0)
	if info, statErr := os.Stat(path); statErr == nil {
		if err != nil && info.Mode().IsRegular() {
			// It may have come into being just now, by another lnget's hand.
			_, err = filepath.EvalSymlinks(path)
		}
		f, openErr := os.OpenFile(path, os.O_WRONLY, 0)
		if openErr != nil {
			return nil, outputFault(path, openErr)
		}
		// What has no name of its own, as /dev/stdout may, cannot take one.
		if !info.Mode().IsRegular() || err != nil {
			return &output{Writer: f, file: f}, nil
		}
		f.Close()
		mode = info.Mode().Perm()
	}
	if source != "" {
		p, err := openPart(path, source, mode)
		if err != nil {
			return nil, err
		}
		return &output{Writer: p.file, file: p.file, path: path, part: p}, nil
	}
	var random [6]byte
	rand.Read(random[:])
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+hex.EncodeToString(random[:]))
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, outputFault(path, err)
	}
	if mode != 0 {
		if err := f.Chmod(mode); err != nil {
			f.Close()
			_ = os.Remove(temp)
			return nil, outputFault(path, err)
		}
	}
	return &output{Writer: f, file: f, path: path}, nil
}

// Write implements [io.Writer].
func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		o.werr = err
	}
	return n, err
}

// keep gives the file its name.
func (o *output) keep() error {
	if o.file == nil {
		return nil
	}
	if o.part != nil {
		if err := o.part.complete(); err != nil {
			return err
		}
	}
	f := o.file
	o.file = nil
	if o.part != nil {
		return o.part.become(o.path)
	}
	if err := f.Close(); err != nil {
		if o.path != "" {
			_ = os.Remove(f.Name())
		}
		return outputFault(f.Name(), err)
	}
	if o.path == "" {
		return nil
	}
	if err := os.Rename(f.Name(), o.path); err != nil {
		return unnamed(f.Name(), o.path, err)
	}
	return nil
}

// unnamed is the error of a file that is whole and cannot take its name. It stays:
// it may have been paid for.
func unnamed(file, name string, err error) error {
	return fault.New(CodeOutput, "all of it is in "+file, "write output %q: %w", name, err)
}

// discard drops the file, unless it was kept or can be continued.
func (o *output) discard() {
	if o.file == nil {
		return
	}
	if o.part != nil {
		o.part.leave()
		o.file = nil
		return
	}
	o.file.Close()
	if o.path != "" {
		_ = os.Remove(o.file.Name())
	}
	o.file = nil
}

// explain turns an error of the copy into the writer's fault or the network's.
func (o *output) explain(err error, resp *http.Response) error {
	if o.werr != nil {
		return outputFault(o.path, o.werr)
	}
	hint, goesOn := "try again", o.part != nil && o.part.note.validator() != ""
	if goesOn {
		hint = hintContinue
	}
	if errors.Is(err, context.Canceled) {
		if !goesOn {
			hint = ""
		}
		return fault.New("interrupted", hint, "interrupted")
	}
	return fault.New(CodeNetwork, hint, "%s: the answer broke off: %w", resp.Request.URL.Redacted(), err)
}

func outputFault(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New("disk_full", "free some space, then try again", "write output: %w", err)
	case errors.Is(err, syscall.EPIPE):
		return fault.New(CodeOutput, "", "write output: %w", err)
	}
	return fault.New(CodeOutput, "check the folder of the output file", "write output %q: %w", path, err)
}
