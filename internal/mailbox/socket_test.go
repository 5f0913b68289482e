package mailbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/leydenln/leyden/internal/until"
	"github.com/leydenln/leyden/lnc/hashmailrpc"
)

// socket opens a WebSocket as other implementations do.
func (r *testRelay) socket(way string) *websocket.Conn {
	r.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: r.tls}
	conn, answer, err := dialer.Dial("wss://"+r.addr+restPath+"/"+way+"?method=POST", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func frameOf(desc *hashmailrpc.CipherBoxDesc, msg string) string {
	return fmt.Sprintf(`{"desc":%s,"msg":"%s"}`, descOf(desc), base64.StdEncoding.EncodeToString([]byte(msg)))
}

func descOf(desc *hashmailrpc.CipherBoxDesc) string {
	return fmt.Sprintf(`{"stream_id":"%s"}`, base64.StdEncoding.EncodeToString(desc.GetStreamId()))
}

func say(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads a frame, which must be this JSON.
func hear(t *testing.T, conn *websocket.Conn, want string) {
	t.Helper()
	kind, got, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if kind != websocket.TextMessage || !sameJSON(t, string(got), want) {
		t.Errorf("got a frame of type %d %s, want %s", kind, got, want)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func TestSockets(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	in, out := r.socket("send"), r.socket("receive")
	say(t, out, descOf(desc))
	for _, msg := range []string{"one", "", string(make([]byte, 65560))} {
		say(t, in, frameOf(desc, msg))
		hear(t, out, `{"result":`+frameOf(desc, msg)+`}`)
	}
	// From a socket to gRPC, and back.
	out.Close()
	box, err := r.find(newID(desc.GetStreamId()))
	if err != nil {
		t.Fatal(err)
	}
	until.True(t, "the reader's end", func() bool { return len(box.reading) == 0 })
	say(t, in, frameOf(desc, "two"))
	stream, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	mustRecv(t, stream, "two")
	if _, err := c.DelCipherBox(t.Context(), authFor(desc)); err != nil {
		t.Fatal(err)
	}
	say(t, in, frameOf(desc, "three"))
	hear(t, in, `{"code":2,"message":"stream not found","details":[]}`)
}

func TestSocketRefusals(t *testing.T) {
	r := startRelay(t, Limits{Message: 1000})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	none := box64("none")
	for name, test := range map[string]struct{ way, say, want string }{
		"receive from no box": {"receive", descOf(none), `{"error":{"code":2,"message":"stream not found","details":[]}}`},
		"receive nonsense":    {"receive", `nonsense`, `{"error":{"code":3,"message":"malformed message","details":[]}}`},
		"receive without id":  {"receive", `{}`, `{"error":{"code":2,"message":"stream_id required","details":[]}}`},
		"send to no box":      {"send", frameOf(none, "x"), `{"code":2,"message":"stream not found","details":[]}`},
		"send without desc":   {"send", `{"msg":""}`, `{"code":2,"message":"cipher box descriptor required","details":[]}`},
		"send nonsense":       {"send", `[1]`, `{"code":3,"message":"malformed message","details":[]}`},
		"unknown field":       {"send", `{"desk":1}`, `{"code":3,"message":"malformed message","details":[]}`},
		"too long":            {"send", frameOf(desc, string(make([]byte, 1001))), `{"code":8,"message":"the message is too long","details":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			conn := r.socket(test.way)
			say(t, conn, test.say)
			hear(t, conn, test.want)
			if _, _, err := conn.ReadMessage(); err == nil {
				t.Error("the socket stays open")
			}
		})
	}
	dialer := websocket.Dialer{TLSClientConfig: r.tls}
	_, answer, err := dialer.Dial("wss://"+r.addr+restPath+"/send", nil)
	if err == nil {
		t.Fatal("a WebSocket without a method was opened")
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// TestSocketPings: a socket whose client answers lives, one whose client does
// not is closed, and makes room.
func TestSocketPings(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		r := startRelay(t, Limits{}, func(r *Relay) { r.pingEvery, r.pongWithin = 50*time.Millisecond, time.Second })
		desc := box64("a box")
		r.create(r.dial(), desc)
		box, err := r.find(newID(desc.GetStreamId()))
		if err != nil {
			t.Fatal(err)
		}
		deaf := r.socket("receive")
		deaf.SetPingHandler(func(string) error { return nil })
		_ = deaf.WriteMessage(websocket.TextMessage, []byte(descOf(desc))) // it may have ended already
		for {                                                              // perhaps why it ends, and then the end
			if _, _, err := deaf.ReadMessage(); err != nil {
				break
			}
		}
		until.True(t, "room for another", func() bool { return len(box.reading) == 0 })
	})
	t.Run("answers", func(t *testing.T) {
		r := startRelay(t, Limits{}, func(r *Relay) { r.pingEvery, r.pongWithin = 50*time.Millisecond, time.Minute })
		desc := box64("a box")
		r.create(r.dial(), desc)
		alive := r.socket("receive")
		pings := make(chan string, 10)
		answer := alive.PingHandler()
		alive.SetPingHandler(func(text string) error {
			select {
			case pings <- text:
			default:
			}
			return answer(text)
		})
		say(t, alive, descOf(desc))
		heard := make(chan error, 1)
		go func() {
			_, _, err := alive.ReadMessage()
			heard <- err
		}()
		for range 10 {
			select {
			case text := <-pings:
				if text != pingText {
					t.Errorf("pinged with %q", text)
				}
			case err := <-heard:
				t.Fatal("the socket ended: ", err)
			}
		}
		say(t, r.socket("send"), frameOf(desc, "still there"))
		if err := <-heard; err != nil {
			t.Error(err)
		}
	})
}

func (r *testRelay) rest(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: r.tls}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestREST(t *testing.T) {
	r := startRelay(t, Limits{})
	desc := box64("a box\xff\xfe\xfd")
	create := `{"desc":` + descOf(desc) + `,"lnd_auth":{}}`
	id := base64.StdEncoding.EncodeToString(desc.GetStreamId())
	for _, step := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"create", "POST", restPath, create, 200, `{"success":{"desc":null}}`},
		{"create again", "POST", restPath, create, 409, `{"code":6,"message":"stream already active","details":[]}`},
		{"camel case", "POST", restPath, strings.ReplaceAll(create, "stream_id", "streamId"), 409,
			`{"code":6,"message":"stream already active","details":[]}`},
		{"no auth", "POST", restPath, `{"desc":` + descOf(desc) + `}`, 500, `{"code":2,"message":"auth type required","details":[]}`},
		{"unknown field", "POST", restPath, `{"x":1}`, 400, `{"code":3,"message":"malformed message","details":[]}`},
		{"too much", "POST", restPath, `{"desc":"` + strings.Repeat("x", 9000) + `"}`, 400, `{"code":3,"message":"malformed message","details":[]}`},
		{"send", "POST", restPath + "/send", frameOf(desc, "one") + "\n" + frameOf(desc, "two") + "\n", 200, descOf(desc)},
		{"send to nobody", "POST", restPath + "/send", frameOf(box64("none"), "one"), 500, `{"code":2,"message":"stream not found","details":[]}`},
		{"delete without auth", "DELETE", restPath + "?desc.stream_id=" + url.QueryEscape(id), "", 500,
			`{"code":2,"message":"auth type required","details":[]}`},
	} {
		code, text := r.rest(step.method, step.path, step.body)
		if code != step.status || !sameJSON(t, text, step.want) {
			t.Errorf("%s: status %d, %s; want %d, %s", step.name, code, text, step.status, step.want)
		}
	}
	c := r.dial()
	stream, err := c.RecvStream(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	mustRecv(t, stream, "one")
	mustRecv(t, stream, "two")

	// Unlike elsewhere a box can be deleted, in either alphabet.
	for _, id := range []string{url.QueryEscape(id), base64.RawURLEncoding.EncodeToString(desc.GetStreamId())} {
		if code, text := r.rest("DELETE", restPath+"?lnd_auth&desc.stream_id="+id, ""); code != 200 {
			t.Errorf("delete: status %d, %s", code, text)
		}
		r.create(c, desc)
	}
}

func TestRESTReceive(t *testing.T) {
	r := startRelay(t, Limits{})
	c := r.dial()
	desc := box64("a box")
	r.create(c, desc)
	for _, msg := range []string{"one", "two"} {
		if code, text := r.rest("POST", restPath+"/send", frameOf(desc, msg)); code != 200 {
			t.Fatalf("status %d, %s", code, text)
		}
	}
	done := make(chan string, 1)
	go func() {
		_, text := r.rest("POST", restPath+"/receive", descOf(desc))
		done <- text
	}()
	until.True(t, "the messages to be read", func() bool { n, _ := r.queued(); return n == 0 })
	if _, err := c.DelCipherBox(t.Context(), authFor(desc)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(<-done), "\n")
	want := []string{
		`{"result":` + frameOf(desc, "one") + `}`, `{"result":` + frameOf(desc, "two") + `}`,
		`{"error":{"code":2,"message":"EOF","details":[]}}`,
	}
	if len(lines) != len(want) {
		t.Fatalf("received %q", lines)
	}
	for i := range want {
		if !sameJSON(t, lines[i], want[i]) {
			t.Errorf("line %d is %s, want %s", i, lines[i], want[i])
		}
	}
}
