package leyden

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rsc.io/qr"
	"rsc.io/qr/coding"

	"github.com/leydenln/leyden/internal/api"
	"github.com/leydenln/leyden/internal/fault"
)

// connectURI makes the address as the command does.
func connectURI(t *testing.T, q qrOptions, cert, macaroon []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tls.cert")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := q.address(&App{}, &target{api.Target{CertPath: path}})
	if err != nil {
		t.Fatal(err)
	}
	return address + base64.RawURLEncoding.EncodeToString(macaroon)
}

// TestConnectURI reads the address as a wallet with a parser of URIs does, and
// as Zeus does, which cuts at "&macaroon=" (its LndConnectUtils).
func TestConnectURI(t *testing.T) {
	cert, macaroon := bytes.Repeat([]byte{0xfb, 0xff}, 300), bytes.Repeat([]byte{0xfa}, 201)
	for name, c := range map[string]struct {
		q    qrOptions
		cert []byte
	}{
		"ok/with certificate": {qrOptions{host: "192.0.2.1:8080"}, cert},
		"ok/without":          {qrOptions{host: "192.0.2.1:8080", noCert: true}, nil},
		"ok/IPv6":             {qrOptions{host: "[2001:db8::1]:8080"}, cert},
		"ok/name":             {qrOptions{host: "node.example.com:10009"}, cert},
	} {
		t.Run(name, func(t *testing.T) {
			text := connectURI(t, c.q, cert, macaroon)
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "lndconnect" || u.Host != c.q.host || u.Path != "" {
				t.Fatalf("%s: %v", text, err)
			}
			for parameter, want := range map[string][]byte{"cert": c.cert, "macaroon": macaroon} {
				got, err := base64.RawURLEncoding.DecodeString(u.Query().Get(parameter))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %x, %v", parameter, got, err)
				}
			}
			_, zeus, _ := strings.Cut(text, "&macaroon=")
			if got, err := base64.RawURLEncoding.DecodeString(zeus); err != nil || !bytes.Equal(got, macaroon) {
				t.Errorf("Zeus reads the macaroon %q", zeus)
			}
		})
	}
	for _, host := range []string{"nowhere", ":8080", "a b:8080", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:http", "a/b:1", "a?b:1", "2001:db8::1:8080"} {
		if _, err := (&qrOptions{host: host, noCert: true}).address(&App{}, &target{}); fault.Code(err) != "bad_address" {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// TestPNGHoldsTheURI reads the image back to its text: modules, mask, bits of
// the data, bytes.
func TestPNGHoldsTheURI(t *testing.T) {
	text := connectURI(t, qrOptions{host: "192.0.2.1:8080"}, bytes.Repeat([]byte{7, 0xa5}, 290), bytes.Repeat([]byte{3, 0xc8}, 102))
	path := filepath.Join(t.TempDir(), "qr.png")
	app := &App{Out: new(bytes.Buffer)}
	if err := (&qrOptions{png: path}).show(app, text); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	const scale = 8
	size := img.Bounds().Dx()/scale - 2*quiet
	black := func(x, y int) bool {
		r, _, _, _ := img.At((x+quiet)*scale+scale/2, (y+quiet)*scale+scale/2).RGBA()
		return r < 0x8000
	}
	for i := -quiet; i < size+quiet; i++ {
		if black(i, -1) || black(-1, i) || black(i, size) || black(size, i) {
			t.Fatal("no white border")
		}
	}
	if got := readQR(t, size, black); got != text {
		t.Errorf("the image says %q, want %q", got, text)
	}
}

// readQR reads a code of level L with bytes in it, as a camera that makes no
// errors would.
func readQR(t *testing.T, size int, black func(x, y int) bool) string {
	t.Helper()
	// The five bits beside the upper left corner are level and mask, XORed with
	// 10101 (ISO/IEC 18004, 7.9.1).
	format := 0
	for x := range 5 {
		format <<= 1
		if black(x, 8) {
			format |= 1
		}
	}
	format ^= 0b10101
	if format>>3 != 0b01 {
		t.Fatalf("format %05b is not of level L", format)
	}
	plan, err := coding.NewPlan(coding.Version((size-17)/4), coding.L, coding.Mask(format&7))
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, plan.DataBytes)
	for y, row := range plan.Pixel {
		for x, p := range row {
			if p.Role() == coding.Data && black(x, y) != (p&coding.Invert != 0) {
				data[p.Offset()/8] |= 0x80 >> (p.Offset() % 8)
			}
		}
	}
	// Four bits of mode (0100: bytes), 16 of the length from version 10 on.
	if mode := data[0] >> 4; mode != 0b0100 {
		t.Fatalf("mode %04b", mode)
	}
	nibbles := func(at int) byte { return data[at]<<4 | data[at+1]>>4 }
	text := make([]byte, int(nibbles(0))<<8|int(nibbles(1)))
	for i := range text {
		text[i] = nibbles(2 + i)
	}
	return string(text)
}

// TestQRIsDrawnWhole reads the drawing back.
func TestQRIsDrawnWhole(t *testing.T) {
	code, err := qr.Encode("lndconnect://192.0.2.1:10009?macaroon=AgEDbG5k", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	drawQR(&out, code)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if want := (code.Size + 2*quiet + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for i, line := range lines {
		for j, r := range []rune(line) {
			x, y := j-quiet, 2*i-quiet
			upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
			if upper == code.Black(x, y) {
				t.Fatalf("module %d,%d is wrong", x, y)
			}
			if y+1 < code.Size+quiet && lower == code.Black(x, y+1) {
				t.Fatalf("module %d,%d is wrong", x, y+1)
			}
		}
	}
}
