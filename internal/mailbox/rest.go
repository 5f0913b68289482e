package mailbox

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// maxRequest is the longest request that makes, deletes or reads a box, in
// bytes of JSON.
const maxRequest = 4 << 10

func (r *Relay) restCreate(w http.ResponseWriter, req *http.Request) {
	auth := new(hashmailrpc.CipherBoxAuth)
	if err := r.readBody(w, req, auth); err != nil {
		restFail(w, err)
		return
	}
	answer, err := r.newCipherBox(callOf(req), auth)
	restAnswer(w, answer, err)
}

// restDelete takes its request from the query: desc.stream_id, and lnd_auth,
// which other relays have no way to say here.
func (r *Relay) restDelete(w http.ResponseWriter, req *http.Request) {
	auth := new(hashmailrpc.CipherBoxAuth)
	query := req.URL.Query()
	if id := query.Get("desc.stream_id"); id != "" {
		decoded, err := decodeBase64(id)
		if err != nil {
			restFail(w, errMalformed)
			return
		}
		auth.Desc = &hashmailrpc.CipherBoxDesc{StreamId: decoded}
	}
	if query.Has("lnd_auth") {
		auth.Auth = &hashmailrpc.CipherBoxAuth_LndAuth{LndAuth: &hashmailrpc.LndAuth{}}
	}
	answer, err := r.delCipherBox(callOf(req), auth)
	restAnswer(w, answer, err)
}

// restSend takes messages, one a line.
func (r *Relay) restSend(w http.ResponseWriter, req *http.Request) {
	c := callOf(req)
	control := http.NewResponseController(w)
	f := &filler{relay: r, call: c}
	defer f.close()
	lines := bufio.NewReaderSize(req.Body, 1024)
	for {
		_, err := lines.Peek(1)
		if errors.Is(err, io.EOF) && f.to != nil {
			restAnswer(w, f.desc, nil)
			return
		}
		if err != nil {
			restFail(w, errMalformed)
			return
		}
		_ = control.SetReadDeadline(time.Now().Add(r.messageWithin))
		err = f.take(func(most int) ([]byte, error) { return readLine(lines, most) })
		_ = control.SetReadDeadline(time.Time{})
		if err != nil {
			restFail(w, err)
			return
		}
	}
}

// readLine reads a line of at most that many bytes.
func readLine(from *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		if line = append(line, part...); len(line) > most {
			return nil, errTooLong
		}
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, errCancelled
		}
	}
}

// restReceive writes a line for each message.
func (r *Relay) restReceive(w http.ResponseWriter, req *http.Request) {
	desc := new(hashmailrpc.CipherBoxDesc)
	if err := r.readBody(w, req, desc); err != nil {
		restFail(w, err)
		return
	}
	c := callOf(req)
	d, err := r.emptyNamed(c, desc)
	if err != nil {
		restFail(w, err)
		return
	}
	defer d.close()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/json")
	_ = control.Flush()
	err = d.deliver(c, func(batch [][]byte) error {
		var lines []byte
		for _, msg := range batch {
			lines = append(resultJSON(lines, desc, msg), '\n')
		}
		_ = control.SetWriteDeadline(time.Now().Add(r.limits.Blocked))
		if _, err := w.Write(lines); err != nil {
			return errCancelled
		}
		if control.Flush() != nil {
			return errCancelled
		}
		return nil
	})
	_, _ = w.Write(append(refusalOf(err).errorJSON(nil), '\n')) // the client may have gone
}

// readBody reads a request, for which the client has some seconds.
func (r *Relay) readBody(w http.ResponseWriter, req *http.Request, into proto.Message) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(r.messageWithin))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	raw, err := io.ReadAll(io.LimitReader(req.Body, maxRequest+1))
	if err != nil || len(raw) > maxRequest {
		return errMalformed
	}
	return readJSON(raw, into)
}

func restAnswer(w http.ResponseWriter, answer proto.Message, err error) {
	if err != nil {
		restFail(w, err)
		return
	}
	text, err := writeJSON.Marshal(answer)
	if err != nil {
		restFail(w, errInternal)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

func restFail(w http.ResponseWriter, err error) {
	refused := refusalOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refused.httpStatus())
	_, _ = w.Write(refused.statusJSON(nil))
}
