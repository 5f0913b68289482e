package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

// Codes of a download that cannot be continued.
const (
	CodePartInUse = "part_in_use"
	CodeBadRange  = "bad_range"
)

// part is a download that can be continued: FILE.part holds what has come,
// FILE.part.json of what. It becomes FILE only when it is whole, and outlives
// everything else. Who writes it holds a lock on it.
type part struct {
	file *os.File
	note partNote
	have int64 // bytes that are there
}

// partNote says what a part is a part of. Without a validator that the server
// promises to change with the file (RFC 9110, section 8.8) it can be a part of
// nothing that is there now.
type partNote struct {
	Version      int    `json:"version"`
	Source       string `json:"source"` // SHA-256 of the URL, which may hold a secret
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Total        int64  `json:"total"` // bytes; -1: not known
}

const (
	partSuffix  = ".part"
	noteSuffix  = ".part.json"
	partVersion = 1
	maxNote     = 16 << 10
)

// openPart opens the part of path, and empties it unless it is one of source.
func openPart(path, source string, mode fs.FileMode) (*part, error) {
	f, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o666)
	if err != nil {
		return nil, outputFault(path+partSuffix, err)
	}
	p := &part{file: f}
	if err := p.open(path, source, mode); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *part) open(path, source string, mode fs.FileMode) error {
	if err := syscall.Flock(int(p.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return outputFault(p.file.Name(), err)
		}
		return fault.New(CodePartInUse, "wait for it, or take another -o", "another lnget writes %q", p.file.Name())
	}
	info, err := p.file.Stat()
	if err != nil {
		return outputFault(p.file.Name(), err)
	}
	if named, err := os.Lstat(p.file.Name()); err != nil || !os.SameFile(info, named) {
		return fault.New(CodePartInUse, "try again", "another lnget has just finished %q", path)
	}
	if !info.Mode().IsRegular() {
		return fault.New(CodeOutput, "move it away", "%q is no file", p.file.Name())
	}
	if mode != 0 {
		if err := p.file.Chmod(mode); err != nil {
			return outputFault(p.file.Name(), err)
		}
	}
	sum := sha256.Sum256([]byte(source))
	fresh := partNote{Version: partVersion, Source: hex.EncodeToString(sum[:]), Total: -1}
	p.note, p.have = readNote(path+noteSuffix), info.Size()
	if p.note.Source != fresh.Source || p.note.validator() == "" || p.have > p.note.Total && p.note.Total >= 0 {
		p.note = fresh
		return p.empty()
	}
	_, err = p.file.Seek(0, io.SeekEnd)
	return outputFault(p.file.Name(), err)
}

// readNote returns the zero note when there is none, or none that makes sense:
// the part is then begun anew.
func readNote(path string) partNote {
	var n partNote
	f, err := os.Open(path)
	if err != nil {
		return partNote{}
	}
	defer f.Close()
	if json.NewDecoder(io.LimitReader(f, maxNote)).Decode(&n) != nil || n.Version != partVersion {
		return partNote{}
	}
	return n
}

func (p *part) empty() error {
	p.have = 0
	_, err := p.file.Seek(0, io.SeekStart)
	if err == nil {
		err = p.file.Truncate(0)
	}
	return outputFault(p.file.Name(), err)
}

// validator is what If-Range names: a strong ETag, or else a date.
func (n partNote) validator() string {
	if n.ETag != "" {
		return n.ETag
	}
	return n.LastModified
}

// ask adds what is there to the request.
func (p *part) ask(h http.Header) {
	if p.have == 0 {
		return
	}
	h.Set("Range", "bytes="+strconv.FormatInt(p.have, 10)+"-")
	h.Set("If-Range", p.note.validator())
}

// accept makes the part fit the answer: it goes on with a 206 of the same
// file, and begins anew with a 200. A redirect that is not followed is no file.
func (p *part) accept(resp *http.Response) error {
	note := partNote{Version: partVersion, Source: p.note.Source, ETag: strongTag(resp.Header),
		LastModified: strongDate(resp.Header), Total: resp.ContentLength}
	switch {
	case resp.StatusCode == http.StatusPartialContent && p.have > 0:
		total, err := p.follows(resp)
		if err != nil {
			return p.spoilt(resp, err)
		}
		note.ETag, note.LastModified, note.Total = p.note.ETag, p.note.LastModified, total
	case resp.StatusCode == http.StatusPartialContent:
		return p.spoilt(resp, errors.New("a part that nobody asked for"))
	case resp.StatusCode >= 300:
		return fault.New(CodeBadRange, "leave out --location=false, or -c",
			"%s: the server answers %d, which is no part of a file", resp.Request.URL.Redacted(), resp.StatusCode)
	default:
		if err := p.empty(); err != nil {
			return err
		}
	}
	p.note = note
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	return files.Write(p.notePath(), append(text, '\n'), 0o600)
}

