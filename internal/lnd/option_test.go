package lnd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

func TestParseConf(t *testing.T) {
	cases := map[string]struct {
		in   string
		want []Option
		part string // of the error
	}{
		"ok/empty": {"", nil, ""},
		"ok/sections and comments": {"[Application Options]\n; a\n# b\n\nalias=x\n[Bitcoin]\nbitcoin.regtest=1\n",
			[]Option{{"alias", "x", "lnd.conf line 5"}, {"bitcoin.regtest", "1", "lnd.conf line 7"}}, ""},
		"ok/spaces and empty":  {"  alias =  a b \nnolisten=\n", []Option{{"alias", "a b", "lnd.conf line 1"}, {"nolisten", "", "lnd.conf line 2"}}, ""},
		"ok/quotes":            {`alias="a \"b\""`, []Option{{"alias", `a "b"`, "lnd.conf line 1"}}, ""},
		"ok/equal signs":       {"feeurl=http://x/?a=b", []Option{{"feeurl", "http://x/?a=b", "lnd.conf line 1"}}, ""},
		"ok/litd's prefix":     {"lnd.alias=x", []Option{{"alias", "x", "lnd.conf line 1"}}, ""},
		"ok/windows lines":     {"alias=x\r\ncolor=#000000\r\n", []Option{{"alias", "x", "lnd.conf line 1"}, {"color", "#000000", "lnd.conf line 2"}}, ""},
		"fail/no value":        {"alias=x\nnolisten\n", nil, "lnd.conf line 2: not of the form"},
		"fail/field name":      {"NoMacaroons=1", nil, `line 1: "NoMacaroons" is not the long name`},
		"fail/short name":      {"b=/elsewhere", nil, `line 1: "b" is not the long name`},
		"fail/dashes":          {"--alias=x", nil, "is not the long name"},
		"fail/malformed quote": {`alias="x`, nil, `line 1: malformed quotes in the value of "alias"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConf("lnd.conf", []byte(c.in))
			if c.part != "" {
				if fault.Code(err) != "bad_lnd_conf" || !strings.Contains(err.Error(), c.part) {
					t.Fatalf("got %v, want %q", err, c.part)
				}
				return
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestParseConfKeepsSecrets(t *testing.T) {
	_, err := ParseConf("lnd.conf", []byte(`btcd.rpcpass="hunter2`))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestParseArgs(t *testing.T) {
	cases := map[string]struct {
		in   []string
		want []Option
		code string
	}{
		"ok/none":           {nil, nil, ""},
		"ok/forms":          {[]string{"--alias=x", "--lnd.color=#000000", "--nolisten"}, []Option{{"alias", "x", "--alias"}, {"color", "#000000", "--color"}, {"nolisten", "true", "--nolisten"}}, ""},
		"ok/user name":      {[]string{"--btcd.rpcuser=u"}, []Option{{"btcd.rpcuser", "u", "--btcd.rpcuser"}}, ""},
		"fail/bare":         {[]string{"alias=x"}, nil, "bad_option"},
		"fail/separate":     {[]string{"--alias", "x"}, nil, "bad_option"},
		"fail/short":        {[]string{"-b=x"}, nil, "bad_option"},
		"fail/field":        {[]string{"--NoMacaroons"}, nil, "bad_option"},
		"fail/rpc password": {[]string{"--btcd.rpcpass=hunter2"}, nil, "secret_in_argv"},
		"fail/tor password": {[]string{"--lnd.tor.password=hunter2"}, nil, "secret_in_argv"},
		"fail/dsn":          {[]string{"--db.postgres.dsn=hunter2"}, nil, "secret_in_argv"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseArgs(c.in)
			if fault.Code(err) != c.code || !slices.Equal(got, c.want) {
				t.Fatalf("got %q, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret shows: %v", err)
			}
		})
	}
}

func TestLoadConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lnd.conf")
	if options, err := LoadConf(path); err != nil || options != nil {
		t.Errorf("missing: %q, %v", options, err)
	}
	write := func(text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("alias=x\n", 0o644)
	if options, err := LoadConf(path); err != nil || len(options) != 1 {
		t.Errorf("no secrets: %q, %v", options, err)
	}
	write("bitcoind.rpcpass=x\n", 0o640)
	if _, err := LoadConf(path); fault.Code(err) != "insecure_file" || fault.Hint(err) != "chmod 600 "+path {
		t.Errorf("secret for the group: %v", err)
	}
	write("bitcoind.rpcpass=x\n", 0o600)
	if _, err := LoadConf(path); err != nil {
		t.Errorf("secret kept: %v", err)
	}
}

// FuzzParseConf: whatever the file, what is rendered for the child reads as
// the same options again.
func FuzzParseConf(f *testing.F) {
	for _, seed := range []string{"", "[a]\nalias=x\n", `alias="a\nb"`, "listen=\x00\xff\n", "a.b=c=d\n#x", "alias=\"\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		options, err := ParseConf("lnd.conf", data)
		if err != nil {
			return
		}
		again, err := ParseConf("again", render(options))
		if err != nil || len(again) != len(options) {
			t.Fatalf("%q became %q: %v", options, again, err)
		}
		for i, o := range options {
			if again[i].Name != o.Name || again[i].Value != o.Value {
				t.Errorf("%q became %q", o, again[i])
			}
		}
	})
}