// follows checks that a 206 goes on where the part ends, in the same file.
func (p *part) follows(resp *http.Response) (total int64, err error) {
	text := resp.Header.Get("Content-Range")
	from, to, total, err := parseContentRange(text)
	switch {
	case err != nil:
		return 0, err
	case from != p.have:
		return 0, fmt.Errorf("it begins at byte %d, not %d", from, p.have)
	case total >= 0 && p.note.Total >= 0 && total != p.note.Total:
		return 0, fmt.Errorf("it is a part of %d bytes, not of %d", total, p.note.Total)
	case total < 0 && p.note.Total < 0:
		return 0, errors.New("it does not say how long the file is")
	case resp.ContentLength >= 0 && resp.ContentLength != to-from+1:
		return 0, fmt.Errorf("it has %d bytes, not %d", resp.ContentLength, to-from+1)
	case p.note.differs(resp.Header):
		return 0, errors.New("the file has changed")
	}
	return max(total, p.note.Total), nil
}

// parseContentRange reads "bytes FROM-TO/TOTAL" (RFC 9110, section 14.4);
// total is -1 for "*".
func parseContentRange(s string) (from, to, total int64, err error) {
	bad := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("malformed Content-Range %q", s[:min(len(s), 60)])
	}
	unit, rest, ok := strings.Cut(s, " ")
	span, size, ok2 := strings.Cut(rest, "/")
	first, last, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 || !strings.EqualFold(unit, "bytes") {
		return bad()
	}
	total = -1
	if size != "*" {
		if total, err = position(size); err != nil {
			return bad()
		}
	}
	if from, err = position(first); err != nil {
		return bad()
	}
	if to, err = position(last); err != nil || to < from || total >= 0 && to >= total {
		return bad()
	}
	return from, to, total, nil
}

// position reads digits and nothing else.
func position(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// differs reports whether the answer's ETag or date is another than the note's:
// not every server heeds If-Range.
func (n partNote) differs(h http.Header) bool {
	if tag := strongTag(h); tag != "" && n.ETag != "" {
		return tag != n.ETag
	}
	date := h.Get("Last-Modified")
	return date != "" && n.LastModified != "" && date != n.LastModified
}

// finished reports whether a 416 says that nothing is missing.
func (p *part) finished(resp *http.Response) bool {
	size, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */")
	total, err := position(size)
	return ok && err == nil && p.have > 0 && total == p.have && (p.note.Total < 0 || p.note.Total == total) &&
		!p.note.differs(resp.Header)
}

// spoilt forgets of what the part is one, so that the next run begins anew.
func (p *part) spoilt(resp *http.Response, err error) error {
	_ = os.Remove(p.notePath())
	return fault.New(CodeBadRange, "the same command again begins anew",
		"%s: the answer does not continue %q: %w", resp.Request.URL.Redacted(), filepath.Base(p.file.Name()), err)
}

func (p *part) notePath() string {
	return strings.TrimSuffix(p.file.Name(), partSuffix) + noteSuffix
}

// complete reports whether as much is there as was announced.
func (p *part) complete() error {
	info, err := p.file.Stat()
	if err != nil {
		return outputFault(p.file.Name(), err)
	}
	if p.note.Total >= 0 && info.Size() != p.note.Total {
		return fault.New(CodeNetwork, hintContinue, "%q has %d of %d bytes", p.file.Name(), info.Size(), p.note.Total)
	}
	return nil
}

// become gives the whole part its name. It is locked until it has it: nobody else
// writes to what has become the file.
func (p *part) become(name string) error {
	defer p.file.Close()
	if err := p.file.Sync(); err != nil {
		return outputFault(p.file.Name(), err)
	}
	if err := os.Rename(p.file.Name(), name); err != nil {
		return unnamed(p.file.Name(), name, err)
	}
	_ = os.Remove(p.notePath())
	return nil
}

const hintContinue = "the same command again goes on where it stopped"

// leave closes the part. It stays when it can be continued.
func (p *part) leave() {
	info, err := p.file.Stat()
	if err == nil && (info.Size() == 0 || p.note.validator() == "") {
		_ = os.Remove(p.file.Name())
		_ = os.Remove(p.notePath())
	}
	p.file.Close()
}

// strongTag is the answer's ETag, "" if it is weak or malformed.
func strongTag(h http.Header) string {
	tag := h.Get("ETag")
	if len(tag) < 2 || len(tag) > 1024 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return ""
	}
	return tag
}

// strongDate is the answer's Last-Modified, "" unless it lies at least a second
// before the answer: until then the file may change again without it.
func strongDate(h http.Header) string {
	changed, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	sent, err := http.ParseTime(h.Get("Date"))
	if err != nil || sent.Sub(changed) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}
